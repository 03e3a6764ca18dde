//! Layer normalisation over rows.

use super::shape::within;
use super::{Access, Block, BlockError, Region, extent, rows_region, vector_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[row] = (x[row] - mean) / sqrt(variance + epsilon) * gamma + beta`, the variance that of the
/// whole row (divided by `len`), rows contiguous and `len` apart.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct LayerNorm {
    /// `rows * len` elements, row-major.
    pub x: Operand,
    /// One row of `len` elements, padded to 16, from [`layout::vector`](crate::layout::vector).
    pub gamma: Operand,
    /// As `gamma`.
    pub beta: Operand,
    /// Shaped as `x`; may be exactly `x`.
    pub y: Operand,
    /// Rows of all items of the batch.
    pub rows: u32,
    /// Elements of a row.
    pub len: u32,
    /// Added to the variance; positive or 0.
    pub epsilon: f32,
}

impl LayerNorm {
    /// Rows of one tile.
    pub const TILE_ROWS: u32 = 16;
}

impl Block for LayerNorm {
    fn check(&self) -> Result<(), BlockError> {
        within("rows", self.rows, 1, u32::MAX)?;
        within("len", self.len, 1, u32::MAX)?;
        if !self.epsilon.is_finite() || self.epsilon < 0.0 {
            return Err(BlockError::Unknown { field: "epsilon", value: self.epsilon.to_bits() });
        }
        extent("x", &[self.rows, self.len]).map(|_| ())
    }

    fn grid(&self) -> u32 {
        self.rows.div_ceil(LayerNorm::TILE_ROWS)
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let len = self.rows * self.len;
        visit(rows_region("x", self.x, [1, len, len], Access::ReadInPlace));
        visit(vector_region("gamma", self.gamma, self.len));
        visit(vector_region("beta", self.beta, self.len));
        visit(rows_region("y", self.y, [1, len, len], Access::Write));
    }
}
