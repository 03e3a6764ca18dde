//! Encoders: attention, its activation, and products that read one another.

use kernels::launch::Kernel;
use kernels::params::{self, ActivationKind, Block};

use super::*;
use crate::import::element::Element;

const SOFTMAX: Op = Op::Softmax { axis: -1, flatten: false };

fn number(b: &mut Builder, n: f32) -> ValueId {
    b.given(Constant::floats(vec![], vec![n]))
}

fn binary(b: &mut Builder, op: BinaryOp, sides: [ValueId; 2]) -> ValueId {
    b.node(Op::Binary(op, Activation::NONE), &sides)
}

/// Where a test scales, and what it does to the scores.
#[derive(Clone, Copy, Default)]
struct Form {
    queries: bool,
    keys: bool,
    products: bool,
    mask: Option<&'static [usize]>,
    /// Scores are chosen by a condition of these dimensions, where it is true or where it is false; else a number.
    choice: Option<(&'static [usize], bool, f32)>,
    shown: bool,
}

/// Attention of an input `[n][3][5][8]` to itself.
fn attention(form: Form) -> Graph {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let (half, four) = (number(&mut b, 0.5), number(&mut b, 4.0));
    let mut q = x;
    if form.queries {
        q = binary(&mut b, BinaryOp::Mul, [half, q]);
    }
    let mut k = b.node(Op::Transpose { perm: Some(vec![0, 1, 3, 2]) }, &[x]);
    if form.keys {
        k = binary(&mut b, BinaryOp::Mul, [k, half]);
    }
    let mut scores = b.node(Op::MatMul { scale: 1.0 }, &[q, k]);
    if form.products {
        scores = binary(&mut b, BinaryOp::Div, [scores, four]);
    }
    if form.shown {
        b.graph.outputs.push(scores);
    }
    if let Some(dims) = form.mask {
        let mask = b.constant(dims);
        scores = b.add(scores, mask);
    }
    if let Some((dims, kept, other)) = form.choice {
        let truths = (0..dims.iter().product::<usize>()).map(|i| i64::from(i % 2 == 0)).collect();
        let condition = b.given(Constant::integers(dims.to_vec(), truths).with_element(Element::Bool));
        let other = number(&mut b, other);
        let [first, second] = if kept { [scores, other] } else { [other, scores] };
        scores = b.node(Op::Where, &[condition, first, second]);
    }
    let shares = b.node(SOFTMAX, &[scores]);
    b.node(Op::MatMul { scale: 1.0 }, &[shares, x]);
    fused(&b.finish(), &[3, 5, 8])
}

#[test]
fn attention_is_one_operation_wherever_it_scales() {
    let plain = Form::default();
    let cases = [
        (plain, 1.0, 3),
        (Form { queries: true, ..plain }, 0.5, 3),
        (Form { products: true, mask: Some(&[1, 1, 1, 5]), ..plain }, 0.25, 4),
        (Form { queries: true, keys: true, products: true, mask: Some(&[5, 5]), ..plain }, 0.0625, 4),
    ];
    for (form, wanted, inputs) in cases {
        let graph = attention(form);
        let [_, node] = graph.nodes.as_slice() else { panic!("a transpose and an attention, not {:?}", graph.nodes) };
        assert_eq!((&node.op, node.inputs.len()), (&Op::Attention { scale: wanted }, inputs));
        assert_eq!(graph.dims(node.output()), [1, 3, 5, 8]);
    }
}

#[test]
fn a_choice_of_scores_becomes_a_mask() {
    for kept in [true, false] {
        let choice = Some((&[1, 1, 1, 5][..], kept, f32::NEG_INFINITY));
        let graph = attention(Form { products: true, choice, ..Form::default() });
        let [_, mask, node] = graph.nodes.as_slice() else { panic!("three operations, not {:?}", graph.nodes) };
        assert_eq!((&node.op, node.input(3)), (&Op::Attention { scale: 0.25 }, Some(mask.output())));
        assert_eq!(graph.dims(mask.output()), [1, 1, 1, 5]);
        let sides = [0, 1].map(|side| graph.constant_input(mask, side).and_then(Constant::scalar).unwrap());
        assert_eq!(sides, if kept { [0.0, f32::NEG_INFINITY] } else { [f32::NEG_INFINITY, 0.0] });
    }
}

#[test]
fn a_choice_stays_where_scores_would_count_beside_its_number_or_it_has_no_row() {
    for (dims, other) in [(&[1, 1, 1, 5][..], -10_000.0), (&[1, 1, 5, 1], f32::MIN)] {
        let graph = attention(Form { choice: Some((dims, true, other)), ..Form::default() });
        assert!(!graph.nodes.iter().any(|node| matches!(node.op, Op::Attention { .. })));
    }
}

#[test]
fn attention_stays_apart_where_its_scores_are_read_or_its_mask_is_no_row() {
    for form in
        [Form { shown: true, products: true, ..Form::default() }, Form { mask: Some(&[1, 1, 5, 1]), ..Form::default() }]
    {
        let graph = attention(form);
        assert!(!graph.nodes.iter().any(|node| matches!(node.op, Op::Attention { .. })));
    }
}

#[test]
fn gelu_is_one_function_in_every_order_of_its_factors() {
    for order in 0..3 {
        let mut b = Builder::new();
        let x = b.graph.inputs[0];
        let (one, half, root) = (number(&mut b, 1.0), number(&mut b, 0.5), number(&mut b, std::f32::consts::SQRT_2));
        let inner = binary(&mut b, BinaryOp::Div, [x, root]);
        let erf = b.node(Op::Unary(Activation::new(ActivationKind::Erf, 0.0, 0.0)), &[inner]);
        let sum = b.add(erf, one);
        let [first, second, third] = [[x, sum, half], [x, half, sum], [sum, half, x]][order];
        let product = binary(&mut b, BinaryOp::Mul, [first, second]);
        binary(&mut b, BinaryOp::Mul, [product, third]);
        let graph = fused(&b.finish(), &[7]);
        let [only] = graph.nodes.as_slice() else { panic!("one node, not {:?}", graph.nodes) };
        assert_eq!(only.op, Op::Unary(Activation::new(ActivationKind::Gelu, 0.0, 0.0)));
    }
}

/// The distances of rows that the first of two products writes and the second reads.
fn distances(width: usize, shown: bool) -> [u32; 2] {
    let mut b = Builder::new();
    let x = b.graph.inputs[0];
    let (first, second) = (b.constant(&[4, width]), b.constant(&[width, 4]));
    let gemm = || Op::Gemm(Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false }, Activation::NONE);
    let between = b.node(gemm(), &[x, first]);
    if shown {
        b.graph.outputs.push(between);
    }
    b.node(gemm(), &[between, second]);
    let (compiled, _) = compiled(&b.finish(), &[4]).unwrap();
    let launches = compiled.plans[1].launches.iter().filter(|launch| launch.kernel == params::Gemm::ID);
    let blocks: Vec<params::Gemm> = launches.map(|launch| bytemuck::pod_read_unaligned(&launch.block)).collect();
    let [writes, reads] = blocks.as_slice() else { panic!("two products, not {blocks:?}") };
    writes.check().unwrap();
    [writes.y_stride, reads.x_stride]
}

#[test]
fn rows_that_would_share_cache_sets_lie_apart_where_only_products_read_them() {
    assert_eq!(distances(1024, false), [1040, 1040]);
    assert_eq!(distances(1000, false), [1000, 1000]);
    assert_eq!(distances(1024, true), [1024, 1024]);
}
