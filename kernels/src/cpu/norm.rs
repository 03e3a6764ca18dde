//! Layer normalisation: a tile is some rows.

use super::micro::{Simd, fold, zip_three};
use super::{Tile, at};
use crate::params::LayerNorm;

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, p: &LayerNorm, tile: Tile<'_>) {
    let (rows, len) = (at(p.rows), at(p.len));
    let gamma = tile.memory.slice(&p.gamma, 0, len).into();
    let beta = tile.memory.slice(&p.beta, 0, len).into();
    let first = tile.index * LayerNorm::TILE_ROWS as usize;
    for row in first..rows.min(first + LayerNorm::TILE_ROWS as usize) {
        let x = tile.memory.source(&p.x, row * len, len);
        let mut y = tile.memory.target(&p.y, row * len, len);
        let total = fold(
            s,
            x,
            [0.0; 2],
            #[inline(always)]
            |a, b| s.add(a, b),
            #[inline(always)]
            |a, b| s.add(a, b),
        );
        let mean = s.sum(total) / len as f32;
        let centre = s.splat(mean);
        // Lanes beyond the row hold the mean, so that they add nothing.
        let squares = fold(
            s,
            x,
            [0.0, mean],
            #[inline(always)]
            |sum, x| {
                let d = s.sub(x, centre);
                s.fma(d, d, sum)
            },
            #[inline(always)]
            |a, b| s.add(a, b),
        );
        let variance = s.sum(squares) / len as f32;
        let scale = s.splat(1.0 / (variance + p.epsilon).sqrt());
        zip_three(
            s,
            x,
            [gamma, beta],
            &mut y,
            #[inline(always)]
            |x, g, b| s.fma(s.mul(s.sub(x, centre), scale), g, b),
        );
    }
}
