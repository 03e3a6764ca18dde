//! Launches cut in parts: together they write, bit for bit, what the whole writes.

use super::harness::{Machine, noise, sets};
use crate::launch::Kernel;
use crate::layout;
use crate::operand::{Operand, Space};
use crate::params::*;
use bytemuck::Zeroable;
use proptest::prelude::*;

/// Elements of each tensor of a test.
const LEN: usize = 16 * 1024;

/// A machine with `LEN` elements for each of three operands, and the operands.
fn machine() -> (Machine, [Operand; 3]) {
    let mut machine = Machine::new();
    let operands = [1, 2, 3].map(|seed| machine.place(&noise(seed, LEN)));
    (machine, operands)
}

fn copied(machine: &Machine) -> Machine {
    let Machine { workspace, pages, inputs, outputs } = machine;
    Machine { workspace: workspace.clone(), pages: pages.clone(), inputs: inputs.clone(), outputs: outputs.clone() }
}

/// Runs `kernel` whole and in parts, the last first, and compares all that they may write.
fn same_in_parts<K: Kernel + Part>(machine: &Machine, kernel: &K, parts: u32) {
    let count = kernel.outermost() / parts;
    assert!(count > 0 && kernel.outermost().is_multiple_of(parts), "{} has no {parts} equal parts", K::NAME);
    for set in sets() {
        let (mut whole, mut apart) = (copied(machine), copied(machine));
        whole.run(set, kernel);
        assert!(changed(machine, &whole), "{} writes something", K::NAME);
        for part in (0..parts).rev() {
            let part = kernel.part(part * count, count).expect("operands of parts are aligned");
            apart.run(set, &part);
        }
        let bits = |machine: &Machine| -> Vec<u32> {
            let values = machine.workspace.iter().chain(machine.outputs.iter().flatten());
            values.map(|value| value.to_bits()).collect()
        };
        assert!(bits(&whole) == bits(&apart), "{} in {parts} parts, {set:?}", K::NAME);
    }
}

fn changed(before: &Machine, after: &Machine) -> bool {
    let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| a.to_bits() != b.to_bits());
    differ(&before.workspace, &after.workspace) || before.outputs.iter().zip(&after.outputs).any(|(a, b)| differ(a, b))
}

