//! Softmax: a tile is some rows.

use super::micro::{Simd, fold, map, math};
use super::{Tile, at};
use crate::params::Softmax;

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, p: &Softmax, tile: Tile<'_>) {
    let (rows, len) = (at(p.rows), at(p.len));
    let first = tile.index * Softmax::TILE_ROWS as usize;
    for row in first..rows.min(first + Softmax::TILE_ROWS as usize) {
        let x = tile.memory.source(&p.x, row * len, len);
        let mut y = tile.memory.target(&p.y, row * len, len);
        let lanes = fold(
            s,
            x,
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
            #[inline(always)]
            |a, b| s.max(a, b),
        );
        let top = s.splat(lanes.into_iter().fold(f32::NEG_INFINITY, f32::max));
        map(
            s,
            x,
            &mut y,
            #[inline(always)]
            |x| math::exp(s, s.sub(x, top)),
        );
        let sums = fold(
            s,
            y.itself(),
            0.0,
            0.0,
            #[inline(always)]
            |a, b| s.add(a, b),
        );
        let scale = s.splat(1.0 / sums.into_iter().sum::<f32>());
        let e = y.itself();
        map(
            s,
            e,
            &mut y,
            #[inline(always)]
            |x| s.mul(x, scale),
        );
    }
}
