//! Windows over one channel block, row by row of the output.

use super::micro::{Fold, Lines, MAX_PIXELS, Reach, Simd, fold_lines};
use super::view::Target;
use super::{LANES, at};
use crate::params::Window;

/// Elements of the largest image that is laid anew with its padding: it stays in a core's own cache.
const SMALL: usize = 20 * 1024;

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

/// Outputs whose taps within the image are those of the first: the first's row and column, lines, pixels of each, and
/// whether pixels follow one another downwards, which they do in one line alone.
struct Area {
    first: [usize; 2],
    count: [usize; 2],
    down: bool,
}

impl Image<'_> {
    /// Writes what the windows yield; `fold` is asked for each tile, with the taps that lie in the image.
    #[inline(always)]
    pub(crate) fn fold<S: Simd, F: Fold<S>, M: Folds<S, F>>(&self, s: S, folds: &M, y: &mut Target<'_>) {
        if self.window.is_pointwise() && self.input == self.output {
            // A 1x1 window at stride 1 sees an image as one long row.
            let places = self.input[0] * self.input[1];
            let row = Image { input: [1, places], output: [1, places], ..*self };
            return row.area(s, folds, y, Area { first: [0, 0], count: [1, places], down: false });
        }
        let [rows, columns] = self.output;
        let ([top, bottom], [left, right]) = (middle(rows, self.side(0)), middle(columns, self.side(1)));
        for oy in (0..top).chain(bottom..rows) {
            self.area(s, folds, y, Area { first: [oy, left], count: [1, right - left], down: false });
        }
        self.area(s, folds, y, Area { first: [top, left], count: [bottom - top, right - left], down: false });
        // At the left and right edge neighbours downwards have the same taps, between the corners.
        for ox in (0..left).chain(right..columns) {
            for oy in (0..top).chain(bottom..rows) {
                self.area(s, folds, y, Area { first: [oy, ox], count: [1, 1], down: true });
            }
            self.area(s, folds, y, Area { first: [top, ox], count: [1, bottom - top], down: true });
        }
    }

    /// Places, and the window's taps, stride, dilation and padding, along one side.
    #[inline(always)]
    fn side(&self, side: usize) -> [usize; 5] {
        let w = self.window;
        match side {
            0 => [self.input[0], at(w.kernel_h), at(w.stride_h), at(w.dilation_h), at(w.pad_top)],
            _ => [self.input[1], at(w.kernel_w), at(w.stride_w), at(w.dilation_w), at(w.pad_left)],
        }
    }

    /// Writes the outputs of one area.
    #[inline(always)]
    fn area<S: Simd, F: Fold<S>, M: Folds<S, F>>(&self, s: S, folds: &M, y: &mut Target<'_>, area: Area) {
        let [lines, pixels] = area.count;
        if lines == 0 || pixels == 0 {
            return;
        }
        let (w, in_w, out_w) = (self.window, self.input[1], self.output[1]);
        let reach = [reach(area.first[0], self.side(0)), reach(area.first[1], self.side(1))];
        let (down, across) = (at(w.stride_h) * in_w * LANES, at(w.stride_w) * LANES);
        let (step, y_step) = match area.down {
            true => ([across, down], [LANES, out_w * LANES]),
            false => ([down, across], [out_w * LANES, LANES]),
        };
        let y_first = (area.first[0] * out_w + area.first[1]) * LANES;
        let y_len = (lines - 1) * y_step[0] + (pixels - 1) * y_step[1] + LANES;
        let mut lines = Lines {
            x: self.x,
            first: (reach[0].place * in_w + reach[1].place) * LANES,
            distance: [at(w.dilation_h) * in_w * LANES, at(w.dilation_w) * LANES],
            step,
            reach,
            kernel_w: at(w.kernel_w),
            fold: folds.of([reach[0].count, reach[1].count]),
            count: area.count,
            y: y.part(y_first, y_len),
            y_step,
        };
        fold_lines(s, &mut lines);
    }
}

/// An image with its padding, laid into `scratch`, and the window over it; none if it is too large.
///
/// At the edges of small images most pixels would have taps of their own.
pub(crate) fn padded<'a>(image: &Image<'_>, window: &'a mut Window, scratch: &'a mut [f32]) -> Option<Image<'a>> {
    let (w, [in_h, in_w], [rows, columns]) = (image.window, image.input, image.output);
    let side =
        |out: usize, [_, kernel, stride, dilation, _]: [usize; 5]| (out - 1) * stride + (kernel - 1) * dilation + 1;
    let (high, wide) = (side(rows, image.side(0)), side(columns, image.side(1)));
    // Room for the pixels of a register tile beyond the last.
    let len = (high * wide + MAX_PIXELS * at(w.stride_w)) * LANES;
    let has_edges = w.pad_top > 0 || w.pad_left > 0 || high > in_h || wide > in_w;
    if !has_edges || len > scratch.len().min(SMALL) {
        return None;
    }
    let (top, left) = (at(w.pad_top), at(w.pad_left).min(wide));
    let inside = in_w.min(wide - left) * LANES;
    let (left, end) = (left * LANES, left * LANES + inside);
    for (row, to) in scratch[..high * wide * LANES].chunks_exact_mut(wide * LANES).enumerate() {
        let y = row.wrapping_sub(top);
        if y >= in_h {
            to.fill(0.0);
            continue;
        }
        to[..left].fill(0.0);
        to[left..end].copy_from_slice(&image.x[y * in_w * LANES..][..inside]);
        to[end..].fill(0.0);
    }
    *window = Window { pad_top: 0, pad_left: 0, ..*w };
    Some(Image { x: &scratch[..len], input: [high, wide], output: image.output, window })
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
