//! One plan of one package alone on a device of its own, through the driver that serving uses.

use kernels::image::{InstructionSet, Unavailable, image};
use kernels::launch::{BuildError, CheckedPlan, Executable, PlanError, Spaces, Standing};
use kernels::operand::{Binding, MAX_BATCH};
use runtime::base::{BatchSize, ShapeId};
use runtime::package::{Package, PackageError, SlotLayout, Target, WeightReader};
use std::time::Duration;
use sys::cpu::CpuConfig;
use sys::cuda::{
    Context, CopyPart, DeviceLease, Driver, DriverError, Module, ModuleError, OpenError, Returned, SmallWrite, Stream,
    StreamError,
};
use sys::memory::HostLease;
use thiserror::Error;

/// Why a plan can't be run.
#[derive(Debug, Error)]
pub enum SoloError {
    /// The package is for devices that this command does not drive.
    #[error("the package is for target {found}; this command runs {wanted}")]
    Target {
        /// The package's target.
        found: Target,
        /// The target that it may have.
        wanted: Target,
    },
    /// The package has no such plan.
    #[error(
        "the package has no plan for shape variant {shape}, batch {batch}; of that variant it has batches {known} \
         (where that is 1 alone, the import says why)"
    )]
    NoPlan {
        /// Shape variant.
        shape: u8,
        /// Batch size.
        batch: BatchSize,
        /// The batch sizes that there are.
        known: String,
    },
    /// The plan would touch memory that is not its own.
    #[error("the plan is refused: {0}")]
    Plan(#[from] PlanError),
    /// The weights can't be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The driver can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The driver refused.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The kernels can't be loaded.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// No kernels for this machine.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The graph can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An operation can't be put into the stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// The batch sizes for which a shape variant has plans, as people read them.
pub fn batches_of(package: &Package, shape: ShapeId) -> String {
    let plans = package.plans.iter().filter(|plan| plan.shape == shape);
    let sizes: Vec<String> = plans.map(|plan| plan.batch.to_string()).collect();
    if sizes.is_empty() { "none".to_owned() } else { sizes.join(", ") }
}

/// How often it is looked whether an operation is finished.
const LOOK: Duration = Duration::from_micros(20);

/// How a plan is cut into graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// One graph, as it is served.
    Whole,
    /// A graph for each launch, so that each is timed.
    EachLaunch,
}

/// A plan ready to run.
#[derive(Debug)]
pub struct Solo {
    stream: Stream,
    executables: Vec<Executable>,
    layout: SlotLayout,
    batch: BatchSize,
    /// Written before each launch; `None` while a launch holds it.
    binding: Option<SmallWrite>,
    /// Workspace, inputs, outputs; empty while a launch holds them.
    held: Vec<DeviceLease>,
    /// Where inputs and outputs pass between host and device; `None` while a copy holds it.
    staging: Option<HostLease>,
    /// What every launch may read: weight pages and their table.
    _standing: [DeviceLease; 2],
    _context: Context,
    _driver: Driver,
}

