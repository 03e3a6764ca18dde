//! The cpu driver as `libcuda.so`: every entry point of the table under its own symbol, so that
//! the filling by dynamic loading is exercised without a GPU. One device, made by `cuInit`.
#![allow(non_snake_case, reason = "the symbols of the CUDA driver interface")]

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;
use sys::cpu::CpuConfig;
use sys::cuda::Driver;
use sys::interface::types::*;
use sys::interface::{DriverTable, cpu_table};

/// The driver behind the library; it lives as long as the process.
static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();

/// Starts the device on the first call.
fn start() -> bool {
    DRIVER.get_or_init(|| Driver::cpu(&CpuConfig::default()).ok()).is_some()
}

macro_rules! define_symbols {
    ($($name:ident: $generated:ident = ($($argument:ident: $kind:ty),*);)*) => {
        $(
            /// The entry point of this name.
            ///
            /// # Safety
            /// As the CUDA driver interface demands of it.
            #[allow(clippy::too_many_arguments, reason = "the interface's own signature")]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> CUresult {
                if !start() {
                    return CUresult::CUDA_ERROR_NOT_INITIALIZED;
                }
                let table: DriverTable = cpu_table();
                // SAFETY: the caller keeps the contract of this entry point.
                unsafe { (table.$name)($($argument),*) }
            }
        )*
    };
}
sys::driver_table!(define_symbols);
