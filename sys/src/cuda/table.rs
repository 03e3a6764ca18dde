//! Every driver entry point that we use, named once. From the list come [`DriverTable`], its
//! checked calls, the `libcuda` filling, the `cpu` filling and the `faulty` decorator.

use super::error::DriverError;
use super::types::*;
use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};

/// Hands the list of entry points to the macro `$callback`:
/// `name: generated function-pointer type = (argument: type, ...);`
#[doc(hidden)]
#[macro_export]
macro_rules! driver_table {
    ($callback:ident) => {
        $callback! {
            cuInit: PFN_cuInit_v2000 = (flags: c_uint);
            cuDriverGetVersion: PFN_cuDriverGetVersion_v2020 = (version: *mut c_int);
            cuGetErrorName: PFN_cuGetErrorName_v6000 = (error: CUresult, text: *mut *const c_char);
            cuGetErrorString: PFN_cuGetErrorString_v6000 = (error: CUresult, text: *mut *const c_char);
            cuDeviceGet: PFN_cuDeviceGet_v2000 = (device: *mut CUdevice_v1, ordinal: c_int);
            cuDeviceGetCount: PFN_cuDeviceGetCount_v2000 = (count: *mut c_int);
            cuDeviceGetName: PFN_cuDeviceGetName_v2000 = (name: *mut c_char, length: c_int, device: CUdevice_v1);
            cuDeviceGetUuid_v2: PFN_cuDeviceGetUuid_v11040 = (uuid: *mut CUuuid, device: CUdevice_v1);
            cuDeviceTotalMem_v2: PFN_cuDeviceTotalMem_v3020 = (bytes: *mut usize, device: CUdevice_v1);
            cuDeviceGetAttribute: PFN_cuDeviceGetAttribute_v2000 = (value: *mut c_int, attribute: CUdevice_attribute, device: CUdevice_v1);
            cuDevicePrimaryCtxRetain: PFN_cuDevicePrimaryCtxRetain_v7000 = (context: *mut CUcontext, device: CUdevice_v1);
            cuDevicePrimaryCtxRelease_v2: PFN_cuDevicePrimaryCtxRelease_v11000 = (device: CUdevice_v1);
            cuCtxSetCurrent: PFN_cuCtxSetCurrent_v4000 = (context: CUcontext);
            cuCtxSynchronize: PFN_cuCtxSynchronize_v2000 = ();
            cuMemGetInfo_v2: PFN_cuMemGetInfo_v3020 = (free: *mut usize, total: *mut usize);
            cuMemAlloc_v2: PFN_cuMemAlloc_v3020 = (address: *mut CUdeviceptr_v2, bytes: usize);
            cuMemFree_v2: PFN_cuMemFree_v3020 = (address: CUdeviceptr_v2);
            cuMemHostAlloc: PFN_cuMemHostAlloc_v2020 = (pointer: *mut *mut c_void, bytes: usize, flags: c_uint);
            cuMemFreeHost: PFN_cuMemFreeHost_v2000 = (pointer: *mut c_void);
            cuMemHostRegister_v2: PFN_cuMemHostRegister_v6050 = (pointer: *mut c_void, bytes: usize, flags: c_uint);
            cuMemHostUnregister: PFN_cuMemHostUnregister_v4000 = (pointer: *mut c_void);
            cuMemHostGetDevicePointer_v2: PFN_cuMemHostGetDevicePointer_v3020 = (address: *mut CUdeviceptr_v2, pointer: *mut c_void, flags: c_uint);
            cuMemcpyHtoDAsync_v2: PFN_cuMemcpyHtoDAsync_v3020 = (to: CUdeviceptr_v2, from: *const c_void, bytes: usize, stream: CUstream);
            cuMemcpyDtoHAsync_v2: PFN_cuMemcpyDtoHAsync_v3020 = (to: *mut c_void, from: CUdeviceptr_v2, bytes: usize, stream: CUstream);
            cuMemsetD8Async: PFN_cuMemsetD8Async_v3020 = (to: CUdeviceptr_v2, value: c_uchar, bytes: usize, stream: CUstream);
            cuStreamCreate: PFN_cuStreamCreate_v2000 = (stream: *mut CUstream, flags: c_uint);
            cuStreamDestroy_v2: PFN_cuStreamDestroy_v4000 = (stream: CUstream);
            cuStreamSynchronize: PFN_cuStreamSynchronize_v2000 = (stream: CUstream);
            cuStreamQuery: PFN_cuStreamQuery_v2000 = (stream: CUstream);
            cuStreamWaitEvent: PFN_cuStreamWaitEvent_v3020 = (stream: CUstream, event: CUevent, flags: c_uint);
            cuStreamWriteValue32_v2: PFN_cuStreamWriteValue32_v11070 = (stream: CUstream, address: CUdeviceptr_v2, value: cuuint32_t, flags: c_uint);
            cuEventCreate: PFN_cuEventCreate_v2000 = (event: *mut CUevent, flags: c_uint);
            cuEventDestroy_v2: PFN_cuEventDestroy_v4000 = (event: CUevent);
            cuEventRecord: PFN_cuEventRecord_v2000 = (event: CUevent, stream: CUstream);
            cuEventQuery: PFN_cuEventQuery_v2000 = (event: CUevent);
            cuEventSynchronize: PFN_cuEventSynchronize_v2000 = (event: CUevent);
            cuEventElapsedTime: PFN_cuEventElapsedTime_v2000 = (milliseconds: *mut f32, start: CUevent, end: CUevent);
            cuModuleLoadData: PFN_cuModuleLoadData_v2000 = (module: *mut CUmodule, image: *const c_void);
            cuModuleUnload: PFN_cuModuleUnload_v2000 = (module: CUmodule);
            cuModuleGetFunction: PFN_cuModuleGetFunction_v2000 = (function: *mut CUfunction, module: CUmodule, name: *const c_char);
            cuLaunchKernel: PFN_cuLaunchKernel_v4000 = (function: CUfunction, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint,
                block_x: c_uint, block_y: c_uint, block_z: c_uint, shared_bytes: c_uint, stream: CUstream,
                parameters: *mut *mut c_void, extra: *mut *mut c_void);
            cuGraphCreate: PFN_cuGraphCreate_v10000 = (graph: *mut CUgraph, flags: c_uint);
            cuGraphDestroy: PFN_cuGraphDestroy_v10000 = (graph: CUgraph);
            cuGraphAddKernelNode_v2: PFN_cuGraphAddKernelNode_v12000 = (node: *mut CUgraphNode, graph: CUgraph,
                dependencies: *const CUgraphNode, dependency_count: usize, parameters: *const CUDA_KERNEL_NODE_PARAMS_v2);
            cuGraphInstantiateWithFlags: PFN_cuGraphInstantiateWithFlags_v11040 = (exec: *mut CUgraphExec, graph: CUgraph, flags: c_ulonglong);
            cuGraphExecDestroy: PFN_cuGraphExecDestroy_v10000 = (exec: CUgraphExec);
            cuGraphUpload: PFN_cuGraphUpload_v11010 = (exec: CUgraphExec, stream: CUstream);
            cuGraphLaunch: PFN_cuGraphLaunch_v10000 = (exec: CUgraphExec, stream: CUstream);
        }
    };
}
pub(crate) use driver_table;

