//! Part of a row or column of an image: what each pixel's window of places yields, channel by channel.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::math::ClampLanes;
use super::{Group, Simd};
use crate::cpu::LANES;
use crate::cpu::view::Target;

/// What becomes of the places of a window.
pub(crate) trait Fold<S: Simd>: Copy {
    /// Before the first tap.
    fn start(&self, s: S) -> S::V;
    /// With what lies at the place of tap `tap`, below the taps that the span was made for.
    fn tap(&self, s: S, sum: S::V, x: S::V, tap: usize) -> S::V;
    /// After the last.
    fn end(&self, s: S, sum: S::V) -> S::V;
}

/// A sum with a factor for each tap: bias, then taps down, taps across, in one chain.
#[derive(Clone, Copy)]
pub(crate) struct Weighted<'a, S: Simd> {
    weights: &'a [f32],
    bias: S::V,
    clamp: ClampLanes<S>,
}

impl<'a, S: Simd> Weighted<'a, S> {
    /// `weights` has 16 elements for each tap, `bias` has 16.
    #[inline(always)]
    pub(crate) fn new(s: S, weights: &'a [f32], bias: &[f32], clamp: ClampLanes<S>) -> Weighted<'a, S> {
        assert!(bias.len() == LANES, "a bias");
        // SAFETY: asserted.
        Weighted { weights, bias: unsafe { s.load(bias.as_ptr()) }, clamp }
    }
}

impl<S: Simd> Fold<S> for Weighted<'_, S> {
    #[inline(always)]
    fn start(&self, _: S) -> S::V {
        self.bias
    }

    #[inline(always)]
    fn tap(&self, s: S, sum: S::V, x: S::V, tap: usize) -> S::V {
        let weight = &self.weights[tap * LANES..][..LANES];
        // SAFETY: the slice has 16 elements.
        s.fma(x, unsafe { s.load(weight.as_ptr()) }, sum)
    }

    #[inline(always)]
    fn end(&self, s: S, sum: S::V) -> S::V {
        self.clamp.apply(s, sum)
    }
}

/// The maximum.
#[derive(Clone, Copy)]
pub(crate) struct Maximum;

impl<S: Simd> Fold<S> for Maximum {
    #[inline(always)]
    fn start(&self, s: S) -> S::V {
        s.splat(f32::NEG_INFINITY)
    }

    #[inline(always)]
    fn tap(&self, s: S, sum: S::V, x: S::V, _: usize) -> S::V {
        s.max(sum, x)
    }

    #[inline(always)]
    fn end(&self, _: S, sum: S::V) -> S::V {
        sum
    }
}

/// The sum, times a factor.
#[derive(Clone, Copy)]
pub(crate) struct Scaled(pub(crate) f32);

impl<S: Simd> Fold<S> for Scaled {
    #[inline(always)]
    fn start(&self, s: S) -> S::V {
        s.splat(0.0)
    }

    #[inline(always)]
    fn tap(&self, s: S, sum: S::V, x: S::V, _: usize) -> S::V {
        s.add(sum, x)
    }

    #[inline(always)]
    fn end(&self, s: S, sum: S::V) -> S::V {
        s.mul(sum, s.splat(self.0))
    }
}

/// Taps of a window that lie in the image, along one side.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    /// The first such tap.
    pub(crate) tap: usize,
    /// The place that it reads.
    pub(crate) place: usize,
    /// How many there are.
    pub(crate) count: usize,
}

/// Pixels of one output row or column, in one channel block, whose taps within the image are the same.
pub(crate) struct RowSpan<'a, F> {
    /// The channel block.
    pub(crate) x: &'a [f32],
    /// Element that the first pixel's first tap reads.
    pub(crate) first: usize,
    /// Elements from tap to tap, down and across.
    pub(crate) distance: [usize; 2],
    /// Elements from pixel to pixel.
    pub(crate) step: usize,
    /// Taps within the image, down and across.
    pub(crate) reach: [Reach; 2],
    /// Taps of a row of the window.
    pub(crate) kernel_w: usize,
    /// What becomes of the places.
    pub(crate) fold: F,
    /// All from the first pixel to the last.
    pub(crate) y: Target<'a>,
    /// Elements from pixel to pixel of `y`.
    pub(crate) y_step: usize,
}

/// Computes pixels of `span` from the first on, at most what the instruction set takes at once, and
/// returns how many. A tile may read more pixels than it writes, where the channel block has them.
#[inline(always)]
pub(crate) fn row_group<S: Simd, F: Fold<S>>(s: S, span: &mut RowSpan<'_, F>) -> usize {
    let pixels = span.pixels();
    let wide = s.width(pixels);
    let pixels = if span.end(wide) <= span.x.len() { pixels.min(wide) } else { 1 };
    s.tile(span, 1, pixels);
    pixels
}

impl<F> RowSpan<'_, F> {
    /// Pixels that there are.
    #[inline(always)]
    fn pixels(&self) -> usize {
        (self.y.len() - LANES) / self.y_step + 1
    }

    /// One element beyond all that `wide` pixels read.
    #[inline(always)]
    fn end(&self, wide: usize) -> usize {
        let [down, across] = self.reach;
        if down.count == 0 || across.count == 0 {
            return 0;
        }
        let [row, column] = self.distance;
        self.first + (down.count - 1) * row + (across.count - 1) * column + (wide - 1) * self.step + LANES
    }

    /// The folds of `P` pixels, `step` elements apart.
    ///
    /// They are a variable of this function and leave it once, so that they stay in registers.
    #[inline(always)]
    fn folds<S: Simd, const P: usize>(&self, s: S, step: usize) -> [S::V; P]
    where
        F: Fold<S>,
    {
        assert!(step == self.step && self.end(P) <= self.x.len(), "a group inside the image");
        let [down, across] = self.reach;
        let mut sum = [self.fold.start(s); P];
        for ky in 0..down.count {
            let tap = (down.tap + ky) * self.kernel_w + across.tap;
            let row = self.x.as_ptr().wrapping_add(self.first + ky * self.distance[0]);
            for kx in 0..across.count {
                let x = row.wrapping_add(kx * self.distance[1]);
                for p in 0..P {
                    // SAFETY: asserted for the last tap of the last pixel; the others lie before it.
                    let x = unsafe { s.load(x.wrapping_add(p * step)) };
                    sum[p] = self.fold.tap(s, sum[p], x, tap + kx);
                }
            }
        }
        sum
    }

    #[inline(always)]
    fn write<S: Simd, const P: usize>(&mut self, s: S, sum: [S::V; P])
    where
        F: Fold<S>,
    {
        let pixels = self.pixels();
        for p in 0..P {
            if p < pixels {
                // SAFETY: pixel `p` lies within `y`.
                unsafe { s.store(self.fold.end(s, sum[p]), self.y.as_ptr().add(p * self.y_step)) };
            }
        }
    }
}

impl<S: Simd, F: Fold<S>> Group<S> for RowSpan<'_, F> {
    #[inline(always)]
    fn run<const B: usize, const P: usize>(&mut self, s: S) {
        // Distances that the compiler knows need no address of their own for each pixel.
        match self.step {
            LANES => {
                let sum = self.folds::<S, P>(s, LANES);
                self.write::<S, P>(s, sum);
            }
            step => {
                let sum = self.folds::<S, P>(s, step);
                self.write::<S, P>(s, sum);
            }
        }
    }
}
