//! Where a weight page lies. A list of these leaves the place of each page open.

use bytemuck::{Pod, Zeroable};

/// One weight page on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PageRef {
    /// Which file: 0 is the package itself; no other is defined in this version.
    pub file: u32,
    /// Zero.
    pub reserved: u32,
    /// Where the page begins in that file, in bytes; a multiple of [`PageRef::ALIGNMENT`].
    pub offset: u64,
}

impl PageRef {
    /// Pages begin at multiples of this, so that direct I/O reaches them.
    pub const ALIGNMENT: u64 = 4096;

    /// A page of the package itself.
    pub const fn own(offset: u64) -> PageRef {
        PageRef { file: 0, reserved: 0, offset }
    }
}
