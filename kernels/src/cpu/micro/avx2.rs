//! AVX2 and FMA: 16 lanes are two registers.

use super::{ELSEWHERE, Group, Origins, Simd};
use std::arch::x86_64::*;
use std::ops::Range;

/// The token: AVX2 and FMA may run.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The token.
    ///
    /// # Safety
    /// This machine has AVX2 and FMA.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Avx2 {
        Avx2(())
    }

    /// All bits of each of `lanes`, in two halves.
    #[inline(always)]
    fn masks(self, lanes: Range<usize>) -> [__m256i; 2] {
        #[expect(clippy::cast_possible_truncation, reason = "lanes lie within 16, says whoever calls")]
        let (first, end) = (lanes.start as i32, lanes.end as i32);
        // SAFETY: the token says that the instructions are there.
        unsafe {
            let (first, end) = (_mm256_set1_epi32(first - 1), _mm256_set1_epi32(end));
            [_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)]
                .map(|lane| _mm256_and_si256(_mm256_cmpgt_epi32(lane, first), _mm256_cmpgt_epi32(end, lane)))
        }
    }
}

/// Applies an intrinsic to both halves.
macro_rules! halves {
    ($f:ident, $($v:ident),*) => {
        // SAFETY: the token says that the instructions are there.
        unsafe { [$f($($v[0]),*), $f($($v[1]),*)] }
    };
}

impl Simd for Avx2 {
    type V = [__m256; 2];
    type Half = __m256;
    /// For each half: lanes within a half, which come from the upper one, and which come at all.
    type Pick = [[__m256i; 3]; 2];

    const BLOCKS: usize = 1;
    const FACTORS: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token says that the instructions are there.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: 16 elements are readable, says the caller.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(self, v: Self::V, to: *mut f32) {
        // SAFETY: 16 elements are writable, says the caller.
        unsafe {
            _mm256_storeu_ps(to, v[0]);
            _mm256_storeu_ps(to.add(8), v[1]);
        }
    }

    #[inline(always)]
    unsafe fn load_lanes(self, from: *const f32, lanes: Range<usize>) -> Self::V {
        let [low, high] = self.masks(lanes);
        // SAFETY: the lanes are readable, says the caller; the others are not touched.
        unsafe { [_mm256_maskload_ps(from, low), _mm256_maskload_ps(from.wrapping_add(8), high)] }
    }

    #[inline(always)]
    unsafe fn store_lanes(self, v: Self::V, to: *mut f32, lanes: Range<usize>) {
        // Some processors take long for a masked store.
        for (half, v) in [0, 8].into_iter().zip(v) {
            // SAFETY: the lanes are writable, says the caller; the others are not touched.
            unsafe {
                if lanes.start <= half && half + 8 <= lanes.end {
                    _mm256_storeu_ps(to.wrapping_add(half), v);
                    continue;
                }
                let mut values = [0.0f32; 8];
                _mm256_storeu_ps(values.as_mut_ptr(), v);
                for lane in lanes.start.max(half)..lanes.end.min(half + 8) {
                    to.add(lane).write(values[lane - half]);
                }
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_add_ps, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_sub_ps, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_mul_ps, a, b)
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_div_ps, a, b)
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        halves!(_mm256_fmadd_ps, a, b, c)
    }

    #[inline(always)]
    fn fma_half(self, a: Self::Half, b: Self::Half, c: Self::Half) -> Self::Half {
        // SAFETY: the token says that the instructions are there.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn half(self, v: Self::V) -> Self::Half {
        v[0]
    }

