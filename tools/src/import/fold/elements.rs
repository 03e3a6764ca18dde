//! Functions of the elements of constants.

use kernels::params::{Activation, ActivationKind, BinaryOp, WordOp};

use super::super::constant::{Constant, Data};
use super::super::element::Element;
use super::super::index;
use super::truths;

/// Another type of whole numbers; floats become functions of words first.
#[expect(clippy::cast_possible_truncation, reason = "this is what a cast means")]
pub fn cast(from: &Constant, to: Element) -> Option<Constant> {
    let data = match (&from.data, to) {
        (Data::I64(data), Element::Int32) => data.iter().map(|&n| i64::from(n as i32)).collect(),
        (Data::I64(data), Element::Uint8) => data.iter().map(|&n| n & 0xff).collect(),
        (Data::I64(data), Element::Int64) => data.to_vec(),
        _ => return None,
    };
    Some(Constant::integers(from.dims.clone(), data).with_element(to))
}

/// The smaller, or what is no number.
fn smaller(a: f32, b: f32) -> f32 {
    if a.is_nan() || a < b { a } else { b }
}

/// The larger, or what is no number.
fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

/// A function of one float; none where it is not computed here.
pub fn unary(activation: Activation, x: &Constant) -> Option<Constant> {
    let (a, b) = (activation.a, activation.b);
    let f = |x: f32| {
        Some(match ActivationKind::from_u32(activation.kind)? {
            ActivationKind::None => x,
            ActivationKind::Relu => larger(0.0, x),
            ActivationKind::Clip => smaller(b, larger(a, x)),
            ActivationKind::LeakyRelu if x < 0.0 => a * x,
            ActivationKind::LeakyRelu => x,
            ActivationKind::Exp => x.exp(),
            ActivationKind::Log => x.ln(),
            ActivationKind::Sqrt => x.sqrt(),
            ActivationKind::Reciprocal => 1.0 / x,
            ActivationKind::Abs => x.abs(),
            ActivationKind::Affine => a * x + b,
            ActivationKind::Ceil => x.ceil(),
            ActivationKind::Floor => x.floor(),
            ActivationKind::Round => x.round_ties_even(),
            ActivationKind::Sign if x == 0.0 => 0.0,
            ActivationKind::Sign => x.signum(),
            _ => return None,
        })
    };
    let data: Option<Vec<f32>> = x.as_floats()?.iter().map(|&x| f(x)).collect();
    Some(Constant::floats(x.dims.clone(), data?))
}

/// The elements of one side, broadcast.
fn side<'a, T: Copy>(data: &'a [T], constant: &Constant, dims: &[usize]) -> impl Iterator<Item = T> + use<'a, T> {
    index::walk(dims, &index::broadcast_strides(&constant.dims, dims), 0).map(|i| data[i])
}

/// A function of two floats.
pub fn binary(op: BinaryOp, all: &[&Constant], dims: Vec<usize>) -> Option<Constant> {
    let &[a, b] = all else { return None };
    let (x, y) = (side(a.as_floats()?, a, &dims), side(b.as_floats()?, b, &dims));
    let f = |(a, b): (f32, f32)| match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Min => smaller(a, b),
        BinaryOp::Max => larger(a, b),
        BinaryOp::Pow => a.powf(b),
        BinaryOp::PRelu => {
            if a < 0.0 {
                a * b
            } else {
                a
            }
        }
    };
    let data = x.zip(y).map(f).collect();
    Some(Constant::floats(dims, data))
}

/// A function of words, whole numbers in all the width that they have at import.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "this is what a cast means")]
pub fn words(op: WordOp, all: &[&Constant], dims: Vec<usize>) -> Option<Constant> {
    let first = *all.first()?;
    match op {
        WordOp::Select => return select(all, dims),
        WordOp::FloatToWhole => {
            return Some(Constant::integers(dims, first.as_floats()?.iter().map(|&x| x as i64).collect()));
        }
        WordOp::WholeToFloat => {
            return Some(Constant::floats(dims, first.as_integers()?.iter().map(|&n| n as f32).collect()));
        }
        WordOp::FloatToTruth => {
            return Some(truths(dims, first.as_floats()?.iter().map(|&x| i64::from(x != 0.0)).collect()));
        }
        _ => {}
    }
    let second = *all.get(1)?;
    if let (Some(x), Some(y)) = (first.as_floats(), second.as_floats()) {
        let f = |(x, y): (f32, f32)| match op {
            WordOp::EqualFloat => Some(i64::from(x == y)),
            WordOp::LessFloat => Some(i64::from(x < y)),
            WordOp::LessOrEqualFloat => Some(i64::from(x <= y)),
            _ => None,
        };
        let data: Option<Vec<i64>> = side(x, first, &dims).zip(side(y, second, &dims)).map(f).collect();
        return Some(truths(dims, data?));
    }
    let (x, y) = (side(first.as_integers()?, first, &dims), side(second.as_integers()?, second, &dims));
    let narrow = |n: i64| if first.element == Element::Int32 { i64::from(n as i32) } else { n };
    let data: Option<Vec<i64>> = x.zip(y).map(|(x, y)| integers(op, x, y).map(narrow)).collect();
    let truth =
        !matches!(op, WordOp::Add | WordOp::Sub | WordOp::Mul | WordOp::Div | WordOp::Min | WordOp::Max | WordOp::Pow);
    let element = if truth { Element::Bool } else { first.element };
    Some(Constant::integers(dims, data?).with_element(element))
}

/// What goes beyond the width comes out at the other end, as in ONNX Runtime; none where there is no answer.
fn integers(op: WordOp, a: i64, b: i64) -> Option<i64> {
    match op {
        WordOp::Add => Some(a.wrapping_add(b)),
        WordOp::Sub => Some(a.wrapping_sub(b)),
        WordOp::Mul => Some(a.wrapping_mul(b)),
        WordOp::Div => (b != 0).then(|| a.wrapping_div(b)),
        WordOp::Min => Some(a.min(b)),
        WordOp::Max => Some(a.max(b)),
        WordOp::Pow => u32::try_from(b).ok().map(|b| a.wrapping_pow(b)),
        WordOp::And => Some(i64::from(a != 0 && b != 0)),
        WordOp::Or => Some(i64::from(a != 0 || b != 0)),
        WordOp::Xor => Some(i64::from((a != 0) != (b != 0))),
        WordOp::Equal => Some(i64::from(a == b)),
        WordOp::Less => Some(i64::from(a < b)),
        WordOp::LessOrEqual => Some(i64::from(a <= b)),
        _ => None,
    }
}

fn select(all: &[&Constant], dims: Vec<usize>) -> Option<Constant> {
    let &[a, b, condition] = all else { return None };
    let picks: Vec<bool> = side(condition.as_integers()?, condition, &dims).map(|c| c != 0).collect();
    match (&a.data, &b.data) {
        (Data::F32(x), Data::F32(y)) => {
            let pairs = side(x, a, &dims).zip(side(y, b, &dims)).zip(picks);
            let data = pairs.map(|((x, y), pick)| if pick { x } else { y }).collect();
            Some(Constant::floats(dims, data))
        }
        (Data::I64(x), Data::I64(y)) => {
            let pairs = side(x, a, &dims).zip(side(y, b, &dims)).zip(picks);
            let data = pairs.map(|((x, y), pick)| if pick { x } else { y }).collect();
            Some(Constant::integers(dims, data).with_element(a.element))
        }
        _ => None,
    }
}
