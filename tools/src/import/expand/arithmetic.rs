//! Functions of elements: what floats, whole numbers and truth values have of their own.

use kernels::params::{Activation, ActivationKind, BinaryOp, WordOp};

use super::super::element::Element;
use super::super::error::Why;
use super::super::graph::ValueId;
use super::super::op::{Comparison, Op};
use super::Emitter;

fn not_built(element: Element) -> Why {
    Why::Type { found: element.number(), wanted: "this operator is built for floats only" }
}

/// A function of one whole number.
pub fn unary(out: &mut Emitter, activation: Activation) -> Result<bool, Why> {
    let element = out.element(0)?;
    if element == Element::Float {
        return Ok(false);
    }
    let x = out.input(0)?;
    let zero = out.whole(0, element);
    match ActivationKind::from_u32(activation.kind) {
        Some(ActivationKind::Affine) if activation.a == -1.0 && activation.b == 0.0 => {
            out.finish(Op::Words(WordOp::Sub), &[zero, x])
        }
        Some(ActivationKind::Abs) => {
            let negative = out.emit(Op::Words(WordOp::Sub), &[zero, x])?;
            out.finish(Op::Words(WordOp::Max), &[x, negative])
        }
        Some(ActivationKind::Relu) => out.finish(Op::Words(WordOp::Max), &[x, zero]),
        Some(ActivationKind::Sign) => {
            let (one, minus) = (out.whole(1, element), out.whole(-1, element));
            let low = out.emit(Op::Words(WordOp::Max), &[x, minus])?;
            out.finish(Op::Words(WordOp::Min), &[low, one])
        }
        _ => Err(not_built(element)),
    }
}

fn word_op(op: BinaryOp, element: Element) -> Result<WordOp, Why> {
    Ok(match op {
        BinaryOp::Add => WordOp::Add,
        BinaryOp::Sub => WordOp::Sub,
        BinaryOp::Mul => WordOp::Mul,
        BinaryOp::Div => WordOp::Div,
        BinaryOp::Min => WordOp::Min,
        BinaryOp::Max => WordOp::Max,
        BinaryOp::Pow => WordOp::Pow,
        BinaryOp::PRelu => return Err(not_built(element)),
    })
}

/// A function of two: as it is for floats, of words for whole numbers, and of floats where a power mixes them.
pub fn binary(out: &mut Emitter, op: BinaryOp) -> Result<bool, Why> {
    let types = [out.element(0)?, out.element(1)?];
    let (a, b) = (out.input(0)?, out.input(1)?);
    match types {
        [Element::Float, Element::Float] => Ok(false),
        [Element::Float, _] if op == BinaryOp::Pow => {
            let b = out.emit(Op::Cast { to: Element::Float }, &[b])?;
            out.finish(Op::Binary(op, Activation::NONE), &[a, b])
        }
        [element, Element::Float] if op == BinaryOp::Pow => {
            let a = out.emit(Op::Cast { to: Element::Float }, &[a])?;
            let power = out.binary(op, a, b)?;
            out.finish(Op::Cast { to: element }, &[power])
        }
        [Element::Uint8 | Element::Bool, _] | [_, Element::Uint8 | Element::Bool] => {
            let element = if matches!(types[0], Element::Uint8 | Element::Bool) { types[0] } else { types[1] };
            Err(Why::Type { found: element.number(), wanted: "arithmetic is built for float, int32 and int64" })
        }
        [x, y] if x == y || op == BinaryOp::Pow => out.finish(Op::Words(word_op(op, x)?), &[a, b]),
        _ => Err(Why::Form("its inputs have different types")),
    }
}

/// A function of many, from left to right.
pub fn many(out: &mut Emitter, op: BinaryOp) -> Result<bool, Why> {
    let parts: Vec<ValueId> = out.node.inputs.iter().copied().flatten().collect();
    let [first, middle @ .., last] = parts.as_slice() else {
        let only = out.input(0)?;
        return out.finish(Op::Identity, &[only]);
    };
    let mut left = *first;
    for &right in middle {
        left = out.binary(op, left, right)?;
    }
    out.finish(Op::Binary(op, Activation::NONE), &[left, *last])
}

