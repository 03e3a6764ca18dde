//! Pictures of bytes into the workspace.

use super::shape::{batch, within};
use super::window::MAX_SIDE;
use super::{Access, Block, BlockError, LANES, Region, blocked_region, extent, rows_region, weights_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// Copies one picture of every place of the batch into the workspace, each byte as the number that a
/// table has for it in its channel: what a model wants of pixels is computed at import.
///
/// Item `i` is read from page `x.page + i` of the input space, `[channels][hw]` bytes, or `[hw][channels]`
/// if `interleaved`. It is written blocked, `y[i][blocks][hw][16]`, padding lanes zero, or with
/// `blocks = 0` row-major, `y[i][channels][hw]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct EnterPixels {
    /// In the input space, `rows_per_page` 1.
    pub x: Operand,
    /// One row of `channels * 256` elements, from [`layout::constant`](crate::layout::constant).
    pub table: Operand,
    /// In the workspace.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Channels, one block at most.
    pub channels: u32,
    /// Height times width.
    pub hw: u32,
    /// 1: the channels of a pixel are neighbours; 0: each channel is a plane.
    pub interleaved: u32,
    /// Channel blocks of the tensor that holds `y`; 0: `y` is row-major.
    pub blocks: u32,
}

impl EnterPixels {
    /// Values of a byte.
    pub const BYTES: u32 = 256;
}

impl Block for EnterPixels {
    fn check(&self) -> Result<(), BlockError> {
        batch(self.n)?;
        within("x.rows_per_page", self.x.rows_per_page, 1, 1)?;
        within("channels", self.channels, 1, LANES)?;
        within("hw", self.hw, 1, MAX_SIDE * (MAX_SIDE / 4))?;
        within("interleaved", self.interleaved, 0, 1)?;
        extent("workspace", &[self.n, self.blocks.max(1), self.hw, LANES]).map(|_| ())
    }

    fn grid(&self) -> u32 {
        self.n
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let row_bytes = u64::from(self.channels) * u64::from(self.hw);
        let (rows, access) = (self.n.into(), Access::Read);
        visit(Region { name: "x", operand: self.x, first: 0, rows, row_bytes, stride: row_bytes, paged: true, access });
        visit(weights_region(self.table, 1, self.channels * EnterPixels::BYTES));
        visit(if self.blocks == 0 {
            let len = self.channels * self.hw;
            rows_region("y", self.y, [self.n, len, len], Access::Write)
        } else {
            blocked_region("y", self.y, [self.n, self.channels, self.hw, self.blocks], Access::Write)
        });
    }
}
