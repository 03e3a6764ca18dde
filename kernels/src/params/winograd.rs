//! Convolution with 3x3 windows at stride 1 by fewer multiplications.

use super::shape::{batch, blocked, within};
use super::window::{MAX_WINDOW, sides};
use super::{
    Access, Activation, Block, BlockError, LANES, Region, blocked_region, blocks_of, extent, vector_region,
    weights_region,
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
/// `group`, `chunk` and `split`.
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
    /// Output blocks whose patches wait in scratch for their inverse transform.
    pub chunk: u32,
    /// Output blocks of one tile.
    pub split: u32,
    /// Applied last.
    pub activation: Activation,
}

impl Winograd {
    /// Patches that are multiplied side by side: `group` is laid out in multiples of these.
    pub const STEP: u32 = 12;

    /// Scratch that one tile may take, in bytes.
    pub const SCRATCH_BYTES: u64 = 4 << 20;

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
        [blocks_of(self.in_channels) * step + LANES, self.chunk * step + LANES]
    }

    /// All patches of the batch.
    const fn all_patches(&self) -> u32 {
        self.n * self.patches()[0] * self.patches()[1]
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
    pub fn cut(&mut self) {
        self.split = self.blocks_of_group();
        self.chunk = self.split.min(2);
        self.group = self.all_patches().min(24);
    }

    fn check_cut(&self) -> Result<(), BlockError> {
        within("group", self.group, 1, 1 << 16)?;
        within("split", self.split, 1, self.blocks_of_group())?;
        within("chunk", self.chunk, 1, self.split)?;
        let step = u64::from(self.group.next_multiple_of(Winograd::STEP) * LANES);
        let blocks = u64::from(blocks_of(self.in_channels)) + u64::from(self.chunk);
        let points = u64::from(self.side() * self.side());
        let value = (blocks * step + 2 * u64::from(LANES)) * points * 4;
        if value > Winograd::SCRATCH_BYTES {
            return Err(BlockError::Field { field: "scratch", value, least: 0, most: Winograd::SCRATCH_BYTES });
        }
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
