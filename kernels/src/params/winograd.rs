//! Convolution with 3x3 windows at stride 1 by fewer multiplications.

use super::conv::channels;
use super::shape::{batch, blocked, within};
use super::window::{MAX_WINDOW, sides};
use super::{
    Access, Activation, Block, BlockError, Conv, LANES, Region, Window, blocked_region, blocks_of, extent,
    vector_region, weights_region,
};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y = activation(conv(x, weights) + bias + residual)` for dense 3x3 windows at stride 1, all
/// images blocked, by Winograd's minimal filtering.
///
/// The output is cut into patches of `patch x patch` places. A patch follows from `side x side`
/// places of the input (`side` is `patch + 2`), each transformed along both axes; then the value
/// of a patch at each of the `side * side` points is a product over channels, one accumulator
/// chain, channels upwards; and the patch is the inverse transform of these, the bias added, then
/// the residual. So an output follows from its patch alone, wherever the work is cut by
/// `group` and `split`.
///
/// With `groups > 1` both `in_channels` and `out_channels / groups` must be multiples of 16.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Winograd {
    /// Blocked view, `in_channels * groups` channels of `in_h x in_w`.
    pub x: Operand,
    /// `blocks_of(out_channels) * side * side` rows of `in_channels * 16` elements, from
    /// [`layout::winograd`](crate::layout::winograd).
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
    /// Rows of padding above.
    pub pad_top: u32,
    /// Columns of padding on the left.
    pub pad_left: u32,
    /// Channel blocks of the tensor that holds `x`.
    pub x_blocks: u32,
    /// Channel blocks of the tensor that holds `residual`; 0: no residual.
    pub residual_blocks: u32,
    /// Channel blocks of the tensor that holds `y`.
    pub y_blocks: u32,
    /// Places of a patch along each side: 2 or 4.
    pub patch: u32,
    /// Patches of one tile.
    pub group: u32,
    /// Output blocks of one tile.
    pub split: u32,
    /// Applied last.
    pub activation: Activation,
}

impl Winograd {
    /// Patches that are multiplied side by side: `group` is laid out in multiples of these.
    pub const STEP: u32 = 12;

    /// Output blocks whose products wait in scratch for their inverse transform.
    pub(crate) const WAITING: u32 = 2;

    /// Patches of one tile, at most: beyond, what waits leaves the cache.
    const MOST_PATCHES: u32 = 36;

    /// Tiles that a layer is cut into where that costs little.
    const FEWEST_TILES: u32 = 4;

    /// Output blocks of one tile that are worth a transform of its input.
    const FEWEST_BLOCKS: u32 = 8;

    /// Scratch that one tile may take, in bytes.
    pub const SCRATCH_BYTES: u32 = 4 << 20;

    /// The same convolution by patches of `patch x patch` places, cut for caches and threads; its weights are
    /// still those of `conv`. None if the window is not 3x3, dense, at stride 1, or groups are no whole channel blocks.
    pub fn of(conv: &Conv, patch: u32) -> Option<Winograd> {
        let window = &conv.window;
        if *window != (Window { pad_top: window.pad_top, pad_left: window.pad_left, ..Window::square(3, 1, 0) }) {
            return None;
        }
        if conv.groups > 1 && !conv.grouping().are_whole_blocks() {
            return None;
        }
        let mut winograd = Winograd {
            x: conv.x,
            weights: conv.weights,
            bias: conv.bias,
            residual: conv.residual,
            y: conv.y,
            n: conv.n,
            in_channels: conv.in_channels,
            out_channels: conv.out_channels,
            groups: conv.groups,
            in_h: conv.in_h,
            in_w: conv.in_w,
            out_h: conv.out_h,
            out_w: conv.out_w,
            pad_top: window.pad_top,
            pad_left: window.pad_left,
            x_blocks: conv.x_blocks,
            residual_blocks: conv.residual_blocks,
            y_blocks: conv.y_blocks,
            patch,
            group: 1,
            split: 1,
            activation: conv.activation,
        };
        winograd.cut();
        Some(winograd)
    }

    /// Places of the input that a patch sees along each side, and so its points.
    pub const fn side(&self) -> u32 {
        self.patch + 2
    }

    /// Patches down and across one image.
    pub const fn patches(&self) -> [u32; 2] {
        [self.out_h.div_ceil(self.patch), self.out_w.div_ceil(self.patch)]
    }

    /// Elements of one row of packed weights.
    pub const fn weights_row(&self) -> u32 {
        self.in_channels * LANES
    }

    /// Elements of scratch for each point: transformed inputs, and products that wait. One block
    /// more than there is to hold, so that the points of a patch are not a power of two apart.
    pub(crate) const fn scratch_of_point(&self) -> [u32; 2] {
        let step = self.group.next_multiple_of(Winograd::STEP) * LANES;
        [blocks_of(self.in_channels) * step + LANES, Winograd::WAITING * step + LANES]
    }

    /// All patches of the batch.
    const fn all_patches(&self) -> u32 {
        self.n.saturating_mul(self.patches()[0]).saturating_mul(self.patches()[1])
    }

    /// Output blocks of one group.
    pub(crate) const fn blocks_of_group(&self) -> u32 {
        blocks_of(self.out_channels) / self.groups
    }

    /// Tiles along patches, and along the output blocks of one group.
    pub(crate) const fn tiles(&self) -> [u32; 2] {
        [self.all_patches().div_ceil(self.group), self.blocks_of_group().div_ceil(self.split)]
    }

    /// Cuts the work for caches and threads; any cut gives the same bits.
    pub(super) fn cut(&mut self) {
        let all = self.all_patches();
        // Few tiles would leave threads idle, small ones would transform the same input too often.
        let most = Winograd::MOST_PATCHES.min(self.patches_in_scratch()).max(1);
        self.group = all.div_ceil(all.div_ceil(most)).next_multiple_of(Winograd::STEP).min(most);
        let across = Winograd::FEWEST_TILES.div_ceil(all.div_ceil(self.group).saturating_mul(self.groups));
        let blocks = self.blocks_of_group();
        self.split = blocks.div_ceil(across).max(Winograd::FEWEST_BLOCKS).min(blocks);
    }

    /// Patches that scratch holds, in whole steps; 0 if it has no room for one step.
    const fn patches_in_scratch(&self) -> u32 {
        let points = (self.side() * self.side()) as u64;
        let blocks = (blocks_of(self.in_channels) + Winograd::WAITING) as u64;
        let spare = points * 2 * LANES as u64 * 4;
        let steps = (Winograd::SCRATCH_BYTES as u64 - spare) / (points * blocks * (Winograd::STEP * LANES) as u64 * 4);
        #[expect(clippy::cast_possible_truncation, reason = "at most what 4 MiB hold")]
        let steps = steps as u32;
        steps * Winograd::STEP
    }

    fn check_cut(&self) -> Result<(), BlockError> {
        within("split", self.split, 1, self.blocks_of_group())?;
        within("group beside scratch", self.group, 1, self.patches_in_scratch())?;
        Ok(())
    }
}

impl Block for Winograd {
    fn check(&self) -> Result<(), BlockError> {
        batch(self.n)?;
        self.activation.check()?;
        sides([self.in_h, self.in_w, self.out_h, self.out_w])?;
        within("pad_top", self.pad_top, 0, MAX_WINDOW)?;
        within("pad_left", self.pad_left, 0, MAX_WINDOW)?;
        within("patch", self.patch, 2, 4)?;
        within("patch % 2", self.patch % 2, 0, 0)?;
        channels([self.in_channels, self.out_channels], self.groups)?;
        if self.groups > 1 {
            within("in_channels % 16", self.in_channels % LANES, 0, 0)?;
            within("out_channels / groups % 16", self.out_channels / self.groups % LANES, 0, 0)?;
        }
        extent("weights", &[self.in_channels, self.side(), self.side(), LANES, blocks_of(self.out_channels)])?;
        blocked("x_blocks", self.n, self.in_channels * self.groups, &[self.in_h, self.in_w], self.x_blocks)?;
        if self.residual_blocks > 0 {
            blocked("residual_blocks", self.n, self.out_channels, &[self.out_h, self.out_w], self.residual_blocks)?;
        }
        blocked("y_blocks", self.n, self.out_channels, &[self.out_h, self.out_w], self.y_blocks)?;
        self.check_cut()
    }

    fn grid(&self) -> u32 {
        let [along, across] = self.tiles();
        along * across * self.groups
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let (in_hw, out_hw) = (self.in_h * self.in_w, self.out_h * self.out_w);
        let channels = self.in_channels * self.groups;
        visit(blocked_region("x", self.x, [self.n, channels, in_hw, self.x_blocks], Access::Read));
        let rows = blocks_of(self.out_channels) * self.side() * self.side();
        visit(weights_region(self.weights, rows, self.weights_row()));
        visit(vector_region("bias", self.bias, self.out_channels));
        let out = [self.n, self.out_channels, out_hw];
        if self.residual_blocks > 0 {
            let shape = [out[0], out[1], out[2], self.residual_blocks];
            visit(blocked_region("residual", self.residual, shape, Access::ReadInPlace));
        }
        visit(blocked_region("y", self.y, [out[0], out[1], out[2], self.y_blocks], Access::Write));
    }
}
