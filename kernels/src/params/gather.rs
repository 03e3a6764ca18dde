//! Elements picked by indices that are known only at run time.

use super::matmul::{span, strided};
use super::shape::within;
use super::{Access, Block, BlockError, MAX_ELEMENTS, RANK, Region, extent, rows_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[i] = x[sum over d of i[d] x_strides[d], plus sum over k of pick(k) steps[k]]`, where `pick(k)` is
/// `index[index_first + sum over d of i[d] index_strides[d] + k index_step]`.
///
/// An index counts from the end where it is negative; beyond either end it means that end. So no
/// index leads out of `x`. Elements of `x` and `y` are words of 32 bits, indices are `i32`. `y` is
/// row-major and contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Gather {
    /// Source: workspace, or weights in rows of `x_row` elements, each found in its page.
    pub x: Operand,
    /// Indices, in the workspace.
    pub index: Operand,
    /// Destination, in the workspace.
    pub y: Operand,
    /// Dimensions of `y`, outermost first, padded in front with 1.
    pub dims: [u32; RANK],
    /// Rows of `x`.
    pub x_rows: u32,
    /// Elements of one row of `x`.
    pub x_row: u32,
    /// Strides of `x`, 0 along dimensions that an index replaces.
    pub x_strides: [u32; RANK],
    /// First index, counted from the operand's start.
    pub index_first: u32,
    /// Strides of the indices.
    pub index_strides: [u32; RANK],
    /// Indices that together name one place, 1 to 6.
    pub picks: u32,
    /// Distance between these.
    pub index_step: u32,
    /// How many places each of them chooses from; 1 beyond `picks`.
    pub sizes: [u32; RANK],
    /// Elements of `x` from one such place to the next.
    pub steps: [u32; RANK],
}

impl Gather {
    fn index_shape(&self) -> ([u32; RANK + 1], [u32; RANK + 1]) {
        let (mut dims, mut strides) = ([self.picks; RANK + 1], [self.index_step; RANK + 1]);
        dims[..RANK].copy_from_slice(&self.dims);
        strides[..RANK].copy_from_slice(&self.index_strides);
        (dims, strides)
    }
}

impl Block for Gather {
    fn check(&self) -> Result<(), BlockError> {
        for (&d, &size) in self.dims.iter().zip(&self.sizes) {
            within("dims", d, 1, u32::MAX)?;
            within("sizes", size, 1, i32::MAX.cast_unsigned())?;
        }
        extent("y", &self.dims)?;
        within("x_rows", self.x_rows, 1, u32::MAX)?;
        within("x_row", self.x_row, 1, u32::MAX)?;
        let all = extent("x", &[self.x_rows, self.x_row])?;
        within("picks", self.picks, 1, 6)?;
        let own = span("x", &self.dims, &self.x_strides)?;
        let picked = span("x", &self.sizes, &self.steps)?;
        if own + picked - 1 > all {
            return Err(BlockError::Field { field: "x_row", value: all, least: own + picked - 1, most: MAX_ELEMENTS });
        }
        let (dims, strides) = self.index_shape();
        if span("index", &dims, &strides)? + u64::from(self.index_first) > MAX_ELEMENTS {
            return Err(BlockError::TooLarge { field: "index" });
        }
        Ok(())
    }

    fn grid(&self) -> u32 {
        self.dims[..RANK - 2].iter().product()
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let x = rows_region("x", self.x, [self.x_rows, self.x_row, self.x_row], Access::Read);
        visit(Region { paged: true, ..x });
        let (dims, strides) = self.index_shape();
        visit(strided("index", self.index, self.index_first, (&dims, &strides), Access::Read));
        let len: u32 = self.dims.iter().product();
        visit(rows_region("y", self.y, [1, len, len], Access::Write));
    }
}
