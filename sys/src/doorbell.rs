//! A doorbell wakes one sleeping thread. While that thread is awake, ringing is a fence and a
//! load; only a ring that finds it asleep makes a system call.
//!
//! The sleeper's order is [`Doorbell::arm`], look for work once more, then either
//! [`Doorbell::disarm`] (work was found) or [`Doorbell::wait`]. The ringer publishes its work,
//! then calls [`Doorbell::ring`]. So no ring is lost between the last look and the sleep.

use crate::clock;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// Wakes one sleeper; cheap to clone, the clones ring the same sleeper.
#[derive(Clone, Debug)]
pub struct Doorbell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: AtomicU32,
    /// Where the sleeper waits in a ring or in `poll`; without one it waits on `state` itself.
    event: Option<OwnedFd>,
}

impl Doorbell {
    /// A doorbell for a thread that sleeps in [`Doorbell::wait`] only.
    #[must_use]
    pub fn futex() -> Self {
        Self(Arc::new(Inner { state: AtomicU32::new(AWAKE), event: None }))
    }

    /// A doorbell for a thread that may also sleep inside a [`crate::uring::Ring`].
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn event() -> io::Result<Self> {
        // SAFETY: `eventfd` takes no pointer.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and nobody else's.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self(Arc::new(Inner { state: AtomicU32::new(AWAKE), event: Some(event) })))
    }

    /// The eventfd behind [`Doorbell::event`], for a ring to read.
    #[must_use]
    pub fn event_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.event.as_ref().map(AsFd::as_fd)
    }

    /// Wakes the sleeper if it sleeps or is about to.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.0.state.load(Ordering::Relaxed) == ASLEEP && self.0.state.swap(AWAKE, Ordering::SeqCst) == ASLEEP {
            self.wake();
        }
    }

    /// Says that the calling thread is about to sleep. Look for work once more after this.
    pub fn arm(&self) {
        self.0.state.store(ASLEEP, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Says that the calling thread is awake again.
    pub fn disarm(&self) {
        self.0.state.store(AWAKE, Ordering::SeqCst);
    }

    /// Sleeps until a ring that came after [`Doorbell::arm`], or until `until_ns` of
    /// [`clock::now_ns`]. May also return early for no reason. The doorbell is disarmed after.
    pub fn wait(&self, until_ns: Option<u64>) {
        match &self.0.event {
            None => self.wait_futex(until_ns),
            Some(event) => wait_event(event, until_ns),
        }
        self.disarm();
    }

    /// Takes the event back that a ring made.
    pub(crate) fn drain(&self) {
        if let Some(event) = &self.0.event {
            drain(event);
        }
    }

    fn wake(&self) {
        match &self.0.event {
            // SAFETY: `state` is a live, aligned word; waking reads nothing through it.
            None => unsafe {
                libc::syscall(libc::SYS_futex, self.0.state.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
            },
            Some(event) => {
                let one = 1_u64;
                // SAFETY: eight readable bytes. A full counter (the only failure) means that the
                // sleeper has a wake pending already.
                unsafe { libc::write(event.as_raw_fd(), (&raw const one).cast(), 8) };
            }
        }
    }

    fn wait_futex(&self, until_ns: Option<u64>) {
        let until = until_ns.map(clock::timespec);
        let until = until.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `state` is a live, aligned word, and `until` is null or a valid absolute
        // `timespec` (FUTEX_WAIT_BITSET measures against CLOCK_MONOTONIC).
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0.state.as_ptr(),
                libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
                ASLEEP,
                until,
                std::ptr::null::<u32>(),
                libc::FUTEX_BITSET_MATCH_ANY,
            );
        }
    }
}

fn wait_event(event: &OwnedFd, until_ns: Option<u64>) {
    let left = until_ns.map(|at| clock::timespec(at.saturating_sub(clock::now_ns())));
    let left = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut poll = libc::pollfd { fd: event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid `pollfd`, a null or valid timeout, no signal mask.
    unsafe { libc::ppoll(&raw mut poll, 1, left, std::ptr::null()) };
    drain(event);
}

fn drain(event: &OwnedFd) {
    let mut count = 0_u64;
    // SAFETY: eight writable bytes; the eventfd does not block.
    unsafe { libc::read(event.as_raw_fd(), (&raw mut count).cast(), 8) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// A thread sleeps without a limit until it sees the flag that the ringer published.
    fn wakes(bell: &Doorbell) {
        let flag = Arc::new(AtomicBool::new(false));
        let (theirs, seen) = (bell.clone(), Arc::clone(&flag));
        let sleeper = std::thread::spawn(move || {
            loop {
                theirs.arm();
                if seen.load(Ordering::SeqCst) {
                    theirs.disarm();
                    return;
                }
                theirs.wait(None);
            }
        });
        flag.store(true, Ordering::SeqCst);
        bell.ring();
        sleeper.join().unwrap();
    }

    #[test]
    fn a_ring_wakes_a_sleeper_whenever_it_comes() {
        for _ in 0..200 {
            wakes(&Doorbell::futex());
            wakes(&Doorbell::event().unwrap());
        }
    }

    #[test]
    fn a_wait_ends_at_its_limit() {
        for bell in [Doorbell::futex(), Doorbell::event().unwrap()] {
            let until = clock::now_ns() + 3_000_000;
            while clock::now_ns() < until {
                bell.arm();
                bell.wait(Some(until));
            }
        }
    }
}
