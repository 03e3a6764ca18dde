//! Elements picked by tables: padding, tiling, nearest neighbours, slices backwards, dilation.

use super::shape::within;
use super::{Access, Block, BlockError, MAX_ELEMENTS, RANK, Region, extent, rows_region, vector_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[i] = x[x_first + sum over d of table_d[i[d]]]`, or `fill` where an entry is [`Pick::NOTHING`].
///
/// The tables of all dimensions lie one behind the other in one row of weights, `dims[d]` entries
/// of `u32` each. A sum of `x_len` or more picks `fill` too, so no table can lead out of `x`.
/// Elements are words of 32 bits, whatever they mean. `y` is row-major and contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Pick {
    /// Source, in the workspace.
    pub x: Operand,
    /// The tables, in the weights.
    pub tables: Operand,
    /// Destination, in the workspace.
    pub y: Operand,
    /// Dimensions of `y`, outermost first, padded in front with 1.
    pub dims: [u32; RANK],
    /// First element of `x` that is picked from, counted from the operand's start.
    pub x_first: u32,
    /// Elements of `x` from there on.
    pub x_len: u32,
    /// Bits of the element that stands where nothing is picked.
    pub fill: u32,
}

impl Pick {
    /// The table entry that picks nothing.
    pub const NOTHING: u32 = u32::MAX;

    /// Entries of all tables. The dimensions must have passed [`Block::check`].
    pub(crate) fn entries(&self) -> u32 {
        self.dims.iter().sum()
    }
}

impl Block for Pick {
    fn check(&self) -> Result<(), BlockError> {
        for &d in &self.dims {
            within("dims", d, 1, u32::MAX)?;
        }
        extent("y", &self.dims)?;
        within("x_len", self.x_len, 1, u32::MAX)?;
        if u64::from(self.x_first) + u64::from(self.x_len) > MAX_ELEMENTS {
            return Err(BlockError::TooLarge { field: "x" });
        }
        Ok(())
    }

    fn grid(&self) -> u32 {
        self.dims[..RANK - 2].iter().product()
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let x = rows_region("x", self.x, [1, self.x_len, self.x_len], Access::Read);
        visit(Region { first: u64::from(self.x_first) * 4, ..x });
        visit(vector_region("tables", self.tables, self.entries()));
        let len: u32 = self.dims.iter().product();
        visit(rows_region("y", self.y, [1, len, len], Access::Write));
    }
}
