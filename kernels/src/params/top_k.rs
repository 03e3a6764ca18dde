//! The largest or smallest along one dimension, and where they are.

use super::shape::within;
use super::{Access, Block, BlockError, Region, extent, rows_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// For each `[o][.][j]` of `x`: the `k` first in order, `values[o][.][j]`, and their places,
/// `indices[o][.][j]`, as `i32`.
///
/// Among equals the lower place comes first, or with `last` the higher. A number that is none
/// counts as larger than all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TopK {
    /// `outer * len * inner` elements, row-major.
    pub x: Operand,
    /// `outer * k * inner` elements.
    pub values: Operand,
    /// `outer * k * inner` elements.
    pub indices: Operand,
    /// Product of the dimensions before.
    pub outer: u32,
    /// Places along the dimension.
    pub len: u32,
    /// Product of the dimensions behind.
    pub inner: u32,
    /// How many are wanted, at most `len`.
    pub k: u32,
    /// 1: the largest first; 0: the smallest.
    pub largest: u32,
    /// 1: among equals the last place first.
    pub last: u32,
    /// 1: elements are `i32`; 0: `f32`.
    pub whole: u32,
}

impl Block for TopK {
    fn check(&self) -> Result<(), BlockError> {
        within("outer", self.outer, 1, u32::MAX)?;
        within("len", self.len, 1, i32::MAX.cast_unsigned())?;
        within("inner", self.inner, 1, u32::MAX)?;
        within("k", self.k, 1, self.len)?;
        within("largest", self.largest, 0, 1)?;
        within("last", self.last, 0, 1)?;
        within("whole", self.whole, 0, 1)?;
        extent("x", &[self.outer, self.len, self.inner]).map(|_| ())
    }

    fn grid(&self) -> u32 {
        self.outer
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let (read, row) = (self.len * self.inner, self.k * self.inner);
        visit(rows_region("x", self.x, [self.outer, read, read], Access::Read));
        visit(rows_region("values", self.values, [self.outer, row, row], Access::Write));
        visit(rows_region("indices", self.indices, [self.outer, row, row], Access::Write));
    }
}
