//! Devices by ordinal, their attributes, and their primary contexts. A context's handle points
//! to its device and owns one count of it.

use super::device::{Device, ordinal_count};
use crate::cuda::types::*;
use std::ffi::{c_char, c_int, c_uint};
use std::sync::Arc;

/// What the identity of every cpu device begins with; no GPU's does. Two bytes of ordinal follow.
pub(crate) const UUID_PREFIX: [u8; 14] = *b"clockwork-cpu\0";

pub(super) unsafe extern "C" fn cuInit(flags: c_uint) -> CUresult {
    if flags == 0 { CUresult::CUDA_SUCCESS } else { CUresult::CUDA_ERROR_INVALID_VALUE }
}

pub(super) unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> CUresult {
    // SAFETY: valid for the write of an integer or null.
    unsafe { write(version, CUDA_VERSION.cast_signed()) }
}

pub(super) unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> CUresult {
    let all = c_int::try_from(ordinal_count()).unwrap_or(c_int::MAX);
    // SAFETY: valid for the write of an integer or null.
    unsafe { write(count, all) }
}

pub(super) unsafe extern "C" fn cuDeviceGet(device: *mut CUdevice_v1, ordinal: c_int) -> CUresult {
    match Device::by_ordinal(ordinal) {
        // SAFETY: valid for the write of a device or null.
        Some(found) => unsafe { write(device, found.ordinal) },
        None => CUresult::CUDA_ERROR_INVALID_DEVICE,
    }
}

pub(super) unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: CUdevice_v1) -> CUresult {
    let Some(device) = Device::by_ordinal(device) else {
        return CUresult::CUDA_ERROR_INVALID_DEVICE;
    };
    let room = usize::try_from(length).unwrap_or(0);
    if name.is_null() || room == 0 {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    let plural = if device.compute_threads == 1 { "" } else { "s" };
    let text = format!("cpu, {} compute thread{plural}", device.compute_threads);
    let bytes = text.len().min(room - 1);
    // SAFETY: `name` has room for `length` bytes, of which the last is the terminator.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), name.cast(), bytes);
        name.add(bytes).write(0);
    }
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut CUuuid, device: CUdevice_v1) -> CUresult {
    if Device::by_ordinal(device).is_none() {
        return CUresult::CUDA_ERROR_INVALID_DEVICE;
    }
    let [first, second, rest @ ..] = device.to_le_bytes();
    debug_assert!(rest == [0, 0], "far fewer than 2^16 devices");
    let mut bytes = [0; 16];
    bytes[..14].copy_from_slice(&UUID_PREFIX);
    bytes[14..].copy_from_slice(&[first, second]);
    let bytes = bytes.map(u8::cast_signed);
    // SAFETY: valid for the write of a uuid or null.
    unsafe { write(uuid, CUuuid { bytes }) }
}

pub(super) unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: CUdevice_v1) -> CUresult {
    match Device::by_ordinal(device) {
        // SAFETY: valid for the write of a size or null.
        Some(device) => unsafe { write(bytes, device.memory_bytes) },
        None => CUresult::CUDA_ERROR_INVALID_DEVICE,
    }
}

pub(super) unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    attribute: CUdevice_attribute,
    device: CUdevice_v1,
) -> CUresult {
    let Some(device) = Device::by_ordinal(device) else {
        return CUresult::CUDA_ERROR_INVALID_DEVICE;
    };
    let found = match attribute {
        CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT => {
            c_int::try_from(device.compute_threads).unwrap_or(c_int::MAX)
        }
        CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X => c_int::MAX,
        CUdevice_attribute::CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT => 2,
        CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y
        | CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z
        | CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK
        | CUdevice_attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE
        | CUdevice_attribute::CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING
        | CUdevice_attribute::CU_DEVICE_ATTRIBUTE_INTEGRATED => 1,
        _ => 0,
    };
    // SAFETY: valid for the write of an integer or null.
    unsafe { write(value, found) }
}

pub(super) unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice_v1) -> CUresult {
    let Some(device) = Device::by_ordinal(device) else {
        return CUresult::CUDA_ERROR_INVALID_DEVICE;
    };
    if context.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: valid for the write of a handle.
    unsafe { context.write(Arc::into_raw(device).cast_mut().cast()) };
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(device: CUdevice_v1) -> CUresult {
    let Some(device) = Device::by_ordinal(device) else {
        return CUresult::CUDA_ERROR_INVALID_DEVICE;
    };
    // SAFETY: each release follows one retain, which left one count behind.
    unsafe { Arc::decrement_strong_count(Arc::as_ptr(&device)) };
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuCtxSetCurrent(context: CUcontext) -> CUresult {
    if context.is_null() {
        Device::make_current(None);
        return CUresult::CUDA_SUCCESS;
    }
    let device = context.cast_const().cast::<Device>();
    // SAFETY: a handle from a retain that was not released yet; the count taken here belongs to
    // the `Arc` made.
    let device = unsafe {
        Arc::increment_strong_count(device);
        Arc::from_raw(device)
    };
    Device::make_current(Some(device));
    CUresult::CUDA_SUCCESS
}

/// # Safety
/// `to` is null or valid for a write.
unsafe fn write<T>(to: *mut T, value: T) -> CUresult {
    if to.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: as the caller promises.
    unsafe { to.write(value) };
    CUresult::CUDA_SUCCESS
}