/// A convolution of 4 items whose tensors hold `spare` blocks beside the views.
fn conv(machine: &mut Machine, [x, residual, y]: [Operand; 3], [input, output, spare]: [u32; 3], size: u32) -> Conv {
    let window = Window::square(size, 1, size / 2);
    let weights = noise(4, (input * output * window.taps()) as usize);
    let groups = Groups { count: 1, input, output };
    Conv {
        x,
        residual,
        y,
        weights: machine.weights(&layout::conv(&weights, groups, window.taps()), 1),
        bias: machine.weights(&layout::vector(&noise(5, output as usize)), 1),
        n: 4,
        in_channels: input,
        out_channels: output,
        groups: 1,
        in_h: 4,
        in_w: 5,
        out_h: 4,
        out_w: 5,
        window,
        x_blocks: blocks_of(input) + spare,
        residual_blocks: blocks_of(output) + spare,
        y_blocks: blocks_of(output) + spare,
        activation: Activation::RELU,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn convolutions(
        input in 1u32..=33, output in 1u32..=40, spare in 0u32..=1, size in prop::sample::select(vec![1u32, 3]),
        planar in any::<bool>(), residual in any::<bool>(), in_place in any::<bool>(),
        parts in prop::sample::select(vec![2u32, 4]),
    ) {
        let (mut m, mut operands) = machine();
        if in_place && residual {
            operands[2] = operands[1];
        }
        let input = if planar { 16 } else { input };
        let mut conv = conv(&mut m, operands, [input, output, spare], size);
        conv.residual_blocks *= u32::from(residual);
        conv.x_blocks *= u32::from(!planar);
        same_in_parts(&m, &conv, parts);
    }

    #[test]
    fn convolutions_by_patches(
        input in 1u32..=33, output in 1u32..=40, spare in 0u32..=1, patch in prop::sample::select(vec![2u32, 4]),
        residual in any::<bool>(), parts in prop::sample::select(vec![2u32, 4]),
    ) {
        let (mut m, operands) = machine();
        let mut conv = conv(&mut m, operands, [input, output, spare], 3);
        conv.residual_blocks *= u32::from(residual);
        let mut winograd = Winograd::of(&conv, patch).unwrap();
        let weights = noise(4, (input * output * 9) as usize);
        winograd.weights = m.weights(&layout::winograd(&weights, output, input, patch), 1);
        same_in_parts(&m, &winograd, parts);
    }

    #[test]
    fn channels_by_themselves(
        channels in 1u32..=40, spare in 0u32..=1, stride in 1u32..=2, parts in prop::sample::select(vec![2u32, 4]),
    ) {
        let (mut m, [x, _, y]) = machine();
        let (window, blocks) = (Window::square(3, stride, 1), blocks_of(channels) + spare);
        let weights = noise(4, (channels * 9) as usize);
        let out = 6u32.div_ceil(stride);
        let depthwise = Depthwise {
            x, y, n: 4, channels, in_h: 6, in_w: 6, out_h: out, out_w: out, window,
            weights: m.weights(&layout::depthwise(&weights, channels, 9), 1),
            bias: m.weights(&layout::vector(&noise(5, channels as usize)), 1),
            x_blocks: blocks, y_blocks: blocks, activation: Activation::RELU,
        };
        same_in_parts(&m, &depthwise, parts);
        let pool = Pool {
            x, y, n: 4, channels, in_h: 6, in_w: 6, out_h: out, out_w: out, window,
            x_blocks: blocks, y_blocks: blocks, kind: PoolKind::Average as u32,
        };
        same_in_parts(&m, &pool, parts);
        let kind = PoolKind::Max as u32;
        let global = GlobalPool { x, y, n: 4, channels, hw: 36, x_blocks: blocks, y_blocks: blocks, kind };
        same_in_parts(&m, &global, parts);
    }

    #[test]
    fn rows(len in 1u32..=5, spare in 0u32..=1, parts in prop::sample::select(vec![2u32, 4])) {
        let (mut m, [x, other, y]) = machine();
        let (rows, len, stride) = (4, len * 16, (len + spare) * 16);
        let vector = m.weights(&layout::vector(&noise(4, len as usize)), 1);
        let sigmoid = Activation::new(ActivationKind::Sigmoid, 0.0, 0.0);
        same_in_parts(&m, &Unary { x, y, rows, len, x_stride: stride, y_stride: len, activation: sigmoid }, parts);
        same_in_parts(&m, &Softmax { x, y, rows, len }, parts);
        same_in_parts(&m, &LayerNorm { x, gamma: vector, beta: vector, y, rows, len, epsilon: 1e-5 }, parts);
        let kind = ReduceKind::Mean as u32;
        same_in_parts(&m, &Reduce { x, y, outer: rows, len: 3, inner: len, kind }, parts);
        let weights = m.weights(&layout::gemm(&noise(5, (len * 48) as usize), len, 48, false), 1);
        let gemm = Gemm {
            x, weights, bias: m.weights(&layout::vector(&noise(6, 48)), 1), residual: other, y, m: rows, k: len, n: 48,
            x_stride: stride, residual_stride: 48, y_stride: 64, activation: Activation::NONE,
        };
        same_in_parts(&m, &gemm, parts);
        let table: Vec<f32> = [0u32, 2].map(f32::from_bits).into_iter().chain([0.5, 0.25]).collect();
        let table = m.weights(&layout::constant(&table), 1);
        let (outer, x_stride) = (rows, 3 * stride);
        same_in_parts(&m, &Resample { x, table, y, outer, len: 3, out: 1, inner: len, taps: 2, x_stride, fill: 0.0 }, parts);
    }

    #[test]
    fn strided(blocks in 1u32..=3, hw in 1u32..=6, broadcast in any::<bool>(), parts in prop::sample::select(vec![2u32, 4])) {
        let (m, [a, b, y]) = machine();
        let item = blocks * hw * 16;
        let of_b = if broadcast { [16 * blocks, 16, 0, 1] } else { [item, hw * 16, 16, 1] };
        let strides: [&[u32]; 3] = [&[item, hw * 16, 16, 1], &of_b, &[item, hw * 16, 16, 1]];
        let binary = Binary::new(BinaryOp::Mul, [a, b, y], &[4, blocks, hw, 16], strides, Activation::RELU).unwrap();
        if binary.outermost().is_multiple_of(parts) {
            same_in_parts(&m, &binary, parts);
        }
        let rows = CopySide::row_major(0, &[item, hw, 1, 1]).unwrap();
        let copy = Copy { x: a, y, dims: [1, 1, 4, blocks * 16, hw, 1], from: CopySide::image(blocks, hw, 1, 0), to: rows };
        same_in_parts(&m, &copy, parts);
    }

    #[test]
    fn what_enters_and_leaves(channels in 1u32..=20, blocked in any::<bool>(), parts in prop::sample::select(vec![2u32, 4])) {
        let (mut m, [x, _, y]) = machine();
        let (n, hw, blocks) = (4, 16, if blocked { blocks_of(channels) + 1 } else { 0 });
        m.inputs = (10..14).map(|seed| noise(seed, 400)).collect();
        m.outputs = vec![vec![0.0; 400]; 4];
        let given = Operand { space: Space::Input as u32, page: 0, offset: 0, rows_per_page: 1 };
        let made = Operand { space: Space::Output as u32, ..given };
        same_in_parts(&m, &Enter { x: given, y, n, channels, hw, blocks }, parts);
        same_in_parts(&m, &Leave { x, y: made, n, channels, hw, blocks }, parts);
        let element = Whole::I32 as u32;
        same_in_parts(&m, &EnterWhole { x: given, y, n, len: channels * 16, element }, parts);
        same_in_parts(&m, &LeaveWhole { x, y: made, n, len: channels * 16, element }, parts);
        let channels = channels.min(16);
        let table = m.weights(&layout::constant(&noise(5, channels as usize * 256)), 1);
        same_in_parts(&m, &EnterPixels { x: given, table, y, n, channels, hw, interleaved: 1, blocks: blocks.min(1) }, parts);
    }
}

#[test]
fn no_part_begins_within_a_line_or_at_weights_of_its_own() {
    let (_, [x, _, y]) = machine();
    let unary = Unary { x, y, rows: 4, len: 15, x_stride: 15, y_stride: 15, activation: Activation::RELU };
    assert!(unary.part(0, 2).is_some());
    assert_eq!(unary.part(2, 2), None);
    let side = CopySide::row_major(0, &[1]).unwrap();
    let constant =
        Copy { x: Operand::contiguous(Space::Weights, 0, 0), y, dims: [1, 1, 1, 1, 1, 64], from: side, to: side };
    assert_eq!(constant.part(32, 32), None);
    let shuffle = CopySide { channels: [0, 0, 4, 1, 0, 0], ..CopySide::image(1, 2, 2, 0) };
    assert_eq!(Copy { x, y, dims: [1, 1, 4, 4, 2, 2], from: shuffle, to: side }.outermost(), 1);
    assert_eq!(MatMul::zeroed().outermost(), 1);
}
