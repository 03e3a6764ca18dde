//! Part of a row of a depthwise convolution.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::math::Clamp;
use super::{Group, Simd};
use crate::cpu::view::Target;
use crate::cpu::{LANES, at};
use crate::params::Window;

/// Read instead of a place outside the image.
static ZEROS: [f32; LANES] = [0.0; LANES];

/// Pixels of one output row, in one channel block.
pub(crate) struct DepthwiseSpan<'a, 'b> {
    /// The channel block.
    pub(crate) x: &'a [f32],
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    /// `[taps][16]`
    pub(crate) weights: &'a [f32],
    /// 16 elements.
    pub(crate) bias: &'a [f32],
    /// The window.
    pub(crate) window: &'b Window,
    /// Input row and column of the first pixel's first tap; wrapped around below zero.
    pub(crate) corner: [usize; 2],
    /// Applied in registers.
    pub(crate) clamp: &'b Clamp,
    /// The pixels.
    pub(crate) y: Target<'b>,
}

/// Computes the pixels of `span`, at most what the instruction set takes at once. An output is one
/// chain: bias, then taps down, taps across. Rows outside the image are left out, and columns
/// outside count as zero.
#[inline(always)]
pub(crate) fn depthwise_group<S: Simd>(s: S, mut span: DepthwiseSpan<'_, '_>) {
    let pixels = span.y.len() / LANES;
    s.tile(&mut span, 1, pixels);
}

impl DepthwiseSpan<'_, '_> {
    /// Whether all taps of `wide` pixels lie between the left and the right edge.
    #[inline(always)]
    fn is_inside(&self, wide: usize) -> bool {
        let w = self.window;
        let reach = (wide - 1) * at(w.stride_w) + at((w.kernel_w - 1) * w.dilation_w);
        self.corner[1] < self.input[1] && reach < self.input[1] - self.corner[1]
    }

    /// `sum[p] += x w` over all taps, with every tap inside, `step` elements from pixel to pixel.
    #[inline(always)]
    fn inside<S: Simd, const P: usize>(&self, s: S, sum: &mut [S::V; P], step: usize) {
        let (w, mut own) = (self.window, *sum);
        for ky in 0..at(w.kernel_h) {
            let Some(row) = self.row(ky) else { continue };
            for kx in 0..at(w.kernel_w) {
                let first = (self.corner[1] + kx * at(w.dilation_w)) * LANES;
                assert!(first + (P - 1) * step + LANES <= row.len(), "a group inside the row");
                let weight = self.weight(s, ky, kx);
                for p in 0..P {
                    // SAFETY: asserted for the last pixel, and the others lie before it.
                    let x = unsafe { s.load(row.as_ptr().add(first + p * step)) };
                    own[p] = s.fma(x, weight, own[p]);
                }
            }
        }
        *sum = own;
    }

    /// The same where taps may lie outside.
    #[inline(always)]
    fn at_edge<S: Simd, const P: usize>(&self, s: S, sum: &mut [S::V; P]) {
        let (w, mut own) = (self.window, *sum);
        for ky in 0..at(w.kernel_h) {
            let Some(row) = self.row(ky) else { continue };
            for kx in 0..at(w.kernel_w) {
                let first = self.corner[1].wrapping_add(kx * at(w.dilation_w));
                let weight = self.weight(s, ky, kx);
                for p in 0..P {
                    let column = first.wrapping_add(p * at(w.stride_w));
                    let place =
                        if column < self.input[1] { row.as_ptr().wrapping_add(column * LANES) } else { ZEROS.as_ptr() };
                    // SAFETY: a row has 16 elements for each of the input's columns, and so have the zeros.
                    let x = unsafe { s.load(place) };
                    own[p] = s.fma(x, weight, own[p]);
                }
            }
        }
        *sum = own;
    }

    /// The input row of the taps `ky`, if it lies in the image.
    #[inline(always)]
    fn row(&self, ky: usize) -> Option<&[f32]> {
        let row = self.corner[0].wrapping_add(ky * at(self.window.dilation_h));
        let len = self.input[1] * LANES;
        (row < self.input[0]).then(|| &self.x[row * len..][..len])
    }

    #[inline(always)]
    fn weight<S: Simd>(&self, s: S, ky: usize, kx: usize) -> S::V {
        let weight = &self.weights[(ky * at(self.window.kernel_w) + kx) * LANES..][..LANES];
        // SAFETY: the slice has 16 elements.
        unsafe { s.load(weight.as_ptr()) }
    }
}

impl<S: Simd> Group<S> for DepthwiseSpan<'_, '_> {
    #[inline(always)]
    fn run<const B: usize, const P: usize>(&mut self, s: S) {
        assert!(self.bias.len() == LANES, "a bias");
        // SAFETY: asserted.
        let mut sum = [unsafe { s.load(self.bias.as_ptr()) }; P];
        if !self.is_inside(P) {
            self.at_edge(s, &mut sum);
        } else if self.window.stride_w == 1 {
            // A distance that the compiler knows needs no address of its own for each pixel.
            self.inside(s, &mut sum, LANES);
        } else {
            self.inside(s, &mut sum, at(self.window.stride_w) * LANES);
        }
        let clamp = self.clamp.lanes(s);
        for p in 0..P {
            if p < self.y.len() / LANES {
                // SAFETY: pixel `p` lies within `y`.
                unsafe { s.store(clamp.apply(s, sum[p]), self.y.as_ptr().add(p * LANES)) };
            }
        }
    }
}
