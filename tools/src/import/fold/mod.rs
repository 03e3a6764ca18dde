//! Computing at import what depends on constants and shapes alone.

mod arrange;
mod elements;

use kernels::params::{FoldOp, ReduceKind};

use super::constant::{Constant, Data};
use super::element::Element;
use super::error::Why;
use super::graph::{Graph, Node};
use super::index;
use super::op::Op;
use super::shape;

/// The outputs of `node` whose values are known at import. Shapes of the inputs must be known.
pub fn evaluate(graph: &Graph, node: &Node) -> Result<Option<Vec<Constant>>, Why> {
    match &node.op {
        Op::Constant(constant) => return Ok(Some(vec![constant.clone()])),
        Op::Shape { start, end } => return Ok(Some(vec![shape_of(graph, node, *start, *end)?])),
        Op::Size => {
            let dims = graph.dims(node.input(0).ok_or(Why::MissingInput { index: 0 })?);
            return Ok(Some(vec![Constant::integers(vec![], vec![whole(index::elements(dims)?)])]));
        }
        _ => {}
    }
    let all: Option<Vec<&Constant>> = node.inputs.iter().flatten().map(|&id| graph.constant(id)).collect();
    let Some(all) = all.filter(|all| !all.is_empty()) else { return Ok(None) };
    let first = all[0];
    // Before it is made: twice, since it is gathered before it is kept. Some have no shape before they are spelled out.
    let shapes = match shape::infer(graph, node) {
        Err(why @ Why::TooLarge { .. }) => return Err(why),
        shapes => shapes.unwrap_or_default(),
    };
    let wanted: usize = shapes.iter().map(|dims| dims.iter().product::<usize>()).sum();
    graph.check_room(2 * size_of::<i64>() * wanted)?;
    if let Op::Split { .. } = &node.op {
        return arrange::split(graph, node, first).map(Some);
    }
    let one = match &node.op {
        Op::ConstantOfShape { value } => Some(filled(graph, first, value)?),
        Op::Range => Some(range(graph, &all)?),
        Op::Identity => Some(first.clone()),
        Op::Cast { to } => elements::cast(first, *to),
        Op::Unary(activation) => elements::unary(*activation, first),
        Op::Binary(op, _) => elements::binary(*op, &all, shape_from(graph, node)?),
        Op::Words(op) => elements::words(*op, &all, shape_from(graph, node)?),
        Op::Reduce { kind, .. } => reduce(graph, node, *kind, first)?,
        Op::Fold { op, axes, running: false, .. } => folded(*op, axes, first, shape_from(graph, node)?),
        _ => arrange::arrange(graph, node, &all)?,
    };
    Ok(one.map(|constant| vec![constant]))
}

fn shape_from(graph: &Graph, node: &Node) -> Result<Vec<usize>, Why> {
    Ok(shape::infer(graph, node)?.swap_remove(0))
}

