//! Products of matrices.

use super::harness::{Machine, activation, close, noise, same, sets};
use crate::image::InstructionSet;
use crate::layout;
use crate::params::{Activation, ActivationKind, Gemm, MatMul};
use bytemuck::Zeroable;
use proptest::prelude::*;

/// Rows at a distance; what lies between is NaN.
fn spread(values: &[f32], len: usize, stride: usize) -> Vec<f32> {
    values.chunks(len).flat_map(|row| [row.to_vec(), vec![f32::NAN; stride - len]].concat()).collect()
}

fn gather(values: &[f32], len: usize, stride: usize) -> Vec<f32> {
    values.chunks(stride).flat_map(|row| row[..len].to_vec()).collect()
}

/// Rows, inner, columns, distance added to each row.
type Size = [u32; 4];

fn gemm(set: InstructionSet, [m, k, n, more]: Size, act: Activation, transposed: bool, data: [&[f32]; 4]) -> Vec<f32> {
    let [x, w, bias, residual] = data;
    let mut machine = Machine::new();
    let mut g = Gemm { m, k, n, x_stride: k + more, y_stride: n + more, activation: act, ..Gemm::zeroed() };
    g.x = machine.place(&spread(x, k as usize, g.x_stride as usize));
    g.weights = machine.weights(&layout::gemm(w, k, n, transposed), 2);
    g.bias = machine.weights(&layout::vector(bias), 1);
    if residual.is_empty() {
        g.y = machine.room((m * g.y_stride) as usize);
    } else {
        g.residual_stride = g.y_stride;
        g.residual = machine.place(&spread(residual, n as usize, g.y_stride as usize));
        g.y = g.residual;
    }
    machine.run(set, &g);
    gather(&machine.read(g.y, (m * g.y_stride) as usize), n as usize, g.y_stride as usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn gemm_is_right(
        m in 1u32..=20, k in 1u32..=70, n in 1u32..=150, more in 0u32..=3, residual in any::<bool>(),
        transposed in any::<bool>(), swish in any::<bool>(),
    ) {
        let act = if swish { Activation::new(ActivationKind::Swish, 1.0, 0.0) } else { Activation::RELU };
        let (x, w) = (noise(1, (m * k) as usize), noise(2, (k * n) as usize));
        let (bias, added) = (noise(3, n as usize), noise(4, if residual { (m * n) as usize } else { 0 }));
        let reference: Vec<f64> = (0..m * n).map(|i| {
            let (row, column) = (i / n, i % n);
            let weight = |j: u32| w[(if transposed { column * k + j } else { j * n + column }) as usize];
            let sum: f64 = (0..k).map(|j| f64::from(x[(row * k + j) as usize]) * f64::from(weight(j))).sum();
            let added = added.get(i as usize).map_or(0.0, |v| f64::from(*v));
            activation(&act, sum + f64::from(bias[column as usize]) + added)
        }).collect();
        for set in sets() {
            let y = gemm(set, [m, k, n, more], act, transposed, [&x, &w, &bias, &added]);
            close(&y, &reference, 1e-5);
            // Each row alone is the same row, bit by bit.
            for row in 0..m as usize {
                let part = |v: &[f32], len: u32| v.get(row * len as usize..(row + 1) * len as usize).unwrap_or(&[]).to_vec();
                let alone = gemm(set, [1, k, n, 0], act, transposed, [&part(&x, k), &w, &bias, &part(&added, n)]);
                same(&alone, &y[row * n as usize..][..n as usize]);
            }
        }
    }

    #[test]
    fn matmul_is_right(
        items in 1u32..=3, heads in 1u32..=3, m in 1u32..=9, k in 1u32..=40, n in 1u32..=40, transposed in any::<bool>(),
    ) {
        // `x` and `y` are [items][rows][heads][..]; `w` is [items][heads][k][n] or [..][n][k].
        let (x, w) = (noise(1, (items * m * heads * k) as usize), noise(2, (items * heads * k * n) as usize));
        let element = |a: u32, h: u32, j: u32, c: u32| {
            (a * heads + h) * k * n + if transposed { c * k + j } else { j * n + c }
        };
        let mut reference = Vec::new();
        for i in 0..items * m * heads * n {
            let (a, row, h, c) = (i / (n * heads * m), i / (n * heads) % m, i / n % heads, i % n);
            let sum: f64 = (0..k).map(|j| {
                f64::from(x[(((a * m + row) * heads + h) * k + j) as usize]) * f64::from(w[element(a, h, j, c) as usize])
            }).sum();
            reference.push(sum * 0.25);
        }
        let run = |set, items: u32, x: &[f32], w: &[f32]| {
            let mut machine = Machine::new();
            let (from, with) = (machine.place(&[&[f32::NAN; 3], x].concat()), machine.place(w));
            let y = machine.room((items * m * heads * n + 5) as usize);
            machine.run(set, &MatMul {
                x: from, w: with, y, batch: [items, heads], m, k, n, x_first: 3,
                x_batch: [m * heads * k, k], x_row: heads * k, w_first: 0, w_batch: [heads * k * n, k * n],
                w_k: if transposed { 1 } else { n }, w_n: if transposed { k } else { 1 }, y_first: 5,
                y_batch: [m * heads * n, n], y_row: heads * n, scale: 0.25,
            });
            machine.read(y, (items * m * heads * n + 5) as usize)[5..].to_vec()
        };
        for set in sets() {
            let y = run(set, items, &x, &w);
            close(&y, &reference, 1e-5);
            let part = |v: &[f32], i: usize| v[v.len() / items as usize * i..][..v.len() / items as usize].to_vec();
            let alone: Vec<f32> = (0..items as usize).flat_map(|i| run(set, 1, &part(&x, i), &part(&w, i))).collect();
            same(&y, &alone);
        }
    }
}
