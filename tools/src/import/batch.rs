//! One graph for each batch size: shapes inferred, shape arithmetic folded, fixed batches rewritten.

use super::constant::Constant;
use super::error::{ImportError, Why};
use super::fold;
use super::graph::{Graph, Node};
use super::index;
use super::op::Op;
use super::shape;

/// The graph for a batch of `n`, from a graph without shapes and the shapes of one item for each input.
///
/// Dimension 0 of each input becomes `n`. A constant `Reshape` that carries the batch 1 in front
/// carries `n` instead. What is known then, shapes foremost, is computed and leaves the graph.
pub fn instantiate(template: &Graph, items: &[Vec<usize>], n: usize) -> Result<Graph, ImportError> {
    let mut graph = template.clone();
    for (id, item) in graph.inputs.clone().into_iter().zip(items) {
        let dims = [&[n], item.as_slice()].concat();
        let value = &mut graph.values[id.0];
        index::elements(&dims).map_err(|why| ImportError::Tensor { role: "input", name: value.name.clone(), why })?;
        value.dims = dims;
    }
    let nodes = std::mem::take(&mut graph.nodes);
    for node in nodes {
        step(&mut graph, node, n)?;
    }
    graph.remove_dead();
    Ok(graph)
}

fn step(graph: &mut Graph, mut node: Node, n: usize) -> Result<(), ImportError> {
    if matches!(node.op, Op::Reshape { .. }) {
        rewrite(graph, &mut node, n);
    }
    let result = fold::evaluate(graph, &node);
    if let Some(constant) = result.map_err(|why| ImportError::at(&node, why))? {
        let value = &mut graph.values[node.output().0];
        value.dims = constant.dims.clone();
        value.constant = Some(constant);
        return Ok(());
    }
    let shapes = shape::infer(graph, &node).map_err(|why| ImportError::at(&node, why))?;
    // Outputs beyond those with a shape are read in training only: means, masks.
    node.outputs.truncate(shapes.len());
    for (&id, dims) in node.outputs.iter().zip(shapes) {
        if dims.contains(&0) {
            let why = Why::Shape { found: dims, wanted: "no dimension of 0" };
            return Err(ImportError::at(&node, why));
        }
        graph.values[id.0].dims = dims;
    }
    graph.nodes.push(node);
    Ok(())
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

/// Why a model can't be batched, and at which node or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbatchable {
    /// The first value whose batch is not to be found.
    pub value: String,
    /// Its shape at batch 1.
    pub dims: Vec<usize>,
}

/// Checks that batch 2 differs from batch 1 in exactly one dimension of every value, the first one
/// in each output, and that nothing is computed across that dimension.
pub fn check(one: &Graph, two: &Graph) -> Result<(), Unbatchable> {
    let fault = |value: &super::graph::Value| Unbatchable { value: value.name.clone(), dims: value.dims.clone() };
    if one.nodes.len() != two.nodes.len() {
        return Err(Unbatchable { value: "the number of operations".to_owned(), dims: vec![one.nodes.len()] });
    }
    for (a, b) in one.nodes.iter().zip(&two.nodes) {
        for (&x, &y) in a.outputs.iter().zip(&b.outputs) {
            let Some(axis) = doubled(one.dims(x), two.dims(y)) else { return Err(fault(one.value(x))) };
            if crosses(&a.op, axis, one.dims(x).len()) {
                return Err(fault(one.value(x)));
            }
        }
    }
    let outputs = one.outputs.iter().zip(&two.outputs);
    match outputs.into_iter().find(|&(&x, &y)| doubled(one.dims(x), two.dims(y)) != Some(0)) {
        Some((&x, _)) => Err(fault(one.value(x))),
        None => Ok(()),
    }
}

/// The one dimension that is twice as large.
fn doubled(one: &[usize], two: &[usize]) -> Option<usize> {
    if one.len() != two.len() {
        return None;
    }
    let mut differing = (0..one.len()).filter(|&i| one[i] != two[i]);
    let axis = differing.next()?;
    (two[axis] == 2 * one[axis] && differing.next().is_none()).then_some(axis)
}

/// Whether an operation that keeps the shape computes across `axis`.
fn crosses(op: &Op, axis: usize, rank: usize) -> bool {
    match op {
        Op::Softmax { axis: along, flatten } => {
            let along = index::axis(*along, rank).unwrap_or(0);
            if *flatten { axis >= along } else { axis == along }
        }
        Op::LayerNorm { .. } => axis + 1 == rank,
        _ => false,
    }
}
