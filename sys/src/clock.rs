//! The one clock: `CLOCK_MONOTONIC`, in nanoseconds.

use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;

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

/// Which clock [`now_ns`] reads: equal in two processes only if theirs is the same one, that is on the
/// same boot of the same machine and in the same time namespace. 0 where the kernel does not say.
#[must_use]
pub fn identity() -> u64 {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let boot = boot.and_then(|text| u128::from_str_radix(&text.trim().replace('-', ""), 16).ok());
    // A kernel without time namespaces has one clock.
    let namespace = fs::metadata("/proc/self/ns/time").map_or(0, |namespace| namespace.ino());
    boot.map_or(0, |boot| fold(boot) ^ namespace.rotate_left(32))
}

/// The halves of a random number.
fn fold(number: u128) -> u64 {
    let bytes = number.to_le_bytes();
    let half = |first: usize| bytes[first..first + 8].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    half(0) ^ half(8)
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

    #[test]
    fn the_clock_has_one_identity_and_other_boots_have_others() {
        assert_ne!(identity(), 0);
        assert_eq!(identity(), identity());
        assert_ne!(fold(1 << 64 | 2), fold(1 << 64 | 3));
    }
}
