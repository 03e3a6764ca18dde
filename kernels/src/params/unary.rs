//! A function of each element.

use super::shape::within;
use super::{Access, Activation, Block, BlockError, Region, extent, rows_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[row][i] = activation(x[row][i])` for `rows` rows of `len` elements.
///
/// A blocked view is `n` rows of `blocks * h * w * 16` elements; anything contiguous is one row or many.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Unary {
    /// Rows `x_stride` apart.
    pub x: Operand,
    /// Rows `y_stride` apart; may be exactly `x`.
    pub y: Operand,
    /// Rows.
    pub rows: u32,
    /// Elements of a row.
    pub len: u32,
    /// Distance of rows of `x`, at least `len`.
    pub x_stride: u32,
    /// Distance of rows of `y`, at least `len`.
    pub y_stride: u32,
    /// The function.
    pub activation: Activation,
}

impl Block for Unary {
    fn check(&self) -> Result<(), BlockError> {
        self.activation.check()?;
        within("rows", self.rows, 1, u32::MAX)?;
        within("len", self.len, 1, u32::MAX)?;
        within("x_stride", self.x_stride, self.len, u32::MAX)?;
        within("y_stride", self.y_stride, self.len, u32::MAX)?;
        extent("x", &[self.rows, self.x_stride])?;
        extent("y", &[self.rows, self.y_stride]).map(|_| ())
    }

    fn grid(&self) -> u32 {
        self.rows
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        visit(rows_region("x", self.x, [self.rows, self.len, self.x_stride], Access::ReadInPlace));
        visit(rows_region("y", self.y, [self.rows, self.len, self.y_stride], Access::Write));
    }
}