impl Solo {
    /// Opens a device with `threads` compute threads and kernels of `set`, and loads the plan with its weights.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn load(
        package: &Package,
        shape: ShapeId,
        batch: BatchSize,
        set: InstructionSet,
        threads: usize,
        cut: Cut,
    ) -> Result<Solo, SoloError> {
        let config = CpuConfig { compute_threads: threads, ..CpuConfig::default() };
        Solo::load_on(package, shape, batch, set, &config, cut)
    }

    /// [`Solo::load`], on a device of that configuration.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn load_on(
        package: &Package,
        shape: ShapeId,
        batch: BatchSize,
        set: InstructionSet,
        config: &CpuConfig,
        cut: Cut,
    ) -> Result<Solo, SoloError> {
        if package.target != Target::CpuF32 {
            return Err(SoloError::Target { found: package.target, wanted: Target::CpuF32 });
        }
        let (Some(plan), Some(layout)) = (package.plan(shape, batch), package.slot_layout(shape)) else {
            return Err(SoloError::NoPlan { shape: shape.0, batch, known: batches_of(package, shape) });
        };
        let spaces = Spaces {
            weight_pages: u32::try_from(package.pages.len()).unwrap_or(u32::MAX),
            page_bytes: package.page_bytes,
            input_bytes: layout.inputs.bytes,
            output_bytes: layout.outputs.bytes,
            workspace_bytes: plan.workspace_bytes,
            batch: u32::from(batch.get()),
        };
        let parts: Vec<CheckedPlan> = match cut {
            Cut::Whole => vec![CheckedPlan::new(&plan.launches, spaces)?],
            Cut::EachLaunch => {
                plan.launches.chunks(1).map(|one| CheckedPlan::new(one, spaces)).collect::<Result<_, _>>()?
            }
        };
        let driver = Driver::cpu(config)?;
        let context = driver.context(0)?;
        let module = Module::load(&context, image(set)?)?;
        let mut stream = Stream::new(&context, 4)?;
        let (pages, table) = load_weights(package, &context, &mut stream)?;
        let area = |bytes: u32| context.alloc_device((bytes as usize).max(1) * batch.items());
        let held = vec![
            context.alloc_device((plan.workspace_bytes as usize).max(1))?,
            area(layout.inputs.bytes)?,
            area(layout.outputs.bytes)?,
        ];
        let (write, to) = binding(&context, table.address(), &held, &layout)?;
        let mut standing = Standing::new();
        standing.add(&pages);
        standing.add(&table);
        let build = |part| Executable::build(&context, &module, part, &to, standing.clone());
        let executables = parts.iter().map(build).collect::<Result<_, _>>()?;
        let staging = context.alloc_host(staging_bytes(&layout, batch))?;
        Ok(Solo {
            stream,
            executables,
            layout,
            batch,
            binding: Some(SmallWrite { from: write, to, bytes: size_of::<Binding>() }),
            held,
            staging: Some(staging),
            _standing: [pages, table],
            _context: context,
            _driver: driver,
        })
    }

    /// Where the tensors of one item lie in an area.
    pub fn layout(&self) -> &SlotLayout {
        &self.layout
    }

    /// Puts the inputs of all places, one area after the other, onto the device.
    ///
    /// # Errors
    /// [`SoloError::Driver`] or [`SoloError::Stream`].
    ///
    /// # Panics
    /// If `areas` is not as long as the areas of the batch.
    pub fn write_inputs(&mut self, areas: &[u8]) -> Result<(), SoloError> {
        let Some(mut staging) = self.staging.take() else { unreachable!("copies return it") };
        assert_eq!(areas.len(), self.layout.inputs.bytes as usize * self.batch.items(), "one area a place");
        staging[..areas.len()].copy_from_slice(areas);
        let inputs = self.held.remove(1);
        self.stream.copy_in(0, staging, inputs, CopyPart::first(areas.len()))?;
        let Returned::CopyIn { from: sys::memory::HostSource::Lease(from), to } = finish(&mut self.stream)?.0 else {
            unreachable!("a copy gives back what it took")
        };
        self.staging = Some(from);
        self.held.insert(1, to);
        Ok(())
    }

    /// Runs the plan once; its duration on the device, in nanoseconds.
    ///
    /// # Errors
    /// [`SoloError::Driver`] or [`SoloError::Stream`].
    pub fn run(&mut self) -> Result<u64, SoloError> {
        let mut sum = 0;
        self.run_parts(|_, elapsed| sum += elapsed)?;
        Ok(sum)
    }

    /// Runs the plan once, and tells of each graph, from 0, how long it took, in nanoseconds.
    ///
    /// # Errors
    /// [`SoloError::Driver`] or [`SoloError::Stream`].
    pub fn run_parts(&mut self, mut took: impl FnMut(usize, u64)) -> Result<(), SoloError> {
        for (index, executable) in self.executables.iter().enumerate() {
            let Some(binding) = self.binding.take() else { unreachable!("launches return it") };
            executable.launch(&mut self.stream, 0, binding, std::mem::take(&mut self.held))?;
            let (Returned::Launch { binding, held, .. }, elapsed) = finish(&mut self.stream)? else {
                unreachable!("a launch gives back what it took")
            };
            (self.binding, self.held) = (binding, held);
            took(index, elapsed?);
        }
        Ok(())
    }

    /// The outputs of all places, one area after the other.
    ///
    /// # Errors
    /// [`SoloError::Driver`] or [`SoloError::Stream`].
    pub fn read_outputs(&mut self) -> Result<Vec<u8>, SoloError> {
        let Some(staging) = self.staging.take() else { unreachable!("copies return it") };
        let bytes = self.layout.outputs.bytes as usize * self.batch.items();
        self.stream.copy_out(0, self.held.remove(2), staging, CopyPart::first(bytes))?;
        let Returned::CopyOut { from, to } = finish(&mut self.stream)?.0 else {
            unreachable!("a copy gives back what it took")
        };
        let areas = to[..bytes].to_vec();
        self.held.push(from);
        self.staging = Some(to);
        Ok(areas)
    }
}

