//! Layer normalisation: a tile is some rows.

use super::micro::{Lanes, Simd, fold, map, zip};
use super::{Tile, at};
use crate::params::LayerNorm;

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, p: &LayerNorm, tile: Tile<'_>) {
    let (rows, len) = (at(p.rows), at(p.len));
    let gamma = Lanes::Each(tile.memory.slice(&p.gamma, 0, len).into());
    let beta = Lanes::Each(tile.memory.slice(&p.beta, 0, len).into());
    let first = tile.index * LayerNorm::TILE_ROWS as usize;
    for row in first..rows.min(first + LayerNorm::TILE_ROWS as usize) {
        let x = tile.memory.source(&p.x, row * len, len);
        let mut y = tile.memory.target(&p.y, row * len, len);
        let total: f32 = fold(
            s,
            x,
            0.0,
            0.0,
            #[inline(always)]
            |a, b| s.add(a, b),
        )
        .into_iter()
        .sum();
        let mean = total / len as f32;
        let centre = s.splat(mean);
        // Lanes beyond the row hold the mean, so that they add nothing.
        let squares = fold(
            s,
            x,
            0.0,
            mean,
            #[inline(always)]
            |sum, x| {
                let d = s.sub(x, centre);
                s.fma(d, d, sum)
            },
        );
        let variance = squares.into_iter().sum::<f32>() / len as f32;
        let scale = s.splat(1.0 / (variance + p.epsilon).sqrt());
        map(
            s,
            x,
            &mut y,
            #[inline(always)]
            |x| s.mul(s.sub(x, centre), scale),
        );
        let normal = Lanes::Each(y.itself());
        zip(
            s,
            normal,
            gamma,
            &mut y,
            #[inline(always)]
            |x, g| s.mul(x, g),
        );
        let scaled = Lanes::Each(y.itself());
        zip(
            s,
            scaled,
            beta,
            &mut y,
            #[inline(always)]
            |x, b| s.add(x, b),
        );
    }
}
