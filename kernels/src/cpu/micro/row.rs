//! Lines of pixels of an image: what each pixel's window of places yields, channel by channel.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::math::ClampLanes;
use super::{Group, Simd};
use crate::cpu::LANES;
use crate::cpu::view::Target;

/// What becomes of the places of a window.
pub(crate) trait Fold<S: Simd>: Copy {
    /// Before the first tap.
    fn start(&self, s: S) -> S::V;
    /// What [`Fold::tap`] wants for tap `tap`, below the taps that the fold was made for.
    fn factor(&self, s: S, tap: usize) -> S::V;
    /// With what lies at the place of the tap with that factor.
    fn tap(&self, s: S, sum: S::V, x: S::V, factor: S::V) -> S::V;
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
    fn factor(&self, s: S, tap: usize) -> S::V {
        let weight = &self.weights[tap * LANES..][..LANES];
        // SAFETY: the slice has 16 elements.
        unsafe { s.load(weight.as_ptr()) }
    }

    #[inline(always)]
    fn tap(&self, s: S, sum: S::V, x: S::V, factor: S::V) -> S::V {
        s.fma(x, factor, sum)
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
    fn factor(&self, s: S, _: usize) -> S::V {
        s.splat(0.0)
    }

    #[inline(always)]
    fn tap(&self, s: S, sum: S::V, x: S::V, _: S::V) -> S::V {
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
    fn factor(&self, s: S, _: usize) -> S::V {
        s.splat(0.0)
    }

    #[inline(always)]
    fn tap(&self, s: S, sum: S::V, x: S::V, _: S::V) -> S::V {
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

/// Lines of pixels, in one channel block, whose taps within the image are the same: a rectangle of the output, line
/// by line, or part of one of its columns.
pub(crate) struct Lines<'a, F> {
    /// The channel block.
    pub(crate) x: &'a [f32],
    /// Element that the first pixel's first tap reads.
    pub(crate) first: usize,
    /// Elements from tap to tap, down and across.
    pub(crate) distance: [usize; 2],
    /// Elements from line to line, and from pixel to pixel.
    pub(crate) step: [usize; 2],
    /// Taps within the image, down and across.
    pub(crate) reach: [Reach; 2],
    /// Taps of a row of the window.
    pub(crate) kernel_w: usize,
    /// What becomes of the places.
    pub(crate) fold: F,
    /// Lines, and pixels of each; neither is 0.
    pub(crate) count: [usize; 2],
    /// All from the first pixel to the last.
    pub(crate) y: Target<'a>,
    /// Elements of `y` from line to line, and from pixel to pixel.
    pub(crate) y_step: [usize; 2],
}

/// Computes all pixels of `lines`. A tile may read more pixels than it writes, where the channel block has them.
#[inline(always)]
pub(crate) fn fold_lines<S: Simd, F: Fold<S>>(s: S, lines: &mut Lines<'_, F>) {
    let pixels = lines.count[1];
    let wide = s.line_width(pixels);
    let fits = wide <= pixels || lines.end(wide) <= lines.x.len();
    s.tile(lines, 1, if fits { wide } else { 1 });
}

/// Sides of windows whose taps the compiler knows.
const THREE: usize = 3;
const FIVE: usize = 5;

/// Elements from a pixel to the next but one.
const TWO: usize = 2 * LANES;

impl<F> Lines<'_, F> {
    /// One element beyond all that lines of `wide` pixels read.
    #[inline(always)]
    fn end(&self, wide: usize) -> usize {
        let [down, across] = self.reach;
        if down.count == 0 || across.count == 0 {
            return 0;
        }
        let last = (self.count[0] - 1) * self.step[0] + (wide - 1) * self.step[1];
        self.first + last + (down.count - 1) * self.distance[0] + (across.count - 1) * self.distance[1] + LANES
    }

    /// The side of the windows if the compiler knows such and all taps lie in the image, as neighbours; else 0.
    #[inline(always)]
    fn known(&self) -> usize {
        let [down, across] = self.reach;
        let whole = down.tap == 0 && across.tap == 0 && down.count == across.count && across.count == self.kernel_w;
        let known = across.count == THREE || across.count == FIVE;
        if whole && known && self.distance[1] == LANES { across.count } else { 0 }
    }

    /// Folds all pixels, `P` at a time; `step` elements are from pixel to pixel, and `K` is 0 or what [`Self::known`]
    /// says. The last of a line are computed anew where fewer than `P` are left.
    #[inline(always)]
    fn all<S: Simd, const P: usize, const K: usize>(&mut self, s: S, step: usize)
    where
        F: Fold<S>,
    {
        let [lines, pixels] = self.count;
        assert!(step == self.step[1] && self.end(pixels.max(P)) <= self.x.len(), "lines inside the image");
        let y_end = (lines - 1) * self.y_step[0] + (pixels - 1) * self.y_step[1] + LANES;
        assert!(y_end <= self.y.len(), "lines inside the output");
        assert!(K == 0 || K == self.known(), "windows of that side");
        let (fold, y) = (self.fold, self.y.as_ptr());
        let mut factors = [s.splat(0.0); THREE * THREE];
        if K == THREE {
            for i in 0..THREE * THREE {
                factors[i] = fold.factor(s, i);
            }
        }
        for line in 0..lines {
            let mut done = 0;
            loop {
                let from = self.x.as_ptr().wrapping_add(self.first + line * self.step[0] + done * step);
                // SAFETY: asserted for the last pixel of the last line.
                let sum = unsafe {
                    match K {
                        THREE => self.three_taps::<S, P>(s, &fold, from, step, &factors),
                        FIVE => self.five_taps::<S, P>(s, &fold, from, step),
                        _ => self.any_taps::<S, P>(s, &fold, from, step),
                    }
                };
                let to = y.wrapping_add(line * self.y_step[0] + done * self.y_step[1]);
                for p in 0..P {
                    if p < pixels {
                        // SAFETY: asserted for the last pixel of the last line; `done + P` is beyond it only where
                        // a line has fewer than `P`.
                        unsafe { s.store(fold.end(s, sum[p]), to.wrapping_add(p * self.y_step[1])) };
                    }
                }
                if done + P >= pixels {
                    break;
                }
                done = (done + P).min(pixels - P);
            }
        }
    }

    /// The folds of `P` pixels, `step` elements apart.
    ///
    /// # Safety
    /// The places of all their taps lie within `x`.
    #[inline(always)]
    unsafe fn any_taps<S: Simd, const P: usize>(&self, s: S, fold: &F, from: *const f32, step: usize) -> [S::V; P]
    where
        F: Fold<S>,
    {
        let [down, across] = self.reach;
        let mut sum = [fold.start(s); P];
        for ky in 0..down.count {
            let tap = (down.tap + ky) * self.kernel_w + across.tap;
            let row = from.wrapping_add(ky * self.distance[0]);
            for kx in 0..across.count {
                let (x, factor) = (row.wrapping_add(kx * self.distance[1]), fold.factor(s, tap + kx));
                for p in 0..P {
                    // SAFETY: the caller's promise.
                    sum[p] = fold.tap(s, sum[p], unsafe { s.load(x.wrapping_add(p * step)) }, factor);
                }
            }
        }
        sum
    }

    /// As [`Self::any_taps`], of windows of three by three neighbours. What neighbouring pixels share is loaded once.
    ///
    /// # Safety
    /// The places of all their taps lie within `x`.
    #[inline(always)]
    unsafe fn three_taps<S: Simd, const P: usize>(
        &self,
        s: S,
        fold: &F,
        from: *const f32,
        step: usize,
        factors: &[S::V; THREE * THREE],
    ) -> [S::V; P]
    where
        F: Fold<S>,
    {
        let [a, b, c, d, e, f, g, h, i] = *factors;
        let row = |ky: usize| from.wrapping_add(ky * self.distance[0]);
        // SAFETY: the caller's promise.
        unsafe {
            let sum = across(s, fold, [fold.start(s); P], row(0), step, [a, b, c]);
            let sum = across(s, fold, sum, row(1), step, [d, e, f]);
            across(s, fold, sum, row(2), step, [g, h, i])
        }
    }

    /// As [`Self::three_taps`], of five by five, with the factors of one row at a time.
    ///
    /// # Safety
    /// The places of all their taps lie within `x`.
    #[inline(always)]
    unsafe fn five_taps<S: Simd, const P: usize>(&self, s: S, fold: &F, from: *const f32, step: usize) -> [S::V; P]
    where
        F: Fold<S>,
    {
        let mut sum = [fold.start(s); P];
        for ky in 0..FIVE {
            let mut factors = [s.splat(0.0); FIVE];
            for kx in 0..FIVE {
                factors[kx] = fold.factor(s, ky * FIVE + kx);
            }
            // SAFETY: the caller's promise.
            sum = unsafe { across(s, fold, sum, from.wrapping_add(ky * self.distance[0]), step, factors) };
        }
        sum
    }
}

/// The folds of `P` pixels, `step` elements apart from `x` on, with the next `K` taps, which are neighbours.
///
/// # Safety
/// The places of these taps are readable.
#[inline(always)]
unsafe fn across<S: Simd, F: Fold<S>, const P: usize, const K: usize>(
    s: S,
    fold: &F,
    mut sum: [S::V; P],
    x: *const f32,
    step: usize,
    factors: [S::V; K],
) -> [S::V; P] {
    for p in 0..P {
        for kx in 0..K {
            // SAFETY: the caller's promise.
            let x = unsafe { s.load(x.wrapping_add(p * step + kx * LANES)) };
            sum[p] = fold.tap(s, sum[p], x, factors[kx]);
        }
    }
    sum
}

impl<S: Simd, F: Fold<S>> Group<S> for Lines<'_, F> {
    #[inline(always)]
    fn run<const B: usize, const P: usize>(&mut self, s: S) {
        let known = if S::FACTORS { self.known() } else { 0 };
        // Distances that the compiler knows need no address of their own for each pixel.
        match (self.step[1], known) {
            (LANES, THREE) => self.all::<S, P, THREE>(s, LANES),
            (TWO, THREE) => self.all::<S, P, THREE>(s, TWO),
            (LANES, FIVE) => self.all::<S, P, FIVE>(s, LANES),
            (TWO, FIVE) => self.all::<S, P, FIVE>(s, TWO),
            (LANES, _) => self.all::<S, P, 0>(s, LANES),
            (step, _) => self.all::<S, P, 0>(s, step),
        }
    }
}
