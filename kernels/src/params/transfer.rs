//! The only kernels that touch the inputs and outputs of a batch.

use super::shape::{batch, within};
use super::window::MAX_SIDE;
use super::{Access, Block, BlockError, LANES, Region, blocks_of, extent};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// Copies one input tensor of every place of the batch into the workspace.
///
/// Item `i` is read from page `x.page + i` of the input space, row-major `[channels][hw]`.
/// With `blocks > 0` it is written blocked, `y[i][blocks][hw][16]`, padding lanes zero. With
/// `blocks = 0` it is written as it is, `y[i][channels][hw]` (any rank: only the product counts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Enter {
    /// In the input space, `rows_per_page` 1.
    pub x: Operand,
    /// In the workspace.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Channels.
    pub channels: u32,
    /// Height times width.
    pub hw: u32,
    /// Channel blocks of the tensor that holds `y`; 0: `y` is row-major.
    pub blocks: u32,
}

/// Copies one tensor of the workspace into every place's output; the reverse of [`Enter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Leave {
    /// In the workspace.
    pub x: Operand,
    /// In the output space, `rows_per_page` 1.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Channels.
    pub channels: u32,
    /// Height times width.
    pub hw: u32,
    /// Channel blocks of the tensor that holds `x`; 0: `x` is row-major.
    pub blocks: u32,
}

fn check_shape([n, channels, hw, blocks]: [u32; 4]) -> Result<(), BlockError> {
    batch(n)?;
    within("channels", channels, 1, u32::MAX)?;
    within("hw", hw, 1, MAX_SIDE * (MAX_SIDE / 4))?;
    extent("slot", &[channels, hw])?;
    if blocks == 0 {
        extent("workspace", &[n, channels, hw])?;
    } else {
        within("blocks", blocks, blocks_of(channels), u32::MAX)?;
        extent("workspace", &[n, blocks, hw, LANES])?;
    }
    Ok(())
}

/// The item's row in its slot, one page a place.
fn slot(name: &'static str, operand: Operand, [n, channels, hw, _]: [u32; 4], access: Access) -> Region {
    let row_bytes = u64::from(channels) * u64::from(hw) * 4;
    let (rows, stride) = (n.into(), row_bytes);
    Region { name, operand, first: 0, rows, row_bytes, stride, paged: true, access }
}

/// The whole batch in the workspace, blocked or row-major.
fn workspace(name: &'static str, operand: Operand, shape: [u32; 4], access: Access) -> Region {
    let [n, channels, hw, blocks] = shape;
    if blocks == 0 {
        return Region { paged: false, ..slot(name, operand, shape, access) };
    }
    super::blocked_region(name, operand, [n, channels, hw, blocks], access)
}

impl Block for Enter {
    fn check(&self) -> Result<(), BlockError> {
        within("x.rows_per_page", self.x.rows_per_page, 1, 1)?;
        check_shape([self.n, self.channels, self.hw, self.blocks])
    }

    fn grid(&self) -> u32 {
        self.n
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let shape = [self.n, self.channels, self.hw, self.blocks];
        visit(slot("x", self.x, shape, Access::Read));
        visit(workspace("y", self.y, shape, Access::Write));
    }
}

impl Block for Leave {
    fn check(&self) -> Result<(), BlockError> {
        within("y.rows_per_page", self.y.rows_per_page, 1, 1)?;
        check_shape([self.n, self.channels, self.hw, self.blocks])
    }

    fn grid(&self) -> u32 {
        self.n
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let shape = [self.n, self.channels, self.hw, self.blocks];
        visit(workspace("x", self.x, shape, Access::Read));
        visit(slot("y", self.y, shape, Access::Write));
    }
}
