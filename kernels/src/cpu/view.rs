//! Memory as kernels see it: operands turned into slices, and the range that a tile owns.
//!
//! Kernel functions are safe code over these views. That the views lie inside the memory of the
//! operands is what [`Memory::new`] demands of its caller, and what
//! [`Kernel`](crate::launch::Kernel) promises of every kernel function.

use super::{LANES, at};
use crate::operand::{Binding, Operand, Space};
use std::marker::PhantomData;

/// The memory of one launch.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    binding: &'a Binding,
}

/// Elements that are read, and may be the very elements that the tile writes: read one, write it,
/// read the next.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    start: *const f32,
    len: usize,
    launch: PhantomData<&'a f32>,
}

/// Elements that the tile owns and writes; of a block that several tiles share, their own lanes.
pub(crate) struct Target<'a> {
    start: *mut f32,
    len: usize,
    launch: PhantomData<&'a mut f32>,
}

/// Bytes that the tile owns and writes.
pub(crate) struct TargetBytes<'a> {
    start: *mut u8,
    len: usize,
    launch: PhantomData<&'a mut u8>,
}

/// The rows of an operand, found page by page.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    memory: Memory<'a>,
    operand: Operand,
    row_len: usize,
}

impl<'a> Memory<'a> {
    /// The memory of one launch.
    ///
    /// # Safety
    /// For `'a`: the addresses in `binding` are those of memory whose extent the launch's block was
    /// checked against, nobody else writes what the block's footprint reads or touches what it
    /// writes, and views are made of the block's operands only, within its footprint: `slice`,
    /// `source` and `rows` of regions that are read, `target` of a range that this tile alone
    /// writes, one at a time, or of which it touches no lanes but its own.
    pub(crate) unsafe fn new(binding: &'a Binding) -> Memory<'a> {
        Memory { binding }
    }

    /// Address of row `row` of `row_bytes`, plus `first` elements.
    #[inline(always)]
    fn address(&self, operand: &Operand, row: usize, row_bytes: usize, first: usize) -> *mut f32 {
        let in_page = row % at(operand.rows_per_page);
        let page = at(operand.page) + row / at(operand.rows_per_page);
        let base = match Space::from_u32(operand.space) {
            Some(Space::Weights) => {
                let table = self.binding.page_table as *const u64;
                // SAFETY: the page is one of the instance's, by the contract of `new`.
                unsafe { table.add(page).read() }
            }
            Some(Space::Input) => self.binding.inputs[page],
            Some(Space::Output) => self.binding.outputs[page],
            Some(Space::Workspace) => self.binding.workspace,
            None => unreachable!("a checked operand names a space"),
        };
        let offset = at(operand.offset) + in_page * row_bytes + first * size_of::<f32>();
        (base as *mut u8).wrapping_add(offset).cast()
    }

    /// `len` elements from `first` on, read only.
    #[inline(always)]
    pub(crate) fn slice(&self, operand: &Operand, first: usize, len: usize) -> &'a [f32] {
        // SAFETY: within the footprint and not written during the launch, by the contract of
        // `new`; operands are 64-byte aligned and any bits are an `f32`.
        unsafe { std::slice::from_raw_parts(self.address(operand, 0, 0, first), len) }
    }

