//! Accumulator chains: the inner loops of products.
//!
//! An output is one chain of fused multiply-adds, in an order that its layer's shape alone fixes.
//! How many outputs share a register tile decides only what is computed side by side.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::math::Clamp;
use super::{Group, Simd};
use crate::cpu::LANES;
use crate::cpu::view::{SourceGrid, TargetGrid};

/// Read instead of a place outside the image.
static ZEROS: [f32; LANES] = [0.0; LANES];

/// `sum[b][p] += x[p][i] * w[b][i]` for `i` upwards.
///
/// # Safety
/// `k` elements of each `x` and `16 k` of each `w` are readable.
#[inline(always)]
unsafe fn chain<S: Simd, const B: usize, const P: usize>(
    s: S,
    sum: &mut [[S::V; P]; B],
    x: [*const f32; P],
    w: [*const f32; B],
    k: usize,
) {
    // A copy of its own stays in registers, also where the caller's sums have a place in memory.
    let mut own = *sum;
    for i in 0..k {
        let mut row = [s.splat(0.0); B];
        for b in 0..B {
            // SAFETY: `16 k` elements of each `w` are readable, says the caller.
            row[b] = unsafe { s.load(w[b].add(i * LANES)) };
        }
        for p in 0..P {
            // SAFETY: `k` elements of each `x` are readable, says the caller.
            let x = s.splat(unsafe { *x[p].add(i) });
            for b in 0..B {
                own[b][p] = s.fma(x, row[b], own[b][p]);
            }
        }
    }
    *sum = own;
}

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
        for b in 0..B {
            for p in 0..P {
                if p <= last {
                    store_columns(s, span, [self.first + p, self.first_block + b], sum[b][p]);
                }
            }
        }
    }
}

/// Scales, adds, clamps and writes one row's part of a panel.
#[inline(always)]
fn store_columns<S: Simd>(s: S, span: &mut GemmSpan<'_>, [row, block]: [usize; 2], sum: S::V) {
    let mut y = span.y.row(row);
    let first = block * LANES;
    let width = (y.len() - first).min(LANES);
    let mut y = y.part(first, width);
    let mut sum = s.mul(sum, s.splat(span.scale));
    if let Some(residual) = &span.residual {
        let residual = residual.row(row);
        let mut lanes = [0.0; LANES];
        for (j, lane) in lanes[..width].iter_mut().enumerate() {
            *lane = residual.get(first + j);
        }
        sum = s.add(sum, s.load_array(&lanes));
    }
    let sum = span.clamp.lanes(s).apply(s, sum);
    if width == LANES {
        // SAFETY: the part has 16 elements.
        unsafe { s.store(sum, y.as_ptr()) };
    } else {
        y.as_mut().copy_from_slice(&s.to_array(sum)[..width]);
    }
}
