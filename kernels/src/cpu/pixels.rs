//! Pictures of bytes into the workspace: a tile is one picture.

use super::micro::Simd;
use super::{LANES, Tile, at};
use crate::params::EnterPixels;

const BYTES: usize = EnterPixels::BYTES as usize;

/// One tile.
#[inline(always)]
pub(crate) fn enter<S: Simd>(_: S, e: &EnterPixels, tile: Tile<'_>) {
    let (item, channels, hw) = (tile.index, at(e.channels), at(e.hw));
    let x = tile.memory.bytes_of_row(&e.x, item, channels * hw);
    let table = tile.memory.rows(&e.table, channels * BYTES).row(0);
    let (pixel, channel) = if e.interleaved == 1 { (channels, 1) } else { (1, hw) };
    if e.blocks == 0 {
        let mut y = tile.memory.target(&e.y, item * channels * hw, channels * hw);
        for (lane, y) in y.as_mut().chunks_exact_mut(hw).enumerate() {
            let table = &table[lane * BYTES..][..BYTES];
            for (y, x) in y.iter_mut().zip(x[lane * channel..].iter().step_by(pixel)) {
                *y = table[usize::from(*x)];
            }
        }
        return;
    }
    let mut y = tile.memory.target(&e.y, item * at(e.blocks) * hw * LANES, hw * LANES);
    for (place, y) in y.as_mut().chunks_exact_mut(LANES).enumerate() {
        // One store for all lanes, then one for each channel: no choice a lane.
        y.fill(0.0);
        for (lane, y) in y[..channels].iter_mut().enumerate() {
            *y = table[lane * BYTES + usize::from(x[place * pixel + lane * channel])];
        }
    }
}
