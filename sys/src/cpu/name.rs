//! What this driver calls its status codes.

use crate::cuda::types::*;
use std::ffi::{CStr, c_char};

/// The codes that this driver returns, their names and meanings.
const CODES: &[(CUresult, &CStr, &CStr)] = &[
    (CUresult::CUDA_SUCCESS, c"CUDA_SUCCESS", c"no error"),
    (
        CUresult::CUDA_ERROR_INVALID_VALUE,
        c"CUDA_ERROR_INVALID_VALUE",
        c"an argument is null, out of range or means nothing on this device",
    ),
    (
        CUresult::CUDA_ERROR_OUT_OF_MEMORY,
        c"CUDA_ERROR_OUT_OF_MEMORY",
        c"the device has no memory, stream or graph node left",
    ),
    (CUresult::CUDA_ERROR_INVALID_DEVICE, c"CUDA_ERROR_INVALID_DEVICE", c"there is no device of this ordinal"),
    (
        CUresult::CUDA_ERROR_INVALID_IMAGE,
        c"CUDA_ERROR_INVALID_IMAGE",
        c"the image is not a native image of this version",
    ),
    (CUresult::CUDA_ERROR_INVALID_CONTEXT, c"CUDA_ERROR_INVALID_CONTEXT", c"no context is current on this thread"),
    (CUresult::CUDA_ERROR_NOT_FOUND, c"CUDA_ERROR_NOT_FOUND", c"the module has no function of this name"),
    (CUresult::CUDA_ERROR_NOT_READY, c"CUDA_ERROR_NOT_READY", c"work put in before has not completed yet"),
    (
        CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
        c"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
        c"the stream's queue is full, or the image needs more scratch than a thread has",
    ),
    (CUresult::CUDA_ERROR_LAUNCH_FAILED, c"CUDA_ERROR_LAUNCH_FAILED", c"a kernel failed while it ran"),
    (CUresult::CUDA_ERROR_UNKNOWN, c"CUDA_ERROR_UNKNOWN", c"an unknown error"),
];

fn look_up(
    code: CUresult,
    text: *mut *const c_char,
    of: impl Fn(&(CUresult, &'static CStr, &'static CStr)) -> &'static CStr,
) -> CUresult {
    let found = CODES.iter().find(|(known, ..)| *known == code);
    let (pointer, status) = match found {
        Some(entry) => (of(entry).as_ptr(), CUresult::CUDA_SUCCESS),
        None => (std::ptr::null(), CUresult::CUDA_ERROR_INVALID_VALUE),
    };
    if text.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: valid for the write of a pointer, as the interface demands.
    unsafe { text.write(pointer) };
    status
}

pub(super) unsafe extern "C" fn cuGetErrorName(code: CUresult, text: *mut *const c_char) -> CUresult {
    look_up(code, text, |entry| entry.1)
}

pub(super) unsafe extern "C" fn cuGetErrorString(code: CUresult, text: *mut *const c_char) -> CUresult {
    look_up(code, text, |entry| entry.2)
}
