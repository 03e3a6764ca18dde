//! Modules: native images, looked at once when they are loaded.

use super::device::Device;
use super::image::{CpuImage, CpuKernel};
use crate::cuda::types::*;
use std::ffi::{CStr, c_char, c_void};

/// A kernel of a loaded module; its handle points here.
#[derive(Debug)]
pub(super) struct Function {
    name: &'static CStr,
    pub(super) function: CpuKernel,
    pub(super) parameter_bytes: usize,
}

#[derive(Debug)]
struct Module {
    functions: Box<[Function]>,
}

pub(super) unsafe extern "C" fn cuModuleLoadData(module: *mut CUmodule, image: *const c_void) -> CUresult {
    if module.is_null() || image.is_null() || !image.cast::<CpuImage>().is_aligned() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    // SAFETY: a caller of this driver hands over a native image with static storage.
    let image = unsafe { &*image.cast::<CpuImage>() };
    if !image.is_known() {
        return CUresult::CUDA_ERROR_INVALID_IMAGE;
    }
    if image.scratch_bytes() > device.scratch_bytes {
        return CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    }
    let functions = image.entries().iter().map(|entry| Function {
        name: entry.name(),
        function: entry.function(),
        parameter_bytes: entry.parameter_bytes(),
    });
    let loaded = Box::new(Module { functions: functions.collect() });
    // SAFETY: valid for the write of a handle.
    unsafe { module.write(Box::into_raw(loaded).cast()) };
    CUresult::CUDA_SUCCESS
}

/// Graphs hold the native functions themselves, so unloading never pulls one away.
pub(super) unsafe extern "C" fn cuModuleUnload(module: CUmodule) -> CUresult {
    if module.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: a handle from `cuModuleLoadData` that is not used again.
    drop(unsafe { Box::from_raw(module.cast::<Module>()) });
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuModuleGetFunction(
    function: *mut CUfunction,
    module: CUmodule,
    name: *const c_char,
) -> CUresult {
    if function.is_null() || module.is_null() || name.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: a handle from `cuModuleLoadData`, and a NUL-terminated name.
    let (module, name) = unsafe { (&*module.cast_const().cast::<Module>(), CStr::from_ptr(name)) };
    let Some(found) = module.functions.iter().find(|function| function.name == name) else {
        return CUresult::CUDA_ERROR_NOT_FOUND;
    };
    // SAFETY: valid for the write of a handle.
    unsafe { function.write(std::ptr::from_ref(found).cast_mut().cast()) };
    CUresult::CUDA_SUCCESS
}
