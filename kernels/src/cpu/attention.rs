//! Attention: a tile is one head of one item. Its keys and values are packed as right sides of
//! products; scores are made, and used up, some queries at a time, so that they stay near.

use super::gemm::panels;
use super::matmul::{NO_BIAS, pack};
use super::micro::math::Clamp;
use super::micro::{GemmSpan, Simd};
use super::softmax;
use super::view::{Memory, SourceGrid, Target, TargetGrid};
use super::{LANES, Tile, at};
use crate::params::{Activation, Attention, blocks_of};

/// One head: its block, and the first element of each side.
struct Head<'a> {
    a: &'a Attention,
    memory: Memory<'a>,
    q: usize,
    k: usize,
    v: usize,
    mask: usize,
    y: usize,
}

/// Packs all of a right side, panel by panel.
#[inline(always)]
fn pack_all<S: Simd>(s: S, w: &[f32], strides: [usize; 2], [k, n]: [usize; 2], packed: &mut [f32]) {
    for (block, panel) in packed.chunks_exact_mut(k * LANES).enumerate() {
        let column = block * LANES;
        pack(s, &w[column * strides[1]..], strides, (n - column).min(LANES), panel);
    }
}

/// One or two packed panels of `k` rows, from block `first` on; a missing second is the first again.
#[inline(always)]
fn pair(packed: &[f32], k: usize, first: usize, blocks: usize) -> [&[f32]; 2] {
    let panel = |block: usize| &packed[block * k * LANES..][..k * LANES];
    [panel(first), panel(first + blocks - 1)]
}

impl<'a> Head<'a> {
    #[inline(always)]
    fn new(a: &'a Attention, memory: Memory<'a>, index: usize) -> Head<'a> {
        let (outer, inner) = (index / at(a.batch[1]), index % at(a.batch[1]));
        let start = |first: u32, batch: [u32; 2]| at(first) + outer * at(batch[0]) + inner * at(batch[1]);
        Head {
            a,
            memory,
            q: start(a.q_first, a.q_batch),
            k: start(a.k_first, a.k_batch),
            v: start(a.v_first, a.v_batch),
            mask: start(a.mask_first, a.mask_batch),
            y: start(a.y_first, a.y_batch),
        }
    }

    /// The packed keys, then the packed values.
    #[inline(always)]
    fn packed<'b, S: Simd>(&self, s: S, scratch: &'b mut [f32]) -> [&'b mut [f32]; 3] {
        let a = self.a;
        let (keys, depth, width) = (at(a.keys), at(a.depth), at(a.width));
        let (k_panels, rest) = scratch.split_at_mut(at(blocks_of(a.keys)) * LANES * depth);
        let (v_panels, rest) = rest.split_at_mut(at(blocks_of(a.width)) * LANES * keys);
        let reach = |dims: [usize; 2], strides: [usize; 2]| (dims[0] - 1) * strides[0] + (dims[1] - 1) * strides[1] + 1;
        let (k_strides, v_strides) = ([at(a.k_depth), at(a.k_key)], [at(a.v_row), 1]);
        let k = self.memory.slice(&a.k, self.k, reach([depth, keys], k_strides));
        pack_all(s, k, k_strides, [depth, keys], k_panels);
        let v = self.memory.slice(&a.v, self.v, reach([keys, width], v_strides));
        pack_all(s, v, v_strides, [keys, width], v_panels);
        [k_panels, v_panels, rest]
    }

    /// The scores of `rows` queries from `first` on, in rows of whole blocks of keys.
    #[inline(always)]
    fn score<S: Simd>(&self, s: S, k_panels: &[f32], [first, rows]: [usize; 2], scores: &mut [f32]) {
        let (a, keys, all) = (self.a, at(self.a.keys), at(blocks_of(self.a.keys)));
        for block in (0..all).step_by(2) {
            let (blocks, column) = ((all - block).min(2), block * LANES);
            let masked = [rows, at(a.mask_row), (keys - column).min(blocks * LANES)];
            let at_mask = self.mask + first * at(a.mask_row) + column;
            let mut span = GemmSpan {
                x: self.memory.source_grid(&a.q, self.q + first * at(a.q_row), [rows, at(a.q_row), at(a.depth)]),
                k: at(a.depth),
                panels: pair(k_panels, at(a.depth), block, blocks),
                bias: [&NO_BIAS; 2],
                blocks,
                scale: a.scale,
                residual: (a.masked == 1).then(
                    #[inline(always)]
                    || self.memory.source_grid(&a.mask, at_mask, masked),
                ),
                y: TargetGrid::of(scores, column, [rows, all * LANES, blocks * LANES]),
                clamp: Clamp::of(&Activation::NONE),
            };
            panels(s, &mut span, rows);
        }
    }

    /// The outputs of these queries from their shares.
    #[inline(always)]
    fn blend<S: Simd>(&self, s: S, v_panels: &[f32], [first, rows]: [usize; 2], shares: &[f32]) {
        let (a, keys, all) = (self.a, at(self.a.keys), at(blocks_of(self.a.width)));
        let stride = at(blocks_of(a.keys)) * LANES;
        for block in (0..all).step_by(2) {
            let (blocks, column) = ((all - block).min(2), block * LANES);
            let y = [rows, at(a.y_row), (at(a.width) - column).min(blocks * LANES)];
            let mut span = GemmSpan {
                x: SourceGrid::of(shares, [rows, stride, keys]),
                k: keys,
                panels: pair(v_panels, keys, block, blocks),
                bias: [&NO_BIAS; 2],
                blocks,
                scale: 1.0,
                residual: None,
                y: self.memory.target_grid(&a.y, self.y + first * at(a.y_row) + column, y),
                clamp: Clamp::of(&Activation::NONE),
            };
            panels(s, &mut span, rows);
        }
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, a: &Attention, tile: Tile<'_>) {
    let head = Head::new(a, tile.memory, tile.index);
    let [k_panels, v_panels, rest] = head.packed(s, tile.scratch);
    let (queries, keys, stride) = (at(a.queries), at(a.keys), at(blocks_of(a.keys)) * LANES);
    for first in (0..queries).step_by(at(Attention::ROWS)) {
        let rows = (queries - first).min(at(Attention::ROWS));
        let scores = &mut rest[..rows * stride];
        head.score(s, k_panels, [first, rows], scores);
        for row in scores.chunks_exact_mut(stride) {
            // Lanes beyond the keys get a share of 0.
            row[keys..].fill(f32::NEG_INFINITY);
            let mut row = Target::from(row);
            softmax::row(s, row.itself(), &mut row);
        }
        head.blend(s, v_panels, [first, rows], scores);
    }
}
