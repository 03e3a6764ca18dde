//! Dense and grouped convolution.

use super::shape::{batch, blocked, rows_region, within};
use super::window::sides;
use super::{
    Access, Activation, Block, BlockError, Groups, LANES, Region, Window, blocked_region, extent, vector_region,
    weights_region,
};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y = activation(conv(x, weights) + bias + residual)`, all images blocked, but `x` if it has few channels.
///
/// Groups need not be whole channel blocks, but then the image must be blocked. Each output is one accumulator
/// chain: bias first, then the input blocks of its group, taps down, taps across, the lanes of its group; padding
/// counts as zero; the residual is added last.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Conv {
    /// Blocked view, `in_channels * groups` channels of `in_h x in_w`; or row-major,
    /// `[n][in_channels][in_h][in_w]`, if `x_blocks` is 0.
    pub x: Operand,
    /// A row of `in_channels * taps * 16` elements for each output block of each group
    /// ([`Groups::rows`]), from [`layout::conv`](crate::layout::conv).
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
    /// Channel blocks of the tensor that holds `x`; 0: `x` is row-major, at most 16 channels of one
    /// group, and [`Conv::strip_len`] is at most [`Conv::MAX_STRIP`].
    pub x_blocks: u32,
    /// Channel blocks of the tensor that holds `residual`; 0: no residual.
    pub residual_blocks: u32,
    /// Channel blocks of the tensor that holds `y`.
    pub y_blocks: u32,
    /// Applied last.
    pub activation: Activation,
}

/// Pixels of the widest register tile.
pub(crate) const MAX_PIXELS: u32 = 12;

impl Conv {
    /// Output blocks of one tile, at most. Neighbouring blocks of a group share what they read.
    pub const TILE_BLOCKS: u32 = 2;

    /// Its groups.
    pub const fn grouping(&self) -> Groups {
        Groups { count: self.groups, input: self.in_channels, output: self.out_channels / self.groups }
    }

    /// Tiles of one group of an item, at most: none works for two groups, which read different channels. Where a
    /// group has lanes of fewer blocks than others, its last tile may be empty.
    pub const fn tiles_of_group(&self) -> u32 {
        self.grouping().most_outputs().div_ceil(Conv::TILE_BLOCKS)
    }

    /// Elements of the rows of a row-major `x` that a row of the output reads, at most.
    pub const MAX_STRIP: u32 = 1 << 16;

    /// Columns that a row of the output reads, with their padding.
    pub const fn strip_width(&self) -> u32 {
        (self.out_w - 1) * self.window.stride_w + (self.window.kernel_w - 1) * self.window.dilation_w + 1
    }

    /// Elements that a row of the output reads of a row-major `x`, with their padding, and room for
    /// the pixels of a register tile beyond the last.
    pub const fn strip_len(&self) -> u32 {
        let rows = self.window.kernel_h.saturating_mul(self.in_channels);
        rows.saturating_mul(self.strip_width()).saturating_add((MAX_PIXELS - 1) * self.window.stride_w)
    }

    /// Elements of one row of packed weights.
    pub const fn weights_row(&self) -> u32 {
        self.in_channels * self.window.taps() * LANES
    }
}

/// Checks the channels, in of a group and out of all.
pub(super) fn channels([input, output]: [u32; 2], groups: u32) -> Result<(), BlockError> {
    within("in_channels", input, 1, u32::MAX)?;
    within("out_channels", output, 1, u32::MAX)?;
    within("groups", groups, 1, output)?;
    extent("x", &[input, groups])?;
    extent("y", &[output])?;
    within("out_channels % groups", output % groups, 0, 0)
}

impl Block for Conv {
    fn check(&self) -> Result<(), BlockError> {
        batch(self.n)?;
        self.window.check()?;
        self.activation.check()?;
        sides([self.in_h, self.in_w, self.out_h, self.out_w])?;
        channels([self.in_channels, self.out_channels], self.groups)?;
        extent(
            "weights",
            &[self.in_channels, self.window.kernel_h, self.window.kernel_w, LANES, self.grouping().rows()],
        )?;
        if self.x_blocks > 0 {
            blocked("x_blocks", self.n, self.in_channels * self.groups, &[self.in_h, self.in_w], self.x_blocks)?;
        } else {
            within("groups of a row-major x", self.groups, 1, 1)?;
            within("in_channels of a row-major x", self.in_channels, 1, LANES)?;
            within("strip_len", self.strip_len(), 1, Conv::MAX_STRIP)?;
            extent("x", &[self.n, self.in_channels, self.in_h, self.in_w])?;
        }
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
        if self.x_blocks > 0 {
            visit(blocked_region("x", self.x, [self.n, channels, in_hw, self.x_blocks], Access::Read));
        } else {
            let len = channels * in_hw;
            visit(rows_region("x", self.x, [self.n, len, len], Access::Read));
        }
        visit(weights_region(self.weights, self.grouping().rows(), self.weights_row()));
        visit(vector_region("bias", self.bias, self.out_channels));
        let out = [self.n, self.out_channels, out_hw];
        if self.residual_blocks > 0 {
            let shape = [out[0], out[1], out[2], self.residual_blocks];
            visit(blocked_region("residual", self.residual, shape, Access::ReadInPlace));
        }
        visit(blocked_region("y", self.y, [out[0], out[1], out[2], self.y_blocks], Access::Write));
    }
}
