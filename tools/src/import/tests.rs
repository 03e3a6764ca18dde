//! Passes on graphs built by hand.

mod attention;

use kernels::params::{Activation, BinaryOp};
use runtime::base::ShapeId;
use runtime::package::{Shape, SlotLayout, TensorSpec, TensorType};

use super::constant::Constant;
use super::error::{ImportError, Why};
use super::graph::{Graph, Node, ValueId};
use super::op::{Conv, Gemm, Op, Padding, Pool, Slide};
use super::page::WeightImage;
use super::tune::{Settings, Tuner};
use super::variant::Variants;
use super::{Compiled, batch, compile, fuse, index, shape};

/// A graph with one input, under construction.
struct Builder {
    graph: Graph,
    last: ValueId,
}

const SLIDE: Slide = Slide { strides: [1, 1], dilations: [1, 1], pads: Padding::Explicit([0; 4]) };

fn numbers(count: usize) -> Vec<f32> {
    (0u16..).take(count).map(|i| f32::from(i % 7) - 3.0).collect()
}

impl Builder {
    fn new() -> Builder {
        let mut graph = Graph::new(64 << 20);
        let last = graph.add("x", Vec::new(), None);
        graph.inputs.push(last);
        Builder { graph, last }
    }

    fn constant(&mut self, dims: &[usize]) -> ValueId {
        let data = numbers(dims.iter().product());
        self.given(Constant::floats(dims.to_vec(), data))
    }

    fn given(&mut self, constant: Constant) -> ValueId {
        let name = format!("c{}", self.graph.values.len());
        self.graph.add_constant(name, constant)
    }

    fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = format!("v{}", self.graph.values.len());
        let output = self.graph.add(name.clone(), Vec::new(), None);
        let inputs = inputs.iter().map(|&id| Some(id)).collect();
        self.graph.nodes.push(Node { name, operator: "Test".to_owned(), op, inputs, outputs: vec![output] });
        self.last = output;
        output
    }

    fn conv(&mut self, x: ValueId, out: usize, input: usize, size: usize) -> ValueId {
        let weights = self.constant(&[out, input, size, size]);
        let pads = Padding::Explicit([size / 2; 4]);
        let conv = Conv { kernel: None, slide: Slide { pads, ..SLIDE }, groups: 1 };
        self.node(Op::Conv(conv, Activation::NONE), &[x, weights])
    }

    fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.node(Op::Binary(BinaryOp::Add, Activation::NONE), &[a, b])
    }

    fn finish(mut self) -> Graph {
        self.graph.outputs.push(self.last);
        self.graph
    }
}

/// One variant of one input: an item of these dimensions.
/// What a graph becomes whose input has items of that shape, and its weights.
fn compiled(template: &Graph, item: &[usize]) -> Result<(Compiled, WeightImage), ImportError> {
    let variants = Variants { shapes: vec![vec![[&[1], item].concat()]], batched: true };
    let mut image = WeightImage::new(2 << 20, tempfile::tempfile().unwrap());
    let mut tuner = Tuner::new(&Settings::default());
    Ok((compile(template, &variants, None, &mut tuner, &mut image, &mut |_, _| {})?, image))
}

/// The graph for a batch of `n` items of these dimensions.
fn instantiate(template: &Graph, item: &[usize], n: usize) -> Graph {
    batch::shaped(template, &[[&[n], item].concat()], n).unwrap()
}

fn fused(template: &Graph, item: &[usize]) -> Graph {
    let mut graph = instantiate(template, item, 1);
    fuse::fuse(&mut graph);
    graph
}

