//! Accumulator chains: the inner loop of products.
//!
//! An output is one chain of fused multiply-adds, in an order that its layer's shape alone fixes.
//! How many outputs share a register tile decides only what is computed side by side.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::Simd;
use crate::cpu::LANES;

/// Read where there is nothing to read.
pub(super) static ZEROS: [f32; LANES] = [0.0; LANES];

/// `sum[b][p] += x[p][i] * w[b][i]` for `i` upwards.
///
/// # Safety
/// `k` elements of each `x` and `16 k` of each `w` are readable.
#[inline(always)]
pub(super) unsafe fn chain<S: Simd, const B: usize, const P: usize>(
    s: S,
    sum: &mut [[S::V; P]; B],
    x: [*const f32; P],
    w: [*const f32; B],
    k: usize,
) {
    // A copy of its own stays in registers, also where the caller's sums have a place in memory.
    let mut own = *sum;
    for i in 0..k {
        let mut row = [s.splat(0.0); B];
        for b in 0..B {
            // SAFETY: `16 k` elements of each `w` are readable, says the caller.
            row[b] = unsafe { s.load(w[b].add(i * LANES)) };
        }
        for p in 0..P {
            // SAFETY: `k` elements of each `x` are readable, says the caller.
            let x = s.splat(unsafe { *x[p].add(i) });
            for b in 0..B {
                own[b][p] = s.fma(x, row[b], own[b][p]);
            }
        }
    }
    *sum = own;
}
