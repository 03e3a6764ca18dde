//! Reductions, and what runs along an axis.

use kernels::params::{Activation, ActivationKind, BinaryOp, FoldOp, ReduceKind};

use super::super::element::Element;
use super::super::error::Why;
use super::super::graph::ValueId;
use super::super::index;
use super::super::op::{Op, Reduction};
use super::Emitter;

/// Which dimensions go; none: it changes no shape.
fn axes_of(out: &Emitter, axes: Option<&Vec<i64>>, none: bool) -> Result<Option<Vec<usize>>, Why> {
    let rank = out.dims(0)?.len();
    let given = match axes {
        Some(axes) => Some(axes.clone()),
        None => out.integers_at(1)?,
    };
    match given {
        Some(axes) if !axes.is_empty() => index::axes(&axes, rank).map(Some),
        _ if none => Ok(None),
        _ => Ok(Some((0..rank).collect())),
    }
}

/// Sum, mean and maximum are kernels; the others follow from them.
pub fn reduction(
    out: &mut Emitter,
    kind: Reduction,
    axes: Option<&Vec<i64>>,
    [keep, none]: [bool; 2],
) -> Result<bool, Why> {
    let axes = axes_of(out, axes, none)?;
    let (x, element) = (out.input(0)?, out.element(0)?);
    if element.is_whole() {
        return whole(out, kind, axes, keep);
    }
    let before = match kind {
        Reduction::Min => out.unary(ActivationKind::Affine, [-1.0, 0.0], x)?,
        Reduction::L1 => out.unary(ActivationKind::Abs, [0.0; 2], x)?,
        Reduction::L2 | Reduction::SumSquare => out.binary(BinaryOp::Mul, x, x)?,
        Reduction::Sum | Reduction::Mean | Reduction::Max => x,
    };
    let after = match kind {
        Reduction::Min => Some(Activation::new(ActivationKind::Affine, -1.0, 0.0)),
        Reduction::L2 => Some(Activation::new(ActivationKind::Sqrt, 0.0, 0.0)),
        _ => None,
    };
    let reduce = match &axes {
        None => Op::Identity,
        Some(axes) => {
            let kind = match kind {
                Reduction::Mean => ReduceKind::Mean,
                Reduction::Max | Reduction::Min => ReduceKind::Max,
                _ => ReduceKind::Sum,
            };
            let axes = axes.iter().map(|&axis| i64::try_from(axis).unwrap_or(i64::MAX)).collect();
            Op::Reduce { kind, axes: Some(axes), keep }
        }
    };
    match after {
        None => out.finish(reduce, &[before]),
        Some(after) => {
            let reduced = out.emit(reduce, &[before])?;
            out.finish(Op::Unary(after), &[reduced])
        }
    }
}

/// A reduction of whole numbers or truth values.
fn whole(out: &mut Emitter, kind: Reduction, axes: Option<Vec<usize>>, keep: bool) -> Result<bool, Why> {
    let (x, dims, element) = (out.input(0)?, out.dims(0)?, out.element(0)?);
    let op = match kind {
        Reduction::Sum if element != Element::Bool => FoldOp::Sum,
        Reduction::Max => FoldOp::Max,
        Reduction::Min => FoldOp::Min,
        _ => return Err(Why::Type { found: element.number(), wanted: "this reduction is built for floats only" }),
    };
    let Some(axes) = axes else { return out.finish(Op::Identity, &[x]) };
    let kept = (0..dims.len()).filter(|axis| keep || !axes.contains(axis));
    let shape = kept.map(|axis| if axes.contains(&axis) { 1 } else { dims[axis] }).collect();
    let folded = out.emit(Op::Fold { op, axes, running: false, exclusive: false, reverse: false }, &[x])?;
    out.finish(Op::Into { dims: shape }, &[folded])
}

/// The place of the first in order.
pub fn arg_max(out: &mut Emitter, axis: i64, [keep, largest, last]: [bool; 3]) -> Result<bool, Why> {
    let (x, mut dims) = (out.input(0)?, out.dims(0)?);
    let axis = index::axis(axis, dims.len())?;
    let along = i64::try_from(axis).unwrap_or(i64::MAX);
    let both: Vec<ValueId> = out.emit_many(Op::TopK { axis: along, k: Some(1), largest, last }, &[x], 2)?;
    if keep {
        dims[axis] = 1;
    } else {
        dims.remove(axis);
    }
    out.finish(Op::Into { dims }, &[both[1]])
}

/// Sums that run along an axis.
pub fn cum_sum(out: &mut Emitter, [exclusive, reverse]: [bool; 2]) -> Result<bool, Why> {
    let (x, rank) = (out.input(0)?, out.dims(0)?.len());
    let axis = out.integers_at(1)?.ok_or(Why::MissingInput { index: 1 })?;
    let &[axis] = axis.as_slice() else { return Err(Why::Form("its axis is not one number")) };
    let op = match out.element(0)? {
        Element::Float => FoldOp::SumFloat,
        Element::Int32 | Element::Int64 => FoldOp::Sum,
        other => return Err(Why::Type { found: other.number(), wanted: "float, int32 or int64" }),
    };
    let axes = vec![index::axis(axis, rank)?];
    out.finish(Op::Fold { op, axes, running: true, exclusive, reverse }, &[x])
}
