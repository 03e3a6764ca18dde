//! Weighted sums along one dimension: a tile is one index of the dimensions before it.

use super::micro::{Lanes, Simd, map, zip};
use super::{Tile, at};
use crate::params::Resample;

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, r: &Resample, tile: Tile<'_>) {
    let (len, out, inner, taps) = (at(r.len), at(r.out), at(r.inner), at(r.taps));
    let table = tile.memory.slice(&r.table, 0, out * taps * 2);
    let first = tile.index * at(r.x_stride);
    let mut whole = tile.memory.target(&r.y, tile.index * out * inner, out * inner);
    let row = |place: usize| match place < len {
        true => Lanes::Each(tile.memory.source(&r.x, first + place * inner, inner)),
        false => Lanes::One(r.fill),
    };
    for (i, entry) in table.chunks_exact(taps * 2).enumerate() {
        let (places, weights) = entry.split_at(taps);
        let places: &[u32] = bytemuck::cast_slice(places);
        let mut y = whole.part(i * inner, inner);
        let weight = s.splat(weights[0]);
        match row(at(places[0])) {
            Lanes::Each(x) => map(
                s,
                x,
                &mut y,
                #[inline(always)]
                |x| s.mul(x, weight),
            ),
            Lanes::One(x) => y.as_mut().fill(x * weights[0]),
            Lanes::Again(_) => unreachable!("a row is one of the image or the filler"),
        }
        for (&place, &weight) in places.iter().zip(weights).skip(1) {
            let (so_far, weight) = (Lanes::Each(y.itself()), s.splat(weight));
            zip(
                s,
                row(at(place)),
                so_far,
                &mut y,
                #[inline(always)]
                |x, sum| s.fma(x, weight, sum),
            );
        }
    }
}
