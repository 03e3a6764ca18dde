//! Functions that ONNX files spell out in several operations.

use kernels::params::{Activation, ActivationKind, BinaryOp, ReduceKind};

use super::super::graph::{Graph, Node, ValueId};
use super::super::op::Op;
use super::super::shape;
use super::{Facts, sides, with_constant, with_number};

/// Lets a node be another, unless its constants add dimensions of 1, which no function of one element does.
fn becomes(graph: &mut Graph, index: usize, op: Op, inputs: &[ValueId]) -> bool {
    if graph.dims(inputs[0]) != graph.dims(graph.nodes[index].output()) {
        return false;
    }
    let node = &mut graph.nodes[index];
    node.op = op;
    node.inputs = inputs.iter().map(|&id| Some(id)).collect();
    true
}

/// `x * clip(x + 3, 0, 6) / 6`.
pub fn hard_swish(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let Some(x) = find_hard_swish(graph, facts, &graph.nodes[index]) else { return false };
    becomes(graph, index, Op::Unary(Activation::HARD_SWISH), &[x])
}

fn find_hard_swish(graph: &Graph, facts: &Facts, node: &Node) -> Option<ValueId> {
    let product =
        with_number(graph, node, BinaryOp::Div, 6.0).or_else(|| with_number(graph, node, BinaryOp::Mul, 1.0 / 6.0))?;
    let [a, b] = sides(facts.maker(graph, product)?, BinaryOp::Mul)?;
    [(a, b), (b, a)].into_iter().find_map(|(x, clipped)| {
        let clip = facts.maker(graph, clipped)?;
        let sum = facts.maker(graph, clip.input(0)?)?;
        let matches = clip.op == Op::Unary(Activation::RELU6) && with_number(graph, sum, BinaryOp::Add, 3.0) == Some(x);
        matches.then_some(x)
    })
}

/// `x * sigmoid(x)` and `x * hard_sigmoid(x)`.
pub fn gated(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let Some([a, b]) = sides(&graph.nodes[index], BinaryOp::Mul) else { return false };
    for (x, gate) in [(a, b), (b, a)] {
        let Some(maker) = facts.maker(graph, gate) else { continue };
        let Op::Unary(activation) = maker.op else { continue };
        let kind = match ActivationKind::from_u32(activation.kind) {
            Some(ActivationKind::Sigmoid) => Activation::new(ActivationKind::Swish, 1.0, 0.0),
            Some(ActivationKind::HardSigmoid) => Activation::new(ActivationKind::HardSwish, activation.a, activation.b),
            _ => continue,
        };
        if maker.input(0) == Some(x) {
            return becomes(graph, index, Op::Unary(kind), &[x]);
        }
    }
    false
}

/// `x (1 + erf(x / sqrt 2)) / 2`, its three factors in any order.
pub fn gelu(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let Some(x) = find_gelu(graph, facts, &graph.nodes[index]) else { return false };
    becomes(graph, index, Op::Unary(Activation::new(ActivationKind::Gelu, 0.0, 0.0)), &[x])
}

fn find_gelu(graph: &Graph, facts: &Facts, node: &Node) -> Option<ValueId> {
    let [a, b] = sides(node, BinaryOp::Mul)?;
    let [first, second, third] = [(a, b), (b, a)].into_iter().find_map(|(one, other)| {
        let [c, d] = sides(facts.maker(graph, other)?, BinaryOp::Mul)?;
        Some([one, c, d])
    })?;
    let orders = [[first, second, third], [second, first, third], [third, first, second]];
    orders.into_iter().find_map(|[half, a, b]| {
        let is_half = graph.constant(half)?.scalar()? == 0.5;
        let of = |x, sum| is_half && erf_and_one(graph, facts, sum) == Some(x);
        [(a, b), (b, a)].into_iter().find_map(|(x, sum)| of(x, sum).then_some(x))
    })
}

/// The `x` of `1 + erf(x / sqrt 2)`.
fn erf_and_one(graph: &Graph, facts: &Facts, sum: ValueId) -> Option<ValueId> {
    let erf = facts.maker(graph, with_number(graph, facts.maker(graph, sum)?, BinaryOp::Add, 1.0)?)?;
    if erf.op != Op::Unary(Activation::new(ActivationKind::Erf, 0.0, 0.0)) {
        return None;
    }
    let inner = facts.maker(graph, erf.input(0)?)?;
    with_number(graph, inner, BinaryOp::Div, std::f32::consts::SQRT_2)
        .or_else(|| with_number(graph, inner, BinaryOp::Mul, std::f32::consts::FRAC_1_SQRT_2))
}

/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta` over the last dimension.
pub fn layer_norm(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let Some((x, gamma, beta, epsilon)) = find_layer_norm(graph, facts, &graph.nodes[index]) else { return false };
    becomes(graph, index, Op::LayerNorm { axis: -1, epsilon }, &[x, gamma, beta])
}

fn find_layer_norm(graph: &Graph, facts: &Facts, node: &Node) -> Option<(ValueId, ValueId, ValueId, f32)> {
    let vector = |of: ValueId, node: &Node| {
        let other = *node.inputs.iter().flatten().find(|&&id| id != of)?;
        let len = *graph.dims(node.output()).last()?;
        (graph.constant(other)?.dims == [len]).then_some(other)
    };
    let (scaled, _) = with_constant(graph, node, BinaryOp::Add)?;
    let beta = vector(scaled, node)?;
    let product = facts.maker(graph, scaled)?;
    let (normal, _) = with_constant(graph, product, BinaryOp::Mul)?;
    let gamma = vector(normal, product)?;
    let [centred, deviation] = sides(facts.maker(graph, normal)?, BinaryOp::Div)?;
    let root = facts.maker(graph, deviation)?;
    let sqrt = Op::Unary(Activation::new(ActivationKind::Sqrt, 0.0, 0.0));
    let sum = facts.maker(graph, root.input(0).filter(|_| root.op == sqrt)?)?;
    let (variance, epsilon) = with_constant(graph, sum, BinaryOp::Add)?;
    let epsilon = epsilon.scalar()?;
    let square = facts.maker(graph, mean_of(graph, facts.maker(graph, variance)?)?)?;
    let squared = with_number(graph, square, BinaryOp::Pow, 2.0)
        .or_else(|| sides(square, BinaryOp::Mul).filter(|[a, b]| a == b).map(|[a, _]| a))?;
    let [x, mean] = sides(facts.maker(graph, centred)?, BinaryOp::Sub)?;
    let same = squared == centred && mean_of(graph, facts.maker(graph, mean)?)? == x;
    same.then_some((x, gamma, beta, epsilon))
}

/// What a node takes the mean of, over the last dimension, keeping it.
fn mean_of(graph: &Graph, node: &Node) -> Option<ValueId> {
    let Op::Reduce { kind: ReduceKind::Mean, keep: true, .. } = node.op else { return None };
    let last = graph.dims(node.input(0)?).len().checked_sub(1)?;
    (shape::reduced_axes(graph, node).ok()? == [last]).then_some(node.input(0)?)
}
