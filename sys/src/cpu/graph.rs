//! Graphs of kernel nodes. Nodes run in the order in which they were added, which respects every
//! dependency, since a node can only depend on earlier ones.

use super::device::Device;
use super::image::CpuKernel;
use super::module::Function;
use super::stream::{Command, StreamSlot};
use crate::cuda::types::*;
use std::ffi::{c_uint, c_ulonglong, c_void};
use std::ptr;
use std::sync::Arc;

/// Nodes of one graph.
const MAX_NODES: usize = 1 << 16;

/// A parameter block is copied into lines, so that every block is 64-byte aligned.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Line([u8; 64]);

/// One kernel of a graph.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) function: CpuKernel,
    pub(super) grid: u32,
    pub(super) parameters: Box<[Line]>,
}

/// A graph under construction.
#[derive(Debug, Default)]
struct Graph {
    nodes: Vec<Node>,
}

/// A graph that can be launched. Queued launches hold it by `Arc`.
#[derive(Debug)]
pub(super) struct GraphExec {
    nodes: Box<[Node]>,
}

impl GraphExec {
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

/// A node from the arguments of a launch; `None` where they mean nothing on this driver.
///
/// # Safety
/// `function` is null or a function of a loaded module, and `parameters[0]` points to its block.
unsafe fn node(function: CUfunction, grid: [u32; 3], parameters: *mut *mut c_void) -> Option<Node> {
    if function.is_null() || grid[1] != 1 || grid[2] != 1 {
        return None;
    }
    // SAFETY: a function of a loaded module, as the caller promises.
    let function = unsafe { &*function.cast_const().cast::<Function>() };
    let mut lines = vec![Line([0; 64]); function.parameter_bytes.div_ceil(64)].into_boxed_slice();
    if function.parameter_bytes > 0 {
        if parameters.is_null() {
            return None;
        }
        // SAFETY: `parameters[0]` points to the block, as the caller promises.
        let block = unsafe { *parameters };
        if block.is_null() {
            return None;
        }
        // SAFETY: the block has `parameter_bytes`, and `lines` has room for them.
        unsafe {
            ptr::copy_nonoverlapping(block.cast::<u8>(), lines.as_mut_ptr().cast(), function.parameter_bytes);
        }
    }
    Some(Node { function: function.function, grid: grid[0], parameters: lines })
}

pub(super) unsafe extern "C" fn cuGraphCreate(graph: *mut CUgraph, flags: c_uint) -> CUresult {
    if graph.is_null() || flags != 0 {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: `graph` is valid for the write of a handle, as the interface demands.
    unsafe { graph.write(Box::into_raw(Box::<Graph>::default()).cast()) };
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuGraphDestroy(graph: CUgraph) -> CUresult {
    if graph.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: a handle from `cuGraphCreate` that is not used again.
    drop(unsafe { Box::from_raw(graph.cast::<Graph>()) });
    CUresult::CUDA_SUCCESS
}

/// A node's handle is its number plus one: it is only ever named as a dependency.
pub(super) unsafe extern "C" fn cuGraphAddKernelNode_v2(
    handle: *mut CUgraphNode,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    dependency_count: usize,
    parameters: *const CUDA_KERNEL_NODE_PARAMS_v2,
) -> CUresult {
    if handle.is_null() || graph.is_null() || parameters.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: a handle from `cuGraphCreate`, used by one thread at a time as on any driver.
    let graph = unsafe { &mut *graph.cast::<Graph>() };
    for index in 0..dependency_count {
        // SAFETY: the caller names `dependency_count` nodes.
        let number = unsafe { *dependencies.add(index) }.addr();
        if number == 0 || number > graph.nodes.len() {
            return CUresult::CUDA_ERROR_INVALID_VALUE;
        }
    }
    // SAFETY: valid for reads, as the interface demands.
    let wanted = unsafe { &*parameters };
    let grid = [wanted.gridDimX, wanted.gridDimY, wanted.gridDimZ];
    // SAFETY: the interface demands of function and parameters what `node` does.
    let Some(node) = (unsafe { node(wanted.func, grid, wanted.kernelParams) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    if graph.nodes.len() == MAX_NODES {
        return CUresult::CUDA_ERROR_OUT_OF_MEMORY;
    }
    graph.nodes.push(node);
    // SAFETY: valid for the write of a handle.
    unsafe { handle.write(ptr::without_provenance_mut(graph.nodes.len())) };
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuGraphInstantiateWithFlags(
    exec: *mut CUgraphExec,
    graph: CUgraph,
    _flags: c_ulonglong,
) -> CUresult {
    if exec.is_null() || graph.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: a handle from `cuGraphCreate`.
    let graph = unsafe { &*graph.cast::<Graph>() };
    let made = Arc::new(GraphExec { nodes: graph.nodes.clone().into_boxed_slice() });
    // SAFETY: valid for the write of a handle.
    unsafe { exec.write(Arc::into_raw(made).cast_mut().cast()) };
    CUresult::CUDA_SUCCESS
}

/// Launches under way keep what they run.
pub(super) unsafe extern "C" fn cuGraphExecDestroy(exec: CUgraphExec) -> CUresult {
    if exec.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: a handle from `cuGraphInstantiateWithFlags` that is not used again.
    drop(unsafe { Arc::from_raw(exec.cast_const().cast::<GraphExec>()) });
    CUresult::CUDA_SUCCESS
}

/// Nothing to do: a graph is where its engine is.
pub(super) unsafe extern "C" fn cuGraphUpload(exec: CUgraphExec, _stream: CUstream) -> CUresult {
    if exec.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuGraphLaunch(exec: CUgraphExec, stream: CUstream) -> CUresult {
    // SAFETY: a stream's handle or null, as the interface demands.
    let Some(stream) = (unsafe { StreamSlot::from_handle(stream) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    if exec.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    let exec = exec.cast_const().cast::<GraphExec>();
    // SAFETY: a live handle; the count taken here is given back by the command.
    let exec = unsafe {
        Arc::increment_strong_count(exec);
        Arc::from_raw(exec)
    };
    stream.push(Command::Launch(exec))
}

/// A graph of one node. It allocates, so nothing on the path launches this way.
pub(super) unsafe extern "C" fn cuLaunchKernel(
    function: CUfunction,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    _block_x: c_uint,
    _block_y: c_uint,
    _block_z: c_uint,
    _shared_bytes: c_uint,
    stream: CUstream,
    parameters: *mut *mut c_void,
    _extra: *mut *mut c_void,
) -> CUresult {
    // SAFETY: the interface demands of function and parameters what `node` does.
    let node = unsafe { node(function, [grid_x, grid_y, grid_z], parameters) };
    // SAFETY: a stream's handle or null, as the interface demands.
    let stream = unsafe { StreamSlot::from_handle(stream) };
    let (Some(node), Some(stream)) = (node, stream) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    if Device::current().is_none() {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    }
    stream.push(Command::Launch(Arc::new(GraphExec { nodes: Box::new([node]) })))
}
