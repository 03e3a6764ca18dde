//! From place to place along one dimension: a tile is one index of the dimensions before it.

use super::micro::Simd;
use super::{Tile, at};
use crate::params::{Fold, FoldOp};

#[inline(always)]
fn join(op: FoldOp, a: u32, b: u32) -> u32 {
    match op {
        FoldOp::SumFloat => (f32::from_bits(a) + f32::from_bits(b)).to_bits(),
        FoldOp::Sum => a.wrapping_add(b),
        FoldOp::Max => a.cast_signed().max(b.cast_signed()).cast_unsigned(),
        FoldOp::Min => a.cast_signed().min(b.cast_signed()).cast_unsigned(),
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(_: S, f: &Fold, tile: Tile<'_>) {
    let (len, inner) = (at(f.len), at(f.inner));
    let Some(op) = FoldOp::from_u32(f.op) else { unreachable!("a checked block names its function") };
    let x: &[u32] = bytemuck::cast_slice(tile.memory.slice(&f.x, tile.index * len * inner, len * inner));
    let row = if f.running == 1 { len * inner } else { inner };
    let mut y = tile.memory.target(&f.y, tile.index * row, row);
    let y: &mut [u32] = bytemuck::cast_slice_mut(y.as_mut());
    let place = |step: usize| if f.reverse == 1 { len - 1 - step } else { step };
    for j in 0..inner {
        let mut so_far = x[place(0) * inner + j];
        if f.running == 0 {
            y[j] = (1..len).fold(so_far, |so_far, i| join(op, so_far, x[place(i) * inner + j]));
            continue;
        }
        if f.exclusive == 1 {
            y[place(0) * inner + j] = 0;
        } else {
            y[place(0) * inner + j] = so_far;
        }
        for step in 1..len {
            let next = join(op, so_far, x[place(step) * inner + j]);
            y[place(step) * inner + j] = if f.exclusive == 1 { so_far } else { next };
            so_far = next;
        }
    }
}
