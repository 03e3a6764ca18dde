//! Dense and grouped convolution: a tile is up to two neighbouring output blocks of one group of one item.
//!
//! Where groups meet within a block, it is computed for each of them, and each writes its own lanes alone.

use super::micro::math::Clamp;
use super::micro::{ConvSpan, Reads, Simd, conv_group};
use super::planar::planar;
use super::unary::activate;
use super::view::Target;
use super::window::Sliding;
use super::{LANES, Tile, at};
use crate::params::Conv;
use std::ops::Range;

/// What a tile works at.
struct Work {
    item: usize,
    group: u32,
    /// Its output blocks, none or up to two.
    blocks: Range<u32>,
}

impl Work {
    /// Items within output blocks, so that a row of weights stays cached for the whole batch.
    #[inline(always)]
    fn of(c: &Conv, tile: usize) -> Work {
        let (item, among, tiles) = (tile % at(c.n), tile / at(c.n), at(c.tiles_of_group()));
        let (group, pair) = (among / tiles, among % tiles);
        #[expect(clippy::cast_possible_truncation, reason = "both are below counts of type u32")]
        let (group, pair) = (group as u32, pair as u32);
        let all = c.grouping().outputs(group);
        let first = (all.start + pair * Conv::TILE_BLOCKS).min(all.end);
        Work { item, group, blocks: first..(first + Conv::TILE_BLOCKS).min(all.end) }
    }
}

/// The channel blocks that a tile reads, one after the other, and the elements of one.
#[inline(always)]
fn input<'a>(c: &Conv, work: &Work, tile: &Tile<'a>) -> (&'a [f32], usize) {
    let (blocks, block_len) = (c.grouping().inputs(work.group), at(c.in_h) * at(c.in_w) * LANES);
    let first = (work.item * at(c.x_blocks) + at(blocks.start)) * block_len;
    (tile.memory.slice(&c.x, first, at(blocks.end - blocks.start) * block_len), block_len)
}

/// The views of one tile.
#[inline(always)]
fn span<'a>(c: &Conv, work: &Work, tile: &Tile<'a>) -> ConvSpan<'a> {
    let (groups, group) = (c.grouping(), work.group);
    let out_len = at(c.out_h) * at(c.out_w) * LANES;
    let (memory, rows) = (&tile.memory, tile.memory.rows(&c.weights, at(c.weights_row())));
    let block = |b: u32| (work.blocks.start + b).min(work.blocks.end - 1);
    let row = |b: u32| rows.row(at(groups.row(group, block(b))));
    let lanes = |b: u32| {
        let lanes = groups.lanes(group, block(b));
        at(lanes.start)..at(lanes.end)
    };
    let out = |b: u32, whole: u32| (work.item * at(whole) + at(block(b))) * out_len;
    let target = |b: u32| memory.target(&c.y, out(b, c.y_blocks), out_len);
    let residual =
        |b: u32| (c.residual_blocks > 0).then(|| memory.source(&c.residual, out(b, c.residual_blocks), out_len));
    ConvSpan {
        channels: at(c.in_channels),
        first_lane: at(groups.first_lane(group)),
        weights: [row(0), row(1)],
        bias: [0, 1].map(|b| memory.slice(&c.bias, at(block(b)) * LANES, LANES)),
        residual: [residual(0), residual(1)],
        y: [target(0), target(1)],
        lanes: [lanes(0), lanes(1)],
        blocks: work.blocks.len(),
        ends_half: groups.is_half(group, work.blocks.end - 1),
        clamp: Clamp::of(&c.activation),
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, c: &Conv, tile: Tile<'_>) {
    let work = Work::of(c, tile.index);
    if work.blocks.is_empty() {
        return;
    }
    let mut span = span(c, &work, &tile);
    if c.x_blocks == 0 {
        let len = at(c.in_channels) * at(c.in_h) * at(c.in_w);
        planar(s, c, &mut span, tile.memory.slice(&c.x, work.item * len, len), tile.scratch);
    } else {
        blocked(s, c, &mut span, input(c, &work, &tile));
    }
    for b in 0..span.blocks {
        let (y, lanes) = (&mut span.y[b], span.lanes[b].clone());
        if lanes == (0..LANES) {
            finish(s, &span.clamp, y);
        } else {
            finish_lanes(s, &span.clamp, y, lanes);
        }
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
            let wide = span.width(s, block, left);
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

/// Pixels that [`finish_lanes`] takes at once.
const AT_ONCE: usize = 16;

/// As [`finish`], where the other lanes of the block are another tile's.
#[inline(always)]
fn finish_lanes<S: Simd>(s: S, clamp: &Clamp, y: &mut Target<'_>, lanes: Range<usize>) {
    let Some(rest) = &clamp.rest else { return };
    let mut own = [0.0; AT_ONCE * LANES];
    for first in (0..y.len()).step_by(AT_ONCE * LANES) {
        let own = &mut own[..(y.len() - first).min(AT_ONCE * LANES)];
        for (i, value) in own.iter_mut().enumerate().filter(|(i, _)| lanes.contains(&(i % LANES))) {
            *value = y.itself().get(first + i);
        }
        activate(s, rest, &mut Target::from(&mut *own));
        for (i, value) in own.iter().enumerate().filter(|(i, _)| lanes.contains(&(i % LANES))) {
            y.set(first + i, *value);
        }
    }
}
