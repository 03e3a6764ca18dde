//! A factor and a summand by channel move into the weights and the bias beside them.

use kernels::params::{Activation, BinaryOp};

use super::super::constant::Constant;
use super::super::graph::{Graph, Node, ValueId};
use super::super::op::{Conv, Op, Padding, Slide};
use super::{Facts, sides};

/// `y = scale x + shift`, by channel.
pub struct Affine {
    /// Factors.
    pub scale: Vec<f32>,
    /// Summands.
    pub shift: Vec<f32>,
}

/// Input 0's channel axis in the result of an operation: 1 in images, the last one in matrices.
fn channel_axis(op: &Op, rank: usize) -> usize {
    if matches!(op, Op::Gemm(..)) { rank - 1 } else { 1 }
}

/// The function that `node` is of its only variable input, channels along axis 1.
pub fn of_node(graph: &Graph, node: &Node) -> Option<Affine> {
    variable_and_affine(graph, node, 1).map(|(_, affine)| affine)
}

#[expect(clippy::cast_possible_truncation, reason = "computed in f64, rounded once")]
fn normalisation(graph: &Graph, node: &Node, epsilon: f32) -> Option<Affine> {
    let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|i| graph.constant_input(node, i)?.as_floats());
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    let factor = |c: usize| f64::from(gamma[c]) / (f64::from(variance[c]) + f64::from(epsilon)).sqrt();
    Some(Affine {
        scale: (0..gamma.len()).map(|c| factor(c) as f32).collect(),
        shift: (0..gamma.len()).map(|c| (f64::from(beta[c]) - f64::from(mean[c]) * factor(c)) as f32).collect(),
    })
}

/// The variable input of a node that is affine by channel along `axis`, and the function.
fn variable_and_affine(graph: &Graph, node: &Node, axis: usize) -> Option<(ValueId, Affine)> {
    if let Op::BatchNorm { epsilon } = node.op {
        return (axis == 1).then_some((node.input(0)?, normalisation(graph, node, epsilon)?));
    }
    let dims = graph.dims(node.output());
    let channels = *dims.get(axis)?;
    for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div] {
        let Some([a, b]) = sides(node, op) else { continue };
        let (x, constant, left) = match (graph.constant(a), graph.constant(b)) {
            (None, Some(constant)) => (a, constant, false),
            (Some(constant), None) => (b, constant, true),
            _ => return None,
        };
        if graph.dims(x) != dims {
            return None;
        }
        let values = by_channel(constant, dims.len(), axis, channels)?;
        let ones = vec![1.0; channels];
        let zeros = vec![0.0; channels];
        let negated = |values: &[f32]| values.iter().map(|x| -x).collect::<Vec<f32>>();
        let affine = match (op, left) {
            (BinaryOp::Add, _) => Affine { scale: ones, shift: values },
            (BinaryOp::Sub, false) => Affine { scale: ones, shift: negated(&values) },
            (BinaryOp::Sub, true) => Affine { scale: negated(&ones), shift: values },
            (BinaryOp::Mul, _) => Affine { scale: values, shift: zeros },
            (BinaryOp::Div, false) => Affine { scale: values.iter().map(|x| 1.0 / x).collect(), shift: zeros },
            _ => return None,
        };
        return Some((x, affine));
    }
    None
}

/// The constant as one value a channel, if it has that form in a tensor of `rank`.
fn by_channel(constant: &Constant, rank: usize, axis: usize, channels: usize) -> Option<Vec<f32>> {
    let values = constant.as_floats()?;
    if let [only] = values {
        return (constant.dims.len() <= rank).then(|| vec![*only; channels]);
    }
    let front = rank.checked_sub(constant.dims.len())?;
    let fits = constant.dims.iter().enumerate().all(|(i, &dim)| dim == if i + front == axis { channels } else { 1 });
    fits.then(|| values.to_vec())
}

/// `Conv` or `Gemm`, then an affine function: one `Conv` or `Gemm`.
pub fn into_producer(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let node = &graph.nodes[index];
    let variable = node.inputs.iter().flatten().find(|&&id| graph.constant(id).is_none()).copied();
    let Some(producer) = variable.and_then(|id| facts.sole_maker(id)) else { return false };
    let target = &graph.nodes[producer];
    let free = match &target.op {
        Op::Conv(_, activation) => *activation == Activation::NONE,
        Op::Gemm(gemm, activation) => *activation == Activation::NONE && gemm.alpha == 1.0 && gemm.beta == 1.0,
        _ => false,
    };
    if !free || target.input(3).is_some() {
        return false;
    }
    let axis = channel_axis(&target.op, graph.dims(target.output()).len());
    let Some((_, affine)) = variable_and_affine(graph, node, axis) else { return false };
    let output = node.output();
    let Some((weights, bias)) = scaled_outputs(graph, target, &affine) else { return false };
    let name = graph.value(output).name.clone();
    set_weights(graph, producer, &name, weights, bias);
    graph.nodes[producer].outputs = vec![output];
    graph.nodes.remove(index);
    true
}

