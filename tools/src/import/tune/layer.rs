//! A convolution as the choice of its algorithm sees it.

use std::fmt;

use bytemuck::Zeroable;
use kernels::params::{Block, Conv, LANES, Window, Winograd, blocks_of};

/// The shape of a dense 3x3 convolution at stride 1, without the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layer {
    /// Input channels of one group.
    pub in_channels: u32,
    /// Output channels of all groups.
    pub out_channels: u32,
    /// Groups.
    pub groups: u32,
    /// Height and width of the input.
    pub input: [u32; 2],
    /// Height and width of the output.
    pub output: [u32; 2],
    /// Rows of padding above, columns on the left.
    pub pads: [u32; 2],
}

/// How a convolution can be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Tap by tap: the kernel `conv`.
    Direct,
    /// By patches of so many places along each side: the kernel `winograd`.
    Patches(u32),
}

impl Algorithm {
    /// All, the one with the smallest weights first.
    pub const ALL: [Algorithm; 3] = [Algorithm::Direct, Algorithm::Patches(2), Algorithm::Patches(4)];

    /// Values by which one channel's nine weights are stored.
    pub const fn points(self) -> u32 {
        match self {
            Algorithm::Direct => 9,
            Algorithm::Patches(patch) => (patch + 2) * (patch + 2),
        }
    }
}

impl Layer {
    /// The layer of that block.
    pub fn of(block: &Conv) -> Layer {
        Layer {
            in_channels: block.in_channels,
            out_channels: block.out_channels,
            groups: block.groups,
            input: [block.in_h, block.in_w],
            output: [block.out_h, block.out_w],
            pads: [block.window.pad_top, block.window.pad_left],
        }
    }

    /// Its block for one item, without operands.
    pub fn block(&self) -> Conv {
        Conv {
            n: 1,
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            groups: self.groups,
            in_h: self.input[0],
            in_w: self.input[1],
            out_h: self.output[0],
            out_w: self.output[1],
            window: Window { pad_top: self.pads[0], pad_left: self.pads[1], ..Window::square(3, 1, 0) },
            x_blocks: blocks_of(self.in_channels * self.groups),
            y_blocks: blocks_of(self.out_channels),
            ..Conv::zeroed()
        }
    }

    /// Whether `algorithm` can compute it.
    pub fn allows(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Direct => true,
            Algorithm::Patches(patch) => Winograd::of(&self.block(), patch).is_some_and(|block| block.check().is_ok()),
        }
    }

    /// Bytes of its packed weights.
    pub fn weight_bytes(&self, algorithm: Algorithm) -> u64 {
        let lanes = u64::from(blocks_of(self.out_channels)) * u64::from(LANES);
        lanes * u64::from(self.in_channels) * u64::from(algorithm.points()) * 4
    }
}

/// As it is named in a table: `conv 3x3: 64x56x56 -> 64x56x56, padding 1x1`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([in_h, in_w], [out_h, out_w], [top, left]) = (self.input, self.output, self.pads);
        let channels = u64::from(self.in_channels) * u64::from(self.groups);
        write!(f, "conv 3x3: {channels}x{in_h}x{in_w} -> {}x{out_h}x{out_w}, padding {top}x{left}", self.out_channels)?;
        if self.groups > 1 {
            write!(f, ", {} groups", self.groups)?;
        }
        Ok(())
    }
}
