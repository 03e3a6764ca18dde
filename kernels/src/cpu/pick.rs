//! Elements picked by tables: a tile is one index of the four outer dimensions.

use super::micro::Simd;
use super::{Tile, at};
use crate::params::{Pick, RANK};

/// The sum of two table entries; what picks nothing stays so.
#[inline(always)]
fn join(a: u32, b: u32) -> u32 {
    if a == Pick::NOTHING || b == Pick::NOTHING { Pick::NOTHING } else { a.saturating_add(b) }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(_: S, p: &Pick, tile: Tile<'_>) {
    let x = tile.memory.slice(&p.x, at(p.x_first), at(p.x_len));
    let all: &[u32] = bytemuck::cast_slice(tile.memory.slice(&p.tables, 0, at(p.entries())));
    let mut rest = all;
    let tables: [&[u32]; RANK] = std::array::from_fn(|d| {
        let (table, behind) = rest.split_at(at(p.dims[d]));
        rest = behind;
        table
    });
    let mut from = 0;
    let mut index = tile.index;
    for d in (0..RANK - 2).rev() {
        from = join(from, tables[d][index % at(p.dims[d])]);
        index /= at(p.dims[d]);
    }
    let len = at(p.dims[RANK - 2]) * at(p.dims[RANK - 1]);
    let mut y = tile.memory.target(&p.y, tile.index * len, len);
    let fill = f32::from_bits(p.fill);
    for (row, y) in tables[RANK - 2].iter().zip(y.as_mut().chunks_exact_mut(at(p.dims[RANK - 1]))) {
        let from = join(from, *row);
        for (column, y) in tables[RANK - 1].iter().zip(y) {
            *y = x.get(at(join(from, *column))).copied().unwrap_or(fill);
        }
    }
}
