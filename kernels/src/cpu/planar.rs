//! Convolution of an image of few channels that lies row by row, as it entered.
//!
//! Its channels would fill a small part of a block. So the rows that a row of the output reads are
//! laid, with their padding, into scratch: `[taps down][channels][width]`.

use super::micro::{ConvSpan, Places, Reads, Simd, conv_group};
use super::window::MAX_TAPS;
use super::{SCRATCH_BYTES, at};
use crate::params::Conv;

const _: () = assert!(Conv::MAX_STRIP as usize * size_of::<f32>() <= SCRATCH_BYTES, "a strip fits the scratch");

/// Lays the input rows under output row `oy` into `strip`, `width` elements each.
#[inline(always)]
fn lay(c: &Conv, x: &[f32], oy: usize, width: usize, strip: &mut [f32]) {
    let w = &c.window;
    let (in_h, in_w, channels, left) = (at(c.in_h), at(c.in_w), at(c.in_channels), at(w.pad_left).min(width));
    let inside = in_w.min(width - left);
    for (row, to) in strip.chunks_exact_mut(width).enumerate() {
        let (tap, channel) = (row / channels, row % channels);
        let y = (oy * at(w.stride_h) + tap * at(w.dilation_h)).wrapping_sub(at(w.pad_top));
        if y >= in_h {
            to.fill(0.0);
            continue;
        }
        to[..left].fill(0.0);
        to[left..left + inside].copy_from_slice(&x[(channel * in_h + y) * in_w..][..inside]);
        to[left + inside..].fill(0.0);
    }
}

/// The blocks of `span` from the image `x`, `[channels][in_h][in_w]`.
#[inline(always)]
pub(super) fn planar<S: Simd>(s: S, c: &Conv, span: &mut ConvSpan<'_>, x: &[f32], scratch: &mut [f32]) {
    let (w, width, out_w) = (&c.window, at(c.strip_width()), at(c.out_w));
    let mut offsets = [0; MAX_TAPS];
    for (tap, offset) in (0..w.taps()).zip(&mut offsets) {
        let (ky, kx) = (tap / w.kernel_w, tap % w.kernel_w);
        *offset = ky * c.in_channels * c.strip_width() + kx * w.dilation_w;
    }
    let taps = &offsets[..at(w.taps())];
    let strip = &mut scratch[..at(c.strip_len())];
    for oy in 0..at(c.out_h) {
        lay(c, x, oy, width, &mut strip[..at(w.kernel_h * c.in_channels) * width]);
        let mut block = 0;
        while block < span.blocks {
            let (mut ox, mut done) = (0, 0);
            while ox < out_w {
                let pixels = span.width(s, block, out_w - ox).min(out_w - ox);
                let (first, step) = (ox * at(w.stride_w), at(w.stride_w));
                let places = Places::Rows { first, step, lane: width, taps };
                let reads = Reads { x: strip, block_len: strip.len(), places };
                done = conv_group(s, span, reads, block, [oy * out_w + ox, pixels]);
                ox += pixels;
            }
            block += done;
        }
    }
}
