//! Windows over one channel block, row by row of the output.

use super::micro::{Fold, Reach, RowSpan, Simd, row_group};
use super::view::Target;
use super::{LANES, at};
use crate::params::Window;

/// A window over one channel block.
pub(crate) struct Image<'a> {
    /// The channel block.
    pub(crate) x: &'a [f32],
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
    /// The window.
    pub(crate) window: &'a Window,
}

/// The taps of an output's window along one side that lie in the image; `side` is its places, and
/// the window's taps, stride, dilation and padding.
#[inline(always)]
fn reach(out: usize, [input, kernel, stride, dilation, pad]: [usize; 5]) -> Reach {
    let start = out * stride;
    let before = pad.saturating_sub(start);
    // The usual case goes without a division for each pixel.
    let tap = if dilation == 1 { before } else { before.div_ceil(dilation) };
    let place = start + tap * dilation - pad;
    if tap >= kernel || place >= input {
        return Reach { tap: 0, place: 0, count: 0 };
    }
    let left = input - place;
    Reach { tap, place, count: (if dilation == 1 { left } else { left.div_ceil(dilation) }).min(kernel - tap) }
}

/// Output columns whose taps all lie in the image: the first, and one beyond the last.
#[inline(always)]
fn middle(columns: usize, [input, kernel, stride, dilation, pad]: [usize; 5]) -> [usize; 2] {
    let first = pad.div_ceil(stride).min(columns);
    let reach = (kernel - 1) * dilation;
    let end = if input + pad > reach { (input + pad - reach - 1) / stride + 1 } else { 0 };
    [first, end.clamp(first, columns)]
}

impl Image<'_> {
    /// Writes what the windows yield; `fold` is asked for each tile, with the taps that lie in the image.
    #[inline(always)]
    pub(crate) fn fold<S: Simd, F: Fold<S>, M: Folds<S, F>>(&self, s: S, folds: &M, y: &mut Target<'_>) {
        let w = self.window;
        let ([mut in_h, mut in_w], [mut rows, mut columns]) = (self.input, self.output);
        if w.is_pointwise() && self.input == self.output {
            // A 1x1 window at stride 1 sees an image as one long row.
            (in_h, in_w, rows, columns) = (1, in_h * in_w, 1, rows * columns);
        }
        let down = [in_h, at(w.kernel_h), at(w.stride_h), at(w.dilation_h), at(w.pad_top)];
        let across = [in_w, at(w.kernel_w), at(w.stride_w), at(w.dilation_w), at(w.pad_left)];
        let [first, end] = middle(columns, across);
        for oy in 0..rows {
            let of_row = reach(oy, down);
            let mut ox = 0;
            while ox < columns {
                // At the edges each pixel has taps of its own.
                let pixels = if (first..end).contains(&ox) { end - ox } else { 1 };
                let reach = [of_row, reach(ox, across)];
                let mut span = RowSpan {
                    x: self.x,
                    first: (reach[0].place * in_w + reach[1].place) * LANES,
                    distance: [at(w.dilation_h) * in_w * LANES, at(w.dilation_w) * LANES],
                    step: at(w.stride_w) * LANES,
                    reach,
                    kernel_w: at(w.kernel_w),
                    fold: folds.of([reach[0].count, reach[1].count]),
                    y: y.part((oy * columns + ox) * LANES, pixels * LANES),
                };
                ox += row_group(s, &mut span);
            }
        }
    }
}

/// How the places of a window become an output, by the number of taps in the image, down and across.
pub(crate) trait Folds<S: Simd, F: Fold<S>> {
    /// The fold of such windows.
    fn of(&self, taps: [usize; 2]) -> F;
}

/// The same for all.
impl<S: Simd, F: Fold<S>> Folds<S, F> for F {
    #[inline(always)]
    fn of(&self, _: [usize; 2]) -> F {
        *self
    }
}