#[test]
fn normalisation_activation_and_residual_move_into_convolutions() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let first = b.conv(x, 16, 16, 1);
    let statistics: Vec<ValueId> = (0..4).map(|_| b.given(Constant::floats(vec![16], vec![2.0; 16]))).collect();
    let normal = b.node(Op::BatchNorm { epsilon: 0.0 }, &[&[first], statistics.as_slice()].concat());
    let active = b.node(Op::Unary(Activation::RELU), &[normal]);
    let second = b.conv(active, 16, 16, 3);
    let sum = b.add(x, second);
    b.node(Op::Unary(Activation::RELU), &[sum]);
    let template = b.finish();
    let original = template.constant(template.nodes[0].input(1).unwrap()).unwrap().as_floats().unwrap().to_vec();
    let graph = fused(&template, &[16, 4, 4]);
    assert_eq!(graph.nodes.len(), 2);
    let [first, second] = graph.nodes.as_slice() else { panic!("two nodes") };
    assert!(matches!(first.op, Op::Conv(_, activation) if activation == Activation::RELU));
    assert!(matches!(second.op, Op::Conv(_, activation) if activation == Activation::RELU));
    assert_eq!(second.input(3), Some(graph.inputs[0]));
    // gamma / sqrt(variance) and beta - mean * that, all four statistics being 2.
    let factor = 2.0 / 2.0f64.sqrt();
    let weights = graph.constant_input(first, 1).unwrap().as_floats().unwrap();
    assert!(weights.iter().zip(&original).all(|(new, old)| (f64::from(*new) - f64::from(*old) * factor).abs() < 1e-6));
    let bias = graph.constant_input(first, 2).unwrap().as_floats().unwrap();
    assert!(bias.iter().all(|bias| (f64::from(*bias) - (2.0 - 2.0 * factor)).abs() < 1e-6));
}

#[test]
fn weights_that_were_scaled_are_kept_once() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let first = b.conv(x, 16, 16, 1);
    let statistics: Vec<ValueId> = (0..4).map(|_| b.given(Constant::floats(vec![16], vec![2.0; 16]))).collect();
    let normal = b.node(Op::BatchNorm { epsilon: 0.0 }, &[&[first], statistics.as_slice()].concat());
    let scale = b.given(Constant::floats(vec![1, 16, 1, 1], vec![3.0; 16]));
    b.node(Op::Binary(BinaryOp::Mul, Activation::NONE), &[normal, scale]);
    let graph = fused(&b.finish(), &[16, 4, 4]);
    let uses = graph.uses();
    let held = graph.values.iter().enumerate().filter(|(_, value)| value.constant.is_some());
    let held: Vec<usize> = held.map(|(id, _)| uses[id]).collect();
    assert_eq!(held, [1, 1], "the weights and the bias of the one convolution");
}

#[test]
fn an_affine_function_moves_into_an_unpadded_convolution_only() {
    // Where it can't move it is one convolution of each channel by itself.
    for (size, nodes) in [(1, 2), (3, 3)] {
        let mut b = Builder::new();
        let x = b.graph.inputs[0];
        let exp = b.node(Op::Unary(Activation::new(kernels::params::ActivationKind::Exp, 0.0, 0.0)), &[x]);
        let scale = b.given(Constant::floats(vec![1], vec![2.0]));
        let scaled = b.node(Op::Binary(BinaryOp::Mul, Activation::NONE), &[scale, exp]);
        let shift = b.given(Constant::floats(vec![1], vec![0.5]));
        let shifted = b.add(scaled, shift);
        b.conv(shifted, 16, 16, size);
        let graph = fused(&b.finish(), &[16, 4, 4]);
        assert_eq!(graph.nodes.len(), nodes, "kernel {size}");
    }
}

#[test]
fn a_normalisation_that_stays_is_one_pass_with_its_activation() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let statistics: Vec<ValueId> = (0..4).map(|_| b.given(Constant::floats(vec![16], vec![4.0; 16]))).collect();
    let normal = b.node(Op::BatchNorm { epsilon: 0.0 }, &[&[x], statistics.as_slice()].concat());
    b.node(Op::Unary(Activation::RELU), &[normal]);
    let graph = fused(&b.finish(), &[16, 4, 4]);
    let [only] = graph.nodes.as_slice() else { panic!("one node, not {:?}", graph.nodes) };
    assert!(matches!(&only.op, Op::Conv(conv, activation) if conv.groups == 16 && *activation == Activation::RELU));
    // 4 / sqrt(4), and 4 - 4 * that.
    assert_eq!(graph.constant_input(only, 1).unwrap().as_floats().unwrap(), [2.0; 16]);
    assert_eq!(graph.constant_input(only, 2).unwrap().as_floats().unwrap(), [-4.0; 16]);
}

