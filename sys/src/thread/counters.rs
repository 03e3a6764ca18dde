//! Page faults, context switches and allocations of any registered thread.

use super::allocations::{self, Allocations};
use super::current_id;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Threads that can be registered.
pub const MAX_THREADS: usize = 256;

static THREADS: Mutex<Vec<Registered>> = Mutex::new(Vec::new());

#[derive(Clone, Debug)]
struct Registered {
    id: u32,
    name: String,
    /// Where its allocations are counted.
    place: usize,
}

/// What the kernel has counted of a thread since it began.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ThreadCounters {
    /// The name given when it was registered.
    pub name: String,
    /// The kernel's number of the thread.
    pub id: u32,
    /// Page faults without input or output.
    pub minor_faults: u64,
    /// Page faults with input or output.
    pub major_faults: u64,
    /// Times that the thread gave up its core to wait.
    pub voluntary_switches: u64,
    /// Times that the kernel took its core away.
    pub involuntary_switches: u64,
    /// What a [`super::CountingAllocator`] has counted since the thread was registered. Only
    /// [`Self::current`] and [`registered`] tell.
    pub allocations: Allocations,
}

/// Counters that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// The kernel's file can't be read.
    #[error("reading {path}: {reason}")]
    Read {
        /// The file.
        path: String,
        /// The kernel's reason.
        reason: io::Error,
    },
    /// The kernel's file lacks a field.
    #[error("{path} has no field {field}")]
    Field {
        /// The file.
        path: String,
        /// The field.
        field: &'static str,
    },
}

impl ThreadCounters {
    /// The counters of the calling thread, by one system call and without allocating (the name
    /// is left empty).
    #[must_use]
    pub fn current() -> Self {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: valid for the write of one `rusage`, and all-zero is a valid one.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
            usage.assume_init()
        };
        Self {
            name: String::new(),
            id: current_id(),
            minor_faults: usage.ru_minflt.unsigned_abs(),
            major_faults: usage.ru_majflt.unsigned_abs(),
            voluntary_switches: usage.ru_nvcsw.unsigned_abs(),
            involuntary_switches: usage.ru_nivcsw.unsigned_abs(),
            allocations: allocations::of_current(),
        }
    }

    /// The counters of thread `id` of this process.
    ///
    /// # Errors
    /// When there is no such thread (any more).
    pub fn of(id: u32, name: &str) -> Result<Self, ThreadError> {
        let stat_path = format!("/proc/self/task/{id}/stat");
        let stat = read(&stat_path)?;
        let status_path = format!("/proc/self/task/{id}/status");
        let status = read(&status_path)?;
        // The second field is the name in brackets, which may hold spaces: count after it.
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let number = |index: usize, field| {
            let text = after_name.split(' ').nth(index);
            text.and_then(|text| text.parse().ok()).ok_or(ThreadError::Field { path: stat_path.clone(), field })
        };
        let line = |field: &'static str| {
            let text = status.lines().find_map(|line| line.strip_prefix(field));
            text.and_then(|text| text.trim_start_matches(':').trim().parse().ok())
                .ok_or(ThreadError::Field { path: status_path.clone(), field })
        };
        Ok(Self {
            name: name.to_owned(),
            id,
            minor_faults: number(7, "minflt")?,
            major_faults: number(9, "majflt")?,
            voluntary_switches: line("voluntary_ctxt_switches")?,
            involuntary_switches: line("nonvoluntary_ctxt_switches")?,
            allocations: Allocations::default(),
        })
    }
}

fn read(path: &str) -> Result<String, ThreadError> {
    std::fs::read_to_string(path).map_err(|reason| ThreadError::Read { path: path.to_owned(), reason })
}

/// Enters the calling thread into the list that [`registered`] reports; beyond [`MAX_THREADS`]
/// nothing is entered.
pub fn register_current(name: &str) {
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.retain(|thread| std::fs::exists(format!("/proc/self/task/{}", thread.id)).unwrap_or(true));
    let free = (0..MAX_THREADS).find(|&place| threads.iter().all(|thread| thread.place != place));
    if let Some(place) = free {
        threads.push(Registered { id: current_id(), name: name.to_owned(), place });
        allocations::count_current(place);
    }
}

/// The counters of all registered threads that still run.
#[must_use]
pub fn registered() -> Vec<ThreadCounters> {
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let counters = |thread: &Registered| {
        let allocations = allocations::counted(thread.place);
        ThreadCounters::of(thread.id, &thread.name).ok().map(|counters| ThreadCounters { allocations, ..counters })
    };
    threads.iter().filter_map(counters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{HostLease, PAGE_BYTES};
    use std::sync::mpsc;

    #[test]
    fn the_kernel_counts_the_faults_of_a_registered_thread() {
        let (finish, until) = mpsc::channel::<()>();
        let (report, reports) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            register_current("counted");
            let before = ThreadCounters::current();
            // Large enough that the allocator maps it anew, whatever it kept.
            let fresh = vec![1_u8; 64 << 20];
            let after = ThreadCounters::current();
            report.send((before, after, fresh.len())).unwrap();
            until.recv().unwrap();
        });
        let (before, after, _) = reports.recv().unwrap();
        assert!(after.minor_faults > before.minor_faults);
        let seen = registered().into_iter().find(|seen| seen.id == before.id).unwrap();
        assert_eq!(seen.name, "counted");
        assert!(seen.minor_faults >= after.minor_faults);
        finish.send(()).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn touched_memory_does_not_fault() {
        let mut lease = HostLease::locked(64 * PAGE_BYTES).unwrap();
        let before = ThreadCounters::current();
        lease.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
        let after = ThreadCounters::current();
        assert_eq!(after.minor_faults, before.minor_faults);
        assert_eq!(after.major_faults, before.major_faults);
    }

    #[test]
    fn a_thread_that_is_not_there_is_an_error() {
        assert!(matches!(ThreadCounters::of(u32::MAX, "none"), Err(ThreadError::Read { .. })));
    }
}