    /// `len` elements from `first` on, which may be what the tile writes.
    #[inline(always)]
    pub(crate) fn source(&self, operand: &Operand, first: usize, len: usize) -> Source<'a> {
        Source { start: self.address(operand, 0, 0, first), len, launch: PhantomData }
    }

    /// `len` elements from `first` on, which this tile alone writes.
    #[inline(always)]
    pub(crate) fn target(&self, operand: &Operand, first: usize, len: usize) -> Target<'a> {
        Target { start: self.address(operand, 0, 0, first), len, launch: PhantomData }
    }

    /// Row `row` of an operand with a page for each row, to be written.
    #[inline(always)]
    pub(crate) fn target_row(&self, operand: &Operand, row: usize, len: usize) -> Target<'a> {
        Target { start: self.address(operand, row, len * size_of::<f32>(), 0), len, launch: PhantomData }
    }

    /// `len` bytes of row `row` of an operand with a page for each row, read only.
    #[inline(always)]
    pub(crate) fn bytes_of_row(&self, operand: &Operand, row: usize, len: usize) -> &'a [u8] {
        let start: *const u8 = self.address(operand, row, len, 0).cast();
        // SAFETY: within the footprint and not written during the launch, by the contract of `new`;
        // any bits are a `u8`.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// `len` bytes of row `row` of an operand with a page for each row, to be written.
    #[inline(always)]
    pub(crate) fn target_bytes_of_row(&self, operand: &Operand, row: usize, len: usize) -> TargetBytes<'a> {
        TargetBytes { start: self.address(operand, row, len, 0).cast(), len, launch: PhantomData }
    }

    /// The rows of `row_len` elements of an operand that is read only.
    #[inline(always)]
    pub(crate) fn rows(&self, operand: &Operand, row_len: usize) -> Rows<'a> {
        Rows { memory: *self, operand: *operand, row_len }
    }
}

impl<'a> Rows<'a> {
    /// Row `row`, wherever it lies.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        let start = self.memory.address(&self.operand, row, self.row_len * size_of::<f32>(), 0);
        // SAFETY: as in `Memory::slice`.
        unsafe { std::slice::from_raw_parts(start, self.row_len) }
    }
}

impl Source<'_> {
    /// Elements.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first element's address.
    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *const f32 {
        self.start
    }

    /// One element.
    #[inline(always)]
    pub(crate) fn get(&self, i: usize) -> f32 {
        assert!(i < self.len, "element {i} of {}", self.len);
        // SAFETY: within the view, which lies in memory by the contract of `Memory::new`.
        unsafe { self.start.add(i).read() }
    }
}

impl<'a> From<&'a [f32]> for Source<'a> {
    #[inline(always)]
    fn from(slice: &'a [f32]) -> Source<'a> {
        Source { start: slice.as_ptr(), len: slice.len(), launch: PhantomData }
    }
}

impl<'a> From<&'a mut [f32]> for Target<'a> {
    #[inline(always)]
    fn from(slice: &'a mut [f32]) -> Target<'a> {
        Target { start: slice.as_mut_ptr(), len: slice.len(), launch: PhantomData }
    }
}

/// `y[i * to] = x[i * from]`
///
/// # Safety
/// Those elements are writable and readable, for `i` below `count`.
#[inline(always)]
unsafe fn move_steps([to, from]: [usize; 2], y: *mut f32, x: *const f32, count: usize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { y.add(i * to).write(x.add(i * from).read()) };
    }
}

impl<'a> Target<'a> {
    /// Elements.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first element's address.
    #[inline(always)]
    pub(crate) fn as_ptr(&mut self) -> *mut f32 {
        self.start
    }

    /// What was written, to be read again while it is written over.
    #[inline(always)]
    pub(crate) fn itself(&self) -> Source<'a> {
        Source { start: self.start, len: self.len, launch: PhantomData }
    }

    /// The elements as a slice; not for a kernel that reads them through a [`Source`] too.
    #[inline(always)]
    pub(crate) fn as_mut(&mut self) -> &mut [f32] {
        // SAFETY: the tile alone touches them, by the contract of `Memory::new`, and reborrows end
        // with the borrow of `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }

    /// Writes one element.
    #[inline(always)]
    pub(crate) fn set(&mut self, i: usize, value: f32) {
        assert!(i < self.len, "element {i} of {}", self.len);
        // SAFETY: within the view, which this tile alone writes, by the contract of `Memory::new`.
        unsafe { self.start.add(i).write(value) };
    }

    /// `count` elements of `x`, at a distance from `from` on, to elements at a distance from `to` on; each side
    /// names its first element and the distance.
    #[inline(always)]
    pub(crate) fn set_steps(&mut self, to: [usize; 2], x: &Source<'_>, from: [usize; 2], count: usize) {
        let end = |[first, step]: [usize; 2]| if count == 0 { 0 } else { first + (count - 1) * step + 1 };
        assert!(end(to) <= self.len && end(from) <= x.len, "{count} steps from {from:?} to {to:?}");
        let (y, x) = (self.start.wrapping_add(to[0]), x.start.wrapping_add(from[0]));
        // SAFETY: the furthest element of each side lies within its view, asserted above.
        unsafe {
            match (to[1], from[1]) {
                // Within blocks the distance is that of places, which the compiler then knows.
                (LANES, LANES) => move_steps([LANES, LANES], y, x, count),
                (1, 1) => move_steps([1, 1], y, x, count),
                (to, from) => move_steps([to, from], y, x, count),
            }
        }
    }

    /// A part of the target.
    #[inline(always)]
    pub(crate) fn part(&mut self, first: usize, len: usize) -> Target<'_> {
        assert!(first <= self.len && len <= self.len - first, "{first}+{len} of {}", self.len);
        Target { start: self.start.wrapping_add(first), len, launch: PhantomData }
    }
}

