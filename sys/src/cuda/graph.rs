//! Executable graphs of kernel nodes, owned.

use super::context::Context;
use super::error::DriverError;
use super::module::{Function, Module};
use super::types::*;
use std::ptr;
use std::sync::Arc;

/// The largest parameter block, which is what every driver takes.
pub const MAX_PARAMETER_BYTES: usize = 4096;

/// One launch of a graph.
#[derive(Clone, Debug)]
pub struct KernelNode<'a> {
    /// The kernel.
    pub function: &'a Function,
    /// Blocks in x, y, z; on a cpu driver x counts tiles, and y and z are 1.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z; without meaning on a cpu driver.
    pub block: [u32; 3],
    /// Dynamic shared memory of a block, in bytes; without meaning on a cpu driver.
    pub shared_bytes: u32,
    /// The one parameter block, copied into the graph.
    pub parameters: &'a [u8],
}

impl<'a> KernelNode<'a> {
    /// A launch of `tiles` independent tiles on a cpu driver.
    #[must_use]
    pub fn tiles(function: &'a Function, tiles: u32, parameters: &'a [u8]) -> Self {
        Self { function, grid: [tiles, 1, 1], block: [1, 1, 1], shared_bytes: 0, parameters }
    }
}

/// A graph that can't be built.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// There is nothing to run.
    #[error("the graph has no nodes")]
    Empty,
    /// A parameter block has the wrong size.
    #[error("node {node}: the parameter block has {given} bytes; the kernel takes {wanted}")]
    ParameterBytes {
        /// The node's place in the graph.
        node: usize,
        /// Bytes given.
        given: usize,
        /// Bytes that the kernel takes, or the most that any takes.
        wanted: usize,
    },
    /// The kernel belongs to another device.
    #[error("node {node}: the kernel was loaded for another device")]
    OtherContext {
        /// The node's place in the graph.
        node: usize,
    },
    /// The driver refused.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// An executable graph: its nodes run one after another. Cheap to clone; a launch holds it until
/// it has completed.
#[derive(Clone, Debug)]
pub struct GraphExec(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Context,
    handle: CUgraphExec,
    nodes: usize,
    /// Held so that the kernels stay loaded; one for each module, not for each node.
    _modules: Vec<Module>,
}

// SAFETY: the driver lets any thread launch a graph, one at a time, which `Stream::launch`
// demands of its caller.
unsafe impl Send for Inner {}
// SAFETY: as above; a shared reference only yields the handle.
unsafe impl Sync for Inner {}

/// A graph under construction, destroyed on drop.
struct Building<'a> {
    context: &'a Context,
    handle: CUgraph,
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        if let Ok(table) = self.context.enter() {
            // SAFETY: the handle is not used again; an executable graph made from it is its own.
            let _ = unsafe { table.cuGraphDestroy(self.handle) };
        }
    }
}

impl Building<'_> {
    /// Adds a node after `previous`.
    fn add(&self, node: &KernelNode<'_>, previous: CUgraphNode) -> Result<CUgraphNode, DriverError> {
        let mut arguments = [node.parameters.as_ptr().cast_mut().cast()];
        let parameters = CUDA_KERNEL_NODE_PARAMS_v2 {
            func: node.function.handle(),
            gridDimX: node.grid[0],
            gridDimY: node.grid[1],
            gridDimZ: node.grid[2],
            blockDimX: node.block[0],
            blockDimY: node.block[1],
            blockDimZ: node.block[2],
            sharedMemBytes: node.shared_bytes,
            kernelParams: arguments.as_mut_ptr(),
            extra: ptr::null_mut(),
            kern: ptr::null_mut(),
            ctx: ptr::null_mut(),
        };
        let dependencies = usize::from(!previous.is_null());
        let mut added: CUgraphNode = ptr::null_mut();
        // SAFETY: all pointers are valid for the call; the parameter block, which the driver
        // copies and only reads, has the size that the kernel takes, as `build` checked.
        unsafe {
            self.context.enter()?.cuGraphAddKernelNode_v2(
                &raw mut added,
                self.handle,
                &raw const previous,
                dependencies,
                &raw const parameters,
            )
        }?;
        Ok(added)
    }
}

impl GraphExec {
    /// Builds the graph that runs `nodes` in their order.
    ///
    /// # Errors
    /// When there are none, a parameter block has the wrong size, a kernel belongs to another
    /// device, or the driver refuses.
    pub fn build(context: &Context, nodes: &[KernelNode<'_>]) -> Result<Self, GraphError> {
        if nodes.is_empty() {
            return Err(GraphError::Empty);
        }
        let mut handle: CUgraph = ptr::null_mut();
        // SAFETY: valid for the write of a handle; no flags.
        unsafe { context.enter()?.cuGraphCreate(&raw mut handle, 0) }?;
        let building = Building { context, handle };
        let mut modules: Vec<Module> = Vec::new();
        let mut previous: CUgraphNode = ptr::null_mut();
        for (index, node) in nodes.iter().enumerate() {
            check(context, index, node)?;
            previous = building.add(node, previous)?;
            let module = node.function.module();
            if !modules.iter().any(|held| held.is_same(module)) {
                modules.push(module.clone());
            }
        }
        let mut exec: CUgraphExec = ptr::null_mut();
        // SAFETY: valid for the write of a handle; the graph lives.
        unsafe { context.enter()?.cuGraphInstantiateWithFlags(&raw mut exec, handle, 0) }?;
        let context = context.clone();
        let nodes = nodes.len();
        Ok(Self(Arc::new(Inner { context, handle: exec, nodes, _modules: modules })))
    }

    /// The number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.nodes
    }

    pub(super) fn context(&self) -> &Context {
        &self.0.context
    }

    pub(super) fn handle(&self) -> CUgraphExec {
        self.0.handle
    }
}

fn check(context: &Context, index: usize, node: &KernelNode<'_>) -> Result<(), GraphError> {
    if !node.function.module().context().is_same(context) {
        return Err(GraphError::OtherContext { node: index });
    }
    let given = node.parameters.len();
    let wanted = node.function.parameter_bytes().unwrap_or(given);
    if given != wanted || given > MAX_PARAMETER_BYTES {
        let wanted = wanted.min(MAX_PARAMETER_BYTES);
        return Err(GraphError::ParameterBytes { node: index, given, wanted });
    }
    Ok(())
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Ok(table) = self.context.enter() {
            // SAFETY: the handle is not used again, and no launch is under way: it would hold us.
            let _ = unsafe { table.cuGraphExecDestroy(self.handle) };
        }
    }
}
