//! Architectures: the graphs that packages with equal plans share.

use kernels::launch::{CheckedPlan, Executable, Spaces};
use sys::cuda::{Context, Module};

use super::{DeviceError, DeviceMemory};
use crate::base::limits::MAX_SHAPES;
use crate::base::{BatchSize, ShapeId};
use crate::package::Package;

/// Names one plan of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanKey {
    /// Shape variant.
    pub shape: ShapeId,
    /// Batch size.
    pub batch: BatchSize,
}

/// One set of graphs, for every instance with the same plans.
#[derive(Debug)]
pub struct Architecture {
    executables: [[Option<Executable>; BatchSize::ALL.len()]; MAX_SHAPES],
}

impl Architecture {
    /// Checks every plan of `package` against its spaces and builds its graph.
    ///
    /// # Errors
    /// [`DeviceError::Plan`] for a plan that would leave its spaces, [`DeviceError::Graph`] if the
    /// driver refuses.
    pub fn build(
        context: &Context,
        module: &Module,
        memory: &DeviceMemory,
        package: &Package,
    ) -> Result<Architecture, DeviceError> {
        let mut executables: [[Option<Executable>; BatchSize::ALL.len()]; MAX_SHAPES] = Default::default();
        for plan in &package.plans {
            let (shape, batch) = (plan.shape, plan.batch);
            let named = || package.name.clone();
            let Some(layout) = package.slot_layout(shape) else {
                unreachable!("an opened package has a layout for each of its plans")
            };
            let spaces = Spaces {
                weight_pages: u32::try_from(package.pages.len()).unwrap_or(u32::MAX),
                page_bytes: package.page_bytes,
                input_bytes: layout.inputs.bytes,
                output_bytes: layout.outputs.bytes,
                workspace_bytes: plan.workspace_bytes,
                batch: u32::from(batch.get()),
            };
            let checked = CheckedPlan::new(&plan.launches, spaces).map_err(|source| DeviceError::Plan {
                package: named(),
                shape,
                batch,
                source,
            })?;
            let built = Executable::build(context, module, &checked, memory.binding(), memory.standing().clone())
                .map_err(|source| DeviceError::Graph { package: named(), shape, batch, source })?;
            executables[usize::from(shape.0)][batch.ordinal()] = Some(built);
        }
        Ok(Architecture { executables })
    }

    /// The graph of a plan, if the architecture has it.
    pub fn executable(&self, key: PlanKey) -> Option<&Executable> {
        self.executables.get(usize::from(key.shape.0))?[key.batch.ordinal()].as_ref()
    }

    /// The plans that there are.
    pub fn plans(&self) -> impl Iterator<Item = PlanKey> {
        self.executables.iter().zip(0u8..).flat_map(|(sizes, shape)| {
            let shape = ShapeId(shape);
            sizes
                .iter()
                .zip(BatchSize::ALL)
                .filter(|(built, _)| built.is_some())
                .map(move |(_, batch)| PlanKey { shape, batch })
        })
    }
}
