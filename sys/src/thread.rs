//! Threads: names, cores, scheduling class, and what the kernel counts about each.

mod allocations;
mod counters;
mod float;
mod watch;

pub use allocations::{Allocations, CountingAllocator};
pub use counters::{ThreadCounters, ThreadError, register_current, registered};
pub use float::{denormals_are_zero, flush_denormals};
pub use watch::{Disturbances, Watch, processes_with, threads_named};

use std::ffi::CString;

/// The cores that the calling thread may run on: all that the process may use, unless it is pinned.
#[must_use]
pub fn cores() -> Vec<usize> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    cores.into_iter().map(|core| core.id).collect()
}

/// Pins the calling thread to `core`; false when the kernel refuses.
#[must_use]
pub fn pin_current(core: usize) -> bool {
    // The crate panics on numbers beyond the kernel's set.
    core < libc::CPU_SETSIZE.unsigned_abs() as usize
        && core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

/// The kernel's number of the calling thread.
#[must_use]
pub fn current_id() -> u32 {
    // SAFETY: takes nothing and always succeeds.
    unsafe { libc::gettid() }.unsigned_abs()
}

/// Bytes of its stack that a thread on the path of a request touches at start.
const TOUCHED_STACK_BYTES: usize = 512 << 10;

/// Touches the calling thread's stack below the caller, so that no depth of calls on the path of a
/// request faults its pages in. It must have 1 MiB left; threads of the standard library have 2.
#[inline(never)]
pub fn touch_stack() {
    let mut pages = [0_u8; TOUCHED_STACK_BYTES];
    std::hint::black_box(&mut pages);
}

/// Names the calling thread, for tools that list threads. The kernel keeps 15 bytes.
pub fn name_current(name: &str) {
    let kept: Vec<u8> = name.bytes().filter(|byte| *byte != 0).take(15).collect();
    let Ok(kept) = CString::new(kept) else {
        unreachable!("zero bytes were filtered out");
    };
    // SAFETY: a NUL-terminated string of at most 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, kept.as_ptr()) };
}

/// How the kernel schedules a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SchedulingClass {
    /// The normal class, with this nice value.
    Normal {
        /// From -20 (most) to 19 (least of the processor).
        nice: i32,
    },
    /// Batch or idle work.
    Background,
    /// First in, first out, at this priority.
    Fifo {
        /// From 1 to 99.
        priority: i32,
    },
    /// Round robin, at this priority.
    RoundRobin {
        /// From 1 to 99.
        priority: i32,
    },
    /// By deadline.
    Deadline,
    /// A class that was unknown when this was written.
    Other(i32),
}

/// The scheduling class of the calling thread.
#[must_use]
pub fn scheduling_class() -> SchedulingClass {
    // SAFETY: 0 names the calling thread.
    let policy = unsafe { libc::sched_getscheduler(0) };
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: valid for the write of one `sched_param`.
    unsafe { libc::sched_getparam(0, &raw mut parameters) };
    let priority = parameters.sched_priority;
    match policy & !libc::SCHED_RESET_ON_FORK {
        // SAFETY: takes no pointer.
        libc::SCHED_OTHER => SchedulingClass::Normal { nice: unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) } },
        libc::SCHED_BATCH | libc::SCHED_IDLE => SchedulingClass::Background,
        libc::SCHED_FIFO => SchedulingClass::Fifo { priority },
        libc::SCHED_RR => SchedulingClass::RoundRobin { priority },
        libc::SCHED_DEADLINE => SchedulingClass::Deadline,
        other => SchedulingClass::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_pinned_to_a_core_of_the_process_and_to_no_other() {
        let core = *cores().first().unwrap();
        let pinned = std::thread::spawn(move || (pin_current(core), cores()));
        assert_eq!(pinned.join().unwrap(), (true, vec![core]));
        let refused = std::thread::spawn(|| pin_current(usize::MAX) || pin_current(1023));
        assert!(!refused.join().unwrap());
    }

    #[test]
    fn the_scheduling_class_is_the_kernels_word() {
        let class = std::thread::spawn(|| {
            let before = scheduling_class();
            let parameters = libc::sched_param { sched_priority: 0 };
            // SAFETY: 0 names the calling thread; a valid `sched_param`. Anybody may do this.
            let code = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
            (code, before, scheduling_class())
        });
        let (code, before, after) = class.join().unwrap();
        assert_eq!((code, after), (0, SchedulingClass::Background));
        assert_ne!(before, SchedulingClass::Other(-1));
    }

    /// Touches a page in each of 64 frames of more than a page.
    #[inline(never)]
    fn go_deep(left: u32) -> u8 {
        let mut page = [0_u8; 4096];
        std::hint::black_box(&mut page);
        if left == 0 { page[0] } else { go_deep(left - 1).wrapping_add(page[1]) }
    }

    #[test]
    fn a_touched_stack_does_not_fault() {
        let faults = |touch: fn()| {
            let thread = std::thread::spawn(move || {
                touch();
                let before = ThreadCounters::current();
                std::hint::black_box(go_deep(64));
                ThreadCounters::current().minor_faults - before.minor_faults
            });
            thread.join().unwrap()
        };
        assert!(faults(|| ()) > 32);
        assert_eq!(faults(touch_stack), 0);
    }

    #[test]
    fn a_thread_has_the_name_it_was_given() {
        let name = std::thread::spawn(|| {
            name_current("a-name-longer-than-15");
            std::fs::read_to_string(format!("/proc/self/task/{}/comm", current_id()))
        });
        assert_eq!(name.join().unwrap().unwrap().trim_end(), "a-name-longer-t");
    }
}
