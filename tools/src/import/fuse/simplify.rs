//! Operations that are nothing, or a simpler one.

use std::collections::HashMap;

use kernels::params::{Activation, BinaryOp, PoolKind, ReduceKind};

use super::super::constant::Constant;
use super::super::graph::{Graph, Node, ValueId};
use super::super::op::{Gemm, Op};
use super::super::shape;
use super::{Facts, affine, with_number};

/// `Identity`, and a sum, product or quotient that changes nothing, go away: all in one pass, of which a model may have
/// thousands.
pub fn identities(graph: &mut Graph) {
    let mut instead: HashMap<ValueId, ValueId> = HashMap::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        for id in node.inputs.iter_mut().flatten() {
            *id = instead.get(id).copied().unwrap_or(*id);
        }
        // An output must be made by some node, and under its own name.
        match unchanged(graph, &node).filter(|_| !graph.outputs.contains(&node.output())) {
            Some(same) => drop(instead.insert(node.output(), same)),
            None => graph.nodes.push(node),
        }
    }
}

/// The value that the node gives on as it is.
fn unchanged(graph: &Graph, node: &Node) -> Option<ValueId> {
    let neutral = [(BinaryOp::Mul, 1.0), (BinaryOp::Div, 1.0), (BinaryOp::Add, 0.0), (BinaryOp::Sub, 0.0)];
    let same = match node.op {
        Op::Identity | Op::Cast { .. } => node.input(0),
        Op::Binary(..) => neutral.into_iter().find_map(|(op, number)| with_number(graph, node, op, number)),
        Op::Unary(activation) if activation == Activation::NONE => node.input(0),
        _ => None,
    };
    same.filter(|&same| graph.dims(same) == graph.dims(node.output()))
}

/// A product with a constant matrix becomes a `Gemm`, whose left side may have any rank.
pub fn matmul(graph: &mut Graph, _: &Facts, index: usize) -> bool {
    let node = &graph.nodes[index];
    let Op::MatMul { scale } = node.op else { return false };
    if scale != 1.0 || graph.constant_input(node, 1).is_none_or(|weights| weights.dims.len() != 2) {
        return false;
    }
    let gemm = Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
    graph.nodes[index].op = Op::Gemm(gemm, Activation::NONE);
    true
}

/// A mean or maximum over height and width becomes a pool over the whole image.
pub fn global_mean(graph: &mut Graph, _: &Facts, index: usize) -> bool {
    let node = &graph.nodes[index];
    let kind = match node.op {
        Op::Reduce { kind: ReduceKind::Mean, keep: true, .. } => PoolKind::Average,
        Op::Reduce { kind: ReduceKind::Max, keep: true, .. } => PoolKind::Max,
        _ => return false,
    };
    let image = node.input(0).is_some_and(|id| graph.dims(id).len() == 4);
    if !image || !shape::reduced_axes(graph, node).is_ok_and(|axes| axes == [2, 3]) {
        return false;
    }
    let node = &mut graph.nodes[index];
    node.op = Op::GlobalPool(kind);
    node.inputs.truncate(1);
    true
}

/// A normalisation that could not move into a convolution becomes a product and a sum.
pub fn batch_norm(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = graph.nodes[index].clone();
        index += 1;
        if !matches!(node.op, Op::BatchNorm { .. }) {
            continue;
        }
        let (Some(x), Some(affine)) = (node.input(0), affine::of_node(graph, &node)) else { continue };
        let name = graph.value(node.output()).name.clone();
        let dims = graph.dims(node.output()).to_vec();
        let vector = [vec![dims[1]], vec![1; dims.len() - 2]].concat();
        let scale = graph.add_constant(format!("{name} scale"), Constant::floats(vector.clone(), affine.scale));
        let shift = graph.add_constant(format!("{name} shift"), Constant::floats(vector, affine.shift));
        let scaled = graph.add(format!("{name} scaled"), dims, None);
        let binary = |op| Op::Binary(op, Activation::NONE);
        let product = Node {
            op: binary(BinaryOp::Mul),
            inputs: vec![Some(x), Some(scale)],
            outputs: vec![scaled],
            ..node.clone()
        };
        let sum = Node {
            op: binary(BinaryOp::Add),
            inputs: vec![Some(scaled), Some(shift)],
            outputs: vec![node.output()],
            ..node
        };
        graph.nodes.splice(index - 1..index, [product, sum]);
    }
}
