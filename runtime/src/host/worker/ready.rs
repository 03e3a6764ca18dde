//! Making a worker's device ready: driver, packages, memory, graphs, profiles.

use std::path::Path;

use kernels::image::InstructionSet;
use sys::cpu::{CopyEngines, CpuConfig};
use sys::cuda::{Driver, Faults, Module, OpenError};
use sys::doorbell::Doorbell;

use super::StartError;
use crate::base::limits::CPU_PAGE_BYTES;
use crate::device::{Architecture, DeviceError, DeviceMemory, Lanes, MemoryNeeds};
use crate::disk::HostPages;
use crate::host::config::WorkerConfig;
use crate::host::inventory::Inventory;
use crate::host::placement::Placement;
use crate::host::profiles::{Profiled, Profiler, Step};
use crate::package::{Package, Target};
use crate::profile::DeviceKind;

/// Commands that each stream of the cpu driver can hold.
const STREAM_COMMANDS: usize = 2048;
/// Idle compute engines spin this long before they sleep.
const ENGINE_SPIN_NS: u64 = 200_000;

/// Which packages are made ready, and whether they are measured anew.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::host) struct Wanted<'a> {
    /// This package alone; all of the models folder if `None`.
    pub package: Option<&'a Path>,
    /// Measure even what was measured before.
    pub renew: bool,
}

/// A device and its packages, measured and idle.
#[derive(Debug)]
pub(in crate::host) struct Ready {
    pub inventory: Inventory,
    pub set: InstructionSet,
    pub kind: DeviceKind,
    pub lanes: Lanes,
    pub architectures: Vec<Architecture>,
    pub profiles: Vec<Profiled>,
    pub pages: HostPages,
}

/// Makes a device ready. `bell` is rung by its completions; `progress` is told what is measured.
///
/// # Errors
/// [`StartError`] names what is missing and what to do.
pub(in crate::host) fn ready(
    config: &WorkerConfig,
    placement: &Placement,
    bell: Option<&Doorbell>,
    wanted: &Wanted<'_>,
    progress: impl FnMut(Step<'_>),
) -> Result<Ready, StartError> {
    let page_bytes = u32::try_from(CPU_PAGE_BYTES).unwrap_or(u32::MAX);
    let (folder, inventory) = match wanted.package {
        Some(package) => {
            let inventory = Inventory::of(package, Target::CpuF32, page_bytes, config.slots)?;
            (package.parent().unwrap_or(Path::new("")), inventory)
        }
        None => {
            let folder = config.models.as_ref().ok_or(StartError::NoModels)?;
            (folder.as_path(), Inventory::open(folder, Target::CpuF32, page_bytes, config.slots)?)
        }
    };
    fits(&inventory, config)?;
    let set = instruction_set(config)?;
    let driver = open_driver(config, &cpu_config(config, placement, &inventory, set)?)?;
    let context = driver.context(0)?;
    if let Some(bell) = bell {
        let wakes = context.set_completion_doorbell(bell.clone());
        assert!(wakes, "the cpu driver rings a doorbell, and this context has none yet");
    }

    let memory = DeviceMemory::take(&context, &needs(&inventory, config))?;
    let image = kernels::image::image(set).map_err(StartError::Unavailable)?;
    let module =
        Module::load(&context, image).map_err(|source| DeviceError::Module { device: context.ordinal(), source })?;
    let built = inventory
        .architectures
        .iter()
        .map(|&place| Architecture::build(&context, &module, &memory, &inventory.packages[place]));
    let architectures = built.collect::<Result<Vec<_>, _>>()?;
    let mut lanes = Lanes::new(&context, memory)?;

    let kind = device_kind(set, config.threads);
    let beside = folder.join("profiles");
    let folder = config.profiles.as_ref().unwrap_or(&beside);
    let profiler = Profiler { inventory: &inventory, folder, kind, renew: wanted.renew };
    let pages = HostPages::take(config.host_pages as usize, CPU_PAGE_BYTES)?;
    let (profiles, pages) = profiler.profiles(&mut lanes, &architectures, pages, progress)?;
    Ok(Ready { inventory, set, kind, lanes, architectures, profiles, pages })
}

/// The driver; where faults are set, one that can be made to have them.
fn open_driver(config: &WorkerConfig, cpu: &CpuConfig) -> Result<Driver, OpenError> {
    match config.faults {
        Some(_) => Faults::process().cpu(cpu),
        None => Driver::cpu(cpu),
    }
}

fn fits(inventory: &Inventory, config: &WorkerConfig) -> Result<(), StartError> {
    let have = config.device_pages.min(config.host_pages);
    let too_large = inventory.packages.iter().zip(&inventory.infos).find(|(_, info)| info.pages > have);
    match too_large {
        None => Ok(()),
        Some((package, info)) => Err(StartError::TooLarge { path: package.path.clone(), pages: info.pages, have }),
    }
}

fn instruction_set(config: &WorkerConfig) -> Result<InstructionSet, StartError> {
    match &config.instructions {
        None => Ok(InstructionSet::best()),
        Some(name) => InstructionSet::from_name(name).ok_or(StartError::Instructions { name: name.clone() }),
    }
}

fn cpu_config(
    config: &WorkerConfig,
    placement: &Placement,
    inventory: &Inventory,
    set: InstructionSet,
) -> Result<CpuConfig, StartError> {
    let scratch = kernels::image::image(set).map_err(StartError::Unavailable)?.scratch_bytes();
    Ok(CpuConfig {
        devices: 1,
        compute_threads: usize::from(config.threads),
        compute_cores: placement.compute_cores.clone(),
        // The worker's own thread copies, a bounded number of bytes a turn: no thread beside the
        // compute threads takes a core from anyone.
        copy_engines: CopyEngines::Polled,
        spin_ns: ENGINE_SPIN_NS,
        device_memory_bytes: device_bytes(&needs(inventory, config)),
        scratch_bytes: scratch.max(4096),
        stream_commands: STREAM_COMMANDS,
    })
}

fn device_bytes(needs: &MemoryNeeds) -> usize {
    let slots: usize = needs
        .slots
        .iter()
        .map(|class| usize::from(class.count) * (class.input_bytes as usize + class.output_bytes as usize + 1024))
        .sum();
    let nulls: usize =
        needs.slots.iter().map(|class| class.input_bytes as usize + 16 * class.output_bytes as usize).sum();
    let tables: usize = needs.table_entries.iter().map(|entries| entries * 8 + 4096).sum();
    needs.pages * needs.page_bytes + needs.workspace_bytes + slots + nulls + tables + (8 << 20)
}

fn needs(inventory: &Inventory, config: &WorkerConfig) -> MemoryNeeds {
    MemoryNeeds {
        pages: config.device_pages as usize,
        page_bytes: CPU_PAGE_BYTES,
        table_entries: inventory.packages.iter().map(|package| package.pages.len()).collect(),
        slots: inventory.classes,
        workspace_bytes: inventory.packages.iter().map(Package::workspace_bytes).max().unwrap_or(0) as usize,
    }
}

/// What profiles are kept under: the processor, the instruction set and the threads.
fn device_kind(set: InstructionSet, threads: u16) -> DeviceKind {
    let processor = sys::probe::Machine::probe().processor;
    let text = format!("{processor}/{}/{threads}", set.name());
    let digest = blake3::hash(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    DeviceKind(u64::from_le_bytes(first))
}
