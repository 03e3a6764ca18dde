//! Any rearrangement: transposes, slices, concats, shuffles, blocked to row-major and back.

use super::matmul::{span, strided};
use super::shape::within;
use super::{Access, Block, BlockError, LANES, MAX_ELEMENTS, RANK, Region, extent};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// How one side of a [`Copy`] finds the element of an index `i[0..6]`.
///
/// The channel is `c = first_channel + sum of i[d] * channels[d]`, and the element
/// `first + sum of i[d] * strides[d] + (c / 16) * block_stride + c % 16`.
///
/// - Row-major: `channels` all 0, `block_stride` 0 (so the channel part is `first_channel = 0`).
/// - Blocked `[n][blocks][h][w][16]` walked as `(n, c, h, w)`: strides `[16*blocks*h*w, 0, 16*w, 16]`,
///   channels `[0, 1, 0, 0]`, `block_stride = 16*h*w`. Two dimensions that together form the
///   channel (heads, shuffles) have channels `[.., c / g, 1, ..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct CopySide {
    /// First element, counted from the operand's start.
    pub first: u32,
    /// Elements from index to index of each dimension, channels apart.
    pub strides: [u32; RANK],
    /// First channel.
    pub first_channel: u32,
    /// Channels from index to index of each dimension.
    pub channels: [u32; RANK],
    /// Elements from one channel block to the next; 0 in a row-major tensor.
    pub block_stride: u32,
}

/// `y[i] = x[i]` for every index `i` in `dims`, each side addressed by its [`CopySide`].
///
/// No two indices may name the same element of `y`. Elements of `y` that no index names keep their
/// value, so several copies can fill one tensor (concat).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Copy {
    /// Source: workspace or (one row of) weights.
    pub x: Operand,
    /// Destination, in the workspace.
    pub y: Operand,
    /// Dimensions, outermost first (the batch), padded in front with 1.
    pub dims: [u32; RANK],
    /// Addresses in `x`.
    pub from: CopySide,
    /// Addresses in `y`.
    pub to: CopySide,
}

impl CopySide {
    /// Row-major with those strides, in front padded with 0; `None` if there are more than [`RANK`].
    pub fn row_major(first: u32, strides: &[u32]) -> Option<CopySide> {
        let front = RANK.checked_sub(strides.len())?;
        let mut padded = [0; RANK];
        padded[front..].copy_from_slice(strides);
        Some(CopySide { first, strides: padded, first_channel: 0, channels: [0; RANK], block_stride: 0 })
    }

    /// The last two dimensions but one: a blocked image of `whole` blocks of `h x w`, walked as
    /// `(n, c, h, w)`, from channel `first_channel` on.
    pub const fn image(whole: u32, h: u32, w: u32, first_channel: u32) -> CopySide {
        let block_stride = h * w * LANES;
        CopySide {
            first: 0,
            strides: [0, 0, whole * block_stride, 0, w * LANES, LANES],
            first_channel,
            channels: [0, 0, 0, 1, 0, 0],
            block_stride,
        }
    }

    /// The last channel that an index reaches.
    fn last_channel(&self, dims: &[u32; RANK]) -> u64 {
        (0..RANK)
            .map(|i| u64::from(dims[i] - 1).saturating_mul(self.channels[i].into()))
            .fold(u64::from(self.first_channel), u64::saturating_add)
    }

    /// Elements from `first` to the end of what `dims` reach.
    fn reach(&self, name: &'static str, dims: &[u32]) -> Result<u64, BlockError> {
        let front = RANK - dims.len();
        let mut all = [1; RANK];
        all[front..].copy_from_slice(dims);
        let lanes = self.last_channel(&all);
        let blocks = (lanes / u64::from(LANES)).saturating_mul(self.block_stride.into());
        let inner = span(name, &all, &self.strides)?;
        let reach = inner.saturating_add(blocks).saturating_add(lanes.min(u64::from(LANES) - 1));
        if reach.saturating_add(self.first.into()) > MAX_ELEMENTS {
            return Err(BlockError::TooLarge { field: name });
        }
        Ok(reach)
    }

    fn is_row_major(&self) -> bool {
        self.channels == [0; RANK]
    }

    fn check(&self, name: &'static str, dims: &[u32; RANK]) -> Result<(), BlockError> {
        self.reach(name, dims)?;
        if self.is_row_major() {
            within("first_channel", self.first_channel, 0, 0)?;
        }
        Ok(())
    }

    fn region(&self, name: &'static str, operand: Operand, dims: &[u32; RANK], access: Access) -> Region {
        let outer = dims.iter().position(|&d| d != 1).unwrap_or(RANK - 1);
        if self.is_row_major() {
            return strided(name, operand, self.first, (&dims[outer..], &self.strides[outer..]), access);
        }
        let first = u64::from(self.first) * 4;
        let stride = u64::from(self.strides[outer]) * 4;
        let item = self.reach(name, &dims[outer + 1..]).unwrap_or(MAX_ELEMENTS) * 4;
        if self.channels[outer] == 0 && stride >= item {
            return Region {
                name,
                operand,
                first,
                rows: dims[outer].into(),
                row_bytes: item,
                stride,
                paged: false,
                access,
            };
        }
        let whole = self.reach(name, dims).unwrap_or(MAX_ELEMENTS) * 4;
        Region { name, operand, first, rows: 1, row_bytes: whole, stride: whole, paged: false, access }
    }
}

impl Block for Copy {
    fn check(&self) -> Result<(), BlockError> {
        for &d in &self.dims {
            within("dims", d, 1, u32::MAX)?;
        }
        extent("dims", &self.dims)?;
        self.from.check("x", &self.dims)?;
        self.to.check("y", &self.dims)
    }

    fn grid(&self) -> u32 {
        1
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        visit(self.from.region("x", self.x, &self.dims, Access::Read));
        visit(self.to.region("y", self.y, &self.dims, Access::Write));
    }
}
