//! Devices and their contexts.

use super::driver::Driver;
use super::error::DriverError;
use super::memory::{DeviceLease, PinnedMemory};
use super::table::DriverTable;
use super::types::*;
use crate::cpu::UUID_PREFIX;
use crate::doorbell::Doorbell;
use crate::memory::HostLease;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers contexts, so that a thread knows which of them it made current last.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// What a driver says of a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceInfo {
    /// Its number among the driver's devices.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// Its identity, which outlives restarts where the device is real.
    pub uuid: [u8; 16],
    /// All of its memory, in bytes.
    pub memory_bytes: usize,
    /// Streaming multiprocessors; compute threads of a cpu device.
    pub multiprocessors: u32,
    /// Compute capability (0, 0 of a cpu device).
    pub capability: (u32, u32),
}

impl DeviceInfo {
    pub(super) fn read(driver: &Driver, ordinal: u32) -> Result<Self, DriverError> {
        let table = driver.table();
        let device = device(driver, ordinal)?;
        let mut name = [0 as c_char; 256];
        let mut memory_bytes = 0_usize;
        // SAFETY: both are valid for writes of what the entry points write, and 256 is the
        // length of `name`.
        unsafe {
            table.cuDeviceGetName(name.as_mut_ptr(), 256, device)?;
            table.cuDeviceTotalMem_v2(&raw mut memory_bytes, device)?;
        }
        name[255] = 0;
        // SAFETY: NUL-terminated within the array.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        let attribute = |which| attribute(table, device, which);
        Ok(Self {
            ordinal,
            name,
            uuid: uuid(table, device)?,
            memory_bytes,
            multiprocessors: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            capability: (
                attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
        })
    }
}

fn device(driver: &Driver, ordinal: u32) -> Result<CUdevice_v1, DriverError> {
    let mut device: CUdevice_v1 = 0;
    // SAFETY: valid for the write of a device.
    unsafe { driver.table().cuDeviceGet(&raw mut device, driver.own_ordinal(ordinal)?) }?;
    Ok(device)
}

fn uuid(table: &DriverTable, device: CUdevice_v1) -> Result<[u8; 16], DriverError> {
    let mut uuid = CUuuid { bytes: [0; 16] };
    // SAFETY: valid for the write of a uuid.
    unsafe { table.cuDeviceGetUuid_v2(&raw mut uuid, device) }?;
    Ok(uuid.bytes.map(c_char::cast_unsigned))
}

fn attribute(table: &DriverTable, device: CUdevice_v1, which: CUdevice_attribute) -> Result<u32, DriverError> {
    let mut value: c_int = 0;
    // SAFETY: valid for the write of an integer.
    unsafe { table.cuDeviceGetAttribute(&raw mut value, which, device) }?;
    Ok(value.unsigned_abs())
}

/// The primary context of a device. Cheap to clone; may be used on any thread.
#[derive(Clone, Debug)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    driver: Driver,
    ordinal: u32,
    device: CUdevice_v1,
    handle: CUcontext,
    id: u64,
    /// Whether the device is one of a cpu driver, in this process or in a library.
    native: bool,
}

// SAFETY: the driver's contexts may be made current on any thread, several at a time.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Context {
    pub(super) fn retain(driver: &Driver, ordinal: u32) -> Result<Self, DriverError> {
        let device = device(driver, ordinal)?;
        let native = uuid(driver.table(), device)?.starts_with(&UUID_PREFIX);
        let mut handle: CUcontext = std::ptr::null_mut();
        // SAFETY: valid for the write of a handle.
        unsafe { driver.table().cuDevicePrimaryCtxRetain(&raw mut handle, device) }?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let driver = driver.clone();
        Ok(Self(Arc::new(Inner { driver, ordinal, device, handle, id, native })))
    }

    /// Whether modules of this device are native images.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.0.native
    }

    /// The ordinal of the device.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.0.ordinal
    }

    /// The driver that this context belongs to.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.0.driver
    }

    /// Free and total device memory, in bytes.
    ///
    /// # Errors
    /// When the driver does not say.
    pub fn memory(&self) -> Result<(usize, usize), DriverError> {
        let (mut free, mut total) = (0_usize, 0_usize);
        // SAFETY: both valid for the write of a size.
        unsafe { self.enter()?.cuMemGetInfo_v2(&raw mut free, &raw mut total) }?;
        Ok((free, total))
    }

    /// Takes `bytes` of device memory.
    ///
    /// # Errors
    /// When the device has no such memory left.
    pub fn alloc_device(&self, bytes: usize) -> Result<DeviceLease, DriverError> {
        DeviceLease::allocate(self, bytes)
    }

    /// Takes `bytes` of pinned host memory, filled with zeros.
    ///
    /// # Errors
    /// When the driver can't pin as much.
    pub fn alloc_host(&self, bytes: usize) -> Result<HostLease, DriverError> {
        PinnedMemory::allocate(self, bytes).map(HostLease::pinned)
    }

    /// Waits until all work of the device is done.
    ///
    /// # Errors
    /// When work failed.
    pub fn synchronize(&self) -> Result<(), DriverError> {
        // SAFETY: takes nothing.
        unsafe { self.enter()?.cuCtxSynchronize() }
    }

    /// Has `doorbell` rung whenever an operation of any stream of this device completes. False
    /// where the driver can't (a GPU: poll there) or has another doorbell already.
    #[must_use]
    pub fn set_completion_doorbell(&self, doorbell: Doorbell) -> bool {
        let platform = self.0.driver.platform();
        platform.is_some_and(|it| it.set_completion_doorbell(self.0.ordinal as usize, doorbell))
    }

    /// Makes this context current on the calling thread, if it isn't, and gives the table.
    pub(super) fn enter(&self) -> Result<&DriverTable, DriverError> {
        let table = self.0.driver.table();
        if CURRENT.get() != self.0.id {
            // SAFETY: the handle is retained as long as `self` lives.
            unsafe { table.cuCtxSetCurrent(self.0.handle) }?;
            CURRENT.set(self.0.id);
        }
        Ok(table)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0.handle == other.0.handle
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if CURRENT.get() == self.id {
            CURRENT.set(0);
            // SAFETY: null is always allowed: this thread then has no context.
            let _ = unsafe { self.driver.table().cuCtxSetCurrent(std::ptr::null_mut()) };
        }
        // A release that fails leaves the context retained, which harms nobody.
        // SAFETY: follows one retain of this device.
        let _ = unsafe { self.driver.table().cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}
