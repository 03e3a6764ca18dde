//! How a thread treats numbers too small for the normal form.

/// Flush results to zero.
#[cfg(target_arch = "x86_64")]
const FLUSH_TO_ZERO: u32 = 1 << 15;
/// Take operands as zero.
#[cfg(target_arch = "x86_64")]
const DENORMALS_ARE_ZERO: u32 = 1 << 6;

/// Has the calling thread take denormal operands as zero and flush denormal results to zero, for
/// good; a processor other than x86-64 is left as it is.
///
/// For threads that run kernels, where such numbers would cost predictability: an operation on a
/// denormal takes up to a hundred times as long as on any other number, so how long a layer takes
/// would depend on what it computes. What is lost is below 1.2e-38.
pub fn flush_denormals() {
    #[cfg(target_arch = "x86_64")]
    write_control(read_control() | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
}

/// Whether the calling thread treats denormals as [`flush_denormals`] says.
#[must_use]
pub fn denormals_are_zero() -> bool {
    #[cfg(target_arch = "x86_64")]
    let both = read_control() & (FLUSH_TO_ZERO | DENORMALS_ARE_ZERO) == FLUSH_TO_ZERO | DENORMALS_ARE_ZERO;
    #[cfg(not(target_arch = "x86_64"))]
    let both = false;
    both
}

#[cfg(target_arch = "x86_64")]
fn read_control() -> u32 {
    let mut control = 0_u32;
    // SAFETY: writes 4 bytes to a place that is 4 bytes, and nothing else.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack, preserves_flags)) };
    control
}

#[cfg(target_arch = "x86_64")]
fn write_control(control: u32) {
    // SAFETY: reads 4 bytes that are there. `control` is what the register held with two bits more,
    // so no reserved bit is set, no exception unmasked and the rounding stays. The compiler takes
    // for granted that denormals are kept; it relies on that only to compute, at compile time or
    // not, what this thread would have computed as zero. Either value is a right answer of a kernel,
    // and no memory access of a kernel depends on the value of a float.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack, readonly)) };
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn denormals_vanish_on_the_thread_that_asks_and_on_no_other() {
        let product = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let sum = || black_box(f32::from_bits(1)) + black_box(0.0);
        let flushed = std::thread::spawn(move || {
            flush_denormals();
            (denormals_are_zero(), product(), sum())
        });
        assert_eq!(flushed.join().unwrap(), (true, 0.0, 0.0));
        assert!(!denormals_are_zero());
        assert!(product() > 0.0 && sum() > 0.0);
    }

    #[test]
    fn rounding_stays_as_it_was() {
        let third = || black_box(1.0_f32) / black_box(3.0);
        let flushed = std::thread::spawn(move || {
            flush_denormals();
            third()
        });
        assert_eq!(flushed.join().unwrap().to_bits(), third().to_bits());
    }
}
