//! AVX2 and FMA: 16 lanes are two registers.

use super::{Group, Simd};
use std::arch::x86_64::*;

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
    fn width(self, remaining: usize) -> usize {
        match remaining {
            1 | 2 => remaining,
            3 | 4 => 4,
            _ => 6,
        }
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
}

/// One register tile as a function of its own, which all kernels with the same group share: a kernel
/// that had all its tiles within itself would take the compiler minutes.
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn apart<G: Group<Avx2>, const B: usize, const P: usize>(group: &mut G) {
    group.run::<B, P>(Avx2(()));
}
