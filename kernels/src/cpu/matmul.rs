//! Products of two activations: a tile is one product. The right side is packed, panel by panel,
//! into scratch, so that the chain is that of [`Gemm`](crate::params::Gemm).

use super::gemm::panels;
use super::micro::math::Clamp;
use super::micro::{GemmSpan, Simd};
use super::view::Memory;
use super::{LANES, Tile, at};
use crate::params::{Activation, MatMul};

static NO_BIAS: [f32; LANES] = [0.0; LANES];

/// Columns `column..column + width` of the right side as a panel `[k][16]`.
#[inline(always)]
fn pack(m: &MatMul, memory: &Memory<'_>, start: usize, [column, width]: [usize; 2], panel: &mut [f32]) {
    let (k_stride, n_stride) = (at(m.w_k), at(m.w_n));
    let first = start + column * n_stride;
    let len = (at(m.k) - 1) * k_stride + (width - 1) * n_stride + 1;
    let w = memory.slice(&m.w, first, len);
    for (k, row) in panel.chunks_exact_mut(LANES).enumerate() {
        for (j, lane) in row.iter_mut().enumerate() {
            *lane = if j < width { w[k * k_stride + j * n_stride] } else { 0.0 };
        }
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, m: &MatMul, tile: Tile<'_>) {
    let (outer, inner) = (tile.index / at(m.batch[1]), tile.index % at(m.batch[1]));
    let start = |first: u32, batch: [u32; 2]| at(first) + outer * at(batch[0]) + inner * at(batch[1]);
    let (x, w, y) = (start(m.x_first, m.x_batch), start(m.w_first, m.w_batch), start(m.y_first, m.y_batch));
    let (rows, k, n) = (at(m.m), at(m.k), at(m.n));
    let panel = &mut tile.scratch[..k * LANES];
    for column in (0..n).step_by(LANES) {
        let width = (n - column).min(LANES);
        pack(m, &tile.memory, w, [column, width], panel);
        let mut span = GemmSpan {
            x: tile.memory.source_grid(&m.x, x, [rows, at(m.x_row), k]),
            k,
            panels: [panel, panel],
            bias: [&NO_BIAS; 2],
            blocks: 1,
            scale: m.scale,
            residual: None,
            y: tile.memory.target_grid(&m.y, y + column, [rows, at(m.y_row), width]),
            clamp: Clamp::of(&Activation::NONE),
        };
        panels(s, &mut span, rows);
    }
}
