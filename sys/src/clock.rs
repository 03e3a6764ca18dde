//! The one clock: `CLOCK_MONOTONIC`, in nanoseconds.

use std::mem::MaybeUninit;

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Now, in nanoseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn now_ns() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is valid for writes of one `timespec`.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
    assert!(code == 0, "every Linux kernel has CLOCK_MONOTONIC");
    // SAFETY: `clock_gettime` returned 0 and so filled `time`.
    let time = unsafe { time.assume_init() };
    time.tv_sec.cast_unsigned() * NANOS_PER_SECOND + time.tv_nsec.cast_unsigned()
}

/// `ns` as a `timespec`.
pub(crate) fn timespec(ns: u64) -> libc::timespec {
    libc::timespec { tv_sec: (ns / NANOS_PER_SECOND).cast_signed(), tv_nsec: (ns % NANOS_PER_SECOND).cast_signed() }
}

/// Sleeps until `at_ns` of [`now_ns`], through signals; returns at once when that has passed.
pub fn sleep_until(at_ns: u64) {
    let at = timespec(at_ns);
    loop {
        // SAFETY: `at` is a valid `timespec`; an absolute sleep writes no remainder.
        let code = unsafe {
            libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const at, std::ptr::null_mut())
        };
        if code != libc::EINTR {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_until_a_time_ends_after_it_and_time_never_goes_back() {
        let start = now_ns();
        sleep_until(start + 2_000_000);
        let woken = now_ns();
        assert!(woken >= start + 2_000_000);
        sleep_until(start);
        assert!(now_ns() >= woken);
    }
}
