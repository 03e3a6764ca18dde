//! Pooling over the whole image.

use super::shape::{batch, blocked, within};
use super::window::MAX_SIDE;
use super::{Access, Block, BlockError, PoolKind, Region, blocked_region, blocks_of};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[n][c][1][1] = mean or maximum of x[n][c]`, blocked. As row-major, `y` is `[n][channels]`
/// with a row stride of `16 * y_blocks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GlobalPool {
    /// Blocked view of `hw` places.
    pub x: Operand,
    /// Blocked view of one place.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Channels.
    pub channels: u32,
    /// Height times width.
    pub hw: u32,
    /// Channel blocks of the tensor that holds `x`.
    pub x_blocks: u32,
    /// Channel blocks of the tensor that holds `y`.
    pub y_blocks: u32,
    /// [`PoolKind::Max`] or [`PoolKind::Average`] as its number.
    pub kind: u32,
}

impl Block for GlobalPool {
    fn check(&self) -> Result<(), BlockError> {
        batch(self.n)?;
        within("channels", self.channels, 1, u32::MAX)?;
        within("hw", self.hw, 1, MAX_SIDE * (MAX_SIDE / 4))?;
        within("kind", self.kind, PoolKind::Max as u32, PoolKind::Average as u32)?;
        blocked("x_blocks", self.n, self.channels, &[self.hw, 1], self.x_blocks)?;
        blocked("y_blocks", self.n, self.channels, &[1, 1], self.y_blocks)
    }

    fn grid(&self) -> u32 {
        self.n * blocks_of(self.channels)
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        visit(blocked_region("x", self.x, [self.n, self.channels, self.hw, self.x_blocks], Access::Read));
        visit(blocked_region("y", self.y, [self.n, self.channels, 1, self.y_blocks], Access::Write));
    }
}
