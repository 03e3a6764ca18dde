//! Normalisations.

use kernels::params::{Activation, ActivationKind, BinaryOp, ReduceKind};

use super::super::constant::Constant;
use super::super::error::Why;
use super::super::graph::ValueId;
use super::super::index;
use super::super::op::Op;
use super::{Emitter, Taps, movement};

fn mean(axes: Vec<usize>) -> Op {
    let axes = axes.into_iter().map(|axis| i64::try_from(axis).unwrap_or(i64::MAX)).collect();
    Op::Reduce { kind: ReduceKind::Mean, axes: Some(axes), keep: true }
}

/// A single number has no axis.
pub fn of_one(_: &mut Emitter, axis: i64) -> Result<bool, Why> {
    index::axis(axis, 0).map(|_| false)
}

/// `x - max - ln(sum of exp(x - max))`
pub fn log_softmax(out: &mut Emitter, axis: i64, flatten: bool) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let first = index::axis(axis, dims.len())?;
    let axes: Vec<i64> = (first..if flatten { dims.len() } else { first + 1 })
        .map(|axis| i64::try_from(axis).unwrap_or(i64::MAX))
        .collect();
    let over = |kind| Op::Reduce { kind, axes: Some(axes.clone()), keep: true };
    let largest = out.emit(over(ReduceKind::Max), &[x])?;
    let shifted = out.binary(BinaryOp::Sub, x, largest)?;
    let exp = out.unary(ActivationKind::Exp, [0.0; 2], shifted)?;
    let sum = out.emit(over(ReduceKind::Sum), &[exp])?;
    let log = out.unary(ActivationKind::Log, [0.0; 2], sum)?;
    out.finish(Op::Binary(BinaryOp::Sub, Activation::NONE), &[shifted, log])
}

/// `(x - mean) / deviation` over `axes`, with the mean and the inverse of the deviation.
fn centred(out: &mut Emitter, x: ValueId, axes: Vec<usize>, epsilon: f32) -> Result<[ValueId; 3], Why> {
    let middle = out.emit(mean(axes.clone()), &[x])?;
    let centred = out.binary(BinaryOp::Sub, x, middle)?;
    let square = out.binary(BinaryOp::Mul, centred, centred)?;
    let variance = out.emit(mean(axes), &[square])?;
    let shifted = out.unary(ActivationKind::Affine, [1.0, epsilon], variance)?;
    let deviation = out.unary(ActivationKind::Sqrt, [0.0; 2], shifted)?;
    let inverse = out.unary(ActivationKind::Reciprocal, [0.0; 2], deviation)?;
    let normal = out.binary(BinaryOp::Div, centred, deviation)?;
    Ok([normal, middle, inverse])
}

/// Over the last dimension it stays; over several they become one; with more outputs it is spelled out.
pub fn layer(out: &mut Emitter, axis: i64, epsilon: f32) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let first = index::axis(axis, dims.len())?;
    let scale = out.input(1)?;
    let known = [1, 2].iter().all(|&index| out.node.input(index).is_none() || out.constant_at(index).is_some());
    let len: usize = dims[first..].iter().product();
    // A shape with as many elements may still be another: one value a row instead of one a column.
    let trimmed = |dims: &[usize]| dims.iter().copied().skip_while(|&dim| dim == 1).collect::<Vec<_>>();
    let whole = |id: ValueId, out: &Emitter| trimmed(out.graph.dims(id)) == trimmed(&dims[first..]);
    let full = whole(scale, out) && out.node.input(2).is_none_or(|bias| whole(bias, out));
    if out.node.outputs.len() == 1 && known && full {
        if first + 1 == dims.len() && out.graph.dims(scale).len() == 1 {
            return Ok(false);
        }
        let rows = out.reshaped(x, vec![dims[..first].iter().product(), len])?;
        let mut inputs = vec![rows];
        for index in 1..3 {
            if let Some(id) = out.node.input(index) {
                inputs.push(out.reshaped(id, vec![len])?);
            }
        }
        let normal = out.emit(Op::LayerNorm { axis: 1, epsilon }, &inputs)?;
        return out.finish(Op::Into { dims }, &[normal]);
    }
    let [mut y, middle, inverse] = centred(out, x, (first..dims.len()).collect(), epsilon)?;
    y = out.binary(BinaryOp::Mul, y, scale)?;
    if let Some(bias) = out.node.input(2) {
        y = out.binary(BinaryOp::Add, y, bias)?;
    }
    for (&output, value) in out.node.outputs.iter().zip([y, middle, inverse]) {
        out.put(Op::Identity, &[value], vec![output])?;
    }
    Ok(true)
}

