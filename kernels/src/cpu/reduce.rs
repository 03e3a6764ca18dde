//! Reductions: a tile is one index of the outer dimension.

use super::micro::{Lanes, Simd, fold, map, zip};
use super::{Tile, at};
use crate::params::{Reduce, ReduceKind};

/// The larger, or the sum.
#[inline(always)]
fn two<S: Simd>(s: S, max: bool, a: S::V, b: S::V) -> S::V {
    if max { s.max(a, b) } else { s.add(a, b) }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, r: &Reduce, tile: Tile<'_>) {
    let (len, inner) = (at(r.len), at(r.inner));
    let first = tile.index * len * inner;
    let mut y = tile.memory.target(&r.y, tile.index * inner, inner);
    let max = r.kind == ReduceKind::Max as u32;
    if inner == 1 {
        let start = if max { f32::NEG_INFINITY } else { 0.0 };
        let lanes = fold(
            s,
            tile.memory.source(&r.x, first, len),
            [start; 2],
            #[inline(always)]
            |a, b| two(s, max, a, b),
            #[inline(always)]
            |a, b| two(s, max, a, b),
        );
        y.as_mut()[0] = if max { s.largest(lanes) } else { s.sum(lanes) };
    } else {
        map(
            s,
            tile.memory.source(&r.x, first, inner),
            &mut y,
            #[inline(always)]
            |x| x,
        );
        for i in 1..len {
            let row = Lanes::Each(tile.memory.source(&r.x, first + i * inner, inner));
            let so_far = Lanes::Each(y.itself());
            zip(
                s,
                so_far,
                row,
                &mut y,
                #[inline(always)]
                |a, b| two(s, max, a, b),
            );
        }
    }
    if r.kind == ReduceKind::Mean as u32 {
        let (sum, scale) = (y.itself(), s.splat(1.0 / len as f32));
        map(
            s,
            sum,
            &mut y,
            #[inline(always)]
            |x| s.mul(x, scale),
        );
    }
}
