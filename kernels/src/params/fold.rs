//! One function from place to place along a dimension: running sums, and reductions of whole numbers.

use super::shape::within;
use super::{Access, Block, BlockError, Region, extent, rows_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// What joins two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FoldOp {
    /// The sum of `f32`.
    SumFloat = 0,
    /// The sum of `i32`, wrapping around.
    Sum = 1,
    /// The larger `i32`.
    Max = 2,
    /// The smaller `i32`.
    Min = 3,
}

impl FoldOp {
    /// The function with that number.
    pub const fn from_u32(n: u32) -> Option<FoldOp> {
        Some(match n {
            0 => FoldOp::SumFloat,
            1 => FoldOp::Sum,
            2 => FoldOp::Max,
            3 => FoldOp::Min,
            _ => return None,
        })
    }
}

/// Joins `x[o][0..len][j]`, row-major and contiguous.
///
/// Without `running`, `y[o][j]` is the result. With it `y[o][i][j]` is what the elements up to `i`
/// give (`exclusive`: those before it, 0 for none), `i` downwards if `reverse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Fold {
    /// `outer * len * inner` elements.
    pub x: Operand,
    /// As many, or without `running` `outer * inner`.
    pub y: Operand,
    /// Product of the dimensions before.
    pub outer: u32,
    /// Places along the dimension.
    pub len: u32,
    /// Product of the dimensions behind.
    pub inner: u32,
    /// A [`FoldOp`] as its number.
    pub op: u32,
    /// 1: every intermediate result.
    pub running: u32,
    /// 1: without the element itself; only with `running`.
    pub exclusive: u32,
    /// 1: from the last place to the first.
    pub reverse: u32,
}

impl Block for Fold {
    fn check(&self) -> Result<(), BlockError> {
        FoldOp::from_u32(self.op).ok_or(BlockError::Unknown { field: "op", value: self.op })?;
        within("outer", self.outer, 1, u32::MAX)?;
        within("len", self.len, 1, u32::MAX)?;
        within("inner", self.inner, 1, u32::MAX)?;
        within("running", self.running, 0, 1)?;
        within("exclusive", self.exclusive, 0, self.running)?;
        within("reverse", self.reverse, 0, 1)?;
        extent("x", &[self.outer, self.len, self.inner]).map(|_| ())
    }

    fn grid(&self) -> u32 {
        self.outer
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let read = self.len * self.inner;
        let row = if self.running == 1 { read } else { self.inner };
        visit(rows_region("x", self.x, [self.outer, read, read], Access::Read));
        visit(rows_region("y", self.y, [self.outer, row, row], Access::Write));
    }
}
