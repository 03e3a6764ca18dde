//! Convolutions by patches, against the same plain loops as those without.

use super::conv::{Shape, activations, reference};
use super::harness::{Machine, block, close, same, sets, unblock};
use crate::image::InstructionSet;
use crate::layout;
use crate::params::{Activation, Block, Conv, Window, Winograd, blocks_of};
use bytemuck::Zeroable;
use proptest::prelude::*;

/// How the work is cut: patches of a tile, output blocks of a tile.
type Cut = [u32; 2];

/// The block of a shape, without operands.
fn winograd(shape: &Shape, patch: u32, cut: Option<Cut>) -> Winograd {
    let mut winograd = Winograd::of(&shape.block(), patch).unwrap();
    if let Some([group, split]) = cut {
        winograd.split = split.min(winograd.blocks_of_group());
        winograd.group = group;
    }
    winograd
}

fn run(set: InstructionSet, shape: &Shape, mut kernel: Winograd, [x, w, bias, residual]: [&[f32]; 4]) -> Vec<f32> {
    let channels = shape.input * shape.groups;
    let in_shape = [shape.n, channels, shape.size[0] * shape.size[1], kernel.x_blocks].map(|d| d as usize);
    let out_shape = [shape.n, shape.output, kernel.out_h * kernel.out_w, kernel.y_blocks].map(|d| d as usize);
    let mut m = Machine::new();
    kernel.x = m.place(&block(x, in_shape));
    kernel.weights = m.weights(&layout::winograd(w, shape.output, shape.input, kernel.patch), shape.rows_per_page);
    kernel.bias = m.weights(&layout::vector(bias), 1);
    if shape.residual {
        // Worked in place: the sum is written where the residual lay.
        kernel.residual_blocks = kernel.y_blocks;
        kernel.residual = m.place(&block(residual, out_shape));
        kernel.y = kernel.residual;
    } else {
        kernel.y = m.room(out_shape[0] * out_shape[3] * out_shape[2] * 16);
    }
    m.run(set, &kernel);
    unblock(&m.read(kernel.y, out_shape[0] * out_shape[3] * out_shape[2] * 16), out_shape)
}

prop_compose! {
    fn shapes()(
        n in 1u32..=3, input in 1u32..=37, output in 1u32..=70, h in 1u32..=13, w in 1u32..=15,
        top in 0u32..=2, left in 0u32..=2, spare in 0u32..=2, residual in any::<bool>(),
        activation in activations(), grouped in any::<bool>(), rows_per_page in 1u32..=40,
    ) -> Shape {
        let window = Window { pad_top: top, pad_left: left, ..Window::square(3, 1, 0) };
        let (groups, input, output) = if grouped { (2, 16, 64) } else { (1, input, output) };
        Shape { n, groups, input, output, size: [h, w], window, spare, residual, activation, rows_per_page, planar: false }
    }
}

fn fitting() -> impl Strategy<Value = Shape> {
    shapes().prop_filter("fits", |s| s.out_size().is_some())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn patches_are_right_however_the_work_is_cut(
        shape in fitting(), group in 1u32..=40, split in 1u32..=4,
    ) {
        let data = shape.data();
        let data = [&data[0][..], &data[1], &data[2], &data[3]];
        let reference = reference(&shape, data);
        for (patch, tolerance) in [(2, 1e-5), (4, 1e-4)] {
            for set in sets() {
                let y = run(set, &shape, winograd(&shape, patch, None), data);
                close(&y, &reference, tolerance);
                same(&y, &run(set, &shape, winograd(&shape, patch, Some([group, split])), data));
            }
        }
    }

    #[test]
    fn patches_of_a_batch_are_those_of_its_items(shape in fitting()) {
        let [x, w, bias, residual] = shape.data();
        let one = Shape { n: 1, ..shape.clone() };
        let n = shape.n as usize;
        for (patch, set) in [2, 4].into_iter().flat_map(|patch| sets().into_iter().map(move |set| (patch, set))) {
            let all = run(set, &shape, winograd(&shape, patch, None), [&x, &w, &bias, &residual]);
            let part = |v: &[f32], i: usize| v[v.len() / n * i..][..v.len() / n].to_vec();
            let items: Vec<f32> = (0..n)
                .flat_map(|i| {
                    run(set, &one, winograd(&one, patch, None), [&part(&x, i), &w, &bias, &part(&residual, i)])
                })
                .collect();
            same(&all, &items);
        }
    }
}

/// As many channels as layers of large models have, and patches beyond one tile.
#[test]
fn patches_of_four_keep_their_precision_over_many_channels() {
    let window = Window::square(3, 1, 1);
    let of = |input, output| Shape {
        n: 1,
        groups: 1,
        input,
        output,
        size: [14, 14],
        window,
        spare: 0,
        residual: false,
        planar: false,
        activation: Activation::NONE,
        rows_per_page: 64,
    };
    for shape in [of(512, 32), of(900, 16)] {
        let data = shape.data();
        let data = [&data[0][..], &data[1], &data[2], &data[3]];
        let reference = reference(&shape, data);
        for (patch, tolerance) in [(2, 2e-6), (4, 1e-5)] {
            for set in sets() {
                close(&run(set, &shape, winograd(&shape, patch, None), data), &reference, tolerance);
            }
        }
    }
}

/// The cut follows from the shape; what scratch can't hold is refused.
#[test]
fn the_cut_keeps_to_scratch() {
    for channels in [1, 64, 512, 1024, 2300, 2400, 20_000] {
        let conv = Conv {
            n: 1,
            in_channels: channels,
            out_channels: 512,
            groups: 1,
            in_h: 28,
            in_w: 28,
            out_h: 28,
            out_w: 28,
            window: Window::square(3, 1, 1),
            x_blocks: blocks_of(channels),
            y_blocks: 32,
            activation: Activation::RELU,
            ..Conv::zeroed()
        };
        let block = Winograd::of(&conv, 4).unwrap();
        let [inputs, products] = block.scratch_of_point();
        let bytes = u64::from(inputs + products) * 36 * 4;
        assert_eq!(block.check().is_ok(), bytes <= u64::from(Winograd::SCRATCH_BYTES), "{channels} channels");
        assert_eq!(block.check().is_ok(), channels < 2400);
        assert!(block.check().is_err() || block.grid() >= 4);
    }
    let strided = Conv { window: Window::square(3, 2, 1), ..Conv::zeroed() };
    assert_eq!(Winograd::of(&strided, 2), None);
}
