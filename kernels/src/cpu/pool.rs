//! Pools: a tile is one channel block of one item.

use super::micro::{Simd, pool_pixel};
use super::{LANES, Tile, at};
use crate::params::{GlobalPool, Pool, PoolKind, blocks_of};

/// The input places of one window along one side that lie in the image: first, number, distance.
#[inline(always)]
fn inside(out: usize, [input, kernel, stride, dilation, pad]: [usize; 5]) -> [usize; 3] {
    let start = out * stride;
    if dilation == 1 {
        // The usual case, without a division for each pixel.
        let skipped = pad.saturating_sub(start);
        let first = start + skipped - pad;
        return [first, (input - first).min(kernel - skipped), 1];
    }
    let skipped = pad.saturating_sub(start).div_ceil(dilation);
    let first = start + skipped * dilation - pad;
    let number = (input - first).div_ceil(dilation).min(kernel - skipped);
    [first, number, dilation]
}

/// One tile of [`Pool`].
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, p: &Pool, tile: Tile<'_>) {
    let blocks = at(blocks_of(p.channels));
    let (item, block) = (tile.index / blocks, tile.index % blocks);
    let (in_w, in_len) = (at(p.in_w), at(p.in_h) * at(p.in_w) * LANES);
    let out_len = at(p.out_h) * at(p.out_w) * LANES;
    let x = tile.memory.slice(&p.x, (item * at(p.x_blocks) + block) * in_len, in_len);
    let mut y = tile.memory.target(&p.y, (item * at(p.y_blocks) + block) * out_len, out_len);
    let w = &p.window;
    let max = p.kind == PoolKind::Max as u32;
    let down = [p.in_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top].map(at);
    let across = [p.in_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left].map(at);
    for oy in 0..at(p.out_h) {
        let rows = inside(oy, down);
        for ox in 0..at(p.out_w) {
            let columns = inside(ox, across);
            let count = if p.kind == PoolKind::Average as u32 { rows[1] * columns[1] } else { at(w.taps()) };
            let scale = if max { None } else { Some(1.0 / count as f32) };
            let pixel = y.part((oy * at(p.out_w) + ox) * LANES, LANES);
            pool_pixel(s, x, in_w, [rows, columns], scale, pixel);
        }
    }
}

/// One tile of [`GlobalPool`].
#[inline(always)]
pub(crate) fn run_global<S: Simd>(s: S, p: &GlobalPool, tile: Tile<'_>) {
    let blocks = at(blocks_of(p.channels));
    let (item, block) = (tile.index / blocks, tile.index % blocks);
    let hw = at(p.hw);
    let x = tile.memory.slice(&p.x, (item * at(p.x_blocks) + block) * hw * LANES, hw * LANES);
    let y = tile.memory.target(&p.y, (item * at(p.y_blocks) + block) * LANES, LANES);
    let scale = if p.kind == PoolKind::Max as u32 { None } else { Some(1.0 / hw as f32) };
    pool_pixel(s, x, hw, [[0, 1, 1], [0, hw, 1]], scale, y);
}
