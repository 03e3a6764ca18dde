//! Tensors of other element types than `f32`, which the workspace holds as `i32`.

use super::shape::{batch, within};
use super::{Access, Block, BlockError, Region, extent, rows_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// The element type in a slot. In the workspace each is an `i32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Whole {
    /// `i32`, as it is.
    I32 = 0,
    /// `i64`; on the way in, what is beyond `i32` becomes its nearest end.
    I64 = 1,
    /// `u8`; on the way out, what is beyond it becomes its nearest end.
    U8 = 2,
    /// A byte that is 0 or not; in the workspace 0 or 1.
    Bool = 3,
}

impl Whole {
    /// The type with that number.
    pub const fn from_u32(n: u32) -> Option<Whole> {
        Some(match n {
            0 => Whole::I32,
            1 => Whole::I64,
            2 => Whole::U8,
            3 => Whole::Bool,
            _ => return None,
        })
    }

    /// Bytes of one element in a slot.
    pub const fn bytes(self) -> u32 {
        match self {
            Whole::I32 => 4,
            Whole::I64 => 8,
            Whole::U8 | Whole::Bool => 1,
        }
    }
}

/// Copies one input tensor of every place of the batch into the workspace, each element as `i32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct EnterWhole {
    /// In the input space, `rows_per_page` 1: item `i` lies in page `x.page + i`.
    pub x: Operand,
    /// `n * len` elements in the workspace, row-major.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Elements of one item.
    pub len: u32,
    /// A [`Whole`] as its number.
    pub element: u32,
}

/// Copies one tensor of the workspace into every place's output; the reverse of [`EnterWhole`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct LeaveWhole {
    /// `n * len` elements in the workspace, row-major.
    pub x: Operand,
    /// In the output space, `rows_per_page` 1.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Elements of one item.
    pub len: u32,
    /// A [`Whole`] as its number.
    pub element: u32,
}

fn element(number: u32) -> Result<Whole, BlockError> {
    Whole::from_u32(number).ok_or(BlockError::Unknown { field: "element", value: number })
}

fn check_shape(n: u32, len: u32, number: u32) -> Result<(), BlockError> {
    batch(n)?;
    within("len", len, 1, u32::MAX)?;
    element(number)?;
    extent("workspace", &[n, len]).map(|_| ())
}

/// The item's row in its slot, one page a place.
fn slot(name: &'static str, operand: Operand, [n, len, number]: [u32; 3], access: Access) -> Region {
    let bytes = Whole::from_u32(number).map_or(8, Whole::bytes);
    let row_bytes = u64::from(len) * u64::from(bytes);
    Region { name, operand, first: 0, rows: n.into(), row_bytes, stride: row_bytes, paged: true, access }
}

impl Block for EnterWhole {
    fn check(&self) -> Result<(), BlockError> {
        within("x.rows_per_page", self.x.rows_per_page, 1, 1)?;
        check_shape(self.n, self.len, self.element)
    }

    fn grid(&self) -> u32 {
        self.n
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        visit(slot("x", self.x, [self.n, self.len, self.element], Access::Read));
        visit(rows_region("y", self.y, [self.n, self.len, self.len], Access::Write));
    }
}

impl Block for LeaveWhole {
    fn check(&self) -> Result<(), BlockError> {
        within("y.rows_per_page", self.y.rows_per_page, 1, 1)?;
        check_shape(self.n, self.len, self.element)
    }

    fn grid(&self) -> u32 {
        self.n
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        visit(rows_region("x", self.x, [self.n, self.len, self.len], Access::Read));
        visit(slot("y", self.y, [self.n, self.len, self.element], Access::Write));
    }
}