    #[inline(always)]
    fn widen(self, v: Self::Half) -> Self::V {
        // SAFETY: the token says that the instructions are there.
        [v, unsafe { _mm256_setzero_ps() }]
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_min_ps, a, b)
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_max_ps, a, b)
    }

    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        halves!(_mm256_sqrt_ps, a)
    }

    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: the token says that the instructions are there.
        unsafe { [_mm256_round_ps::<NEAREST>(a[0]), _mm256_round_ps::<NEAREST>(a[1])] }
    }

    #[inline(always)]
    fn exp2(self, a: Self::V) -> Self::V {
        // SAFETY: the token says that the instructions are there.
        unsafe {
            let bias = _mm256_set1_epi32(127);
            let low = _mm256_add_epi32(_mm256_cvtps_epi32(a[0]), bias);
            let high = _mm256_add_epi32(_mm256_cvtps_epi32(a[1]), bias);
            [_mm256_castsi256_ps(_mm256_slli_epi32::<23>(low)), _mm256_castsi256_ps(_mm256_slli_epi32::<23>(high))]
        }
    }

    #[inline(always)]
    fn select_less(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        // SAFETY: the token says that the instructions are there.
        unsafe {
            let low = _mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0]);
            let high = _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1]);
            [_mm256_blendv_ps(y[0], x[0], low), _mm256_blendv_ps(y[1], x[1], high)]
        }
    }

    #[inline(always)]
    fn pick(self, origins: &Origins) -> Self::Pick {
        // SAFETY: the token says that the instructions are there; the array has 16 bytes.
        unsafe {
            let all = _mm_loadu_si128(origins.as_ptr().cast());
            [all, _mm_srli_si128::<8>(all)].map(|half| {
                let lanes = _mm256_cvtepu8_epi32(half);
                let upper = _mm256_cmpgt_epi32(lanes, _mm256_set1_epi32(7));
                // The permutation looks at the three lowest bits alone.
                [lanes, upper, _mm256_cmpgt_epi32(_mm256_set1_epi32(ELSEWHERE.into()), lanes)]
            })
        }
    }

    #[inline(always)]
    fn merge(self, into: Self::V, from: Self::V, pick: Self::Pick) -> Self::V {
        let half = |into: __m256, [lanes, upper, taken]: [__m256i; 3]| {
            // SAFETY: the token says that the instructions are there.
            unsafe {
                let low = _mm256_permutevar8x32_ps(from[0], lanes);
                let high = _mm256_permutevar8x32_ps(from[1], lanes);
                let either = _mm256_blendv_ps(low, high, _mm256_castsi256_ps(upper));
                _mm256_blendv_ps(into, either, _mm256_castsi256_ps(taken))
            }
        };
        [half(into[0], pick[0]), half(into[1], pick[1])]
    }

    #[inline(always)]
    fn width(self, remaining: usize) -> usize {
        match remaining {
            1 | 2 => remaining,
            3 | 4 => 4,
            _ => 6,
        }
    }

    #[inline(always)]
    fn line_width(self, pixels: usize) -> usize {
        // Of both that keep the multipliers busy the one that computes less anew.
        if pixels > 4 && pixels.next_multiple_of(4) < pixels.next_multiple_of(6) { 4 } else { self.width(pixels) }
    }

    /// One block by six pixels: 12 accumulators, two weights and a broadcast in 16 registers.
    #[inline(always)]
    fn tile<G: Group<Self>>(self, group: &mut G, _: usize, remaining: usize) -> (usize, usize) {
        // SAFETY: the token says that the instructions are there.
        unsafe {
            match self.width(remaining) {
                1 => apart::<G, 1, 1>(group),
                2 => apart::<G, 1, 2>(group),
                4 => apart::<G, 1, 4>(group),
                _ => apart::<G, 1, 6>(group),
            }
        }
        (1, remaining.min(6))
    }

    #[inline(always)]
    fn half_width(self, remaining: usize) -> usize {
        match remaining {
            1 => 1,
            2..=4 => 4,
            5..=8 => 8,
            _ => 12,
        }
    }

    /// Twelve pixels, since a pixel takes one accumulator.
    #[inline(always)]
    fn half_tile<G: Group<Self>>(self, group: &mut G, _: usize, remaining: usize) -> usize {
        // SAFETY: the token says that the instructions are there.
        unsafe {
            match self.half_width(remaining) {
                1 => apart::<G, 0, 1>(group),
                4 => apart::<G, 0, 4>(group),
                8 => apart::<G, 0, 8>(group),
                _ => apart::<G, 0, 12>(group),
            }
        }
        remaining.min(12)
    }
}

/// One register tile as a function of its own, which all kernels with the same group share: a kernel
/// that had all its tiles within itself would take the compiler minutes.
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn apart<G: Group<Avx2>, const B: usize, const P: usize>(group: &mut G) {
    group.run::<B, P>(Avx2(()));
}