/// Rows of a channel each, normalised, then scaled by channel.
pub fn instance(out: &mut Emitter, epsilon: f32) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let [n, channels, ref rest @ ..] = *dims.as_slice() else {
        return Err(Why::Shape { found: dims, wanted: "items and channels" });
    };
    let len: usize = rest.iter().product();
    let rows = out.reshaped(x, vec![n * channels, len])?;
    out.graph.check_room(size_of::<f32>().saturating_mul(len))?;
    let ones = out.constant(Constant::floats(vec![len], vec![1.0; len]));
    let normal = out.emit(Op::LayerNorm { axis: 1, epsilon }, &[rows, ones])?;
    let normal = out.reshaped(normal, dims.clone())?;
    scaled(out, normal, [1, 2], dims.len())
}

/// `x scale + bias`, both by channel.
fn scaled(out: &mut Emitter, x: ValueId, [scale, bias]: [usize; 2], rank: usize) -> Result<bool, Why> {
    let scale = by_channel(out, scale, rank)?;
    let bias = by_channel(out, bias, rank)?;
    let product = out.binary(BinaryOp::Mul, x, scale)?;
    out.finish(Op::Binary(BinaryOp::Add, Activation::NONE), &[product, bias])
}

/// An input of one value a channel, to be broadcast over a tensor of `rank`.
fn by_channel(out: &mut Emitter, index: usize, rank: usize) -> Result<ValueId, Why> {
    let id = out.input(index)?;
    let channels = out.graph.dims(id).iter().product();
    out.reshaped(id, [vec![channels], vec![1; rank.saturating_sub(2)]].concat())
}

/// With constant statistics it stays.
pub fn batch(out: &mut Emitter, epsilon: f32) -> Result<bool, Why> {
    let dims = out.dims(0)?;
    let channels = dims.get(1).copied().unwrap_or(1);
    for index in 1..5 {
        let found = out.dims(index)?;
        if found != [channels] {
            return Err(Why::Shape { found, wanted: "one value a channel" });
        }
    }
    if dims.len() >= 2 && (1..5).all(|index| out.constant_at(index).is_some()) {
        return Ok(false);
    }
    let x = out.input(0)?;
    let rank = dims.len();
    let (mean, variance) = (by_channel(out, 3, rank)?, by_channel(out, 4, rank)?);
    let centred = out.binary(BinaryOp::Sub, x, mean)?;
    let shifted = out.unary(ActivationKind::Affine, [1.0, epsilon], variance)?;
    let deviation = out.unary(ActivationKind::Sqrt, [0.0; 2], shifted)?;
    let normal = out.binary(BinaryOp::Div, centred, deviation)?;
    scaled(out, normal, [1, 2], rank)
}

/// `x / (bias + alpha mean of squares)^beta`, the mean over `size` channels around each.
#[expect(clippy::cast_precision_loss, reason = "few channels")]
pub fn local(out: &mut Emitter, [alpha, beta, bias]: [f32; 3], size: usize) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let &[_, channels, ..] = dims.as_slice() else {
        return Err(Why::Shape { found: dims, wanted: "items and channels" });
    };
    movement::bounded(&[channels, size.min(channels)])?;
    let weight = alpha / size as f32;
    let sums: Vec<Vec<(Option<usize>, f32)>> = (0..channels)
        .map(|c| {
            let last = (c + (size - 1).div_ceil(2)).min(channels - 1);
            (c.saturating_sub((size - 1) / 2)..=last).map(|place| (Some(place), weight)).collect()
        })
        .collect();
    let square = out.binary(BinaryOp::Mul, x, x)?;
    let sum = out.emit(Op::Resample { axis: 1, taps: Taps::new(&sums, 0.0) }, &[square])?;
    let sum = out.unary(ActivationKind::Affine, [1.0, bias], sum)?;
    let exponent = out.number(beta);
    let power = out.binary(BinaryOp::Pow, sum, exponent)?;
    out.finish(Op::Binary(BinaryOp::Div, Activation::NONE), &[x, power])
}
