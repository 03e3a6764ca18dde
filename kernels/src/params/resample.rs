//! Weighted sums of a few places along one dimension: interpolation, windows over channels.

use super::shape::within;
use super::{Access, Block, BlockError, Region, extent, rows_region, vector_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[o][i][j] = sum over t of weight[i][t] x[o][place[i][t]][j]`.
///
/// The table is one row of weights, `out` groups of `taps` places (`u32`) and `taps` weights
/// (`f32`). A place of `len` or more stands for the number `fill`. The sum is one chain, `t` upwards.
/// A blocked image along its height is `outer = n * blocks`, `inner = w * 16`.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Resample {
    /// `outer` times `len * inner` elements, `x_stride` apart.
    pub x: Operand,
    /// Places and weights.
    pub table: Operand,
    /// `outer` times `out * inner` elements, contiguous.
    pub y: Operand,
    /// Product of the dimensions before.
    pub outer: u32,
    /// Places along the dimension.
    pub len: u32,
    /// Places of the result.
    pub out: u32,
    /// Product of the dimensions behind.
    pub inner: u32,
    /// Summands of each.
    pub taps: u32,
    /// Distance of outer indices in `x`, at least `len * inner`.
    pub x_stride: u32,
    /// What lies outside.
    pub fill: f32,
}

impl Block for Resample {
    fn check(&self) -> Result<(), BlockError> {
        within("outer", self.outer, 1, u32::MAX)?;
        within("len", self.len, 1, u32::MAX)?;
        within("out", self.out, 1, u32::MAX)?;
        within("inner", self.inner, 1, u32::MAX)?;
        within("taps", self.taps, 1, u32::MAX)?;
        extent("table", &[self.out, self.taps, 2])?;
        extent("y", &[self.outer, self.out, self.inner])?;
        let row = u32::try_from(extent("x", &[self.len, self.inner])?).unwrap_or(u32::MAX);
        within("x_stride", self.x_stride, row, u32::MAX)?;
        extent("x", &[self.outer, self.x_stride]).map(|_| ())
    }

    fn grid(&self) -> u32 {
        self.outer
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        visit(rows_region("x", self.x, [self.outer, self.len * self.inner, self.x_stride], Access::Read));
        visit(vector_region("table", self.table, self.out * self.taps * 2));
        let row = self.out * self.inner;
        visit(rows_region("y", self.y, [self.outer, row, row], Access::Write));
    }
}