fn whole(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn shape_of(graph: &Graph, node: &Node, start: i64, end: Option<i64>) -> Result<Constant, Why> {
    let dims = graph.dims(node.input(0).ok_or(Why::MissingInput { index: 0 })?);
    let range = index::range(dims.len(), start, end.unwrap_or(i64::MAX), 1)?;
    let part = &dims[range.first.min(dims.len())..][..range.count];
    Ok(Constant::integers(vec![part.len()], part.iter().map(|&dim| whole(dim)).collect()))
}

fn filled(graph: &Graph, dims: &Constant, value: &Constant) -> Result<Constant, Why> {
    let dims = dims.as_integers().ok_or(Why::NotConstant { index: 0 })?;
    let dims: Vec<usize> = dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
    let count = index::elements(&dims)?;
    graph.check_room(2 * size_of::<i64>() * count)?;
    match &value.data {
        Data::F32(data) if data.len() == 1 => Ok(Constant::floats(dims, vec![data[0]; count])),
        Data::I64(data) if data.len() == 1 => {
            Ok(Constant::integers(dims, vec![data[0]; count]).with_element(value.element))
        }
        _ => Err(Why::Form("its value is not one element")),
    }
}

/// Numbers from a first one, before a last one, by steps.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "bounded")]
fn range(graph: &Graph, bounds: &[&Constant]) -> Result<Constant, Why> {
    let wrong = || Why::Form("its bounds and its step are not three numbers of one type, the step not 0");
    let &[start, limit, delta] = bounds else { return Err(wrong()) };
    let only = |constant: &Constant| match constant.as_integers() {
        Some(&[only]) => Some(only),
        _ => None,
    };
    let count = match (only(start), only(limit), only(delta)) {
        (Some(first), Some(last), Some(step)) if step != 0 => {
            ((last as f64 - first as f64) / step as f64).ceil().max(0.0)
        }
        _ => {
            let [first, last, step] = [start, limit, delta].map(|number| number.scalar().map(f64::from));
            let (first, last, step) = (first.ok_or_else(wrong)?, last.ok_or_else(wrong)?, step.ok_or_else(wrong)?);
            ((last - first) / step).ceil().max(0.0)
        }
    };
    if !count.is_finite() || count > index::MAX_ELEMENTS as f64 {
        return Err(wrong());
    }
    let count = count as usize;
    graph.check_room(2 * size_of::<i64>() * count)?;
    if let (Some(first), Some(step)) = (only(start), only(delta)) {
        let data = (0..count).map(|i| first.wrapping_add(step.wrapping_mul(whole(i)))).collect();
        return Ok(Constant::integers(vec![count], data).with_element(start.element));
    }
    let (first, step) = (start.scalar().ok_or_else(wrong)?, delta.scalar().ok_or_else(wrong)?);
    let data = (0..count).map(|i| (f64::from(first) + i as f64 * f64::from(step)) as f32).collect();
    Ok(Constant::floats(vec![count], data))
}

/// For each element of a tensor of `dims`: that of the tensor without `axes` (kept as 1) to which it goes.
fn targets(dims: &[usize], axes: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let small: Vec<usize> = dims.iter().enumerate().map(|(i, &d)| if axes.contains(&i) { 1 } else { d }).collect();
    index::walk(dims, &index::broadcast_strides(&small, dims), 0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "summed in f64, rounded once")]
fn reduce(graph: &Graph, node: &Node, kind: ReduceKind, x: &Constant) -> Result<Option<Constant>, Why> {
    let Some(data) = x.as_floats() else { return Ok(None) };
    let axes = shape::reduced_axes(graph, node)?;
    let dims = shape_from(graph, node)?;
    let start = if kind == ReduceKind::Max { f64::NEG_INFINITY } else { 0.0 };
    let mut sums = vec![start; dims.iter().product()];
    for (target, &value) in targets(&x.dims, &axes).zip(data) {
        let value = f64::from(value);
        sums[target] = if kind == ReduceKind::Max { sums[target].max(value) } else { sums[target] + value };
    }
    let share = if kind == ReduceKind::Mean { data.len() as f64 / sums.len().max(1) as f64 } else { 1.0 };
    Ok(Some(Constant::floats(dims, sums.iter().map(|sum| (sum / share) as f32).collect())))
}

fn folded(op: FoldOp, axes: &[usize], x: &Constant, dims: Vec<usize>) -> Option<Constant> {
    let data = x.as_integers()?;
    let mut results: Vec<Option<i64>> = vec![None; dims.iter().product()];
    for (target, &value) in targets(&x.dims, axes).zip(data) {
        let join = |so_far: i64| match op {
            FoldOp::Max => so_far.max(value),
            FoldOp::Min => so_far.min(value),
            FoldOp::Sum | FoldOp::SumFloat => so_far.wrapping_add(value),
        };
        results[target] = Some(results[target].map_or(value, join));
    }
    let data: Option<Vec<i64>> = results.into_iter().collect();
    Some(Constant::integers(dims, data?).with_element(x.element))
}

/// A constant of truth values.
fn truths(dims: Vec<usize>, data: Vec<i64>) -> Constant {
    Constant::integers(dims, data).with_element(Element::Bool)
}
