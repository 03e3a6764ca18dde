//! One graph for each batch size: shapes inferred, shape arithmetic folded, fixed batches rewritten.

use std::fmt;

use runtime::base::{BatchSize, ShapeId};

use super::constant::Constant;
use super::element;
use super::error::{ImportError, Why};
use super::expand;
use super::fold;
use super::graph::{Graph, Node};
use super::index;
use super::op::Op;
use super::prove::Difference;
use super::shape;

/// The graph for inputs of these whole shapes, from a graph without shapes. The batch `n` is dimension 0
/// of each, or does not occur.
///
/// A constant `Reshape` that carries the batch 1 in front carries `n` instead. What is known then,
/// shapes foremost, is computed and leaves the graph.
pub fn shaped(template: &Graph, shapes: &[Vec<usize>], n: usize) -> Result<Graph, ImportError> {
    let mut graph = template.clone();
    for (id, dims) in graph.inputs.clone().into_iter().zip(shapes) {
        let value = &mut graph.values[id.0];
        index::elements(dims).map_err(|why| ImportError::Tensor { role: "input", name: value.name.clone(), why })?;
        value.dims.clone_from(dims);
    }
    let uses = graph.uses();
    let nodes = std::mem::take(&mut graph.nodes);
    for mut node in nodes {
        if matches!(node.op, Op::Reshape { .. }) {
            rewrite(&mut graph, &mut node, n);
        }
        // Outputs that nobody reads need not be made: means, masks, places of maxima.
        while node.outputs.len() > 1 && node.outputs.last().is_some_and(|id| uses[id.0] == 0) && may_lack(&node.op) {
            node.outputs.pop();
        }
        let (name, operator) = (node.name.clone(), node.operator.clone());
        step(&mut graph, node, n).map_err(|why| ImportError::Node { node: name, operator, why })?;
    }
    graph.remove_dead();
    Ok(graph)
}

/// Whether outputs behind the first may be left out.
fn may_lack(op: &Op) -> bool {
    !matches!(op, Op::Split { .. } | Op::TopK { .. })
}

/// Adds one node: folded if it is known, spelled out if the target has no kernel for it.
pub fn step(graph: &mut Graph, node: Node, n: usize) -> Result<(), Why> {
    if let Some(constants) = fold::evaluate(graph, &node)? {
        if node.outputs.len() > constants.len() {
            return Err(Why::Form("only its first output is built"));
        }
        for (&id, constant) in node.outputs.iter().zip(constants) {
            graph.set_constant(id, constant);
        }
        return Ok(());
    }
    if expand::expand(graph, &node, n)? {
        let made = |id| graph.constant(id).is_some() || graph.nodes.iter().any(|node| node.outputs.contains(&id));
        let all = node.outputs.len() == 1 || node.outputs.iter().all(|&id| made(id));
        return if all { Ok(()) } else { Err(Why::Form("only its first output is built")) };
    }
    element::check(graph, &node)?;
    let read = node.inputs.iter().flatten().map(|&id| graph.dims(id));
    if let Some(empty) = read.into_iter().find(|dims| dims.contains(&0)) {
        return Err(Why::Shape { found: empty.to_vec(), wanted: "no dimension of 0" });
    }
    graph.check_room(table_bytes(&node.op))?;
    graph.spent += table_bytes(&node.op);
    let shapes = shape::infer(graph, &node)?;
    if node.outputs.len() > shapes.len() {
        return Err(Why::Form("only its first output is built"));
    }
    let elements = element::infer(graph, &node);
    for (i, (&id, dims)) in node.outputs.iter().zip(shapes).enumerate() {
        if dims.contains(&0) {
            return Err(Why::Shape { found: dims, wanted: "no dimension of 0" });
        }
        graph.values[id.0].dims = dims;
        graph.values[id.0].element = elements[i.min(elements.len() - 1)];
    }
    graph.nodes.push(node);
    Ok(())
}

/// Bytes of the tables that an operation carries.
fn table_bytes(op: &Op) -> usize {
    match op {
        Op::Pick(map) => map.axes.iter().map(|axis| size_of_val::<[Option<usize>]>(axis)).sum(),
        Op::Resample { taps, .. } => size_of_val::<[(Option<usize>, f32)]>(&taps.taps),
        _ => 0,
    }
}

/// Lets a constant target that begins with the batch 1 begin with `n`.
fn rewrite(graph: &mut Graph, node: &mut Node, n: usize) {
    let (Some(data), Some(target)) = (node.input(0), node.input(1)) else { return };
    if graph.constant(data).is_some() || graph.dims(data).first() != Some(&n) {
        return;
    }
    let Some(&[1, ref rest @ ..]) = graph.constant(target).and_then(Constant::as_integers) else { return };
    let mut changed = vec![i64::try_from(n).unwrap_or(i64::MAX)];
    changed.extend(rest);
    let name = format!("{} for batch {n}", graph.value(target).name);
    node.inputs[1] = Some(graph.add_constant(name, Constant::integers(vec![changed.len()], changed)));
}

