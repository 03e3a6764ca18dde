//! Device memory and pinned host memory: both are mappings of this process.

use super::device::Device;
use super::stream::{Command, StreamSlot};
use crate::cuda::types::*;
use crate::memory::{MapOptions, Mapping};
use std::collections::BTreeMap;
use std::ffi::{c_uchar, c_uint, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The allocations of a device. Taken and given back off the path only.
#[derive(Debug)]
pub(super) struct Allocations {
    limit_bytes: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    device_bytes: usize,
    device: BTreeMap<usize, Mapping>,
    host: BTreeMap<usize, Mapping>,
}

impl Allocations {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_device(&self, bytes: usize) -> Result<usize, CUresult> {
        let mut table = self.table();
        if bytes > self.limit_bytes - table.device_bytes {
            return Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        }
        let mapping = map(bytes)?;
        let address = mapping.pointer().as_ptr().expose_provenance();
        if mapping.len() > self.limit_bytes - table.device_bytes {
            return Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        }
        table.device_bytes += mapping.len();
        table.device.insert(address, mapping);
        Ok(address)
    }

    fn take_host(&self, bytes: usize) -> Result<usize, CUresult> {
        let mapping = map(bytes)?;
        let address = mapping.pointer().as_ptr().expose_provenance();
        self.table().host.insert(address, mapping);
        Ok(address)
    }
}

fn map(bytes: usize) -> Result<Mapping, CUresult> {
    if bytes == 0 {
        return Err(CUresult::CUDA_ERROR_INVALID_VALUE);
    }
    Mapping::new(bytes, MapOptions::default()).map_err(|_| CUresult::CUDA_ERROR_OUT_OF_MEMORY)
}

pub(super) unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> CUresult {
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    if free.is_null() || total.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    let taken = device.memory.table().device_bytes;
    // SAFETY: both valid for the write of a size.
    unsafe {
        free.write(device.memory_bytes - taken);
        total.write(device.memory_bytes);
    }
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuMemAlloc_v2(address: *mut CUdeviceptr_v2, bytes: usize) -> CUresult {
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    if address.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    match device.memory.take_device(bytes) {
        Ok(taken) => {
            // SAFETY: valid for the write of an address.
            unsafe { address.write(taken as u64) };
            CUresult::CUDA_SUCCESS
        }
        Err(code) => code,
    }
}

pub(super) unsafe extern "C" fn cuMemFree_v2(address: CUdeviceptr_v2) -> CUresult {
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    let Ok(address) = usize::try_from(address) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    let mut table = device.memory.table();
    let Some(mapping) = table.device.remove(&address) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    table.device_bytes -= mapping.len();
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuMemHostAlloc(pointer: *mut *mut c_void, bytes: usize, _flags: c_uint) -> CUresult {
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    if pointer.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    match device.memory.take_host(bytes) {
        Ok(taken) => {
            // SAFETY: valid for the write of a pointer.
            unsafe { pointer.write(std::ptr::with_exposed_provenance_mut(taken)) };
            CUresult::CUDA_SUCCESS
        }
        Err(code) => code,
    }
}

pub(super) unsafe extern "C" fn cuMemFreeHost(pointer: *mut c_void) -> CUresult {
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    match device.memory.table().host.remove(&pointer.addr()) {
        Some(_) => CUresult::CUDA_SUCCESS,
        None => CUresult::CUDA_ERROR_INVALID_VALUE,
    }
}

/// Nothing to do: this device reaches all memory of the process.
pub(super) unsafe extern "C" fn cuMemHostRegister_v2(pointer: *mut c_void, bytes: usize, _flags: c_uint) -> CUresult {
    if pointer.is_null() || bytes == 0 {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuMemHostUnregister(pointer: *mut c_void) -> CUresult {
    if pointer.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuMemHostGetDevicePointer_v2(
    address: *mut CUdeviceptr_v2,
    pointer: *mut c_void,
    flags: c_uint,
) -> CUresult {
    if address.is_null() || pointer.is_null() || flags != 0 {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: valid for the write of an address.
    unsafe { address.write(pointer.expose_provenance() as u64) };
    CUresult::CUDA_SUCCESS
}

/// A host pointer from a device address.
fn pointer(address: CUdeviceptr_v2) -> *mut u8 {
    let address = usize::try_from(address).unwrap_or(0);
    std::ptr::with_exposed_provenance_mut(address)
}

pub(super) unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: CUdeviceptr_v2,
    from: *const c_void,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    // SAFETY: a stream's handle or null, as the interface demands.
    let Some(stream) = (unsafe { StreamSlot::from_handle(stream) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    if to == 0 || from.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    stream.push(Command::CopyIn { to: pointer(to), from: from.cast(), bytes })
}

pub(super) unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: CUdeviceptr_v2,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    // SAFETY: a stream's handle or null, as the interface demands.
    let Some(stream) = (unsafe { StreamSlot::from_handle(stream) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    if from == 0 || to.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    stream.push(Command::CopyOut { to: to.cast(), from: pointer(from), bytes })
}

pub(super) unsafe extern "C" fn cuMemsetD8Async(
    to: CUdeviceptr_v2,
    value: c_uchar,
    bytes: usize,
    stream: CUstream,
) -> CUresult {
    // SAFETY: a stream's handle or null, as the interface demands.
    let Some(stream) = (unsafe { StreamSlot::from_handle(stream) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    if to == 0 {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    stream.push(Command::Set { to: pointer(to), value, bytes })
}

pub(super) unsafe extern "C" fn cuStreamWriteValue32_v2(
    stream: CUstream,
    address: CUdeviceptr_v2,
    value: cuuint32_t,
    _flags: c_uint,
) -> CUresult {
    // SAFETY: a stream's handle or null, as the interface demands.
    let Some(stream) = (unsafe { StreamSlot::from_handle(stream) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    if address == 0 || !address.is_multiple_of(4) {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    stream.push(Command::Write { to: pointer(address).cast(), value })
}