/// Waits for the only operation in flight; its leases, and how long it took on the device.
fn finish(stream: &mut Stream) -> Result<(Returned, Result<u64, DriverError>), DriverError> {
    // Asleep in between: whoever spins here takes a core from the compute thread, or sends others to its core.
    while !stream.check()? {
        std::thread::sleep(LOOK);
    }
    let Some(finished) = stream.poll() else {
        unreachable!("a stream with nothing under way has completed its operation")
    };
    Ok((finished.leases, finished.elapsed_ns))
}

fn staging_bytes(layout: &SlotLayout, batch: BatchSize) -> usize {
    (layout.inputs.bytes.max(layout.outputs.bytes) as usize).max(1) * batch.items()
}

/// Copies all weight pages to the device, and the table of their addresses.
fn load_weights(
    package: &Package,
    context: &Context,
    stream: &mut Stream,
) -> Result<(DeviceLease, DeviceLease), SoloError> {
    let (count, page_bytes) = (package.pages.len(), package.page_bytes as usize);
    let reader = WeightReader::new(package)?;
    let mut pages = context.alloc_device((count * page_bytes).max(1))?;
    let mut page = context.alloc_host(page_bytes)?;
    for index in 0..count {
        reader.read_page(index, &mut page)?;
        let part = CopyPart { from: 0, to: index * page_bytes, bytes: page_bytes };
        (page, pages) = copied_in(stream, page, pages, part)?;
    }
    let mut addresses = context.alloc_host((count * size_of::<u64>()).max(size_of::<u64>()))?;
    for (slot, index) in addresses.chunks_exact_mut(size_of::<u64>()).zip(0..count) {
        slot.copy_from_slice(&(pages.address() + (index * page_bytes) as u64).to_le_bytes());
    }
    let bytes = addresses.len();
    let table = context.alloc_device(bytes)?;
    let (_, table) = copied_in(stream, addresses, table, CopyPart::first(bytes))?;
    Ok((pages, table))
}

fn copied_in(
    stream: &mut Stream,
    from: HostLease,
    to: DeviceLease,
    part: CopyPart,
) -> Result<(HostLease, DeviceLease), SoloError> {
    stream.copy_in(0, from, to, part)?;
    match finish(stream)?.0 {
        Returned::CopyIn { from: sys::memory::HostSource::Lease(from), to } => Ok((from, to)),
        _ => unreachable!("a copy gives back what it took"),
    }
}

/// The binding of every launch, and the device memory into which it is written.
fn binding(
    context: &Context,
    page_table: u64,
    held: &[DeviceLease],
    layout: &SlotLayout,
) -> Result<(HostLease, DeviceLease), DriverError> {
    let [workspace, inputs, outputs] = held else { unreachable!("three leases are held") };
    let places = |lease: &DeviceLease, bytes: u32| {
        let mut addresses = [lease.address(); MAX_BATCH];
        // Places beyond the batch are never looked at; they keep the first one's address.
        for (place, address) in (0u64..).zip(&mut addresses) {
            let offset = place * u64::from(bytes);
            *address += if offset + u64::from(bytes) <= lease.len() as u64 { offset } else { 0 };
        }
        addresses
    };
    let binding = Binding {
        page_table,
        workspace: workspace.address(),
        inputs: places(inputs, layout.inputs.bytes),
        outputs: places(outputs, layout.outputs.bytes),
    };
    let mut write = context.alloc_host(size_of::<Binding>())?;
    write.copy_from_slice(bytemuck::bytes_of(&binding));
    Ok((write, context.alloc_device(size_of::<Binding>())?))
}
