//! SIGINT and SIGTERM as something to wait for, instead of the end of the process.

use std::io;
use std::mem::MaybeUninit;

/// The signals by which a process is told to end.
const SIGNALS: [i32; 2] = [libc::SIGINT, libc::SIGTERM];

/// The right to wait for them.
#[derive(Debug)]
pub struct EndSignals(());

impl EndSignals {
    /// Keeps SIGINT and SIGTERM from the calling thread and all threads that it starts from here on,
    /// so that they wait to be taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn block() -> io::Result<Self> {
        let set = set();
        // SAFETY: a valid set; the old mask is not asked for.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
            0 => Ok(Self(())),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Sleeps until one of them comes; its number.
    #[must_use]
    pub fn wait(&self) -> i32 {
        let set = set();
        loop {
            let mut number = 0;
            // SAFETY: a valid set and a place for the number.
            if unsafe { libc::sigwait(&raw const set, &raw mut number) } == 0 {
                return number;
            }
        }
    }
}

fn set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is emptied, and so made whole, before anything is added to it; the numbers are
    // those of signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in SIGNALS {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}
