//! Dense and grouped convolution.

use super::shape::{batch, blocked, within};
use super::window::sides;
use super::{
    Access, Activation, Block, BlockError, LANES, Region, Window, blocked_region, blocks_of, extent, vector_region,
    weights_region,
};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y = activation(conv(x, weights) + bias + residual)`, all images blocked.
///
/// With `groups > 1` both `in_channels` and `out_channels / groups` must be multiples of 16.
/// Each output is one accumulator chain: bias first, then input blocks, taps down, taps across,
/// lanes; padding counts as zero; the residual is added last.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Conv {
    /// Blocked view, `in_channels * groups` channels of `in_h x in_w`.
    pub x: Operand,
    /// `blocks_of(out_channels)` rows of `in_channels * taps * 16` elements, from
    /// [`layout::conv`](crate::layout::conv).
    pub weights: Operand,
    /// One row of `blocks_of(out_channels) * 16` elements, from [`layout::vector`](crate::layout::vector).
    pub bias: Operand,
    /// Blocked view shaped as `y`; may be exactly `y`. Not used if `residual_blocks` is 0.
    pub residual: Operand,
    /// Blocked view, `out_channels` of `out_h x out_w`.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Input channels of one group.
    pub in_channels: u32,
    /// Output channels of all groups.
    pub out_channels: u32,
    /// Groups; 1 is dense.
    pub groups: u32,
    /// Input height.
    pub in_h: u32,
    /// Input width.
    pub in_w: u32,
    /// Output height.
    pub out_h: u32,
    /// Output width.
    pub out_w: u32,
    /// The window.
    pub window: Window,
    /// Channel blocks of the tensor that holds `x`.
    pub x_blocks: u32,
    /// Channel blocks of the tensor that holds `residual`; 0: no residual.
    pub residual_blocks: u32,
    /// Channel blocks of the tensor that holds `y`.
    pub y_blocks: u32,
    /// Applied last.
    pub activation: Activation,
}

impl Conv {
    /// Output blocks of one tile, at most. Neighbouring blocks of a group share what they read.
    pub const TILE_BLOCKS: u32 = 2;

    /// Output blocks of one group.
    pub const fn blocks_of_group(&self) -> u32 {
        blocks_of(self.out_channels) / self.groups
    }

    /// Tiles of one group of an item: none holds blocks of two groups, which read different channels.
    pub const fn tiles_of_group(&self) -> u32 {
        self.blocks_of_group().div_ceil(Conv::TILE_BLOCKS)
    }

    /// Elements of one row of packed weights.
    pub const fn weights_row(&self) -> u32 {
        self.in_channels * self.window.taps() * LANES
    }
}

impl Block for Conv {
    fn check(&self) -> Result<(), BlockError> {
        batch(self.n)?;
        self.window.check()?;
        self.activation.check()?;
        sides([self.in_h, self.in_w, self.out_h, self.out_w])?;
        within("in_channels", self.in_channels, 1, u32::MAX)?;
        within("out_channels", self.out_channels, 1, u32::MAX)?;
        within("groups", self.groups, 1, self.out_channels)?;
        extent("x", &[self.in_channels, self.groups])?;
        if self.groups > 1 {
            let of_group = self.out_channels / self.groups;
            within("in_channels % 16", self.in_channels % LANES, 0, 0)?;
            within("out_channels % groups", self.out_channels % self.groups, 0, 0)?;
            within("out_channels / groups % 16", of_group % LANES, 0, 0)?;
        }
        extent(
            "weights",
            &[self.in_channels, self.window.kernel_h, self.window.kernel_w, LANES, blocks_of(self.out_channels)],
        )?;
        blocked("x_blocks", self.n, self.in_channels * self.groups, &[self.in_h, self.in_w], self.x_blocks)?;
        if self.residual_blocks > 0 {
            blocked("residual_blocks", self.n, self.out_channels, &[self.out_h, self.out_w], self.residual_blocks)?;
        }
        blocked("y_blocks", self.n, self.out_channels, &[self.out_h, self.out_w], self.y_blocks)
    }

    fn grid(&self) -> u32 {
        self.n * self.groups * self.tiles_of_group()
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let (in_hw, out_hw) = (self.in_h * self.in_w, self.out_h * self.out_w);
        let channels = self.in_channels * self.groups;
        visit(blocked_region("x", self.x, [self.n, channels, in_hw, self.x_blocks], Access::Read));
        visit(weights_region(self.weights, blocks_of(self.out_channels), self.weights_row()));
        visit(vector_region("bias", self.bias, self.out_channels));
        let out = [self.n, self.out_channels, out_hw];
        if self.residual_blocks > 0 {
            let shape = [out[0], out[1], out[2], self.residual_blocks];
            visit(blocked_region("residual", self.residual, shape, Access::ReadInPlace));
        }
        visit(blocked_region("y", self.y, [out[0], out[1], out[2], self.y_blocks], Access::Write));
    }
}
