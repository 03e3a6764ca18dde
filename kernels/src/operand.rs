//! How kernels name memory: by space, page and offset, never by address.

use bytemuck::{Pod, Zeroable};

/// Places of one batch, at most.
pub const MAX_BATCH: usize = 16;

/// Where an operand lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Space {
    /// The instance's weight pages, read only: `page` counts them in the package's order.
    Weights = 0,
    /// The inputs of one place of the batch: `page` is the place, `offset` counts from the slot's input area.
    Input = 1,
    /// The outputs of one place of the batch: `page` is the place, `offset` counts from the slot's output area.
    Output = 2,
    /// The device's workspace: one page, `page` is 0.
    Workspace = 3,
}

impl Space {
    /// The space with that number.
    pub const fn from_u32(n: u32) -> Option<Space> {
        Some(match n {
            0 => Space::Weights,
            1 => Space::Input,
            2 => Space::Output,
            3 => Space::Workspace,
            _ => return None,
        })
    }
}

/// One operand of a launch: equal rows laid over one or more pages.
///
/// Row `r` of `row_bytes` (a fact of the kernel and its shapes, so not repeated here) lies in page
/// `page + r / rows_per_page` at byte `offset + (r % rows_per_page) * row_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Operand {
    /// A [`Space`] as its number.
    pub space: u32,
    /// First page.
    pub page: u32,
    /// Offset in bytes of the first row within each page; a multiple of [`ALIGNMENT`].
    pub offset: u32,
    /// Rows that lie in one page, at least 1; `u32::MAX` where all lie in one.
    pub rows_per_page: u32,
}

/// Every operand starts at a multiple of this many bytes: a cache line, and one block of 16 `f32`.
pub const ALIGNMENT: u32 = 64;

impl Operand {
    /// An operand whose rows all lie in one page of `space`.
    pub const fn contiguous(space: Space, page: u32, offset: u32) -> Operand {
        Operand { space: space as u32, page, offset, rows_per_page: u32::MAX }
    }
}

/// What differs from one INFER to the next. The exec lane writes it in stream order, in one
/// device-side place, before each graph launch; every parameter block starts with its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Binding {
    /// Device address of the instance's page table: one `u64` device address per weight page.
    pub page_table: u64,
    /// Device address of the workspace.
    pub workspace: u64,
    /// Device address of each place's input area; empty places point to the null slot.
    pub inputs: [u64; MAX_BATCH],
    /// Device address of each place's output area; empty places point to the null slot.
    pub outputs: [u64; MAX_BATCH],
}
