//! Functions of words: a tile is one index of the four outer dimensions.

use super::micro::Simd;
use super::{Tile, at};
use crate::params::{RANK, WordOp, Words};

/// One function of three words.
#[inline(always)]
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "this is what a cast means")]
fn apply(op: WordOp, a: i32, b: i32, c: i32) -> i32 {
    let [x, y] = [a, b].map(|word| f32::from_bits(word.cast_unsigned()));
    match op {
        WordOp::Add => a.wrapping_add(b),
        WordOp::Sub => a.wrapping_sub(b),
        WordOp::Mul => a.wrapping_mul(b),
        WordOp::Div => {
            if b == 0 {
                0
            } else {
                a.wrapping_div(b)
            }
        }
        WordOp::Min => a.min(b),
        WordOp::Max => a.max(b),
        WordOp::Pow => u32::try_from(b).map_or(0, |b| a.wrapping_pow(b)),
        WordOp::And => i32::from(a != 0 && b != 0),
        WordOp::Or => i32::from(a != 0 || b != 0),
        WordOp::Xor => i32::from((a != 0) != (b != 0)),
        WordOp::Equal => i32::from(a == b),
        WordOp::Less => i32::from(a < b),
        WordOp::LessOrEqual => i32::from(a <= b),
        WordOp::EqualFloat => i32::from(x == y),
        WordOp::LessFloat => i32::from(x < y),
        WordOp::LessOrEqualFloat => i32::from(x <= y),
        WordOp::Select => {
            if c != 0 {
                a
            } else {
                b
            }
        }
        WordOp::FloatToWhole => x as i32,
        WordOp::WholeToFloat => (a as f32).to_bits().cast_signed(),
        WordOp::FloatToTruth => i32::from(x != 0.0),
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(_: S, w: &Words, tile: Tile<'_>) {
    let strides = [&w.a_strides, &w.b_strides, &w.c_strides];
    let mut firsts = w.firsts.map(at);
    let mut index = tile.index;
    for d in (0..RANK - 2).rev() {
        let i = index % at(w.dims[d]);
        index /= at(w.dims[d]);
        for (first, strides) in firsts.iter_mut().zip(strides) {
            *first += i * at(strides[d]);
        }
    }
    let (rows, len) = (at(w.dims[RANK - 2]), at(w.dims[RANK - 1]));
    let Some(op) = WordOp::from_u32(w.op) else { unreachable!("a checked block names its function") };
    let mut y = tile.memory.target(&w.y, tile.index * rows * len, rows * len);
    let y: &mut [i32] = bytemuck::cast_slice_mut(y.as_mut());
    let operands = [&w.a, &w.b, &w.c];
    for (i, y) in y.chunks_exact_mut(len).enumerate() {
        let sides: [(&[i32], usize); 3] = std::array::from_fn(|side| {
            let step = at(strides[side][RANK - 1]);
            let first = firsts[side] + i * at(strides[side][RANK - 2]);
            (bytemuck::cast_slice(tile.memory.slice(operands[side], first, (len - 1) * step + 1)), step)
        });
        let [(a, a_step), (b, b_step), (c, c_step)] = sides;
        for (j, y) in y.iter_mut().enumerate() {
            *y = apply(op, a[j * a_step], b[j * b_step], c[j * c_step]);
        }
    }
}
