//! Convolution of each channel by itself.

use super::shape::{batch, blocked, within};
use super::window::sides;
use super::{
    Access, Activation, Block, BlockError, LANES, Region, Window, blocked_region, blocks_of, extent, vector_region,
    weights_region,
};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y = activation(depthwise_conv(x, weights) + bias)`, blocked, one output channel an input channel.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Depthwise {
    /// Blocked view of `in_h x in_w`.
    pub x: Operand,
    /// `blocks_of(channels)` rows of `taps * 16` elements, from [`layout::depthwise`](crate::layout::depthwise).
    pub weights: Operand,
    /// One row of `blocks_of(channels) * 16` elements, from [`layout::vector`](crate::layout::vector).
    pub bias: Operand,
    /// Blocked view of `out_h x out_w`.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Channels.
    pub channels: u32,
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
    /// Channel blocks of the tensor that holds `y`.
    pub y_blocks: u32,
    /// Applied last.
    pub activation: Activation,
}

impl Block for Depthwise {
    fn check(&self) -> Result<(), BlockError> {
        batch(self.n)?;
        self.window.check()?;
        self.activation.check()?;
        sides([self.in_h, self.in_w, self.out_h, self.out_w])?;
        within("channels", self.channels, 1, u32::MAX)?;
        extent("weights", &[self.window.kernel_h, self.window.kernel_w, LANES, blocks_of(self.channels)])?;
        blocked("x_blocks", self.n, self.channels, &[self.in_h, self.in_w], self.x_blocks)?;
        blocked("y_blocks", self.n, self.channels, &[self.out_h, self.out_w], self.y_blocks)
    }

    fn grid(&self) -> u32 {
        self.n * blocks_of(self.channels)
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let (in_hw, out_hw) = (self.in_h * self.in_w, self.out_h * self.out_w);
        visit(blocked_region("x", self.x, [self.n, self.channels, in_hw, self.x_blocks], Access::Read));
        visit(weights_region(self.weights, blocks_of(self.channels), self.window.taps() * LANES));
        visit(vector_region("bias", self.bias, self.channels));
        visit(blocked_region("y", self.y, [self.n, self.channels, out_hw, self.y_blocks], Access::Write));
    }
}
