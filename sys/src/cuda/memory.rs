//! Device memory and pinned host memory, owned; and the right to use a range of the former.

use super::context::Context;
use super::error::DriverError;
use super::types::*;
use crate::memory::{LeaseError, Part};
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;

/// Pinned host memory, given back on drop.
#[derive(Debug)]
pub(crate) struct PinnedMemory {
    context: Context,
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a range of memory that belongs to nobody else; the driver lets any thread free it.
unsafe impl Send for PinnedMemory {}
// SAFETY: as above; a shared reference gives no access.
unsafe impl Sync for PinnedMemory {}

impl PinnedMemory {
    pub(crate) fn allocate(context: &Context, bytes: usize) -> Result<Self, DriverError> {
        let mut pointer = std::ptr::null_mut();
        // SAFETY: valid for the write of a pointer; no flags.
        unsafe { context.enter()?.cuMemHostAlloc(&raw mut pointer, bytes, 0) }?;
        let Some(start) = NonNull::new(pointer.cast::<u8>()) else {
            unreachable!("a driver that reports success gives memory")
        };
        // SAFETY: `bytes` of memory that is ours alone. Zeroing it also touches it.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Self { context: context.clone(), start, bytes })
    }

    pub(crate) fn pointer(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// The address under which the device sees it.
    pub(crate) fn device_address(&self) -> Result<CUdeviceptr_v2, DriverError> {
        let mut address: CUdeviceptr_v2 = 0;
        // SAFETY: valid for the write of an address, and the memory is pinned.
        unsafe {
            let table = self.context.enter()?;
            table.cuMemHostGetDevicePointer_v2(&raw mut address, self.start.as_ptr().cast(), 0)
        }?;
        Ok(address)
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        if let Ok(table) = self.context.enter() {
            // Memory that the driver does not take back is leaked.
            // SAFETY: allocated by `cuMemHostAlloc`, and nobody uses it any more.
            let _ = unsafe { table.cuMemFreeHost(self.start.as_ptr().cast()) };
        }
    }
}

/// One allocation of device memory.
#[derive(Debug)]
struct DeviceAllocation {
    context: Context,
    address: CUdeviceptr_v2,
    bytes: usize,
}

impl Drop for DeviceAllocation {
    fn drop(&mut self) {
        if let Ok(table) = self.context.enter() {
            // Memory that the driver does not take back is leaked.
            // SAFETY: allocated by `cuMemAlloc_v2`; no lease is left, so no operation uses it.
            let _ = unsafe { table.cuMemFree_v2(self.address) };
        }
    }
}

/// The only right to use a range of device memory. It can be moved into an operation, divided
/// and joined, never copied. Its memory lives as long as any lease of it.
pub struct DeviceLease(Part<DeviceAllocation>);

impl DeviceLease {
    pub(super) fn allocate(context: &Context, bytes: usize) -> Result<Self, DriverError> {
        let mut address: CUdeviceptr_v2 = 0;
        // SAFETY: valid for the write of an address.
        unsafe { context.enter()?.cuMemAlloc_v2(&raw mut address, bytes) }?;
        let allocation = DeviceAllocation { context: context.clone(), address, bytes };
        Ok(Self(Part::all(allocation, bytes)))
    }

    /// The device address of the first byte. It is a number: using it takes the lease.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.0.whole().address + self.0.offset() as u64
    }

    /// Bytes of the range.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the range is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The range of this lease in its allocation, in bytes.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.0.range()
    }

    /// Divides into the first `middle` bytes and the rest.
    ///
    /// # Panics
    /// When `middle` lies beyond the end.
    #[must_use]
    pub fn split_at(self, middle: usize) -> (Self, Self) {
        let (first, second) = self.0.split_at(middle);
        (Self(first), Self(second))
    }

    /// Divides into `count` parts of `bytes` each; what is left over is given up.
    ///
    /// # Errors
    /// When they don't fit.
    pub fn split_into(self, count: usize, bytes: usize) -> Result<Vec<Self>, LeaseError> {
        Ok(self.0.split_into(count, bytes)?.map(Self).collect())
    }

    /// Joins `self` with the lease that begins where `self` ends; gives both back when it doesn't.
    ///
    /// # Errors
    /// The two leases, unchanged, when they are not neighbours in one allocation.
    pub fn join(self, next: Self) -> Result<Self, (Self, Self)> {
        self.0.join(next.0).map(Self).map_err(|(one, other)| (Self(one), Self(other)))
    }

    pub(super) fn context(&self) -> &Context {
        &self.0.whole().context
    }
}

impl fmt::Debug for DeviceLease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeviceAllocation { address, bytes, .. } = **self.0.whole();
        write!(formatter, "DeviceLease({:?} of {bytes} at {address:#x})", self.range())
    }
}
