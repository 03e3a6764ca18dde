//! What a driver call answers when it does not succeed.

use super::table::DriverTable;
use super::types::CUresult;
use std::ffi::{CStr, c_char};
use std::path::PathBuf;

/// A status code of the driver interface. A newtype, never an enum: a newer driver may return
/// codes that were unknown when this was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DriverCode(pub u32);

impl DriverCode {
    /// A value or handle was not valid.
    pub const INVALID_VALUE: Self = Self(CUresult::CUDA_ERROR_INVALID_VALUE.0);
    /// Device or host memory is exhausted.
    pub const OUT_OF_MEMORY: Self = Self(CUresult::CUDA_ERROR_OUT_OF_MEMORY.0);
    /// There is no such device.
    pub const INVALID_DEVICE: Self = Self(CUresult::CUDA_ERROR_INVALID_DEVICE.0);
    /// The module has no such function.
    pub const NOT_FOUND: Self = Self(CUresult::CUDA_ERROR_NOT_FOUND.0);
    /// Work is still under way.
    pub const NOT_READY: Self = Self(CUresult::CUDA_ERROR_NOT_READY.0);
    /// The command queue of a stream is full, or a module wants more scratch than there is.
    pub const LAUNCH_OUT_OF_RESOURCES: Self = Self(CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES.0);
}

/// A driver call that failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{call} failed with {name} ({}): {meaning}", code.0)]
pub struct DriverError {
    /// The entry point.
    pub call: &'static str,
    /// What it returned.
    pub code: DriverCode,
    /// The driver's name of the code.
    pub name: String,
    /// The driver's sentence about the code.
    pub meaning: String,
}

impl DriverError {
    pub(crate) fn new(table: &DriverTable, call: &'static str, code: CUresult) -> Self {
        Self {
            call,
            code: DriverCode(code.0),
            name: describe(table.cuGetErrorName, code).unwrap_or_else(|| "unknown code".to_owned()),
            meaning: describe(table.cuGetErrorString, code)
                .unwrap_or_else(|| "this driver has no description of the code".to_owned()),
        }
    }
}

/// What `entry` says of `code`, if it knows the code.
fn describe(entry: unsafe extern "C" fn(CUresult, *mut *const c_char) -> CUresult, code: CUresult) -> Option<String> {
    let mut text = std::ptr::null();
    // SAFETY: `text` is valid for the write of one pointer.
    let status = unsafe { entry(code, &raw mut text) };
    if status != CUresult::CUDA_SUCCESS || text.is_null() {
        return None;
    }
    // SAFETY: on success the driver gives a NUL-terminated string that lives as long as itself.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Why a driver could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The library is not on this machine, or can't be loaded.
    #[error("{library} can't be opened ({reason}); is an NVIDIA driver installed?")]
    MissingLibrary {
        /// The file name or path looked for.
        library: PathBuf,
        /// What the loader said.
        reason: libloading::Error,
    },
    /// The library lacks an entry point that we need.
    #[error("{library} has no entry point {entry}; a driver for CUDA 12.0 or newer is needed")]
    MissingEntryPoint {
        /// The file name or path of the library.
        library: PathBuf,
        /// The entry point.
        entry: &'static str,
    },
    /// A call of the driver failed while opening.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The configuration of the cpu driver can't be carried out.
    #[error("cpu driver: {0}")]
    Cpu(#[from] crate::cpu::ConfigError),
    /// The fault injector already decorates another driver.
    #[error("the fault injector of this process already decorates another driver")]
    FaultyInUse,
}