#[test]
fn spelled_out_functions_are_recognised() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let number = |b: &mut Builder, n: f32| b.given(Constant::floats(vec![], vec![n]));
    let (three, zero, six) = (number(&mut b, 3.0), number(&mut b, 0.0), number(&mut b, 6.0));
    let sum = b.add(x, three);
    let clipped = b.node(Op::Clip, &[sum, zero, six]);
    let product = b.node(Op::Binary(BinaryOp::Mul, Activation::NONE), &[x, clipped]);
    let swish = b.node(Op::Binary(BinaryOp::Div, Activation::NONE), &[product, six]);
    let one = number(&mut b, 1.0);
    let same = b.node(Op::Binary(BinaryOp::Mul, Activation::NONE), &[swish, one]);
    let sigmoid = Op::Unary(Activation::new(kernels::params::ActivationKind::Sigmoid, 0.0, 0.0));
    let gate = b.node(sigmoid, &[same]);
    b.node(Op::Binary(BinaryOp::Mul, Activation::NONE), &[swish, gate]);
    let graph = fused(&b.finish(), &[16, 4, 4]);
    let ops: Vec<&Op> = graph.nodes.iter().map(|node| &node.op).collect();
    let swish = Activation::new(kernels::params::ActivationKind::Swish, 1.0, 0.0);
    assert_eq!(ops, [&Op::Unary(Activation::HARD_SWISH), &Op::Unary(swish)]);
}

#[test]
fn thousands_of_operations_that_are_nothing_go_away() {
    let mut b = Builder::new();
    let one = b.given(Constant::floats(vec![], vec![1.0]));
    let mut x = b.graph.inputs[0];
    for i in 0..6_000 {
        x = match i % 2 {
            0 => b.node(Op::Identity, &[x]),
            _ => b.node(Op::Binary(BinaryOp::Mul, Activation::NONE), &[x, one]),
        };
    }
    b.node(Op::Unary(Activation::RELU), &[x]);
    let graph = fused(&b.finish(), &[16, 4, 4]);
    let [only] = graph.nodes.as_slice() else { panic!("{} nodes", graph.nodes.len()) };
    assert_eq!((only.input(0), only.output()), (Some(graph.inputs[0]), graph.outputs[0]));
}

#[test]
fn shape_arithmetic_is_folded_for_every_batch() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let shape = b.node(Op::Shape { start: 0, end: None }, &[x]);
    let zero = b.given(Constant::integers(vec![1], vec![0]));
    let first = b.node(Op::Gather { axis: 0 }, &[shape, zero]);
    let rest = b.given(Constant::integers(vec![2], vec![2, -1]));
    let target = b.node(Op::Concat { axis: 0 }, &[first, rest]);
    b.node(Op::Reshape { allow_zero: false }, &[x, target]);
    let template = b.finish();
    for n in [1, 4] {
        let graph = instantiate(&template, &[6, 5], n);
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.dims(graph.outputs[0]), [n, 2, 15]);
    }
}

#[test]
fn a_constant_reshape_carries_the_batch() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let target = b.given(Constant::integers(vec![2], vec![1, 30]));
    b.node(Op::Reshape { allow_zero: false }, &[x, target]);
    let template = b.finish();
    let graph = |n| instantiate(&template, &[6, 5], n);
    assert_eq!(graph(8).dims(graph(8).outputs[0]), [8, 30]);
    assert_eq!(batch::check(&graph(1), &graph(2), 2), Ok(()));
}

#[test]
fn what_mixes_places_is_not_batched() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    b.node(Op::Softmax { axis: 0, flatten: false }, &[x]);
    let template = b.finish();
    let graph = |n| instantiate(&template, &[5], n);
    assert!(batch::check(&graph(1), &graph(2), 2).is_err());
    let (compiled, _) = compiled(&template, &[5]).unwrap();
    assert_eq!((compiled.plans.len(), compiled.unbatchable.is_some()), (1, true));
}