/// Why a model can't be batched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unbatchable {
    /// An input or output has no batch as dimension 0: an item is all of it.
    NoBatch,
    /// The batch is not to be found in a value.
    Value {
        /// The first such value.
        value: String,
        /// Its shape at batch 1.
        dims: Vec<usize>,
    },
    /// The model has no meaning in a batch, or one that is not built.
    Refused {
        /// Items of the batch.
        batch: usize,
        /// The node, and what is wrong with it.
        why: String,
    },
    /// Shapes hold, numbers don't.
    Number(Difference),
}

impl fmt::Display for Unbatchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unbatchable::NoBatch => {
                write!(f, "an input or output has no batch as its first dimension; an item is all of it")
            }
            Unbatchable::Value { value, dims } => {
                write!(f, "the batch is not to be followed through `{value}` {dims:?}")
            }
            Unbatchable::Refused { batch, why } => write!(f, "in a batch of {batch}, {why}"),
            Unbatchable::Number(difference) => difference.fmt(f),
        }
    }
}

/// The smallest batch that a limit forbids; larger ones are not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// Shape variant.
    pub shape: ShapeId,
    /// Batch size.
    pub batch: BatchSize,
    /// Which limit, and where.
    pub why: String,
}

/// Checks that a batch of `n`, more than one, differs from batch 1 in exactly one dimension of every value, the first
/// one in each output, and that nothing is computed across that dimension.
pub fn check(one: &Graph, many: &Graph, n: usize) -> Result<(), Unbatchable> {
    let fault =
        |value: &super::graph::Value| Unbatchable::Value { value: value.name.clone(), dims: value.dims.clone() };
    if one.nodes.len() != many.nodes.len() {
        return Err(Unbatchable::Value { value: "the number of operations".to_owned(), dims: vec![one.nodes.len()] });
    }
    for (a, b) in one.nodes.iter().zip(&many.nodes) {
        for (&x, &y) in a.outputs.iter().zip(&b.outputs) {
            let Some(axis) = multiplied(one.dims(x), many.dims(y), n) else { return Err(fault(one.value(x))) };
            if crosses(many, b, axis) || moved([one, many], [a, b], axis, n) {
                return Err(fault(one.value(x)));
            }
        }
    }
    let outputs = one.outputs.iter().zip(&many.outputs);
    match outputs.into_iter().find(|&(&x, &y)| multiplied(one.dims(x), many.dims(y), n) != Some(0)) {
        Some((&x, _)) => Err(fault(one.value(x))),
        None => Ok(()),
    }
}

/// The one dimension that is `n` times as large.
fn multiplied(one: &[usize], many: &[usize], n: usize) -> Option<usize> {
    if one.len() != many.len() {
        return None;
    }
    let mut differing = (0..one.len()).filter(|&i| one[i] != many[i]);
    let axis = differing.next()?;
    (many[axis] == n * one[axis] && differing.next().is_none()).then_some(axis)
}

/// Whether another shape puts the batch elsewhere among the elements: other dimensions lie before it.
fn moved([one, many]: [&Graph; 2], [a, b]: [&Node; 2], axis: usize, n: usize) -> bool {
    let reshapes = matches!(
        a.op,
        Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } | Op::Into { .. }
    );
    let (Some(x), Some(y)) = (a.input(0).filter(|_| reshapes), b.input(0)) else { return false };
    let before = |dims: &[usize]| dims.iter().product::<usize>();
    match multiplied(one.dims(x), many.dims(y), n) {
        Some(from) => before(&one.dims(x)[..from]) != before(&one.dims(a.output())[..axis]),
        None => false,
    }
}

/// Whether an operation computes across dimension `axis` of its result, which is the batch.
fn crosses(graph: &Graph, node: &Node, axis: usize) -> bool {
    let rank = graph.dims(node.output()).len();
    let is = |along: i64| index::axis(along, rank).is_ok_and(|along| along == axis);
    let variable = node.input(0).is_some_and(|id| graph.constant(id).is_none());
    match &node.op {
        Op::Softmax { axis: along, flatten } => {
            let first = index::axis(*along, rank).unwrap_or(0);
            if *flatten { axis >= first } else { axis == first }
        }
        Op::LayerNorm { .. } => axis + 1 == rank,
        Op::TopK { axis: along, .. } => is(*along),
        Op::GatherElements { axis: along } => is(*along),
        Op::Gather { axis: along } => variable && is(*along),
        Op::GatherNd { batch_dims } => variable && usize::try_from(*batch_dims).is_ok_and(|n| n <= axis),
        Op::Fold { axes, .. } => axes.contains(&axis),
        Op::Resample { axis: along, .. } => *along == axis,
        Op::Pick(map) => map.axes[axis].iter().enumerate().any(|(i, place)| *place != Some(i)),
        _ => false,
    }
}
