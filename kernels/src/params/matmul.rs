//! Products of two activations, as in attention.

use super::shape::within;
use super::{Access, Block, BlockError, LANES, MAX_ELEMENTS, Region, extent};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[b0][b1][m][n] = scale * sum over k of x[b0][b1][m][k] * w[b0][b1][k][n]`.
///
/// Every side has its own strides, so heads and transposes need no copies; `x` and `y` have unit
/// stride in their last dimension. A batch stride of 0 in `x` or `w` broadcasts. Each output is
/// one accumulator chain, `k` upwards, scaled last.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct MatMul {
    /// Left side, in the workspace.
    pub x: Operand,
    /// Right side, in the workspace.
    pub w: Operand,
    /// Product.
    pub y: Operand,
    /// Sizes of the two batch dimensions, outer (the batch) and inner (the heads).
    pub batch: [u32; 2],
    /// Rows of `x` and `y`.
    pub m: u32,
    /// Inner dimension, at most [`MatMul::MAX_K`].
    pub k: u32,
    /// Columns of `w` and `y`.
    pub n: u32,
    /// First element of `x`, counted from its operand's start.
    pub x_first: u32,
    /// Batch strides of `x`.
    pub x_batch: [u32; 2],
    /// Row stride of `x`.
    pub x_row: u32,
    /// First element of `w`.
    pub w_first: u32,
    /// Batch strides of `w`.
    pub w_batch: [u32; 2],
    /// Stride of `w` along `k`.
    pub w_k: u32,
    /// Stride of `w` along `n`.
    pub w_n: u32,
    /// First element of `y`.
    pub y_first: u32,
    /// Batch strides of `y`.
    pub y_batch: [u32; 2],
    /// Row stride of `y`.
    pub y_row: u32,
    /// Factor of the product.
    pub scale: f32,
}

/// The last element that strided indexing reaches, plus one.
pub(crate) fn span(field: &'static str, dims: &[u32], strides: &[u32]) -> Result<u64, BlockError> {
    let mut last = 0u64;
    for (&d, &s) in dims.iter().zip(strides) {
        last = last.saturating_add(u64::from(d.saturating_sub(1)).saturating_mul(s.into()));
    }
    if last >= MAX_ELEMENTS {
        return Err(BlockError::TooLarge { field });
    }
    Ok(last + 1)
}

/// Checks that dimensions, outermost first, are laid one inside the other, so that no element is
/// reached twice and each index of the outermost dimension owns a range of its own.
pub(crate) fn nested(field: &'static str, dims: &[u32], strides: &[u32]) -> Result<(), BlockError> {
    let mut inner = 1u64;
    for i in (0..dims.len()).rev() {
        if dims[i] == 1 {
            continue;
        }
        if u64::from(strides[i]) < inner {
            let dimension = u32::try_from(i).unwrap_or(u32::MAX);
            return Err(BlockError::Overlap { field, dimension });
        }
        inner += u64::from(dims[i] - 1) * u64::from(strides[i]);
    }
    Ok(())
}

impl MatMul {
    /// The longest inner dimension: one panel of it fits the scratch of a thread.
    pub const MAX_K: u32 = 4096;

    fn x_shape(&self) -> ([u32; 4], [u32; 4]) {
        ([self.batch[0], self.batch[1], self.m, self.k], [self.x_batch[0], self.x_batch[1], self.x_row, 1])
    }

    fn w_shape(&self) -> ([u32; 4], [u32; 4]) {
        ([self.batch[0], self.batch[1], self.k, self.n], [self.w_batch[0], self.w_batch[1], self.w_k, self.w_n])
    }

    fn y_shape(&self) -> ([u32; 4], [u32; 4]) {
        ([self.batch[0], self.batch[1], self.m, self.n], [self.y_batch[0], self.y_batch[1], self.y_row, 1])
    }
}

/// A strided region as items along the outermost dimension.
pub(crate) fn strided(
    name: &'static str,
    operand: Operand,
    first: u32,
    (dims, strides): (&[u32], &[u32]),
    access: Access,
) -> Region {
    let whole = span(name, dims, strides).unwrap_or(MAX_ELEMENTS);
    let item = span(name, &dims[1..], &strides[1..]).unwrap_or(MAX_ELEMENTS);
    let first = u64::from(first) * 4;
    if u64::from(strides[0]) >= item {
        let stride = u64::from(strides[0]) * 4;
        return Region {
            name,
            operand,
            first,
            rows: dims[0].into(),
            row_bytes: item * 4,
            stride,
            paged: false,
            access,
        };
    }
    Region { name, operand, first, rows: 1, row_bytes: whole * 4, stride: whole * 4, paged: false, access }
}

impl Block for MatMul {
    fn check(&self) -> Result<(), BlockError> {
        within("batch[0]", self.batch[0], 1, u32::MAX)?;
        within("batch[1]", self.batch[1], 1, u32::MAX)?;
        within("m", self.m, 1, u32::MAX)?;
        within("k", self.k, 1, MatMul::MAX_K)?;
        within("n", self.n, 1, u32::MAX - LANES)?;
        extent("batch", &[self.batch[0], self.batch[1], self.n.div_ceil(LANES)])?;
        for (name, first, (dims, strides)) in [
            ("x", self.x_first, self.x_shape()),
            ("w", self.w_first, self.w_shape()),
            ("y", self.y_first, self.y_shape()),
        ] {
            let reach = span(name, &dims, &strides)? + u64::from(first);
            if reach > MAX_ELEMENTS {
                return Err(BlockError::TooLarge { field: name });
            }
        }
        // Rows of one head may lie between rows of another: only the order of dimensions differs.
        let (dims, strides) = self.y_shape();
        nested("y", &dims, &strides)
            .or_else(|_| nested("y", &[dims[0], dims[2], dims[1], dims[3]], &[strides[0], strides[2], strides[1], 1]))
    }

    fn grid(&self) -> u32 {
        self.batch[0] * self.batch[1]
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let (dims, strides) = self.x_shape();
        visit(strided("x", self.x, self.x_first, (&dims, &strides), Access::Read));
        let (dims, strides) = self.w_shape();
        visit(strided("w", self.w, self.w_first, (&dims, &strides), Access::Read));
        let (dims, strides) = self.y_shape();
        visit(strided("y", self.y, self.y_first, (&dims, &strides), Access::Write));
    }
}
