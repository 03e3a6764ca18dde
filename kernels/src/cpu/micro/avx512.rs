//! AVX-512F, with its instructions for half registers: 16 lanes are one register.

use super::{ELSEWHERE, Group, Origins, Simd};
use std::arch::x86_64::*;
use std::ops::Range;

/// The token: AVX-512F and AVX-512VL may run.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The token.
    ///
    /// # Safety
    /// This machine has AVX-512F and AVX-512VL.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Avx512 {
        Avx512(())
    }
}

/// A bit for each of `lanes`.
#[inline(always)]
fn mask(lanes: Range<usize>) -> __mmask16 {
    #[expect(clippy::cast_possible_truncation, reason = "lanes lie within 16, says whoever calls")]
    let mask = ((1u32 << lanes.end) - (1u32 << lanes.start)) as __mmask16;
    mask
}

/// Applies an intrinsic.
macro_rules! whole {
    ($f:ident, $($v:ident),*) => {
        // SAFETY: the token says that the instructions are there.
        unsafe { $f($($v),*) }
    };
}

impl Simd for Avx512 {
    type V = __m512;
    type Half = __m256;
    type Pick = (__m512i, __mmask16);

    const BLOCKS: usize = 2;
    const FACTORS: bool = true;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        whole!(_mm512_set1_ps, x)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: 16 elements are readable, says the caller.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, v: Self::V, to: *mut f32) {
        // SAFETY: 16 elements are writable, says the caller.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn load_lanes(self, from: *const f32, lanes: Range<usize>) -> Self::V {
        // SAFETY: the lanes are readable, says the caller; the others are not touched.
        unsafe { _mm512_maskz_loadu_ps(mask(lanes), from) }
    }

    #[inline(always)]
    unsafe fn store_lanes(self, v: Self::V, to: *mut f32, lanes: Range<usize>) {
        // SAFETY: the lanes are writable, says the caller; the others are not touched.
        unsafe { _mm512_mask_storeu_ps(to, mask(lanes), v) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        whole!(_mm512_add_ps, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        whole!(_mm512_sub_ps, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        whole!(_mm512_mul_ps, a, b)
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        whole!(_mm512_div_ps, a, b)
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        whole!(_mm512_fmadd_ps, a, b, c)
    }

    #[inline(always)]
    fn fma_half(self, a: Self::Half, b: Self::Half, c: Self::Half) -> Self::Half {
        whole!(_mm256_fmadd_ps, a, b, c)
    }

    #[inline(always)]
    fn half(self, v: Self::V) -> Self::Half {
        whole!(_mm512_castps512_ps256, v)
    }

    #[inline(always)]
    fn widen(self, v: Self::Half) -> Self::V {
        whole!(_mm512_zextps256_ps512, v)
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        whole!(_mm512_min_ps, a, b)
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        whole!(_mm512_max_ps, a, b)
    }

    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        whole!(_mm512_sqrt_ps, a)
    }

    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        // SAFETY: the token says that the instructions are there.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn exp2(self, a: Self::V) -> Self::V {
        // SAFETY: the token says that the instructions are there.
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(a), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    fn select_less(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        // SAFETY: the token says that the instructions are there.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x) }
    }

    /// Pairs of rows, then of pairs, then quarters of registers.
    #[inline(always)]
    fn transpose(self, rows: [Self::V; 16]) -> [Self::V; 16] {
        // SAFETY: the token says that the instructions are there.
        unsafe {
            let (mut pairs, mut fours, mut out) = (rows, rows, rows);
            for i in 0..8 {
                pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            for i in 0..4 {
                for half in 0..2 {
                    let a = _mm512_castps_pd(pairs[4 * i + half]);
                    let b = _mm512_castps_pd(pairs[4 * i + half + 2]);
                    fours[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    fours[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
            // Register `4 i + c` holds, in its quarter `q`, column `4 q + c` of rows `4 i` to `4 i + 3`.
            for c in 0..4 {
                let [a, b, d, e] = [fours[c], fours[4 + c], fours[8 + c], fours[12 + c]];
                let (even, odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
                let (even_2, odd_2) = (_mm512_shuffle_f32x4::<0x88>(d, e), _mm512_shuffle_f32x4::<0xdd>(d, e));
                out[c] = _mm512_shuffle_f32x4::<0x88>(even, even_2);
                out[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd, odd_2);
                out[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even, even_2);
                out[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_2);
            }
            out
        }
    }

    #[inline(always)]
    fn pick(self, origins: &Origins) -> Self::Pick {
        // SAFETY: the token says that the instructions are there; the array has 16 bytes.
        unsafe {
            let lanes = _mm512_cvtepu8_epi32(_mm_loadu_si128(origins.as_ptr().cast()));
            (lanes, _mm512_cmplt_epi32_mask(lanes, _mm512_set1_epi32(ELSEWHERE.into())))
        }
    }

    #[inline(always)]
    fn merge(self, into: Self::V, from: Self::V, (lanes, mask): Self::Pick) -> Self::V {
        // SAFETY: the token says that the instructions are there.
        unsafe { _mm512_mask_permutexvar_ps(into, mask, lanes, from) }
    }

    #[inline(always)]
    fn width(self, remaining: usize) -> usize {
        match remaining {
            1 => 1,
            2..=4 => 4,
            5..=8 => 8,
            _ => 12,
        }
    }

    /// Eight sums keep both multipliers busy, and waste less at the end of a line than twelve.
    #[inline(always)]
    fn line_width(self, pixels: usize) -> usize {
        self.width(pixels.min(8))
    }

    /// Two blocks by 12 pixels: 24 accumulators, two weights, and broadcasts from memory.
    #[inline(always)]
    fn tile<G: Group<Self>>(self, group: &mut G, blocks: usize, remaining: usize) -> (usize, usize) {
        // SAFETY: the token says that the instructions are there.
        unsafe {
            match (blocks, self.width(remaining)) {
                (1, 1) => apart::<G, 1, 1>(group),
                (1, 4) => apart::<G, 1, 4>(group),
                (1, 8) => apart::<G, 1, 8>(group),
                (1, _) => apart::<G, 1, 12>(group),
                (_, 1) => apart::<G, 2, 1>(group),
                (_, 4) => apart::<G, 2, 4>(group),
                (_, 8) => apart::<G, 2, 8>(group),
                (_, _) => apart::<G, 2, 12>(group),
            }
        }
        (blocks.min(2), remaining.min(12))
    }

    #[inline(always)]
    fn half_width(self, remaining: usize) -> usize {
        self.width(remaining)
    }

    /// A half takes half the time of a block.
    #[inline(always)]
    fn half_tile<G: Group<Self>>(self, group: &mut G, blocks: usize, remaining: usize) -> usize {
        // SAFETY: the token says that the instructions are there.
        unsafe {
            match (blocks, self.half_width(remaining)) {
                (1, 1) => apart::<G, 0, 1>(group),
                (1, 4) => apart::<G, 0, 4>(group),
                (1, 8) => apart::<G, 0, 8>(group),
                (1, _) => apart::<G, 0, 12>(group),
                (_, 1) => apart::<G, 1, 1>(group),
                (_, 4) => apart::<G, 1, 4>(group),
                (_, 8) => apart::<G, 1, 8>(group),
                (_, _) => apart::<G, 1, 12>(group),
            }
        }
        remaining.min(12)
    }
}

/// One register tile as a function of its own, which all kernels with the same group share: a kernel
/// that had all its tiles within itself would take the compiler minutes.
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
#[inline(never)]
fn apart<G: Group<Avx512>, const B: usize, const P: usize>(group: &mut G) {
    group.run::<B, P>(Avx512(()));
}
