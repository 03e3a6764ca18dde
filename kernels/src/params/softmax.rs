//! Softmax over rows.

use super::shape::within;
use super::{Access, Block, BlockError, Region, extent, rows_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[row] = exp(x[row] - max) / sum`, each row of `len` contiguous elements, rows `len` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Softmax {
    /// `rows * len` elements, row-major.
    pub x: Operand,
    /// Shaped as `x`; may be exactly `x`.
    pub y: Operand,
    /// Rows of all items of the batch.
    pub rows: u32,
    /// Elements of a row.
    pub len: u32,
}

impl Softmax {
    /// Rows of one tile.
    pub const TILE_ROWS: u32 = 16;
}

impl Block for Softmax {
    fn check(&self) -> Result<(), BlockError> {
        within("rows", self.rows, 1, u32::MAX)?;
        within("len", self.len, 1, u32::MAX)?;
        extent("x", &[self.rows, self.len]).map(|_| ())
    }

    fn grid(&self) -> u32 {
        self.rows.div_ceil(Softmax::TILE_ROWS)
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let len = self.rows * self.len;
        visit(rows_region("x", self.x, [1, len, len], Access::ReadInPlace));
        visit(rows_region("y", self.y, [1, len, len], Access::Write));
    }
}
