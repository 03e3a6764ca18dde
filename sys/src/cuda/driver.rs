//! A driver: a filled table and what keeps it valid.

use super::context::{Context, DeviceInfo};
use super::error::{DriverError, OpenError};
use super::faulty::Faults;
use super::load;
use super::table::DriverTable;
use crate::cpu::{CpuConfig, Platform};
use libloading::Library;
use std::ffi::c_int;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Who filled the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filling {
    /// NVIDIA's library, opened at run time.
    Libcuda,
    /// The driver in this process.
    Cpu,
}

/// A driver. Cheap to clone; everything made from it keeps it alive.
#[derive(Clone, Debug)]
pub struct Driver(Arc<Inner>);

struct Inner {
    table: DriverTable,
    keep: Keep,
}

/// What the table needs to stay valid.
enum Keep {
    Library(#[expect(dead_code, reason = "held for its Drop")] Library),
    Platform(Platform),
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.keep {
            Keep::Library(_) => "libcuda",
            Keep::Platform(_) => "cpu",
        };
        formatter.write_str(name)
    }
}

impl Driver {
    /// Starts a driver in this process. Each call makes devices of its own.
    ///
    /// # Errors
    /// When the configuration can't be carried out on this machine.
    pub fn cpu(config: &CpuConfig) -> Result<Self, OpenError> {
        Self::start_cpu(config, None)
    }

    /// Opens NVIDIA's library.
    ///
    /// # Errors
    /// When there is none, when it lacks an entry point, or when it can't be initialised.
    pub fn libcuda() -> Result<Self, OpenError> {
        Self::open_libcuda(Path::new(load::LIBRARY), None)
    }

    /// Opens the driver library at `path`: a driver in an unusual place, or a test's.
    ///
    /// # Errors
    /// As [`Self::libcuda`].
    ///
    /// # Safety
    /// Loading the library and calling its entry points is sound, as it is for a driver's.
    pub unsafe fn libcuda_at(path: &Path) -> Result<Self, OpenError> {
        Self::open_libcuda(path, None)
    }

    pub(super) fn start_cpu(config: &CpuConfig, faults: Option<&Faults>) -> Result<Self, OpenError> {
        let platform = Platform::start(config)?;
        Self::initialise(crate::cpu::table(), Keep::Platform(platform), faults)
    }

    pub(super) fn open_libcuda(path: &Path, faults: Option<&Faults>) -> Result<Self, OpenError> {
        let (library, table) = load::open(path)?;
        Self::initialise(table, Keep::Library(library), faults)
    }

    fn initialise(table: DriverTable, keep: Keep, faults: Option<&Faults>) -> Result<Self, OpenError> {
        let table = match faults {
            Some(faults) => faults.decorate(table)?,
            None => table,
        };
        let driver = Self(Arc::new(Inner { table, keep }));
        // SAFETY: 0 is the only flag that the interface allows.
        unsafe { driver.table().cuInit(0) }?;
        Ok(driver)
    }

    /// Who filled the table.
    #[must_use]
    pub fn filling(&self) -> Filling {
        match self.0.keep {
            Keep::Library(_) => Filling::Libcuda,
            Keep::Platform(_) => Filling::Cpu,
        }
    }

    /// The version of CUDA that the driver speaks, as (major, minor).
    ///
    /// # Errors
    /// When the driver does not say.
    pub fn version(&self) -> Result<(u32, u32), DriverError> {
        let mut version: c_int = 0;
        // SAFETY: valid for the write of an integer.
        unsafe { self.table().cuDriverGetVersion(&raw mut version) }?;
        let version = version.unsigned_abs();
        Ok((version / 1000, version % 1000 / 10))
    }

    /// The devices, by ordinal.
    ///
    /// # Errors
    /// When the driver can't describe one of them.
    pub fn devices(&self) -> Result<Vec<DeviceInfo>, DriverError> {
        let ordinals = self.ordinals()?;
        let count = u32::try_from(ordinals.len()).unwrap_or(u32::MAX);
        (0..count).map(|ordinal| DeviceInfo::read(self, ordinal)).collect()
    }

    /// The primary context of the device of this ordinal among [`Self::devices`].
    ///
    /// # Errors
    /// When there is no such device, or the driver can't make its context.
    pub fn context(&self, ordinal: u32) -> Result<Context, DriverError> {
        Context::retain(self, ordinal)
    }

    /// One turn of the copy engines of a cpu driver whose copy engines are polled, at most
    /// `budget_bytes` (and never more than 256 KiB); the bytes copied: less than the budget when
    /// no copy is left that could go on. Does nothing elsewhere.
    pub fn poll_copies(&self, budget_bytes: usize) -> usize {
        match &self.0.keep {
            Keep::Library(_) => 0,
            Keep::Platform(platform) => platform.poll_copies(budget_bytes),
        }
    }

    pub(super) fn table(&self) -> &DriverTable {
        &self.0.table
    }

    /// The driver's own ordinals of our devices.
    fn ordinals(&self) -> Result<Range<usize>, DriverError> {
        if let Keep::Platform(platform) = &self.0.keep {
            return Ok(platform.ordinals());
        }
        let mut count: c_int = 0;
        // SAFETY: valid for the write of an integer.
        unsafe { self.table().cuDeviceGetCount(&raw mut count) }?;
        Ok(0..usize::try_from(count).unwrap_or(0))
    }

    /// The driver's own ordinal of our device `ordinal`; one that does not exist where ours
    /// doesn't, so that the driver itself says so.
    pub(super) fn own_ordinal(&self, ordinal: u32) -> Result<c_int, DriverError> {
        let ordinals = self.ordinals()?;
        let own = ordinals.clone().nth(ordinal as usize);
        Ok(own.and_then(|own| c_int::try_from(own).ok()).unwrap_or(-1))
    }

    pub(super) fn platform(&self) -> Option<&Platform> {
        match &self.0.keep {
            Keep::Library(_) => None,
            Keep::Platform(platform) => Some(platform),
        }
    }
}
