//! Softmax: a tile is some rows.

use super::micro::{Simd, fold, map, map_fold, math};
use super::view::{Source, Target};
use super::{Tile, at};
use crate::params::Softmax;

/// `y = exp(x - max) / sum`; `x` may be `y`.
#[inline(always)]
pub(crate) fn row<S: Simd>(s: S, x: Source<'_>, y: &mut Target<'_>) {
    let largest = fold(
        s,
        x,
        [f32::NEG_INFINITY; 2],
        #[inline(always)]
        |a, b| s.max(a, b),
        #[inline(always)]
        |a, b| s.max(a, b),
    );
    let top = s.splat(s.largest(largest));
    let sums = map_fold(
        s,
        x,
        y,
        [0.0, f32::NEG_INFINITY],
        #[inline(always)]
        |x| math::exp(s, s.sub(x, top)),
        #[inline(always)]
        |a, b| s.add(a, b),
    );
    let scale = s.splat(1.0 / s.sum(sums));
    let e = y.itself();
    map(
        s,
        e,
        y,
        #[inline(always)]
        |x| s.mul(x, scale),
    );
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, p: &Softmax, tile: Tile<'_>) {
    let (rows, len) = (at(p.rows), at(p.len));
    let first = tile.index * Softmax::TILE_ROWS as usize;
    for i in first..rows.min(first + Softmax::TILE_ROWS as usize) {
        let x = tile.memory.source(&p.x, i * len, len);
        row(s, x, &mut tile.memory.target(&p.y, i * len, len));
    }
}
