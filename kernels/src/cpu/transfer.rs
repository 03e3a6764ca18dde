//! Into the workspace and out of it: a tile is one item.

use super::micro::Simd;
use super::{LANES, Tile, at};
use crate::params::{Enter, Leave, blocks_of};

/// One tile of [`Enter`].
#[inline(always)]
pub(crate) fn enter<S: Simd>(_: S, e: &Enter, tile: Tile<'_>) {
    let (item, channels, hw) = (tile.index, at(e.channels), at(e.hw));
    let x = tile.memory.rows(&e.x, channels * hw).row(item);
    if e.blocks == 0 {
        tile.memory.target(&e.y, item * channels * hw, channels * hw).as_mut().copy_from_slice(x);
        return;
    }
    let len = at(blocks_of(e.channels)) * hw * LANES;
    let mut y = tile.memory.target(&e.y, item * at(e.blocks) * hw * LANES, len);
    for (block, y) in y.as_mut().chunks_exact_mut(hw * LANES).enumerate() {
        let lanes = (channels - block * LANES).min(LANES);
        let x = &x[block * LANES * hw..][..lanes * hw];
        for (place, y) in y.chunks_exact_mut(LANES).enumerate() {
            // One store for all lanes, then one for each channel: no choice a lane.
            y.fill(0.0);
            for (lane, y) in y[..lanes].iter_mut().enumerate() {
                *y = x[lane * hw + place];
            }
        }
    }
}

/// One tile of [`Leave`].
#[inline(always)]
pub(crate) fn leave<S: Simd>(_: S, l: &Leave, tile: Tile<'_>) {
    let (item, channels, hw) = (tile.index, at(l.channels), at(l.hw));
    let mut y = tile.memory.target_row(&l.y, item, channels * hw);
    if l.blocks == 0 {
        y.as_mut().copy_from_slice(tile.memory.slice(&l.x, item * channels * hw, channels * hw));
        return;
    }
    let len = at(blocks_of(l.channels)) * hw * LANES;
    let x = tile.memory.slice(&l.x, item * at(l.blocks) * hw * LANES, len);
    for (channel, y) in y.as_mut().chunks_exact_mut(hw).enumerate() {
        let x = &x[channel / LANES * hw * LANES + channel % LANES..];
        for (y, x) in y.iter_mut().zip(x.iter().step_by(LANES)) {
            *y = *x;
        }
    }
}
