//! Reduction over one range of dimensions.

use super::shape::within;
use super::{Access, Block, BlockError, Region, extent, rows_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// How many become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ReduceKind {
    /// The sum.
    Sum = 0,
    /// The sum divided by the number.
    Mean = 1,
    /// The maximum.
    Max = 2,
}

impl ReduceKind {
    /// The kind with that number.
    pub const fn from_u32(n: u32) -> Option<ReduceKind> {
        Some(match n {
            0 => ReduceKind::Sum,
            1 => ReduceKind::Mean,
            2 => ReduceKind::Max,
            _ => return None,
        })
    }
}

/// `y[outer][inner] = reduce over i of x[outer][i][inner]`, row-major and contiguous.
///
/// A blocked image reduced over height is `outer = n * blocks`, `len = h`, `inner = w * 16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Reduce {
    /// `outer * len * inner` elements.
    pub x: Operand,
    /// `outer * inner` elements.
    pub y: Operand,
    /// Product of the dimensions before, the batch among them.
    pub outer: u32,
    /// Product of the reduced dimensions.
    pub len: u32,
    /// Product of the dimensions behind.
    pub inner: u32,
    /// A [`ReduceKind`] as its number.
    pub kind: u32,
}

impl Block for Reduce {
    fn check(&self) -> Result<(), BlockError> {
        ReduceKind::from_u32(self.kind).ok_or(BlockError::Unknown { field: "kind", value: self.kind })?;
        within("outer", self.outer, 1, u32::MAX)?;
        within("len", self.len, 1, u32::MAX)?;
        within("inner", self.inner, 1, u32::MAX)?;
        extent("x", &[self.outer, self.len, self.inner]).map(|_| ())
    }

    fn grid(&self) -> u32 {
        self.outer
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let read = self.len * self.inner;
        visit(rows_region("x", self.x, [self.outer, read, read], Access::Read));
        visit(rows_region("y", self.y, [self.outer, self.inner, self.inner], Access::Write));
    }
}
