//! Attention against its definition.

use super::harness::{Machine, close, noise, same, sets};
use crate::image::InstructionSet;
use crate::params::Attention;
use bytemuck::Zeroable;
use proptest::prelude::*;

/// Items, heads, queries, keys, depth, width.
type Size = [u32; 6];

/// Rows of all heads of an item side by side, those of one token after those of another.
fn element(heads: u32, rows: u32, len: u32, [item, head, row, i]: [u32; 4]) -> usize {
    (((item * rows + row) * heads + head) * len + i) as usize
}

/// In `f64`, laid out as the kernel's result.
fn reference(size: Size, [q, k, v, mask]: [&[f32]; 4], scale: f32) -> Vec<f64> {
    let [items, heads, queries, keys, depth, width] = size;
    let mut out = vec![0.0; (items * queries * heads * width) as usize];
    for (item, head, row) in
        (0..items * heads * queries).map(|i| (i / queries / heads, i / queries % heads, i % queries))
    {
        let score = |key: u32| {
            let at = |i: u32, row: u32, rows: u32| element(heads, rows, depth, [item, head, row, i]);
            let of = |i: u32| f64::from(q[at(i, row, queries)]) * f64::from(k[at(i, key, keys)]);
            let added = mask.get((item * keys + key) as usize).map_or(0.0, |m| f64::from(*m));
            (0..depth).map(of).sum::<f64>() * f64::from(scale) + added
        };
        let scores: Vec<f64> = (0..keys).map(score).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
        for i in 0..width {
            let of = |key: u32| f64::from(v[element(heads, keys, width, [item, head, key, i])]);
            let share = |key: u32| (scores[key as usize] - top).exp() / total;
            out[element(heads, queries, width, [item, head, row, i])] = (0..keys).map(|key| share(key) * of(key)).sum();
        }
    }
    out
}

fn attention(set: InstructionSet, size: Size, [q, k, v, mask]: [&[f32]; 4], scale: f32) -> Vec<f32> {
    let [items, heads, queries, keys, depth, width] = size;
    let mut m = Machine::new();
    let len = (items * queries * heads * width) as usize;
    let block = Attention {
        q: m.place(&[&[f32::NAN; 2], q].concat()),
        k: m.place(k),
        v: m.place(v),
        mask: if mask.is_empty() { Attention::zeroed().mask } else { m.place(&[&[f32::NAN; 5], mask].concat()) },
        y: m.room(len + 3),
        batch: [items, heads],
        queries,
        keys,
        depth,
        width,
        q_first: 2,
        q_batch: [queries * heads * depth, depth],
        q_row: heads * depth,
        k_batch: [keys * heads * depth, depth],
        k_depth: 1,
        k_key: heads * depth,
        v_batch: [keys * heads * width, width],
        v_row: heads * width,
        mask_first: 5,
        mask_batch: [keys, 0],
        masked: u32::from(!mask.is_empty()),
        y_first: 3,
        y_batch: [queries * heads * width, width],
        y_row: heads * width,
        scale,
        ..Attention::zeroed()
    };
    m.run(set, &block);
    m.read(block.y, len + 3)[3..].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn attention_is_right(
        items in 1u32..=3, heads in 1u32..=3, queries in 1u32..=40, keys in 1u32..=50, depth in 1u32..=20,
        width in 1u32..=40, masked in any::<bool>(),
    ) {
        let size = [items, heads, queries, keys, depth, width];
        let make = |seed, rows: u32, len: u32| noise(seed, (items * rows * heads * len) as usize);
        let (q, k, v) = (make(1, queries, depth), make(2, keys, depth), make(3, keys, width));
        // The last key of each item is hidden, if there are several.
        let hide = |i: u32| if i % keys == keys - 1 && keys > 1 { -10000.0 } else { 0.25 * (i % 3) as f32 };
        let mask: Vec<f32> = (0..if masked { items * keys } else { 0 }).map(hide).collect();
        let wanted = reference(size, [&q, &k, &v, &mask], 1.5);
        for set in sets() {
            let y = attention(set, size, [&q, &k, &v, &mask], 1.5);
            close(&y, &wanted, 1e-5);
            let part = |v: &[f32], i: usize| v[v.len() / items as usize * i..][..v.len() / items as usize].to_vec();
            let single = [1, heads, queries, keys, depth, width];
            let alone = |i: usize| attention(set, single, [&part(&q, i), &part(&k, i), &part(&v, i), &part(&mask, i)], 1.5);
            same(&y, &(0..items as usize).flat_map(alone).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_longest_attention_is_the_one_that_fits() {
    let longest = (1..4096).take_while(|&keys| Attention::fits(keys, 64, 64)).count();
    let longest = u32::try_from(longest).unwrap();
    assert!(longest >= 768, "{longest} keys");
    let size = [1, 1, 2, longest, 64, 64];
    let (q, k, v) = (noise(1, 128), noise(2, (longest * 64) as usize), noise(3, (longest * 64) as usize));
    for set in sets() {
        close(&attention(set, size, [&q, &k, &v, &[]], 0.125), &reference(size, [&q, &k, &v, &[]], 0.125), 1e-5);
    }
}
