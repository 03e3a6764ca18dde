//! Broadcasts and rearrangements.

use super::harness::{Machine, activation, block, close, noise, same, sets, unblock};
use crate::layout;
use crate::operand::{Operand, Space};
use crate::params::{Activation, Binary, BinaryOp, Block, BlockError, Copy, CopySide, blocks_of};
use proptest::prelude::*;

/// Strides of a contiguous tensor of `dims`, 0 where `broadcast` says so.
fn strides(dims: &[u32], broadcast: u32) -> (Vec<u32>, usize) {
    let mut out = vec![0; dims.len()];
    let mut len = 1;
    for d in (0..dims.len()).rev() {
        if broadcast >> d & 1 == 0 {
            out[d] = len;
            len *= dims[d];
        }
    }
    (out, len as usize)
}

/// The element that an index (counted row by row over `dims`) names.
fn element(mut index: u32, dims: &[u32], strides: &[u32]) -> usize {
    let mut at = 0;
    for d in (0..dims.len()).rev() {
        at += index % dims[d] * strides[d];
        index /= dims[d];
    }
    at as usize
}

fn two(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Min => a.min(b),
        BinaryOp::Max => a.max(b),
        BinaryOp::Pow => a.powf(b),
        BinaryOp::PRelu => {
            if a < 0.0 {
                a * b
            } else {
                a
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn binary_functions_are_right(
        op in prop::sample::select(BinaryOp::ALL.to_vec()),
        dims in prop::collection::vec(1u32..=20, 1..=4),
        a_broadcast in 0u32..16, b_broadcast in 0u32..16, in_place in any::<bool>(), constant in any::<bool>(),
    ) {
        let ((a_strides, a_len), (b_strides, b_len)) = (strides(&dims, a_broadcast), strides(&dims, b_broadcast));
        let (y_strides, y_len) = strides(&dims, 0);
        let positive = |v: Vec<f32>| v.into_iter().map(|v| v.abs() + 0.25).collect::<Vec<_>>();
        let (a, b) = (positive(noise(1, a_len)), positive(noise(2, b_len)));
        let reference: Vec<f64> = (0..u32::try_from(y_len).unwrap()).map(|i| {
            let (a, b) = (a[element(i, &dims, &a_strides)], b[element(i, &dims, &b_strides)]);
            activation(&Activation::RELU6, two(op, a.into(), b.into()))
        }).collect();
        for set in sets() {
            let mut m = Machine::new();
            let left = m.place(&a);
            let right = if constant { m.weights(&layout::constant(&b), 1) } else { m.place(&b) };
            let y = if in_place && a_broadcast.trailing_zeros() as usize >= dims.len() { left } else { m.room(y_len) };
            let sides = [&a_strides[..], &b_strides, &y_strides];
            let kernel = Binary::new(op, [left, right, y], &dims, sides, Activation::RELU6).unwrap();
            m.run(set, &kernel);
            close(&m.read(y, y_len), &reference, 1e-6);
        }
    }

    #[test]
    fn a_copy_permutes_and_slices(
        dims in prop::collection::vec(1u32..=6, 4), order in Just([0usize, 1, 2, 3]).prop_shuffle(), first in 0u32..9,
    ) {
        let (from, len) = strides(&dims, 0);
        let x = [vec![f32::NAN; first as usize], noise(1, len)].concat();
        let to_dims = order.map(|d| dims[d]);
        let permuted = order.map(|d| from[d]);
        let (to, _) = strides(&to_dims, 0);
        let expected: Vec<f32> = (0..u32::try_from(len).unwrap())
            .map(|i| x[first as usize + element(i, &to_dims, &permuted)])
            .collect();
        for set in sets() {
            let mut m = Machine::new();
            let (x, y) = (m.place(&x), m.room(len));
            let mut all = [1; 6];
            all[2..].copy_from_slice(&to_dims);
            let from = CopySide::row_major(first, &permuted).unwrap();
            m.run(set, &Copy { x, y, dims: all, from, to: CopySide::row_major(0, &to).unwrap() });
            same(&m.read(y, len), &expected);
        }
    }

    #[test]
    fn a_copy_moves_channels_between_blocked_and_row_major(
        n in 1u32..=3, c in 1u32..=40, h in 1u32..=4, w in 1u32..=5, first in 0u32..20, second in 0u32..20,
    ) {
        let x = noise(1, (n * c * h * w) as usize);
        let whole = |first: u32| blocks_of(first + c) + 1;
        let blocked_len = |first: u32| (n * whole(first) * h * w * 16) as usize;
        let dims = [1, 1, n, c, h, w];
        let plain = CopySide::row_major(0, &[c * h * w, h * w, w, 1]).unwrap();
        for set in sets() {
            // Into one tensor from channel `first` on, to another from `second` on, and back.
            let mut m = Machine::new();
            let (a, one) = (m.place(&x), m.room(blocked_len(first)));
            let (two, b) = (m.room(blocked_len(second)), m.room(x.len()));
            let (to_one, to_two) = (CopySide::image(whole(first), h, w, first), CopySide::image(whole(second), h, w, second));
            m.run(set, &Copy { x: a, y: one, dims, from: plain, to: to_one });
            m.run(set, &Copy { x: one, y: two, dims, from: to_one, to: to_two });
            m.run(set, &Copy { x: two, y: b, dims, from: to_two, to: plain });
            same(&m.read(b, x.len()), &x);
            if first == 0 {
                let shape = [n, c, h * w, whole(0)].map(|d| d as usize);
                same(&unblock(&m.read(one, blocked_len(0)), shape), &x);
                prop_assert_eq!(block(&x, shape).len(), blocked_len(0));
            }
        }
    }

    #[test]
    fn a_copy_shuffles_channels(
        n in 1u32..=2, groups in 1u32..=20, of_group in 1u32..=20, h in 1u32..=20, w in 1u32..=20, first in 0u32..20,
    ) {
        let (c, hw) = (groups * of_group, h * w);
        let x = noise(1, (n * c * hw) as usize);
        let channel = |i: u32| i / hw % c;
        let shuffled: Vec<f32> = (0..n * c * hw)
            .map(|i| x[(i - channel(i) * hw + (channel(i) % groups * of_group + channel(i) / groups) * hw) as usize])
            .collect();
        let (whole_x, whole_y) = (blocks_of(c), blocks_of(first + c));
        let side = |whole: u32, first_channel: u32, [outer, inner]: [u32; 2]| CopySide {
            strides: [0, whole * hw * 16, 0, 0, w * 16, 16],
            channels: [0, 0, outer, inner, 0, 0],
            ..CopySide::image(whole, h, w, first_channel)
        };
        let dims = [1, n, of_group, groups, h, w];
        let plain = CopySide::row_major(0, &[c * hw, hw, w, 1]).unwrap();
        for set in sets() {
            let mut m = Machine::new();
            let image = m.place(&block(&x, [n, c, hw, whole_x].map(|d| d as usize)));
            let (y, back) = (m.room((n * whole_y * hw * 16) as usize), m.room(x.len()));
            let (from, to) = (side(whole_x, 0, [1, of_group]), side(whole_y, first, [groups, 1]));
            m.run(set, &Copy { x: image, y, dims, from, to });
            let from = CopySide::image(whole_y, h, w, first);
            m.run(set, &Copy { x: y, y: back, dims: [1, 1, n, c, h, w], from, to: plain });
            same(&m.read(back, x.len()), &shuffled);
        }
    }
}

#[test]
fn blocked_images_take_a_scale_for_each_channel() {
    let (n, c, hw) = (2u32, 20u32, 6u32);
    let (x, scale) = (noise(1, (n * c * hw) as usize), noise(2, (n * c) as usize));
    let (image, one) = ([n, c, hw, 2].map(|d| d as usize), [n, c, 1, 2].map(|d| d as usize));
    let reference: Vec<f64> =
        x.iter().enumerate().map(|(i, v)| f64::from(*v) * f64::from(scale[i / hw as usize])).collect();
    for set in sets() {
        let mut m = Machine::new();
        let (a, b) = (m.place(&block(&x, image)), m.place(&block(&scale, one)));
        let own = [2 * hw * 16, hw * 16, 16, 1];
        let sides = [&own[..], &[32, 16, 0, 1], &own];
        let kernel = Binary::new(BinaryOp::Mul, [a, b, a], &[n, 2, hw, 16], sides, Activation::NONE).unwrap();
        m.run(set, &kernel);
        close(&unblock(&m.read(a, (n * 2 * hw * 16) as usize), image), &reference, 1e-6);
    }
}

#[test]
fn columns_of_wider_rows_are_sides() {
    let (a, b) = (noise(1, 7 * 5), noise(2, 5));
    let reference: Vec<f64> = (0..5).map(|row| f64::from(a[row * 7]) * f64::from(b[row])).collect();
    for set in sets() {
        let mut m = Machine::new();
        let (left, right, y) = (m.place(&a), m.place(&b), m.room(5));
        let sides = [&[7u32, 1][..], &[1, 0], &[1, 1]];
        let kernel = Binary::new(BinaryOp::Mul, [left, right, y], &[5, 1], sides, Activation::NONE).unwrap();
        m.run(set, &kernel);
        close(&m.read(y, 5), &reference, 1e-6);
    }
}

#[test]
fn an_output_that_would_be_written_twice_is_refused() {
    let operand = Operand::contiguous(Space::Workspace, 0, 0);
    let sides = [&[8u32, 1][..], &[8, 1], &[4, 1]];
    let binary = Binary::new(BinaryOp::Add, [operand; 3], &[3, 8], sides, Activation::NONE).unwrap();
    assert_eq!(binary.check(), Err(BlockError::Overlap { field: "y", dimension: 4 }));
}
