//! Elements picked at run time: a tile is one index of the four outer dimensions.

use super::micro::Simd;
use super::{Tile, at};
use crate::params::{Gather, RANK};

/// What `index` means among `size` places.
#[inline(always)]
fn place(index: i32, size: u32) -> usize {
    let size = i64::from(size);
    let index = i64::from(index);
    let wrapped = if index < 0 { index + size } else { index };
    usize::try_from(wrapped.clamp(0, size - 1)).unwrap_or(0)
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(_: S, g: &Gather, tile: Tile<'_>) {
    let (mut own, mut at_index) = (0, at(g.index_first));
    let mut index = tile.index;
    for d in (0..RANK - 2).rev() {
        let i = index % at(g.dims[d]);
        index /= at(g.dims[d]);
        own += i * at(g.x_strides[d]);
        at_index += i * at(g.index_strides[d]);
    }
    let (rows, len) = (at(g.dims[RANK - 2]), at(g.dims[RANK - 1]));
    let x = tile.memory.rows(&g.x, at(g.x_row));
    let mut y = tile.memory.target(&g.y, tile.index * rows * len, rows * len);
    // The place that the indices at `first` name.
    let picked = |first: usize| {
        let reach = (at(g.picks) - 1) * at(g.index_step) + 1;
        let indices: &[i32] = bytemuck::cast_slice(tile.memory.slice(&g.index, first, reach));
        (0..at(g.picks)).map(|k| place(indices[k * at(g.index_step)], g.sizes[k]) * at(g.steps[k])).sum::<usize>()
    };
    let [row_stride, stride] = [g.x_strides[RANK - 2], g.x_strides[RANK - 1]].map(at);
    let [index_row, index_stride] = [g.index_strides[RANK - 2], g.index_strides[RANK - 1]].map(at);
    for (i, y) in y.as_mut().chunks_exact_mut(len).enumerate() {
        let (own, at_index) = (own + i * row_stride, at_index + i * index_row);
        let first = own + picked(at_index);
        let (row, column) = (first / at(g.x_row), first % at(g.x_row));
        if index_stride == 0 && stride == 1 && column + len <= at(g.x_row) {
            y.copy_from_slice(&x.row(row)[column..column + len]);
            continue;
        }
        for (j, y) in y.iter_mut().enumerate() {
            let from = own + j * stride + picked(at_index + j * index_stride);
            *y = x.row(from / at(g.x_row))[from % at(g.x_row)];
        }
    }
}
