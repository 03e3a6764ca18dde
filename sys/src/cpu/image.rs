//! The native image: what `cuModuleLoadData` takes on the cpu driver.

use std::ffi::{CStr, c_char};

/// The first word of every native image.
pub const IMAGE_MAGIC: u64 = u64::from_le_bytes(*b"CWKCPU\0\x01");
/// The version of this layout and of the calling convention.
pub const IMAGE_ABI: u32 = 1;
/// Entries of one image.
pub(super) const MAX_ENTRIES: u64 = 4096;

/// A kernel: `parameters` points to its parameter block (64-byte aligned), `tile` is one of the
/// independent tiles that `grid.x` counts, `scratch` points to the thread's scratch (page
/// aligned, at least as large as the image asks for, of unspecified content).
pub type CpuKernel = unsafe extern "C" fn(parameters: *const u8, tile: u32, scratch: *mut u8);

/// One kernel of an image.
#[repr(C)]
#[derive(Debug)]
pub struct CpuEntry {
    name: *const c_char,
    function: CpuKernel,
    parameter_bytes: u64,
}

// SAFETY: an entry is immutable and points to 'static data only.
unsafe impl Sync for CpuEntry {}
// SAFETY: as above.
unsafe impl Send for CpuEntry {}

impl CpuEntry {
    /// An entry of this name, function and size of the parameter block in bytes.
    #[must_use]
    pub const fn new(name: &'static CStr, function: CpuKernel, parameter_bytes: usize) -> Self {
        Self { name: name.as_ptr(), function, parameter_bytes: parameter_bytes as u64 }
    }

    /// The name of the kernel.
    #[must_use]
    pub fn name(&self) -> &'static CStr {
        // SAFETY: made from a `&'static CStr`.
        unsafe { CStr::from_ptr(self.name) }
    }

    pub(super) fn function(&self) -> CpuKernel {
        self.function
    }

    /// Bytes of the parameter block.
    #[must_use]
    pub fn parameter_bytes(&self) -> usize {
        usize::try_from(self.parameter_bytes).unwrap_or(usize::MAX)
    }
}

/// A native image.
#[repr(C)]
#[derive(Debug)]
pub struct CpuImage {
    magic: u64,
    abi: u32,
    reserved: u32,
    scratch_bytes: u64,
    entry_count: u64,
    entries: *const CpuEntry,
}

// SAFETY: an image is immutable and points to 'static data only.
unsafe impl Sync for CpuImage {}
// SAFETY: as above.
unsafe impl Send for CpuImage {}

impl CpuImage {
    /// An image of `entries`, whose kernels need `scratch_bytes` of scratch in each thread.
    #[must_use]
    pub const fn new(scratch_bytes: usize, entries: &'static [CpuEntry]) -> Self {
        Self {
            magic: IMAGE_MAGIC,
            abi: IMAGE_ABI,
            reserved: 0,
            scratch_bytes: scratch_bytes as u64,
            entry_count: entries.len() as u64,
            entries: entries.as_ptr(),
        }
    }

    /// The kernels of the image.
    #[must_use]
    pub fn entries(&self) -> &'static [CpuEntry] {
        let count = usize::try_from(self.entry_count).unwrap_or(0);
        // SAFETY: `entries` and `entry_count` come from one 'static slice.
        unsafe { std::slice::from_raw_parts(self.entries, count) }
    }

    /// Scratch that the kernels need in each compute thread, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        usize::try_from(self.scratch_bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn is_known(&self) -> bool {
        self.magic == IMAGE_MAGIC && self.abi == IMAGE_ABI && self.entry_count <= MAX_ENTRIES
    }
}
