//! From a checked plan to a graph of the driver, and the safe way to launch it.

use super::{CheckedPlan, Spaces};
use crate::operand::Binding;
use std::ops::Range;
use sys::cuda::{
    Context, DeviceLease, Function, GraphError, GraphExec, KernelNode, Module, ModuleError, SmallWrite, Stream,
    StreamError,
};
use thiserror::Error;

/// Why a checked plan could not be made into a graph.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The image lacks a kernel.
    #[error("kernel {kernel}: {source}")]
    Kernel {
        /// Its name.
        kernel: &'static str,
        /// What the module said.
        source: ModuleError,
    },
    /// The graph can't be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Device memory that outlives every launch: its owner keeps the leases and nobody else writes it
/// while a launch that uses it is in flight.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    ranges: Vec<Range<u64>>,
}

impl Standing {
    /// No memory.
    pub fn new() -> Standing {
        Standing::default()
    }

    /// Adds the memory of a lease that its owner will keep: null slots, page tables.
    pub fn add(&mut self, lease: &DeviceLease) {
        self.ranges.push(range(lease));
    }
}

/// A plan as a graph of one device. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Executable {
    graph: GraphExec,
    spaces: Spaces,
    binding: u64,
    standing: Standing,
}

impl Executable {
    /// Builds the graph of `plan` from the kernels of `module`. Every launch reads the binding at
    /// the start of the lease `binding`; `standing` is the memory that a binding may name beside
    /// the leases that a launch holds.
    ///
    /// # Errors
    /// When the module lacks a kernel or the driver refuses the graph.
    pub fn build(
        context: &Context,
        module: &Module,
        plan: &CheckedPlan,
        binding: &DeviceLease,
        standing: Standing,
    ) -> Result<Executable, BuildError> {
        let address = binding.address();
        let mut functions: Vec<(&'static str, Function)> = Vec::new();
        for launch in plan.launches() {
            if functions.iter().all(|(name, _)| *name != launch.kernel) {
                let function = module
                    .function(launch.kernel)
                    .map_err(|source| BuildError::Kernel { kernel: launch.kernel, source })?;
                functions.push((launch.kernel, function));
            }
        }
        let parameters: Vec<Vec<u8>> =
            plan.launches().iter().map(|launch| [&address.to_le_bytes(), &launch.block[..]].concat()).collect();
        let nodes = plan.launches().iter().zip(&parameters).map(|(launch, parameters)| {
            let Some((_, function)) = functions.iter().find(|(name, _)| *name == launch.kernel) else {
                unreachable!("every launch's function was found above")
            };
            KernelNode::tiles(function, launch.grid, parameters)
        });
        let graph = GraphExec::build(context, &nodes.collect::<Vec<_>>())?;
        Ok(Executable { graph, spaces: *plan.spaces(), binding: address, standing })
    }

    /// What its plan was checked against.
    pub fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    /// Writes the binding and launches the graph, in stream order. `held` are the leases of the
    /// memory that the binding names: workspace, and the areas of the places that are taken.
    ///
    /// What can't be seen from here is the content of the page table: it must hold the addresses of
    /// [`Spaces::weight_pages`] pages of [`Spaces::page_bytes`], which their owner keeps.
    ///
    /// # Errors
    /// When the driver refuses; the leases come back in the error.
    ///
    /// # Panics
    /// If `write` is not a [`Binding`] for this graph, or the binding names memory that is neither
    /// in `held` nor standing, or is too small for the plan. That is a bug of the caller, and going
    /// on would let the kernels loose on someone else's memory.
    pub fn launch(
        &self,
        stream: &mut Stream,
        ticket: u64,
        write: SmallWrite,
        held: Vec<DeviceLease>,
    ) -> Result<(), StreamError> {
        self.verify(&write, &held);
        // SAFETY: the plan is checked, so with the binding just verified every kernel keeps to the
        // workspace, the areas of the places and the pages of the table, all of sufficient size;
        // these are held, or standing by their owner's word; tiles of a launch write apart (the
        // promise of `Kernel`). The lease of the binding's memory is in `write` until the launch
        // completes, and there is only one of it, so the graph is in no other stream meanwhile.
        unsafe { stream.launch(ticket, &self.graph, Some(write), held) }
    }

    /// Checks the binding that `write` holds.
    fn verify(&self, write: &SmallWrite, held: &[DeviceLease]) {
        let bytes = size_of::<Binding>();
        assert!(
            write.to.address() == self.binding && write.bytes == bytes,
            "the binding of this graph is written whole"
        );
        let binding: Binding = bytemuck::pod_read_unaligned(&write.from[..bytes]);
        let named = |what: &str, address: u64, bytes: u64| {
            let within = |range: &Range<u64>| range.start <= address && address.saturating_add(bytes) <= range.end;
            let found = held.iter().map(range).any(|r| within(&r)) || self.standing.ranges.iter().any(within);
            assert!(found, "{what}: {bytes} bytes at {address:#x} are neither held nor standing");
        };
        named("the workspace", binding.workspace, self.spaces.workspace_bytes.into());
        named("the page table", binding.page_table, u64::from(self.spaces.weight_pages) * size_of::<u64>() as u64);
        for place in 0..self.spaces.batch as usize {
            named("a place's input", binding.inputs[place], self.spaces.input_bytes.into());
            named("a place's output", binding.outputs[place], self.spaces.output_bytes.into());
        }
    }
}

/// Addresses of a lease.
fn range(lease: &DeviceLease) -> Range<u64> {
    lease.address()..lease.address() + lease.len() as u64
}