#[test]
fn what_moves_the_batch_among_the_elements_is_not_batched() {
    let backwards = |b: &mut Builder| {
        let [starts, ends, axes, steps] = [-1, i64::MIN, 0, -1].map(|n| b.given(Constant::integers(vec![1], vec![n])));
        let x = b.graph.inputs[0];
        b.node(Op::Slice { bounds: None }, &[x, starts, ends, axes, steps])
    };
    let reshaped = |b: &mut Builder| {
        let target = b.given(Constant::integers(vec![2], vec![3, -1]));
        let x = b.graph.inputs[0];
        let columns = b.node(Op::Reshape { allow_zero: false }, &[x, target]);
        b.node(Op::Transpose { perm: None }, &[columns])
    };
    for make in [&backwards as &dyn Fn(&mut Builder) -> ValueId, &reshaped] {
        let mut b = Builder::new();
        make(&mut b);
        let template = b.finish();
        let graph = |n| instantiate(&template, &[3], n);
        assert!(batch::check(&graph(1), &graph(2), 2).is_err());
    }
}

/// Copies of the first of the five plans of an 8x8 image.
fn copies_in(b: Builder) -> usize {
    let (compiled, _) = compiled(&b.finish(), &[3, 8, 8]).unwrap();
    assert_eq!(compiled.plans.len(), 5);
    let copy = <kernels::params::Copy as kernels::launch::Kernel>::ID;
    compiled.plans[0].launches.iter().filter(|launch| launch.kernel == copy).count()
}

#[test]
fn concatenation_of_whole_blocks_needs_no_copy() {
    for (channels, copies) in [(32, 0), (24, 1)] {
        let mut b = Builder::new();
        let x = b.graph.inputs[0];
        let (left, right) = (b.conv(x, channels, 3, 1), b.conv(x, 16, 3, 3));
        b.node(Op::Concat { axis: 1 }, &[left, right]);
        assert_eq!(copies_in(b), copies, "{channels} channels");
    }
}

#[test]
fn a_concatenation_within_a_larger_one_is_made_there() {
    for (channels, copies) in [(32, 0), (24, 3)] {
        let mut b = Builder::new();
        let x = b.graph.inputs[0];
        let (left, right, third) = (b.conv(x, channels, 3, 1), b.conv(x, 16, 3, 3), b.conv(x, 16, 3, 1));
        let inner = b.node(Op::Concat { axis: 1 }, &[left, right]);
        let read = b.conv(inner, 16, channels + 16, 1);
        b.node(Op::Concat { axis: 1 }, &[inner, third, read]);
        assert_eq!(copies_in(b), copies, "{channels} channels");
    }
}

#[test]
fn all_batches_share_one_image_and_every_plan_passes_the_check() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let image_of = b.conv(x, 24, 3, 3);
    let pool = Pool {
        kind: kernels::params::PoolKind::Max,
        kernel: [2, 2],
        slide: Slide { strides: [2, 2], ..SLIDE },
        ceil: false,
    };
    let pooled = b.node(Op::Pool(pool), &[image_of]);
    let flat = b.node(Op::Flatten { axis: 1 }, &[pooled]);
    let weights = b.constant(&[24 * 16, 10]);
    let gemm = Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
    b.node(Op::Gemm(gemm, Activation::NONE), &[flat, weights]);
    let (compiled, image) = compiled(&b.finish(), &[3, 8, 8]).unwrap();
    assert_eq!(image.tensors(), 4);
    let slot = SlotLayout::new(&compiled.inputs, &compiled.outputs, ShapeId(0)).unwrap();
    for plan in &compiled.plans {
        let spaces = kernels::launch::Spaces {
            weight_pages: 1,
            page_bytes: 2 << 20,
            input_bytes: slot.inputs.bytes,
            output_bytes: slot.outputs.bytes,
            workspace_bytes: plan.workspace_bytes,
            batch: u32::from(plan.batch.get()),
        };
        kernels::launch::CheckedPlan::new(&plan.launches, spaces).unwrap();
    }
    let output = TensorSpec {
        name: compiled.outputs[0].name.clone(),
        kind: TensorType::F32,
        shapes: vec![Shape::try_from(&[10u32][..]).unwrap()],
    };
    assert_eq!(compiled.outputs, [output]);
}

