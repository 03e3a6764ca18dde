//! SSE2, which every machine of this architecture has: 16 lanes are four registers.

use super::{ELSEWHERE, Group, Origins, Simd};
use std::arch::x86_64::*;
use std::ops::Range;

/// The token: nothing beyond the baseline is needed.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// Applies an intrinsic to each quarter.
macro_rules! quarters {
    ($f:path, $($v:ident),*) => {
        // SAFETY: SSE2 is part of the architecture.
        unsafe { [$f($($v[0]),*), $f($($v[1]),*), $f($($v[2]),*), $f($($v[3]),*)] }
    };
}

impl Simd for Portable {
    type V = [__m128; 4];
    type Half = [__m128; 2];
    type Pick = Origins;

    const BLOCKS: usize = 1;
    const FACTORS: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: SSE2 is part of the architecture.
        unsafe { [_mm_set1_ps(x); 4] }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: 16 elements are readable, says the caller.
        unsafe {
            [_mm_loadu_ps(from), _mm_loadu_ps(from.add(4)), _mm_loadu_ps(from.add(8)), _mm_loadu_ps(from.add(12))]
        }
    }

    #[inline(always)]
    unsafe fn store(self, v: Self::V, to: *mut f32) {
        // SAFETY: 16 elements are writable, says the caller.
        unsafe {
            _mm_storeu_ps(to, v[0]);
            _mm_storeu_ps(to.add(4), v[1]);
            _mm_storeu_ps(to.add(8), v[2]);
            _mm_storeu_ps(to.add(12), v[3]);
        }
    }

    #[inline(always)]
    unsafe fn load_lanes(self, from: *const f32, lanes: Range<usize>) -> Self::V {
        let mut values = [0.0; 16];
        for i in lanes {
            // SAFETY: the lanes are readable, says the caller.
            values[i] = unsafe { from.add(i).read() };
        }
        self.load_array(&values)
    }

    #[inline(always)]
    unsafe fn store_lanes(self, v: Self::V, to: *mut f32, lanes: Range<usize>) {
        let values = self.to_array(v);
        for i in lanes {
            // SAFETY: the lanes are writable, says the caller.
            unsafe { to.add(i).write(values[i]) };
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        quarters!(_mm_add_ps, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        quarters!(_mm_sub_ps, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        quarters!(_mm_mul_ps, a, b)
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        quarters!(_mm_div_ps, a, b)
    }

    /// Rounded twice: a fused one would be a call of the C library on the baseline.
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn fma_half(self, a: Self::Half, b: Self::Half, c: Self::Half) -> Self::Half {
        // SAFETY: SSE2 is part of the architecture.
        unsafe { [_mm_add_ps(_mm_mul_ps(a[0], b[0]), c[0]), _mm_add_ps(_mm_mul_ps(a[1], b[1]), c[1])] }
    }

    #[inline(always)]
    fn half(self, v: Self::V) -> Self::Half {
        [v[0], v[1]]
    }

    #[inline(always)]
    fn widen(self, v: Self::Half) -> Self::V {
        // SAFETY: SSE2 is part of the architecture.
        let zero = unsafe { _mm_setzero_ps() };
        [v[0], v[1], zero, zero]
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        quarters!(_mm_min_ps, a, b)
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        quarters!(_mm_max_ps, a, b)
    }

    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        quarters!(_mm_sqrt_ps, a)
    }

    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        // Adding 1.5 * 2^23 leaves no bits below one, which rounds.
        let shift = self.splat(12_582_912.0);
        self.sub(self.add(a, shift), shift)
    }

    #[inline(always)]
    fn exp2(self, a: Self::V) -> Self::V {
        // SAFETY: SSE2 is part of the architecture.
        let bias = unsafe { [_mm_set1_epi32(127); 4] };
        let whole = quarters!(_mm_cvtps_epi32, a);
        let biased = quarters!(_mm_add_epi32, whole, bias);
        let bits = quarters!(_mm_slli_epi32::<23>, biased);
        quarters!(_mm_castsi128_ps, bits)
    }

    #[inline(always)]
    fn select_less(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        let less = quarters!(_mm_cmplt_ps, a, b);
        let (x, y) = (quarters!(_mm_and_ps, less, x), quarters!(_mm_andnot_ps, less, y));
        quarters!(_mm_or_ps, x, y)
    }

    #[inline(always)]
    fn pick(self, origins: &Origins) -> Origins {
        *origins
    }

    #[inline(always)]
    fn merge(self, into: Self::V, from: Self::V, pick: Origins) -> Self::V {
        let (mut merged, from) = (self.to_array(into), self.to_array(from));
        for i in 0..16 {
            if pick[i] != ELSEWHERE {
                merged[i] = from[usize::from(pick[i])];
            }
        }
        self.load_array(&merged)
    }

    #[inline(always)]
    fn width(self, remaining: usize) -> usize {
        remaining.min(2)
    }

    #[inline(always)]
    fn line_width(self, pixels: usize) -> usize {
        self.width(pixels)
    }

    /// One block by two pixels: eight accumulators in 16 registers.
    #[inline(always)]
    fn tile<G: Group<Self>>(self, group: &mut G, _: usize, remaining: usize) -> (usize, usize) {
        match self.width(remaining) {
            1 => apart::<G, 1, 1>(group),
            _ => apart::<G, 1, 2>(group),
        }
        (1, remaining.min(2))
    }

    #[inline(always)]
    fn half_width(self, remaining: usize) -> usize {
        match remaining {
            1 | 2 => remaining,
            _ => 4,
        }
    }

    /// Four pixels, since a pixel takes two accumulators.
    #[inline(always)]
    fn half_tile<G: Group<Self>>(self, group: &mut G, _: usize, remaining: usize) -> usize {
        match self.half_width(remaining) {
            1 => apart::<G, 0, 1>(group),
            2 => apart::<G, 0, 2>(group),
            _ => apart::<G, 0, 4>(group),
        }
        remaining.min(4)
    }
}

/// One register tile as a function of its own, as with the other instruction sets.
#[inline(never)]
fn apart<G: Group<Portable>, const B: usize, const P: usize>(group: &mut G) {
    group.run::<B, P>(Portable);
}
