//! A row-major matrix times weights: a tile is up to four panels of 16 columns, all rows.

use super::micro::math::{Apply, Clamp, with_activation};
use super::micro::{GemmSpan, Simd, gemm_group, map};
use super::view::TargetGrid;
use super::{LANES, Tile, at};
use crate::params::{Gemm, blocks_of};

/// All rows of the panels of `span`.
#[inline(always)]
pub(crate) fn panels<S: Simd>(s: S, span: &mut GemmSpan<'_>, rows: usize) {
    let mut block = 0;
    while block < span.blocks {
        let mut done = (1, 0);
        let mut first = 0;
        while first < rows {
            done = gemm_group(s, span, block, [first, rows - first]);
            first += done.1;
        }
        block += done.0;
    }
    if let Some(rest) = &span.clamp.rest {
        with_activation(s, rest, MapRows { s, y: &mut span.y, rows });
    }
}

/// A function of all elements of the rows.
struct MapRows<'a, 'b, S> {
    s: S,
    y: &'a mut TargetGrid<'b>,
    rows: usize,
}

impl<S: Simd> Apply<S> for MapRows<'_, '_, S> {
    #[inline(always)]
    #[expect(clippy::redundant_closure, reason = "a function handed on by reference stays a call")]
    fn with(self, f: impl Fn(S::V) -> S::V) {
        for row in 0..self.rows {
            let mut y = self.y.row(row);
            map(
                self.s,
                y.itself(),
                &mut y,
                #[inline(always)]
                |x| f(x),
            );
        }
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, g: &Gemm, tile: Tile<'_>) {
    let (m, k, n) = (at(g.m), at(g.k), at(g.n));
    let all = at(blocks_of(g.n));
    let first = tile.index * Gemm::TILE_PANELS as usize;
    let last = all.min(first + Gemm::TILE_PANELS as usize);
    let weights = tile.memory.rows(&g.weights, k * LANES);
    for pair in (first..last).step_by(2) {
        let blocks = (last - pair).min(2);
        let block = |b: usize| pair + b.min(blocks - 1);
        let column = pair * LANES;
        let width = (n - column).min(blocks * LANES);
        let grid = |stride: u32| [m, at(stride), width];
        let mut span = GemmSpan {
            x: tile.memory.source_grid(&g.x, 0, [m, at(g.x_stride), k]),
            k,
            panels: [weights.row(block(0)), weights.row(block(1))],
            bias: [0, 1].map(|b| tile.memory.slice(&g.bias, block(b) * LANES, LANES)),
            blocks,
            scale: 1.0,
            residual: (g.residual_stride > 0)
                .then(|| tile.memory.source_grid(&g.residual, column, grid(g.residual_stride))),
            y: tile.memory.target_grid(&g.y, column, grid(g.y_stride)),
            clamp: Clamp::of(&g.activation),
        };
        panels(s, &mut span, m);
    }
}