#[test]
fn a_batch_beyond_a_limit_leaves_those_before_it() {
    // An item is a block of 16 channels, of which one is used: 16 of them are 4 GiB, one byte more than there may be.
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let slide = Slide { strides: [8, 8], ..SLIDE };
    let pool = Pool { kind: kernels::params::PoolKind::Max, kernel: [2, 2], slide, ceil: false };
    b.node(Op::Pool(pool), &[x]);
    let (compiled, _) = compiled(&b.finish(), &[1, 2048, 2048]).unwrap();
    let batches: Vec<u8> = compiled.plans.iter().map(|plan| plan.batch.get()).collect();
    assert_eq!((batches, compiled.unbatchable), (vec![1, 2, 4, 8], None));
    let [beyond] = compiled.beyond.as_slice() else { panic!("{:?}", compiled.beyond) };
    assert_eq!((beyond.shape, beyond.batch.get()), (ShapeId(0), 16));
    assert!(beyond.why.contains("bytes of workspace exceed the limit"), "{}", beyond.why);
}

#[test]
fn what_is_not_built_names_node_and_reason() {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    b.node(Op::TopK { axis: 1, k: Some(9), largest: true, last: false }, &[x]);
    let error = compiled(&b.finish(), &[6]).unwrap_err();
    assert!(matches!(&error, ImportError::Node { node, why: Why::Attribute { name: "k", .. }, .. } if node == "v1"));
    assert!(error.to_string().contains("attribute `k` is 9"), "{error}");
}

#[test]
fn small_groups_become_larger_ones() {
    let cases = [
        (3, 2, 6, (1, 6)),
        (32, 4, 128, (8, 16)),
        (16, 1, 32, (2, 8)),
        (4, 6, 112, (4, 6)),
        (4, 34, 136, (4, 34)),
        (4, 68, 272, (4, 68)),
        (2, 32, 64, (2, 32)),
    ];
    for (groups, of_group, out, wanted) in cases {
        let mut b = Builder::new();
        let x = b.graph.inputs[0];
        let weights = b.constant(&[out, of_group, 1, 1]);
        let conv = Conv { kernel: None, slide: SLIDE, groups };
        b.node(Op::Conv(conv, Activation::NONE), &[x, weights]);
        let graph = fused(&b.finish(), &[groups * of_group, 8, 8]);
        let [node] = graph.nodes.as_slice() else { panic!("one node") };
        let Op::Conv(conv, _) = &node.op else { panic!("a convolution") };
        assert_eq!((conv.groups, graph.constant_input(node, 1).unwrap().dims[1]), wanted, "{groups} groups");
    }
}

#[test]
fn windows_follow_onnx() {
    let pool = |kernel, stride, pads, ceil| {
        let slide = Slide { strides: [stride; 2], dilations: [1, 1], pads };
        Op::Pool(Pool { kind: kernels::params::PoolKind::Max, kernel: [kernel; 2], slide, ceil })
    };
    let explicit = |n| Padding::Explicit([n; 4]);
    let cases = [
        (pool(3, 2, explicit(0), false), 111, 55),
        (pool(3, 2, explicit(1), false), 112, 56),
        (pool(3, 2, explicit(0), true), 112, 56),
        (pool(2, 2, explicit(0), true), 5, 3),
        (pool(3, 2, Padding::SameUpper, false), 7, 4),
    ];
    for (op, input, output) in cases {
        let mut b = Builder::new();
        let x = b.graph.inputs[0];
        b.node(op.clone(), &[x]);
        let graph = instantiate(&b.finish(), &[16, input, input], 1);
        assert_eq!(graph.dims(graph.outputs[0]), [1, 16, output, output], "{op:?} over {input}");
    }
}

#[test]
fn reshape_targets_follow_onnx() {
    assert_eq!(shape::reshaped(&[2, 3, 4], &[0, -1], false).unwrap(), [2, 12]);
    assert_eq!(shape::reshaped(&[2, 3, 4], &[-1], false).unwrap(), [24]);
    assert!(shape::reshaped(&[2, 3, 4], &[5, -1], false).is_err());
    assert!(shape::reshaped(&[2, 3], &[0, 3], true).is_err());
    assert_eq!(index::axis(-1, 3).unwrap(), 2);
    assert!(index::axis(3, 3).is_err());
}
