//! How the groups of a convolution lie across channel blocks.

use super::{LANES, blocks_of};
use std::ops::Range;

/// Groups of channels that need not be whole blocks: each reads a run of input lanes and writes a run of
/// output lanes, and a block may hold lanes of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Groups, at least 1.
    pub count: u32,
    /// Input channels of each, at least 1.
    pub input: u32,
    /// Output channels of each, at least 1.
    pub output: u32,
}

const fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Blocks that hold the channels of `group` if each has `channels`.
const fn blocks(group: u32, channels: u32) -> Range<u32> {
    group * channels / LANES..((group + 1) * channels).div_ceil(LANES)
}

impl Groups {
    /// Whether the channels of each are whole blocks.
    pub const fn are_whole_blocks(&self) -> bool {
        self.input.is_multiple_of(LANES) && self.output.is_multiple_of(LANES)
    }

    /// Blocks of the input that hold channels of `group`.
    pub const fn inputs(&self, group: u32) -> Range<u32> {
        blocks(group, self.input)
    }

    /// The lane of the first input channel of `group` in its block.
    pub const fn first_lane(&self, group: u32) -> u32 {
        group * self.input % LANES
    }

    /// Blocks of the output that hold channels of `group`.
    pub const fn outputs(&self, group: u32) -> Range<u32> {
        blocks(group, self.output)
    }

    /// Blocks of the output that hold channels of one group, at most.
    pub const fn most_outputs(&self) -> u32 {
        let last_lane = LANES - common_divisor(LANES, self.output);
        let blocks = (last_lane + self.output).div_ceil(LANES);
        let all = blocks_of(self.output.saturating_mul(self.count));
        if blocks < all { blocks } else { all }
    }

    /// The lanes of output block `block` that `group` writes. Those behind the last channel are written with it.
    pub const fn lanes(&self, group: u32, block: u32) -> Range<u32> {
        let (first, end) = (group * self.output, (group + 1) * self.output);
        let (base, is_last) = (block * LANES, group + 1 == self.count);
        let from = first.saturating_sub(base);
        let to = if is_last || end - base > LANES { LANES } else { end - base };
        from..to
    }

    /// Whether the channels of `group` in output block `block`, one of those that it writes, lie in its lower half alone.
    pub const fn is_half(&self, group: u32, block: u32) -> bool {
        (group + 1) * self.output - block * LANES <= LANES / 2
    }

    /// The row of weights of `group` for output block `block`, one of those that it writes.
    ///
    /// From row to row comes the next block or the next group; both at once where groups meet between blocks.
    pub const fn row(&self, group: u32, block: u32) -> u32 {
        block + group - group / (LANES / common_divisor(LANES, self.output))
    }

    /// Rows of weights.
    pub const fn rows(&self) -> u32 {
        self.row(self.count - 1, blocks_of(self.output * self.count) - 1) + 1
    }
}
