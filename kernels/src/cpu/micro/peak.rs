//! What the core can do at best: multiply-adds that never wait for memory.

use super::Simd;
use std::hint::black_box;

/// Accumulators that hide the latency of the instruction on every supported processor.
const CHAINS: usize = 24;

/// Floating-point operations of one round.
pub(crate) const FLOPS: u64 = (CHAINS * 16 * 2) as u64;

/// Runs so many rounds of independent multiply-adds; their sum, so that they are not optimised away.
#[inline(always)]
pub(crate) fn multiply_adds<S: Simd>(s: S, rounds: u64) -> f32 {
    // Chains that differ, and that no compiler can foresee.
    let start = black_box([0.5; CHAINS]);
    let (factor, term) = (s.splat(black_box(0.999)), s.splat(black_box(1e-3)));
    let mut sums = start.map(|start| s.splat(start));
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
