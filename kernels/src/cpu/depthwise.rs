//! Convolution of each channel by itself: a tile is one channel block of one item.

use super::conv::finish;
use super::micro::math::Clamp;
use super::micro::{DepthwiseSpan, Simd, depthwise_group};
use super::{LANES, Tile, at};
use crate::params::{Depthwise, blocks_of};

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, d: &Depthwise, tile: Tile<'_>) {
    let blocks = at(blocks_of(d.channels));
    let (item, block) = (tile.index / blocks, tile.index % blocks);
    let (in_len, out_len) = (at(d.in_h) * at(d.in_w) * LANES, at(d.out_h) * at(d.out_w) * LANES);
    let x = tile.memory.slice(&d.x, (item * at(d.x_blocks) + block) * in_len, in_len);
    let weights = tile.memory.rows(&d.weights, at(d.window.taps()) * LANES).row(block);
    let bias = tile.memory.slice(&d.bias, block * LANES, LANES);
    let mut y = tile.memory.target(&d.y, (item * at(d.y_blocks) + block) * out_len, out_len);
    let clamp = Clamp::of(&d.activation);
    let w = &d.window;
    let (mut sides, out_w) = ([d.in_h, d.in_w].map(at), at(d.out_w));
    let (mut rows, mut columns) = (at(d.out_h), out_w);
    if w.is_pointwise() && [d.in_h, d.in_w] == [d.out_h, d.out_w] {
        // A 1x1 window at stride 1 sees an image as one long row.
        (sides, rows, columns) = ([1, sides[0] * sides[1]], 1, rows * out_w);
    }
    for oy in 0..rows {
        let top = (oy * at(w.stride_h)).wrapping_sub(at(w.pad_top));
        let mut ox = 0;
        while ox < columns {
            let left = columns - ox;
            let pixels = s.width(left).min(left);
            depthwise_group(
                s,
                DepthwiseSpan {
                    x,
                    input: sides,
                    weights,
                    bias,
                    window: w,
                    corner: [top, (ox * at(w.stride_w)).wrapping_sub(at(w.pad_left))],
                    clamp: &clamp,
                    y: y.part((oy * columns + ox) * LANES, pixels * LANES),
                },
            );
            ox += pixels;
        }
    }
    finish(s, &clamp, &mut y);
}
