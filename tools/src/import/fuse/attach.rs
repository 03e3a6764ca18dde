//! Residual and activation move into the operation before them.

use kernels::params::{Activation, BinaryOp};

use super::super::graph::{Graph, Node};
use super::super::op::Op;
use super::{Facts, sides};

/// The activation of an operation that may have one.
fn slot(op: &mut Op) -> Option<&mut Activation> {
    match op {
        Op::Conv(_, activation) | Op::Gemm(_, activation) | Op::Binary(_, activation) => Some(activation),
        _ => None,
    }
}

/// An operation, then a function of one element: one operation.
pub fn activation(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let node = &graph.nodes[index];
    let Op::Unary(activation) = node.op else { return false };
    let (output, producer) = (node.output(), node.input(0).and_then(|id| facts.sole_maker(id)));
    let Some(producer) = producer else { return false };
    match slot(&mut graph.nodes[producer].op) {
        Some(slot) if *slot == Activation::NONE => *slot = activation,
        _ => return false,
    }
    graph.nodes[producer].outputs = vec![output];
    graph.nodes.remove(index);
    true
}

/// `Conv` or `Gemm`, then the sum with a tensor of the same shape: one operation with a residual.
pub fn residual(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let Some([a, b]) = sides(&graph.nodes[index], BinaryOp::Add) else { return false };
    if graph.dims(a) != graph.dims(b) || graph.constant(a).or(graph.constant(b)).is_some() || a == b {
        return false;
    }
    let takes = |id| {
        let maker = facts.sole_maker(id)?;
        takes_residual(graph, &graph.nodes[maker]).then_some(maker)
    };
    // The later of two candidates, so that the other one's result is there when it runs.
    let Some((producer, other)) = [takes(a).map(|p| (p, b)), takes(b).map(|p| (p, a))].into_iter().flatten().max()
    else {
        return false;
    };
    let mut fused = graph.nodes[producer].clone();
    fused.inputs.resize(3, None);
    fused.inputs.push(Some(other));
    fused.outputs = vec![graph.nodes[index].output()];
    // Where the sum stood both operands have been made.
    graph.nodes[index] = fused;
    graph.nodes.remove(producer);
    true
}

fn takes_residual(graph: &Graph, node: &Node) -> bool {
    let plain = match &node.op {
        // The depthwise kernel has no residual.
        Op::Conv(conv, activation) => {
            let channels = node.input(0).map_or(0, |id| graph.dims(id)[1]);
            *activation == Activation::NONE && (conv.groups == 1 || conv.groups != channels)
        }
        Op::Gemm(_, activation) => *activation == Activation::NONE,
        _ => false,
    };
    plain && node.input(3).is_none()
}