/// A function of one element where its bounds are known and in order, else the larger and the smaller.
pub fn clip(out: &mut Emitter) -> Result<bool, Why> {
    let x = out.input(0)?;
    let bounds = [1, 2].map(|index| out.node.input(index));
    if out.element(0)? == Element::Float {
        let known = |id: Option<ValueId>, default: f32| match id {
            None => Some(default),
            Some(id) => out.graph.constant(id)?.scalar(),
        };
        if let (Some(low), Some(high)) = (known(bounds[0], f32::MIN), known(bounds[1], f32::MAX))
            && low <= high
        {
            return out.finish(Op::Unary(Activation::new(ActivationKind::Clip, low, high)), &[x]);
        }
    }
    let mut y = x;
    for (bound, op) in bounds.into_iter().zip([BinaryOp::Max, BinaryOp::Min]) {
        if let Some(bound) = bound {
            y = out.binary(op, y, bound)?;
        }
    }
    out.finish(Op::Identity, &[y])
}

/// A comparison of floats or of words.
pub fn compare(out: &mut Emitter, op: Comparison, swap: bool) -> Result<bool, Why> {
    let (a, b) = (out.input(0)?, out.input(1)?);
    let types = [out.element(0)?, out.element(1)?];
    let float = types[0] == Element::Float;
    if float != (types[1] == Element::Float) {
        return Err(Why::Form("it compares floats with whole numbers"));
    }
    let op = match (op, float) {
        (Comparison::Equal, false) => WordOp::Equal,
        (Comparison::Less, false) => WordOp::Less,
        (Comparison::LessOrEqual, false) => WordOp::LessOrEqual,
        (Comparison::Equal, true) => WordOp::EqualFloat,
        (Comparison::Less, true) => WordOp::LessFloat,
        (Comparison::LessOrEqual, true) => WordOp::LessOrEqualFloat,
    };
    let sides = if swap { [b, a] } else { [a, b] };
    out.finish(Op::Words(op), &sides)
}

/// Truth is what is 0.
pub fn not(out: &mut Emitter) -> Result<bool, Why> {
    let (x, element) = (out.input(0)?, out.element(0)?);
    if element != Element::Bool {
        return Err(Why::Type { found: element.number(), wanted: "truth values" });
    }
    let zero = out.whole(0, element);
    out.finish(Op::Words(WordOp::Equal), &[x, zero])
}

/// The condition goes last.
pub fn choice(out: &mut Emitter) -> Result<bool, Why> {
    let (condition, a, b) = (out.input(0)?, out.input(1)?, out.input(2)?);
    if out.element(1)? != out.element(2)? {
        return Err(Why::Form("its inputs have different types"));
    }
    out.finish(Op::Words(WordOp::Select), &[a, b, condition])
}

/// What changes no word stays a cast; the rest is a function of words.
pub fn cast(out: &mut Emitter, to: Element) -> Result<bool, Why> {
    let (x, from) = (out.input(0)?, out.element(0)?);
    match (from, to) {
        (Element::Float, Element::Float) => out.finish(Op::Identity, &[x]),
        (Element::Float, Element::Bool) => out.finish(Op::Words(WordOp::FloatToTruth), &[x]),
        (_, Element::Uint8) if from != Element::Bool && from != Element::Uint8 => {
            Err(Why::Type { found: to.number(), wanted: "casts to float, int32, int64 and bool" })
        }
        (Element::Float, _) => {
            let whole = out.emit(Op::Words(WordOp::FloatToWhole), &[x])?;
            if to == Element::Int64 {
                return out.finish(Op::Identity, &[whole]);
            }
            out.finish(Op::Cast { to }, &[whole])
        }
        (_, Element::Float) => out.finish(Op::Words(WordOp::WholeToFloat), &[x]),
        (Element::Bool, _) => Ok(false),
        (_, Element::Bool) => {
            let zero = out.whole(0, from);
            let is_zero = out.emit(Op::Words(WordOp::Equal), &[x, zero])?;
            out.finish(Op::Not, &[is_zero])
        }
        _ => Ok(false),
    }
}
