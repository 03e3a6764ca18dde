//! What a block says of its shape: errors, bounded products, regions.

use super::{LANES, blocks_of};
use crate::operand::Operand;
use thiserror::Error;

/// Elements that one operand spans, at most: 2^30 `f32` are the 4 GiB that an offset can name.
pub const MAX_ELEMENTS: u64 = 1 << 30;

/// Why a parameter block is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// A field is outside its bounds.
    #[error("{field} is {value}, allowed is {least} to {most}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// Least allowed value.
        least: u64,
        /// Greatest allowed value.
        most: u64,
    },
    /// An operand spans more than [`MAX_ELEMENTS`].
    #[error("{field} spans more than {MAX_ELEMENTS} elements")]
    TooLarge {
        /// The operand's name.
        field: &'static str,
    },
    /// A tile's output would lie across another tile's.
    #[error("{field}: neighbours along dimension {dimension} would overlap")]
    Overlap {
        /// The operand's name.
        field: &'static str,
        /// The dimension whose stride is too small.
        dimension: u32,
    },
    /// A number that names no variant.
    #[error("{field} is {value}, which names nothing")]
    Unknown {
        /// The field's name.
        field: &'static str,
        /// What it holds.
        value: u32,
    },
}

/// How a kernel uses a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read; must not overlap what the launch writes.
    Read,
    /// Read element by element just before the same element is written: the region must be either
    /// exactly the written one or apart from it.
    ReadInPlace,
    /// Written (and perhaps read).
    Write,
}

/// Equal rows of one operand that a kernel may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The operand's name in its block, for errors.
    pub name: &'static str,
    /// The operand.
    pub operand: Operand,
    /// Bytes from the operand's start to the first byte touched.
    pub first: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes touched of each row.
    pub row_bytes: u64,
    /// Bytes from one row to the next in the same page.
    pub stride: u64,
    /// Whether the kernel looks for each row in its page. If not, all rows lie in the first page,
    /// whatever `rows_per_page` says.
    pub paged: bool,
    /// Read or written.
    pub access: Access,
}

/// The product of `dims`, bounded by [`MAX_ELEMENTS`].
pub(crate) fn extent(field: &'static str, dims: &[u32]) -> Result<u64, BlockError> {
    let mut product = 1u64;
    for &d in dims {
        product = product.saturating_mul(u64::from(d));
        if product > MAX_ELEMENTS {
            return Err(BlockError::TooLarge { field });
        }
    }
    Ok(product)
}

/// Refuses `value` outside `least..=most`.
pub(crate) fn within(field: &'static str, value: u32, least: u32, most: u32) -> Result<(), BlockError> {
    if value < least || value > most {
        return Err(BlockError::Field { field, value: value.into(), least: least.into(), most: most.into() });
    }
    Ok(())
}

/// The largest batch that a block may state.
pub(crate) fn batch(n: u32) -> Result<(), BlockError> {
    #[allow(clippy::cast_possible_truncation, reason = "the limit is 16")]
    const MOST: u32 = crate::operand::MAX_BATCH as u32;
    within("n", n, 1, MOST)
}

/// A blocked view: `n` items of `blocks_of(channels)` blocks of `hw` places, in a tensor of `whole` blocks.
pub(crate) fn blocked_region(
    name: &'static str,
    operand: Operand,
    [n, channels, hw, whole]: [u32; 4],
    access: Access,
) -> Region {
    let block = u64::from(hw) * u64::from(LANES) * 4;
    Region {
        name,
        operand,
        first: 0,
        rows: n.into(),
        row_bytes: u64::from(blocks_of(channels)) * block,
        stride: u64::from(whole) * block,
        paged: false,
        access,
    }
}

/// Rows of packed weights, `row_len` elements each, found page by page.
pub(crate) fn weights_region(operand: Operand, rows: u32, row_len: u32) -> Region {
    let row_bytes = u64::from(row_len) * 4;
    let (rows, stride) = (rows.into(), row_bytes);
    Region { name: "weights", operand, first: 0, rows, row_bytes, stride, paged: true, access: Access::Read }
}

/// `rows` rows of `len` elements, `stride` elements apart, in one page.
pub(crate) fn rows_region(
    name: &'static str,
    operand: Operand,
    [rows, len, stride]: [u32; 3],
    access: Access,
) -> Region {
    let (rows, row_bytes, stride) = (rows.into(), u64::from(len) * 4, u64::from(stride) * 4);
    Region { name, operand, first: 0, rows, row_bytes, stride, paged: false, access }
}

/// One row of `len` elements, padded to whole blocks.
pub(crate) fn vector_region(name: &'static str, operand: Operand, len: u32) -> Region {
    let row_bytes = u64::from(blocks_of(len)) * u64::from(LANES) * 4;
    Region { name, operand, first: 0, rows: 1, row_bytes, stride: row_bytes, paged: false, access: Access::Read }
}

/// Checks a blocked view: `whole` holds the view's blocks, and the tensor is within limits.
pub(crate) fn blocked(name: &'static str, n: u32, channels: u32, hw: &[u32; 2], whole: u32) -> Result<(), BlockError> {
    within(name, whole, blocks_of(channels), u32::MAX)?;
    extent(name, &[n, whole, hw[0], hw[1], LANES]).map(|_| ())
}
