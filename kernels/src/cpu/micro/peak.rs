//! What the core can do at best: multiply-adds that never wait for memory.

use super::Simd;

/// Accumulators that hide the latency of the instruction on every supported processor.
const CHAINS: usize = 24;

/// Floating-point operations of one round.
pub(crate) const FLOPS: u64 = (CHAINS * 16 * 2) as u64;

/// Runs so many rounds of independent multiply-adds; their sum, so that they are not optimised away.
#[inline(always)]
pub(crate) fn multiply_adds<S: Simd>(s: S, rounds: u64) -> f32 {
    let (factor, term) = (s.splat(0.999_999), s.splat(1e-6));
    let mut sums = [s.splat(1.0); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = s.fma(*sum, factor, term);
        }
    }
    let mut all = sums[0];
    for &sum in &sums[1..] {
        all = s.add(all, sum);
    }
    s.to_array(all).iter().sum()
}
