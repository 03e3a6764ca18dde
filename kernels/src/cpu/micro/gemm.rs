//! Products of matrices: rows of the left side times panels of 16 columns.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::chain::{ZEROS, chain};
use super::math::Clamp;
use super::{Group, Simd};
use crate::cpu::LANES;
use crate::cpu::view::{SourceGrid, TargetGrid};

/// Columns of a product: panels of 16, all rows.
pub(crate) struct GemmSpan<'a> {
    /// Rows of `k` elements.
    pub(crate) x: SourceGrid<'a>,
    /// Inner dimension.
    pub(crate) k: usize,
    /// Panels of `16 k` elements.
    pub(crate) panels: [&'a [f32]; 2],
    /// 16 elements for each panel.
    pub(crate) bias: [&'a [f32]; 2],
    /// Panels that there are, 1 or 2.
    pub(crate) blocks: usize,
    /// Factor of the sum, before the residual.
    pub(crate) scale: f32,
    /// Rows as long as those of `y`, added last.
    pub(crate) residual: Option<SourceGrid<'a>>,
    /// Rows of the panels' columns; the last panel may be narrower than 16.
    pub(crate) y: TargetGrid<'a>,
    /// Applied in registers.
    pub(crate) clamp: Clamp,
}

struct GemmGroup<'a, 'b> {
    span: &'b mut GemmSpan<'a>,
    first_block: usize,
    first: usize,
    rows: usize,
}

/// Computes up to `rows` rows from `first` on of panel `first_block` (and the next, if the
/// instruction set takes two); returns panels and rows done.
#[inline(always)]
pub(crate) fn gemm_group<S: Simd>(
    s: S,
    span: &mut GemmSpan<'_>,
    first_block: usize,
    [first, rows]: [usize; 2],
) -> (usize, usize) {
    let blocks = span.blocks - first_block;
    let mut group = GemmGroup { span, first_block, first, rows };
    s.tile(&mut group, blocks, rows)
}

impl<S: Simd> Group<S> for GemmGroup<'_, '_> {
    #[inline(always)]
    fn run<const B: usize, const P: usize>(&mut self, s: S) {
        let span = &mut *self.span;
        let last = self.rows.min(P) - 1;
        let mut sum = [[s.splat(0.0); P]; B];
        let mut w = [ZEROS.as_ptr(); B];
        for b in 0..B {
            let (bias, panel) = (span.bias[self.first_block + b], span.panels[self.first_block + b]);
            assert!(panel.len() == span.k * LANES && bias.len() == LANES, "a panel of weights, a bias");
            // SAFETY: asserted.
            sum[b] = [unsafe { s.load(bias.as_ptr()) }; P];
            w[b] = panel.as_ptr();
        }
        let mut x = [ZEROS.as_ptr(); P];
        for (p, x) in x.iter_mut().enumerate() {
            let row = span.x.row(self.first + p.min(last));
            assert!(row.len() == span.k, "a row of the left side");
            *x = row.as_ptr();
        }
        // SAFETY: rows of `k` and panels of `16 k` elements, asserted.
        unsafe { chain(s, &mut sum, x, w, span.k) };
        let (scale, clamp) = (s.splat(span.scale), span.clamp.lanes(s));
        for b in 0..B {
            // Without an early end the loop is unrolled, and the sums need no place in memory.
            for p in 0..P {
                if p <= last {
                    let place = [self.first + p, (self.first_block + b) * LANES];
                    let scaled = s.mul(sum[b][p], scale);
                    let sum = match &span.residual {
                        Some(residual) => s.add(scaled, load_columns(s, residual, place)),
                        None => scaled,
                    };
                    store_columns(s, &mut span.y, place, clamp.apply(s, sum));
                }
            }
        }
    }
}

/// 16 elements of a row from `column` on; 0 beyond its end.
#[inline(always)]
fn load_columns<S: Simd>(s: S, x: &SourceGrid<'_>, [row, column]: [usize; 2]) -> S::V {
    let x = x.row(row);
    if x.len() >= column + LANES {
        // SAFETY: the row has these elements.
        return unsafe { s.load(x.as_ptr().add(column)) };
    }
    let mut lanes = [0.0; LANES];
    for (j, lane) in lanes.iter_mut().enumerate() {
        if column + j < x.len() {
            *lane = x.get(column + j);
        }
    }
    s.load_array(&lanes)
}

/// Writes 16 elements of a row from `column` on, or those that there are.
#[inline(always)]
fn store_columns<S: Simd>(s: S, y: &mut TargetGrid<'_>, [row, column]: [usize; 2], sum: S::V) {
    let mut y = y.row(row);
    if y.len() >= column + LANES {
        // SAFETY: the row has these elements.
        return unsafe { s.store(sum, y.as_ptr().add(column)) };
    }
    let width = y.len() - column;
    y.part(column, width).as_mut().copy_from_slice(&s.to_array(sum)[..width]);
}

/// Packs 16 columns of `w`, `n_stride` apart and each without gaps, as a panel `[k][16]`, 16 rows at a time;
/// returns the rows that it did.
#[inline(always)]
pub(crate) fn pack_turned<S: Simd>(s: S, w: &[f32], n_stride: usize, panel: &mut [f32]) -> usize {
    let done = panel.len() / LANES / LANES * LANES;
    for k in (0..done).step_by(LANES) {
        let mut rows = [s.splat(0.0); LANES];
        for j in 0..LANES {
            let row = &w[j * n_stride + k..][..LANES];
            // SAFETY: the slice has 16 elements.
            rows[j] = unsafe { s.load(row.as_ptr()) };
        }
        let turned = s.transpose(rows);
        for i in 0..LANES {
            let row = &mut panel[(k + i) * LANES..][..LANES];
            // SAFETY: the slice has 16 elements.
            unsafe { s.store(turned[i], row.as_mut_ptr()) };
        }
    }
    done
}
