//! Plain arithmetic for any machine: 16 lanes are an array, and the compiler's business.

use super::{ELSEWHERE, Group, Origins, Simd};
use std::ops::Range;

/// The token: nothing beyond the baseline is needed.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// 16 lanes.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Array([f32; 16]);

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Array {
    let mut out = [0.0; 16];
    for (i, lane) in out.iter_mut().enumerate() {
        *lane = f(i);
    }
    Array(out)
}

impl Simd for Portable {
    type V = Array;
    type Pick = Origins;

    #[inline(always)]
    fn splat(self, x: f32) -> Array {
        Array([x; 16])
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Array {
        // SAFETY: 16 elements are readable, says the caller; an array of them has no alignment of its own.
        Array(unsafe { from.cast::<[f32; 16]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, v: Array, to: *mut f32) {
        // SAFETY: 16 elements are writable, says the caller.
        unsafe { to.cast::<[f32; 16]>().write(v.0) }
    }

    #[inline(always)]
    unsafe fn load_lanes(self, from: *const f32, lanes: Range<usize>) -> Array {
        // SAFETY: the lanes are readable, says the caller.
        each(|i| if lanes.contains(&i) { unsafe { from.add(i).read() } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_lanes(self, v: Array, to: *mut f32, lanes: Range<usize>) {
        for i in lanes {
            // SAFETY: the lanes are writable, says the caller.
            unsafe { to.add(i).write(v.0[i]) };
        }
    }

    #[inline(always)]
    fn add(self, a: Array, b: Array) -> Array {
        each(|i| a.0[i] + b.0[i])
    }

    #[inline(always)]
    fn sub(self, a: Array, b: Array) -> Array {
        each(|i| a.0[i] - b.0[i])
    }

    #[inline(always)]
    fn mul(self, a: Array, b: Array) -> Array {
        each(|i| a.0[i] * b.0[i])
    }

    #[inline(always)]
    fn div(self, a: Array, b: Array) -> Array {
        each(|i| a.0[i] / b.0[i])
    }

    /// Rounded twice: a fused one would be a call of the C library on the baseline.
    #[inline(always)]
    fn fma(self, a: Array, b: Array, c: Array) -> Array {
        each(|i| a.0[i] * b.0[i] + c.0[i])
    }

    #[inline(always)]
    fn min(self, a: Array, b: Array) -> Array {
        each(|i| if a.0[i] < b.0[i] { a.0[i] } else { b.0[i] })
    }

    #[inline(always)]
    fn max(self, a: Array, b: Array) -> Array {
        each(|i| if a.0[i] > b.0[i] { a.0[i] } else { b.0[i] })
    }

    #[inline(always)]
    fn sqrt(self, a: Array) -> Array {
        each(|i| a.0[i].sqrt())
    }

    #[inline(always)]
    fn round(self, a: Array) -> Array {
        // Adding 1.5 * 2^23 leaves no bits below one, which rounds.
        const SHIFT: f32 = 12_582_912.0;
        each(|i| (a.0[i] + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn exp2(self, a: Array) -> Array {
        const SHIFT: f32 = 12_582_912.0 + 127.0;
        each(|i| f32::from_bits((a.0[i] + SHIFT).to_bits() << 23))
    }

    #[inline(always)]
    fn select_less(self, a: Array, b: Array, x: Array, y: Array) -> Array {
        each(|i| if a.0[i] < b.0[i] { x.0[i] } else { y.0[i] })
    }

    #[inline(always)]
    fn pick(self, origins: &Origins) -> Origins {
        *origins
    }

    #[inline(always)]
    fn merge(self, into: Array, from: Array, pick: Origins) -> Array {
        each(|i| if pick[i] == ELSEWHERE { into.0[i] } else { from.0[usize::from(pick[i])] })
    }

    #[inline(always)]
    fn width(self, remaining: usize) -> usize {
        remaining.min(2)
    }

    /// One block by two pixels: eight accumulators in the 16 registers of the baseline.
    #[inline(always)]
    fn tile<G: Group<Self>>(self, group: &mut G, _: usize, remaining: usize) -> (usize, usize) {
        match self.width(remaining) {
            1 => group.run::<1, 1>(self),
            _ => group.run::<1, 2>(self),
        }
        (1, remaining.min(2))
    }
}
