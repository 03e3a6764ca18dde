//! Keeping all memory of the process in place: code, data, heap and stacks too.

use super::LockState;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The capability to lock memory beyond the limit, as a bit of the kernel's mask.
const CAP_IPC_LOCK: u32 = 14;

/// Whether what is mapped from now on is locked as it is mapped.
static LATER: AtomicBool = AtomicBool::new(false);

/// Brings every page that this process has mapped into memory and locks it there: code that has
/// not run yet, memory that was allocated and not touched, stacks. Where nothing bounds what the
/// process may lock, what it maps from now on is treated so too, as it is mapped.
///
/// A refused lock is no failure; the pages are then brought in all the same. Unless all is locked,
/// what is mapped later is not covered, and who takes memory later calls this again; where it is
/// covered, that does nothing.
pub fn keep_resident() -> LockState {
    if LATER.load(Ordering::Relaxed) {
        return LockState::Locked;
    }
    // Under a limit, locking what is yet to come would turn a page fault into a failed allocation.
    let unbounded = lock_is_unbounded();
    let later = if unbounded { libc::MCL_FUTURE } else { 0 };
    // SAFETY: takes flags only, and changes no content of any memory.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | later) } == 0 {
        LATER.store(unbounded, Ordering::Relaxed);
        let reason = "the memlock limit bounds what is mapped later".to_owned();
        return if unbounded { LockState::Locked } else { LockState::Refused { reason } };
    }
    let reason = io::Error::last_os_error();
    bring_in();
    LockState::Refused { reason: format!("locking all memory of the process: {reason}") }
}

fn lock_is_unbounded() -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: valid for the write of one `rlimit`.
    let code = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    let unlimited = code == 0 && limit.rlim_cur == libc::RLIM_INFINITY;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    unlimited || mask & 1 << CAP_IPC_LOCK != 0
}

/// Touches every mapping of the process, as far as the kernel (5.14 or later) does that for it.
fn bring_in() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for mapping in maps.lines().filter_map(parse) {
        let advice = if mapping.writable { libc::MADV_POPULATE_WRITE } else { libc::MADV_POPULATE_READ };
        let start = std::ptr::without_provenance_mut(mapping.start);
        // SAFETY: this advice touches pages as a read or write of no new value would; it changes no
        // content, and a range that is not mapped any more is an error.
        unsafe { libc::madvise(start, mapping.bytes, advice) };
    }
}

/// A mapping that pages can be brought into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mapped {
    start: usize,
    bytes: usize,
    writable: bool,
}

/// A line of the kernel's list; none for what is shared, unreadable, or no memory.
fn parse(line: &str) -> Option<Mapped> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let [start, end] = [start, end].map(|address| usize::from_str_radix(address, 16));
    let (start, end) = (start.ok()?, end.ok()?);
    let rights = fields.next()?;
    // A shared mapping is a file's or a ring's, and the business of whoever made it.
    let wanted = rights.starts_with('r') && rights.ends_with('p') && !line.contains("[v");
    wanted.then_some(Mapped { start, bytes: end.checked_sub(start)?, writable: rights[1..].starts_with('w') })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::PAGE_BYTES;
    use crate::thread::ThreadCounters;
    use std::sync::{Mutex, PoisonError};

    /// Locks are the process's: one test at a time.
    static TURN: Mutex<()> = Mutex::new(());

    const PAGES: usize = 256;

    fn faults_of_touching(map: &mut memmap2::MmapMut) -> u64 {
        let before = ThreadCounters::current();
        map.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
        ThreadCounters::current().minor_faults - before.minor_faults
    }

    fn untouched() -> memmap2::MmapMut {
        memmap2::MmapMut::map_anon(PAGES * PAGE_BYTES).unwrap()
    }

    #[test]
    fn memory_that_was_mapped_and_not_touched_is_there() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut map = untouched();
        assert!(faults_of_touching(&mut map) > 0);
        let mut map = untouched();
        bring_in();
        assert_eq!(faults_of_touching(&mut map), 0);
        assert!(map.iter().step_by(PAGE_BYTES).all(|byte| *byte == 1));
    }

    #[test]
    fn what_is_mapped_later_is_there_too_where_nothing_bounds_locks() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = untouched();
        let state = keep_resident();
        assert_eq!(faults_of_touching(&mut before), 0);
        assert_eq!(state == LockState::Locked, lock_is_unbounded(), "{state:?}");
        if state == LockState::Locked {
            assert_eq!(faults_of_touching(&mut untouched()), 0);
        }
        // SAFETY: takes nothing.
        unsafe { libc::munlockall() };
        LATER.store(false, Ordering::Relaxed);
    }

    #[test]
    fn the_kernels_list_is_understood() {
        let heap = "55d0c0a00000-55d0c0a21000 rw-p 00000000 00:00 0    [heap]";
        let (start, bytes) = (0x55d0_c0a0_0000, 0x21000);
        assert_eq!(parse(heap), Some(Mapped { start, bytes, writable: true }));
        let code = "00400000-00452000 r-xp 00000000 08:02 173521  /usr/bin/some program";
        assert_eq!(parse(code), Some(Mapped { start: 0x40_0000, bytes: 0x5_2000, writable: false }));
        for skipped in [
            "7f00-8f00 ---p 00000000 00:00 0",
            "7f00-8f00 rw-s 00000000 00:0f 2065 anon_inode:[io_uring]",
            "7ffd-7fff r--p 00000000 00:00 0    [vvar]",
            "",
        ] {
            assert_eq!(parse(skipped), None, "{skipped}");
        }
    }
}
