//! Kernels that work on rows.

use super::harness::{Machine, activation, close, noise, same, sets};
use crate::image::InstructionSet;
use crate::launch::Kernel;
use crate::layout;
use crate::operand::Operand;
use crate::params::{Activation, ActivationKind, LayerNorm, Reduce, ReduceKind, Softmax, Unary};
use proptest::prelude::*;

/// Runs a kernel from `x` to `len` elements, in place if `x` is that long and `in_place` says so.
fn map<K: Kernel>(
    set: InstructionSet,
    x: &[f32],
    len: usize,
    in_place: bool,
    kernel: impl Fn(&mut Machine, Operand, Operand) -> K,
) -> Vec<f32> {
    let mut m = Machine::new();
    let from = m.place(x);
    let to = if in_place { from } else { m.room(len) };
    let kernel = kernel(&mut m, from, to);
    m.run(set, &kernel);
    m.read(to, len)
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn softmax_is_right(rows in 1u32..=40, len in 1u32..=70, in_place in any::<bool>()) {
        let x: Vec<f32> = noise(1, (rows * len) as usize).iter().map(|v| v * 20.0).collect();
        let reference: Vec<f64> = wide(&x).chunks(len as usize).flat_map(|row| {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(|v| v.exp() / sum).collect::<Vec<_>>()
        }).collect();
        for set in sets() {
            let run = |x: &[f32], rows| map(set, x, x.len(), in_place, |_, x, y| Softmax { x, y, rows, len });
            let y = run(&x, rows);
            close(&y, &reference, 1e-6);
            same(&y, &x.chunks(len as usize).flat_map(|row| run(row, 1)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn layer_norm_is_right(rows in 1u32..=40, len in 1u32..=70, in_place in any::<bool>()) {
        let (x, gamma, beta) = (noise(1, (rows * len) as usize), noise(2, len as usize), noise(3, len as usize));
        let epsilon = 1e-3;
        let reference: Vec<f64> = wide(&x).chunks(len as usize).flat_map(|row| {
            let mean = row.iter().sum::<f64>() / f64::from(len);
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(len);
            let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
            let affine = wide(&gamma).into_iter().zip(wide(&beta));
            row.iter().zip(affine).map(|(v, (g, b))| (v - mean) * scale * g + b).collect::<Vec<_>>()
        }).collect();
        for set in sets() {
            let run = |x: &[f32], rows| map(set, x, x.len(), in_place, |m, x, y| LayerNorm {
                x,
                gamma: m.weights(&layout::vector(&gamma), 1),
                beta: m.weights(&layout::vector(&beta), 1),
                y,
                rows,
                len,
                epsilon,
            });
            let y = run(&x, rows);
            close(&y, &reference, 1e-5);
            same(&y, &x.chunks(len as usize).flat_map(|row| run(row, 1)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn reductions_are_right(outer in 1u32..=4, len in 1u32..=40, inner in prop::sample::select(vec![1u32, 2, 16, 21])) {
        let x = noise(1, (outer * len * inner) as usize);
        for kind in [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max] {
            let reference: Vec<f64> = (0..outer * inner).map(|i| {
                let values = (0..len).map(|j| f64::from(x[((i / inner * len + j) * inner + i % inner) as usize]));
                match kind {
                    ReduceKind::Sum => values.sum(),
                    ReduceKind::Mean => values.sum::<f64>() / f64::from(len),
                    ReduceKind::Max => values.fold(f64::NEG_INFINITY, f64::max),
                }
            }).collect();
            for set in sets() {
                let run = |x: &[f32], outer| map(set, x, (outer * inner) as usize, false, |_, x, y| {
                    Reduce { x, y, outer, len, inner, kind: kind as u32 }
                });
                let y = run(&x, outer);
                close(&y, &reference, 1e-6);
                same(&y, &x.chunks((len * inner) as usize).flat_map(|x| run(x, 1)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn unary_functions_are_right(kind in 0usize..25, rows in 1u32..=3, len in 1u32..=50, in_place in any::<bool>()) {
        let kind = ActivationKind::ALL[kind];
        let act = Activation::new(kind, 0.25, 0.5);
        let positive = matches!(kind, ActivationKind::Sqrt | ActivationKind::Reciprocal | ActivationKind::Log);
        let x: Vec<f32> = noise(1, (rows * len) as usize)
            .iter()
            .map(|v| if positive { v.abs() * 4.0 + 0.01 } else { v * 4.0 })
            .collect();
        let reference: Vec<f64> = wide(&x).into_iter().map(|v| activation(&act, v)).collect();
        for set in sets() {
            let y = map(set, &x, x.len(), in_place, |_, x, y| {
                Unary { x, y, rows, len, x_stride: len, y_stride: len, activation: act }
            });
            close(&y, &reference, 1e-6);
        }
    }
}

/// One function over a row of values.
fn apply(set: InstructionSet, kind: ActivationKind, x: &[f32]) -> Vec<f32> {
    let (len, activation) = (u32::try_from(x.len()).unwrap(), Activation::new(kind, 1.0, 0.0));
    map(set, x, x.len(), false, |_, x, y| Unary { x, y, rows: 1, len, x_stride: len, y_stride: len, activation })
}

#[test]
fn exp_is_within_two_units_in_the_last_place_over_its_range() {
    let x: Vec<f32> = (-1740..1770u16 as i16).map(|i| f32::from(i) * 0.05).collect();
    for set in sets() {
        for (x, y) in x.iter().zip(apply(set, ActivationKind::Exp, &x)) {
            let exact = f64::from(*x).exp();
            assert!((f64::from(y) - exact).abs() <= exact * 2.5e-7, "exp({x}) is {y}, not {exact}");
        }
    }
}

#[test]
fn the_ends_of_the_number_line_are_kept() {
    let x = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN, -1e30, 1e30];
    let bits = |v: &[f32]| v.iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect::<Vec<_>>();
    for set in sets() {
        assert_eq!(
            bits(&apply(set, ActivationKind::Exp, &x)),
            bits(&[0.0, f32::INFINITY, f32::NAN, 0.0, f32::INFINITY])
        );
        assert_eq!(bits(&apply(set, ActivationKind::Sigmoid, &x)), bits(&[0.0, 1.0, f32::NAN, 0.0, 1.0]));
        assert_eq!(bits(&apply(set, ActivationKind::Tanh, &x)), bits(&[-1.0, 1.0, f32::NAN, -1.0, 1.0]));
        assert_eq!(bits(&apply(set, ActivationKind::Relu, &x)), bits(&[0.0, f32::INFINITY, f32::NAN, 0.0, 1e30]));
    }
}
