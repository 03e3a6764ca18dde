//! The first in order along one dimension: a tile is one index of the dimensions before it.

use super::micro::Simd;
use super::{Tile, at};
use crate::params::TopK;

/// A number whose order is that of the elements: that of `i32`, or of `f32` with both zeros equal.
#[inline(always)]
fn key(word: u32, whole: bool) -> i64 {
    let signed = word.cast_signed();
    if whole {
        return signed.into();
    }
    let x = f32::from_bits(word);
    if x.is_nan() {
        return i64::MAX;
    }
    if x == 0.0 { 0 } else { i64::from(signed ^ ((signed >> 31).cast_unsigned() >> 1).cast_signed()) }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(_: S, t: &TopK, tile: Tile<'_>) {
    let (len, inner, k) = (at(t.len), at(t.inner), at(t.k));
    let x: &[u32] = bytemuck::cast_slice(tile.memory.slice(&t.x, tile.index * len * inner, len * inner));
    let mut values = tile.memory.target(&t.values, tile.index * k * inner, k * inner);
    let mut indices = tile.memory.target(&t.indices, tile.index * k * inner, k * inner);
    let values: &mut [u32] = bytemuck::cast_slice_mut(values.as_mut());
    let indices: &mut [u32] = bytemuck::cast_slice_mut(indices.as_mut());
    let [largest, last, whole] = [t.largest, t.last, t.whole].map(|flag| flag == 1);
    // Smaller ranks come first; every place has a rank of its own.
    let rank = |i: usize, j: usize| {
        let key = key(x[i * inner + j], whole);
        (if largest { key.saturating_neg() } else { key }, if last { len - i } else { i })
    };
    for j in 0..inner {
        let mut before = None;
        for taken in 0..k {
            let mut best: Option<((i64, usize), usize)> = None;
            for i in 0..len {
                let rank = rank(i, j);
                if before.is_none_or(|before| rank > before) && best.is_none_or(|(least, _)| rank < least) {
                    best = Some((rank, i));
                }
            }
            let Some((rank, i)) = best else { unreachable!("k is at most the number of places") };
            before = Some(rank);
            values[taken * inner + j] = x[i * inner + j];
            indices[taken * inner + j] = u32::try_from(i).unwrap_or(u32::MAX);
        }
    }
}
