//! Dense and grouped convolution: a tile is up to two neighbouring output blocks of one item.

use super::micro::math::Clamp;
use super::micro::{ConvSpan, Reads, Simd, conv_group};
use super::planar::planar;
use super::unary::activate;
use super::view::Target;
use super::window::Sliding;
use super::{LANES, Tile, at};
use crate::params::{Conv, blocks_of};

const TILE_BLOCKS: usize = Conv::TILE_BLOCKS as usize;

/// The channel blocks that a tile reads, one after the other, and the elements of one.
#[inline(always)]
fn input<'a>(c: &Conv, tile: &Tile<'a>) -> (&'a [f32], usize) {
    let (item, first) = (tile.index % at(c.n), tile.index / at(c.n) * TILE_BLOCKS);
    let (in_blocks, out_blocks) = (at(blocks_of(c.in_channels)), at(blocks_of(c.out_channels)));
    // In a single tile both blocks belong to one group, or each reads its own.
    let group = first / (out_blocks / at(c.groups)).max(1);
    let block_len = at(c.in_h) * at(c.in_w) * LANES;
    let x_first = (item * at(c.x_blocks) + group * in_blocks) * block_len;
    (tile.memory.slice(&c.x, x_first, in_blocks * block_len), block_len)
}

/// The views of one tile.
#[inline(always)]
fn span<'a>(c: &Conv, tile: &Tile<'a>) -> ConvSpan<'a> {
    // Items within output blocks, so that a row of weights stays cached for the whole batch.
    let (item, first) = (tile.index % at(c.n), tile.index / at(c.n) * TILE_BLOCKS);
    let out_blocks = at(blocks_of(c.out_channels));
    let blocks = (out_blocks - first).min(TILE_BLOCKS);
    let out_len = at(c.out_h) * at(c.out_w) * LANES;
    let (memory, rows) = (&tile.memory, tile.memory.rows(&c.weights, at(c.weights_row())));
    let block = |b: usize| first + b.min(blocks - 1);
    let out = |b: usize, whole: u32| (item * at(whole) + block(b)) * out_len;
    let target = |b: usize| memory.target(&c.y, out(b, c.y_blocks), out_len);
    let residual =
        |b: usize| (c.residual_blocks > 0).then(|| memory.source(&c.residual, out(b, c.residual_blocks), out_len));
    ConvSpan {
        channels: at(c.in_channels),
        weights: [rows.row(block(0)), rows.row(block(1))],
        bias: [0, 1].map(|b| memory.slice(&c.bias, block(b) * LANES, LANES)),
        residual: [residual(0), residual(1)],
        y: [target(0), target(1)],
        blocks,
        clamp: Clamp::of(&c.activation),
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, c: &Conv, tile: Tile<'_>) {
    let mut span = span(c, &tile);
    if c.x_blocks == 0 {
        let (item, len) = (tile.index % at(c.n), at(c.in_channels) * at(c.in_h) * at(c.in_w));
        planar(s, c, &mut span, tile.memory.slice(&c.x, item * len, len), tile.scratch);
    } else {
        blocked(s, c, &mut span, input(c, &tile));
    }
    for y in &mut span.y[..span.blocks] {
        finish(s, &span.clamp, y);
    }
}

/// The blocks of `span`, from channel blocks.
#[inline(always)]
fn blocked<S: Simd>(s: S, c: &Conv, span: &mut ConvSpan<'_>, (x, block_len): (&[f32], usize)) {
    let mut sliding = Sliding::new(&c.window, [c.in_h, c.in_w], [c.out_h, c.out_w]);
    let mut block = 0;
    while block < span.blocks {
        let mut done = 0;
        let mut first = 0;
        while first < sliding.pixels() {
            let left = sliding.pixels() - first;
            let wide = s.width(left);
            let places = sliding.places(first, wide);
            let pixels = wide.min(left);
            done = conv_group(s, span, Reads { x, block_len, places }, block, [first, pixels]);
            first += pixels;
        }
        block += done;
    }
}

/// Applies what the registers could not to what was stored.
#[inline(always)]
pub(crate) fn finish<S: Simd>(s: S, clamp: &Clamp, y: &mut Target<'_>) {
    if let Some(rest) = &clamp.rest {
        activate(s, rest, y);
    }
}
