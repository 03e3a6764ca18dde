//! A row-major matrix times a matrix of weights.

use super::shape::within;
use super::{
    Access, Activation, Block, BlockError, LANES, Region, blocks_of, extent, rows_region, vector_region, weights_region,
};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[m][n] = activation(x[m][k] * weights[k][n] + bias[n] + residual[m][n])`, row-major.
///
/// `m` counts the rows of all items of the batch. Each output is one accumulator chain: bias
/// first, then `k` upwards, the residual last.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Gemm {
    /// `m` rows of `k` elements, `x_stride` apart.
    pub x: Operand,
    /// `blocks_of(n)` rows (panels of 16 columns) of `k * 16` elements, from
    /// [`layout::gemm`](crate::layout::gemm).
    pub weights: Operand,
    /// One row of `blocks_of(n) * 16` elements, from [`layout::vector`](crate::layout::vector).
    pub bias: Operand,
    /// `m` rows of `n` elements, `residual_stride` apart; may be exactly `y`. Not used if
    /// `residual_stride` is 0.
    pub residual: Operand,
    /// `m` rows of `n` elements, `y_stride` apart.
    pub y: Operand,
    /// Rows.
    pub m: u32,
    /// Inner dimension.
    pub k: u32,
    /// Columns.
    pub n: u32,
    /// Distance of rows of `x`, at least `k`.
    pub x_stride: u32,
    /// Distance of rows of `residual`, at least `n`, or 0: no residual.
    pub residual_stride: u32,
    /// Distance of rows of `y`, at least `n`.
    pub y_stride: u32,
    /// Applied last.
    pub activation: Activation,
}

impl Gemm {
    /// Panels of one tile.
    pub const TILE_PANELS: u32 = 4;
}

impl Block for Gemm {
    fn check(&self) -> Result<(), BlockError> {
        self.activation.check()?;
        within("m", self.m, 1, u32::MAX)?;
        within("k", self.k, 1, u32::MAX)?;
        within("n", self.n, 1, u32::MAX - LANES)?;
        within("x_stride", self.x_stride, self.k, u32::MAX)?;
        within("y_stride", self.y_stride, self.n, u32::MAX)?;
        extent("x", &[self.m, self.x_stride])?;
        extent("y", &[self.m, self.y_stride])?;
        extent("weights", &[blocks_of(self.n), self.k, LANES])?;
        if self.residual_stride > 0 {
            within("residual_stride", self.residual_stride, self.n, u32::MAX)?;
            extent("residual", &[self.m, self.residual_stride])?;
        }
        Ok(())
    }

    fn grid(&self) -> u32 {
        blocks_of(self.n).div_ceil(Gemm::TILE_PANELS)
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        visit(rows_region("x", self.x, [self.m, self.k, self.x_stride], Access::Read));
        visit(weights_region(self.weights, blocks_of(self.n), self.k * LANES));
        visit(vector_region("bias", self.bias, self.n));
        if self.residual_stride > 0 {
            let shape = [self.m, self.n, self.residual_stride];
            visit(rows_region("residual", self.residual, shape, Access::ReadInPlace));
        }
        visit(rows_region("y", self.y, [self.m, self.n, self.y_stride], Access::Write));
    }
}
