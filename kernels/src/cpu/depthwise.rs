//! Convolution of each channel by itself: a tile is one channel block of one item.

use super::conv::finish;
use super::micro::math::Clamp;
use super::micro::{Simd, Weighted};
use super::row::{Image, padded};
use super::{LANES, Tile, at};
use crate::params::{Depthwise, blocks_of};

/// One tile. Rows and columns outside a large image are left out of an output's chain; in a small one
/// they count as zero.
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
    let image = Image { x, input: [d.in_h, d.in_w].map(at), output: [d.out_h, d.out_w].map(at), window: &d.window };
    let weighted = Weighted::new(s, weights, bias, clamp.lanes(s));
    let mut window = d.window;
    match padded(&image, &mut window, tile.scratch) {
        Some(padded) => padded.fold(s, &weighted, &mut y),
        None => image.fold(s, &weighted, &mut y),
    }
    finish(s, &clamp, &mut y);
}