macro_rules! define_table {
    ($($name:ident: $generated:ident = ($($argument:ident: $kind:ty),*);)*) => {
        /// The driver's entry points: one address each, whoever filled it.
        #[derive(Clone, Copy)]
        #[allow(non_snake_case, missing_docs, reason = "the interface documents its entry points")]
        pub struct DriverTable {
            $(pub $name: unsafe extern "C" fn($($kind),*) -> CUresult,)*
        }

        /// The names of all entry points, in the order of the table.
        pub const ENTRY_POINTS: &[&str] = &[$(stringify!($name)),*];

        // Each signature of the list is the one that bindgen found in the header.
        const _: () = {
            $(
                #[allow(non_snake_case)]
                const fn $name(listed: unsafe extern "C" fn($($kind),*) -> CUresult) -> $generated {
                    Some(listed)
                }
                let _ = $name;
            )*
        };

        /// The entry points, each with its status turned into a [`DriverError`].
        #[allow(
            non_snake_case,
            dead_code,
            clippy::too_many_arguments,
            reason = "made for every entry point of the list, called or not"
        )]
        impl DriverTable {
            $(
                /// Calls the entry point of this name.
                ///
                /// # Safety
                /// As the CUDA driver interface demands of this entry point.
                pub(crate) unsafe fn $name(&self, $($argument: $kind),*) -> Result<(), DriverError> {
                    // SAFETY: the caller keeps the contract of this entry point.
                    let code = unsafe { (self.$name)($($argument),*) };
                    self.checked(stringify!($name), code)
                }
            )*
        }
    };
}
driver_table!(define_table);

impl DriverTable {
    /// `code` as the result of `call`.
    pub(crate) fn checked(&self, call: &'static str, code: CUresult) -> Result<(), DriverError> {
        if code == CUresult::CUDA_SUCCESS {
            return Ok(());
        }
        Err(DriverError::new(self, call, code))
    }
}
