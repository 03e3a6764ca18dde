//! From output pixels to the input places that they read.

use super::micro::{Place, Places};
use super::{LANES, at};
use crate::params::Window;

/// Pixels of the widest register tile.
pub(crate) const MAX_PIXELS: usize = super::micro::MAX_PIXELS;

/// Taps of a window, at most: their tables lie on the stack.
pub(crate) const MAX_TAPS: usize = crate::params::MAX_TAPS as usize;

/// A window sliding over an image.
pub(crate) struct Sliding {
    input: [usize; 2],
    out_w: usize,
    pixels: usize,
    window: Window,
    taps: usize,
    /// Elements from tap 0 to each tap.
    offsets: [u32; MAX_TAPS],
    listed: [[Place; MAX_PIXELS]; MAX_TAPS],
}

impl Sliding {
    /// A window over `[in_h, in_w]`, yielding `[out_h, out_w]`.
    #[inline(always)]
    pub(crate) fn new(window: &Window, [in_h, in_w]: [u32; 2], [out_h, out_w]: [u32; 2]) -> Sliding {
        let pointwise = window.is_pointwise() && [in_h, in_w] == [out_h, out_w];
        // A 1x1 window at stride 1 sees an image as one long row.
        let ([in_h, in_w], out_w) = if pointwise { ([1, in_h * in_w], in_h * in_w) } else { ([in_h, in_w], out_w) };
        let mut offsets = [0; MAX_TAPS];
        let taps = at(window.taps());
        for (tap, offset) in (0..window.taps()).zip(&mut offsets) {
            let (ky, kx) = (tap / window.kernel_w, tap % window.kernel_w);
            // Wraps only where the tap lies outside the image, and then it isn't used.
            let places = (ky * window.dilation_h).wrapping_mul(in_w).wrapping_add(kx * window.dilation_w);
            *offset = places.wrapping_mul(crate::params::LANES);
        }
        let out_h = if pointwise { 1 } else { out_h };
        Sliding {
            input: [at(in_h), at(in_w)],
            out_w: at(out_w),
            pixels: at(out_h) * at(out_w),
            window: *window,
            taps,
            offsets,
            listed: [[Place::OUTSIDE; MAX_PIXELS]; MAX_TAPS],
        }
    }

    /// Output pixels.
    #[inline(always)]
    pub(crate) fn pixels(&self) -> usize {
        self.pixels
    }

    /// What `wide` pixels from `first` on read; `first + wide` may lie beyond the last pixel.
    #[inline(always)]
    pub(crate) fn places(&mut self, first: usize, wide: usize) -> Places<'_> {
        let w = &self.window;
        // A division is worth avoiding where the image is one row.
        let (oy, ox) = if first < self.out_w { (0, first) } else { (first / self.out_w, first % self.out_w) };
        let (top, left) =
            ((oy * at(w.stride_h)).wrapping_sub(at(w.pad_top)), (ox * at(w.stride_w)).wrapping_sub(at(w.pad_left)));
        let [in_h, in_w] = self.input;
        let bottom = top.wrapping_add(at((w.kernel_h - 1) * w.dilation_h));
        let right = left.wrapping_add((wide - 1) * at(w.stride_w) + at((w.kernel_w - 1) * w.dilation_w));
        let one_row = ox + wide <= self.out_w;
        if one_row && top < in_h && bottom < in_h && left < in_w && right < in_w {
            let first = (top * in_w + left) * LANES;
            return Places::Inside { first, step: at(w.stride_w) * LANES, taps: &self.offsets[..self.taps] };
        }
        self.list(first, wide);
        Places::Listed(&self.listed[..self.taps])
    }

    /// Lists the places one by one.
    fn list(&mut self, first: usize, wide: usize) {
        let w = self.window;
        let [in_h, in_w] = self.input;
        for p in 0..wide {
            let pixel = first + p;
            let (oy, ox) = (pixel / self.out_w, pixel % self.out_w);
            let mut tap = 0;
            for ky in 0..at(w.kernel_h) {
                let y = (oy * at(w.stride_h) + ky * at(w.dilation_h)).wrapping_sub(at(w.pad_top));
                let row_inside = y < in_h && pixel < self.pixels;
                for kx in 0..at(w.kernel_w) {
                    let x = (ox * at(w.stride_w) + kx * at(w.dilation_w)).wrapping_sub(at(w.pad_left));
                    self.listed[tap][p] =
                        if row_inside && x < in_w { Place::new(y * in_w + x) } else { Place::OUTSIDE };
                    tap += 1;
                }
            }
        }
    }
}