impl TargetBytes<'_> {
    /// The bytes as a slice.
    #[inline(always)]
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: the tile alone touches them, by the contract of `Memory::new`, and reborrows end
        // with the borrow of `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

/// Rows at a fixed distance that are read, and may be those that the tile writes.
#[derive(Clone, Copy)]
pub(crate) struct SourceGrid<'a> {
    start: *const f32,
    rows: usize,
    stride: usize,
    len: usize,
    launch: PhantomData<&'a f32>,
}

/// Rows at a fixed distance, the same part of each owned by the tile.
pub(crate) struct TargetGrid<'a> {
    start: *mut f32,
    rows: usize,
    stride: usize,
    len: usize,
    launch: PhantomData<&'a mut f32>,
}

impl<'a> Memory<'a> {
    /// `rows` rows of `len` elements, `stride` apart, from element `first` on.
    #[inline(always)]
    pub(crate) fn source_grid(
        &self,
        operand: &Operand,
        first: usize,
        [rows, stride, len]: [usize; 3],
    ) -> SourceGrid<'a> {
        SourceGrid { start: self.address(operand, 0, 0, first), rows, stride, len, launch: PhantomData }
    }

    /// `rows` rows of `len` elements, `stride` apart, from element `first` on, to be written.
    #[inline(always)]
    pub(crate) fn target_grid(
        &self,
        operand: &Operand,
        first: usize,
        [rows, stride, len]: [usize; 3],
    ) -> TargetGrid<'a> {
        TargetGrid { start: self.address(operand, 0, 0, first), rows, stride, len, launch: PhantomData }
    }
}

impl<'a> SourceGrid<'a> {
    /// `rows` rows of `len` elements of a slice, `stride` apart.
    #[inline(always)]
    pub(crate) fn of(slice: &'a [f32], [rows, stride, len]: [usize; 3]) -> SourceGrid<'a> {
        assert!((rows - 1) * stride + len <= slice.len(), "{rows} rows within {} elements", slice.len());
        SourceGrid { start: slice.as_ptr(), rows, stride, len, launch: PhantomData }
    }

    /// One row.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> Source<'a> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        Source { start: self.start.wrapping_add(row * self.stride), len: self.len, launch: PhantomData }
    }
}

impl<'a> TargetGrid<'a> {
    /// `rows` rows of `len` elements of a slice, `stride` apart, from element `first` of each on.
    #[inline(always)]
    pub(crate) fn of(slice: &'a mut [f32], first: usize, [rows, stride, len]: [usize; 3]) -> TargetGrid<'a> {
        assert!(first + (rows - 1) * stride + len <= slice.len(), "{rows} rows within {} elements", slice.len());
        TargetGrid { start: slice.as_mut_ptr().wrapping_add(first), rows, stride, len, launch: PhantomData }
    }

    /// One row.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> Target<'_> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        Target { start: self.start.wrapping_add(row * self.stride), len: self.len, launch: PhantomData }
    }
}
