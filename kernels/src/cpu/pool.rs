//! Pools: a tile is one channel block of one item.

use super::micro::{Maximum, Scaled, Simd};
use super::row::{Folds, Image};
use super::{LANES, Tile, at};
use crate::params::{GlobalPool, Pool, PoolKind, Window, blocks_of};

/// The mean over the taps that lie in the image.
struct MeanInside;

impl<S: Simd> Folds<S, Scaled> for MeanInside {
    #[inline(always)]
    fn of(&self, [down, across]: [usize; 2]) -> Scaled {
        Scaled(1.0 / (down * across) as f32)
    }
}

/// One tile of [`Pool`].
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, p: &Pool, tile: Tile<'_>) {
    let blocks = at(blocks_of(p.channels));
    let (item, block) = (tile.index / blocks, tile.index % blocks);
    let (in_len, out_len) = (at(p.in_h) * at(p.in_w) * LANES, at(p.out_h) * at(p.out_w) * LANES);
    let x = tile.memory.slice(&p.x, (item * at(p.x_blocks) + block) * in_len, in_len);
    let mut y = tile.memory.target(&p.y, (item * at(p.y_blocks) + block) * out_len, out_len);
    let image = Image { x, input: [p.in_h, p.in_w].map(at), output: [p.out_h, p.out_w].map(at), window: &p.window };
    if p.kind == PoolKind::Max as u32 {
        image.fold(s, &Maximum, &mut y);
    } else if p.kind == PoolKind::Average as u32 {
        image.fold(s, &MeanInside, &mut y);
    } else {
        image.fold(s, &Scaled(1.0 / p.window.taps() as f32), &mut y);
    }
}

/// One tile of [`GlobalPool`]: a window of one row that is all of the image.
#[inline(always)]
pub(crate) fn run_global<S: Simd>(s: S, p: &GlobalPool, tile: Tile<'_>) {
    let blocks = at(blocks_of(p.channels));
    let (item, block) = (tile.index / blocks, tile.index % blocks);
    let hw = at(p.hw);
    let x = tile.memory.slice(&p.x, (item * at(p.x_blocks) + block) * hw * LANES, hw * LANES);
    let mut y = tile.memory.target(&p.y, (item * at(p.y_blocks) + block) * LANES, LANES);
    let window = Window { kernel_w: p.hw, ..Window::square(1, 1, 0) };
    let image = Image { x, input: [1, hw], output: [1, 1], window: &window };
    if p.kind == PoolKind::Max as u32 {
        image.fold(s, &Maximum, &mut y);
    } else {
        image.fold(s, &Scaled(1.0 / p.hw as f32), &mut y);
    }
}
