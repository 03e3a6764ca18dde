//! A function of two elements: a tile is one index of the four outer dimensions.

use super::micro::{Lanes, Simd, zip};
use super::unary::activate;
use super::view::{Memory, Target};
use super::{LANES, Tile, at};
use crate::operand::Operand;
use crate::params::{ActivationKind, Binary, BinaryOp, RANK};

/// The dimension that a tile walks, around the last.
const ROW: usize = RANK - 2;
/// The last dimension, which is contiguous.
const LAST: usize = RANK - 1;

/// A row of one side.
#[inline(always)]
fn side<'a>(memory: &Memory<'a>, operand: &Operand, first: usize, stride: u32, len: usize) -> Lanes<'a> {
    if stride == 0 {
        return Lanes::One(memory.source(operand, first, 1).get(0));
    }
    Lanes::Each(memory.source(operand, first, len))
}

/// One side of all rows at once, where rows of 16 follow one another or are the same.
#[inline(always)]
fn joined<'a>(
    memory: &Memory<'a>,
    operand: &Operand,
    first: usize,
    strides: &[u32; RANK],
    len: usize,
) -> Option<Lanes<'a>> {
    match [strides[ROW], strides[LAST]] {
        [crate::params::LANES, 1] => Some(Lanes::Each(memory.source(operand, first, len))),
        [0, 1] => Some(Lanes::Again(memory.source(operand, first, LANES))),
        [0, 0] => Some(side(memory, operand, first, 0, len)),
        _ => None,
    }
}

#[inline(always)]
fn row<S: Simd>(s: S, op: BinaryOp, a: Lanes<'_>, b: Lanes<'_>, y: &mut Target<'_>) {
    // A closure of a generic kernel is compiled into its loop only if it says so.
    macro_rules! with {
        ($a:ident, $b:ident => $y:expr) => {
            zip(
                s,
                a,
                b,
                y,
                #[inline(always)]
                |$a, $b| $y,
            )
        };
    }
    match op {
        BinaryOp::Add => with!(a, b => s.add(a, b)),
        BinaryOp::Sub => with!(a, b => s.sub(a, b)),
        BinaryOp::Mul => with!(a, b => s.mul(a, b)),
        BinaryOp::Div => with!(a, b => s.div(a, b)),
        // What is no number wins, also on the left: only there and at one infinity is the comparison false.
        BinaryOp::Min => with!(a, b => {
            let y = s.min(a, b);
            s.select_less(s.splat(f32::NEG_INFINITY), a, y, s.add(a, y))
        }),
        BinaryOp::Max => with!(a, b => {
            let y = s.max(a, b);
            s.select_less(a, s.splat(f32::INFINITY), y, s.add(a, y))
        }),
        BinaryOp::Pow => with!(a, b => {
            let (a, b) = (s.to_array(a), s.to_array(b));
            s.load_array(&std::array::from_fn(|i| a[i].powf(b[i])))
        }),
        BinaryOp::PRelu => with!(a, b => s.select_less(a, s.splat(0.0), s.mul(a, b), a)),
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, p: &Binary, tile: Tile<'_>) {
    let (mut a, mut b, mut y) = (at(p.a_first), at(p.b_first), at(p.y_first));
    let mut index = tile.index;
    for d in (0..ROW).rev() {
        let i = index % at(p.dims[d]);
        index /= at(p.dims[d]);
        a += i * at(p.a_strides[d]);
        b += i * at(p.b_strides[d]);
        y += i * at(p.y_strides[d]);
    }
    let len = at(p.dims[LAST]);
    let Some(op) = BinaryOp::from_u32(p.op) else { unreachable!("a checked block names its function") };
    // Rows of 16 that follow one another are one row.
    let all = at(p.dims[ROW]) * len;
    let whole = if len == LANES && at(p.y_strides[ROW]) == LANES {
        let left = joined(&tile.memory, &p.a, a, &p.a_strides, all);
        left.zip(joined(&tile.memory, &p.b, b, &p.b_strides, all))
    } else {
        None
    };
    let (rows, row_len) = if whole.is_some() { (1, all) } else { (p.dims[ROW], len) };
    for _ in 0..rows {
        let (left, right) = match whole {
            Some(whole) => whole,
            None => (
                side(&tile.memory, &p.a, a, p.a_strides[LAST], len),
                side(&tile.memory, &p.b, b, p.b_strides[LAST], len),
            ),
        };
        let mut target = tile.memory.target(&p.y, y, row_len);
        row(s, op, left, right, &mut target);
        if p.activation.kind != ActivationKind::None as u32 {
            activate(s, &p.activation, &mut target);
        }
        a += at(p.a_strides[ROW]);
        b += at(p.b_strides[ROW]);
        y += at(p.y_strides[ROW]);
    }
}