/// The producer's weights and bias with the function applied to each output channel.
fn scaled_outputs(graph: &Graph, target: &Node, affine: &Affine) -> Option<(Constant, Constant)> {
    let weights = graph.constant_input(target, 1)?;
    let bias = match target.input(2) {
        Some(id) => Some(graph.constant(id)?.as_floats()?),
        None => None,
    };
    let channels = affine.scale.len();
    if bias.is_some_and(|bias| bias.len() != channels) {
        return None;
    }
    let by_row = match &target.op {
        Op::Gemm(gemm, _) => gemm.trans_b,
        _ => true,
    };
    let data = weights.as_floats()?;
    let row = data.len() / channels;
    let channel = |i: usize| if by_row { i / row } else { i % channels };
    let scaled = data.iter().enumerate().map(|(i, w)| w * affine.scale[channel(i)]).collect();
    let shifted = (0..channels).map(|c| bias.map_or(0.0, |bias| bias[c]) * affine.scale[c] + affine.shift[c]).collect();
    Some((Constant::floats(weights.dims.clone(), scaled), Constant::floats(vec![channels], shifted)))
}

fn set_weights(graph: &mut Graph, index: usize, name: &str, weights: Constant, bias: Constant) {
    let weights = graph.add_constant(format!("{name} weights"), weights);
    let bias = graph.add_constant(format!("{name} bias"), bias);
    let inputs = &mut graph.nodes[index].inputs;
    inputs.resize(inputs.len().max(3), None);
    inputs[1] = Some(weights);
    inputs[2] = Some(bias);
}

/// An affine function, then a convolution without padding or a `Gemm`: one operation.
pub fn into_consumer(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let node = &graph.nodes[index];
    let unpadded = match &node.op {
        Op::Conv(Conv { slide, .. }, _) => slide.pads == Padding::Explicit([0; 4]),
        _ => false,
    };
    let Some(producer) = node.input(0).filter(|_| unpadded).and_then(|id| facts.sole_maker(id)) else { return false };
    let Some((x, affine)) = variable_and_affine(graph, &graph.nodes[producer], 1) else { return false };
    let Some((weights, bias)) = scaled_inputs(graph, node, &affine) else { return false };
    let name = graph.value(node.output()).name.clone();
    set_weights(graph, index, &name, weights, bias);
    graph.nodes[index].inputs[0] = Some(x);
    graph.nodes.remove(producer);
    true
}

/// The convolution's weights and bias with the function applied to each input channel.
#[expect(clippy::cast_possible_truncation, reason = "summed in f64, rounded once")]
fn scaled_inputs(graph: &Graph, node: &Node, affine: &Affine) -> Option<(Constant, Constant)> {
    let Op::Conv(conv, _) = &node.op else { return None };
    let weights = graph.constant_input(node, 1)?;
    let &[out, of_group, kernel_h, kernel_w] = weights.dims.as_slice() else { return None };
    let data = weights.as_floats()?;
    let taps = kernel_h * kernel_w;
    let bias = match node.input(2) {
        Some(id) => graph.constant(id)?.as_floats()?.to_vec(),
        None => vec![0.0; out],
    };
    let channel = |o: usize, i: usize| o / (out / conv.groups) * of_group + i;
    let mut scaled = Vec::with_capacity(data.len());
    let mut shifted = Vec::with_capacity(out);
    for (o, &bias) in bias.iter().enumerate() {
        let mut sum = f64::from(bias);
        for i in 0..of_group {
            let from = (o * of_group + i) * taps;
            for w in &data[from..from + taps] {
                scaled.push(w * affine.scale[channel(o, i)]);
                sum += f64::from(*w) * f64::from(affine.shift[channel(o, i)]);
            }
        }
        shifted.push(sum as f32);
    }
    Some((Constant::floats(weights.dims.clone(), scaled), Constant::floats(vec![out], shifted)))
}

/// An affine function of an image, of two nodes or a normalisation, as one convolution of each
/// channel by itself: one pass over the image, with room for an activation.
pub fn into_convolution(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let node = &graph.nodes[index];
    if graph.dims(node.output()).len() != 4 {
        return false;
    }
    let Some((mut x, mut affine)) = variable_and_affine(graph, node, 1) else { return false };
    let mut first = None;
    if !matches!(node.op, Op::BatchNorm { .. }) {
        let Some(producer) = facts.sole_maker(x) else { return false };
        let Some((from, inner)) = variable_and_affine(graph, &graph.nodes[producer], 1) else { return false };
        affine = after(&affine, &inner);
        (x, first) = (from, Some(producer));
    }
    let output = graph.nodes[index].output();
    let (name, channels) = (graph.value(output).name.clone(), affine.scale.len());
    graph.nodes[index].op = Op::Conv(each_channel(channels), Activation::NONE);
    graph.nodes[index].inputs = vec![Some(x)];
    let weights = Constant::floats(vec![channels, 1, 1, 1], affine.scale);
    set_weights(graph, index, &name, weights, Constant::floats(vec![channels], affine.shift));
    if let Some(first) = first {
        graph.nodes.remove(first);
    }
    true
}

/// The outer function of the inner one's result.
fn after(outer: &Affine, inner: &Affine) -> Affine {
    let channels = outer.scale.iter().zip(&outer.shift).zip(inner.scale.iter().zip(&inner.shift));
    let (scale, shift) = channels.map(|((a, b), (c, d))| (a * c, a * d + b)).unzip();
    Affine { scale, shift }
}

fn each_channel(groups: usize) -> Conv {
    let slide = Slide { strides: [1, 1], dilations: [1, 1], pads: Padding::Explicit([0; 4]) };
    Conv { kernel: Some([1, 1]), slide, groups }
}
