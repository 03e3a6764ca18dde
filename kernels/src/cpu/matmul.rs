//! Products of two activations: a tile is one product. The right side is packed, two panels at a
//! time, into scratch, so that the chain is that of [`Gemm`](crate::params::Gemm).

use super::gemm::panels;
use super::micro::math::Clamp;
use super::micro::{GemmSpan, Simd, pack_turned};
use super::{LANES, Tile, at};
use crate::params::{Activation, MatMul};

/// The bias of what has none.
pub(crate) static NO_BIAS: [f32; LANES] = [0.0; LANES];

/// The first `width` columns of `w`, of which element `[k][n]` lies at the sum of index times stride,
/// as a panel `[k][16]`.
#[inline(always)]
pub(crate) fn pack<S: Simd>(s: S, w: &[f32], [k_stride, n_stride]: [usize; 2], width: usize, panel: &mut [f32]) {
    if n_stride == 1 && width == LANES {
        for (k, row) in panel.chunks_exact_mut(LANES).enumerate() {
            row.copy_from_slice(&w[k * k_stride..][..LANES]);
        }
        return;
    }
    let turned = if k_stride == 1 && width == LANES { pack_turned(s, w, n_stride, panel) } else { 0 };
    for (k, row) in panel.chunks_exact_mut(LANES).enumerate().skip(turned) {
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
    let strides = [at(m.w_k), at(m.w_n)];
    let (left, right) = tile.scratch.split_at_mut(k * LANES);
    let mut both = [left, &mut right[..k * LANES]];
    for column in (0..n).step_by(2 * LANES) {
        let width = (n - column).min(2 * LANES);
        let blocks = width.div_ceil(LANES);
        for (b, panel) in both.iter_mut().take(blocks).enumerate() {
            let (first, width) = (column + b * LANES, (width - b * LANES).min(LANES));
            let len = (k - 1) * strides[0] + (width - 1) * strides[1] + 1;
            let from = tile.memory.slice(&m.w, w + first * strides[1], len);
            pack(s, from, strides, width, panel);
        }
        let mut span = GemmSpan {
            x: tile.memory.source_grid(&m.x, x, [rows, at(m.x_row), k]),
            k,
            panels: [both[0], both[1]],
            bias: [&NO_BIAS; 2],
            blocks,
            scale: m.scale,
            residual: None,
            y: tile.memory.target_grid(&m.y, y + column, [rows, at(m.y_row), width]),
            clamp: Clamp::of(&Activation::NONE),
        };
        panels(s, &mut span, rows);
    }
}
