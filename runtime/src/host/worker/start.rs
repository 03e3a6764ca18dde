//! Starting a worker: driver, packages, memory, graphs, profiles, disk; all that it will ever need.

use std::collections::VecDeque;
use std::path::PathBuf;

use arrayvec::ArrayVec;
use kernels::image::{InstructionSet, Unavailable};
use sys::cpu::{CopyEngines, CpuConfig};
use sys::cuda::{Driver, DriverError, Module, OpenError};
use sys::memory::{LockState, MemoryError};
use sys::uring::Caching;
use thiserror::Error;

use super::{Device, Enlistment, InventoryEntry, WORK, Work, Worker, WorkerOffer};
use crate::base::limits::{BATCH_SIZES, CPU_PAGE_BYTES, LANE_CREDITS, MAX_SHAPES};
use crate::base::{DeviceId, Nanos};
use crate::device::{Architecture, DeviceError, DeviceMemory, Lanes, MemoryNeeds};
use crate::disk::{Disk, DiskError, HostPages, PagesError};
use crate::host::config::WorkerConfig;
use crate::host::inventory::{Inventory, InventoryError};
use crate::host::placement::Placement;
use crate::host::profiles::{ProfileError, Profiler, short};
use crate::host::role::Station;
use crate::net::{NetError, Owner};
use crate::package::{Package, Target};
use crate::profile::{DeviceKind, Percentile, Profile, ProfileStore};
use crate::wire::handshake::SlotOffer;
use crate::wire::{DeviceOffer, ModelEntry, Name, PlanTimes};
use crate::worker::{DeviceConfig, DeviceCore, HostConfig, HostEvent, HostTier};

/// Commands that each stream of the cpu driver can hold.
const STREAM_COMMANDS: usize = 2048;
/// Idle compute engines spin this long before they sleep.
const ENGINE_SPIN_NS: u64 = 200_000;
/// What a FETCH of one page takes, until one was measured: 512 MiB a second.
const FETCH_PER_PAGE: Nanos = Nanos::millis(4);

/// Why a worker can't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no folder of models.
    #[error("no models folder: set worker.models or give --models DIR")]
    NoModels,
    /// The packages can't be served.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The instruction set is none.
    #[error("worker.instructions is {name:?}; known are avx512, avx2 and portable")]
    Instructions {
        /// What was wanted.
        name: String,
    },
    /// The processor lacks the instruction set.
    #[error("this processor has no {}", .0.0.name())]
    Unavailable(Unavailable),
    /// The driver can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The driver refused.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The device can't be made ready.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device can't be measured.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Host pages can't be taken.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// A package can't be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Memory can't be taken.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The network can't be used.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A name is too long for the protocol.
    #[error("package {path}: the name has {bytes} bytes, at most {limit} are allowed")]
    LongName {
        /// The package.
        path: PathBuf,
        /// Length of its name.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A model does not fit the device.
    #[error(
        "package {path}: {pages} weight pages, the device has {have}; set worker.device_pages and worker.host_pages higher"
    )]
    TooLarge {
        /// The package.
        path: PathBuf,
        /// Its pages.
        pages: u32,
        /// Pages of the device or the host.
        have: u32,
    },
}

/// What a worker found and decided while starting, for people.
#[derive(Clone, Debug, Default)]
pub struct WorkerReport {
    /// Models by name, with their weight pages.
    pub models: Vec<(String, u32)>,
    /// Instruction set of the kernels.
    pub instructions: &'static str,
    /// Whether pages are locked, and why not.
    pub unlocked: Option<String>,
    /// Packages that are read through the page cache, and why.
    pub buffered: Vec<String>,
}

/// A worker that is ready to run on its station.
#[derive(Debug)]
pub struct StartedWorker {
    /// The role.
    pub worker: Worker,
    /// Where gateways connect.
    pub address: std::net::SocketAddr,
    /// For people.
    pub report: WorkerReport,
}

/// Starts a worker on `station`. `progress` is told what takes time.
///
/// # Errors
/// [`StartError`] names what is missing and what to do.
pub fn start(
    config: &WorkerConfig,
    placement: &Placement,
    station: &mut Station,
    owner: Owner,
    mut progress: impl FnMut(&str),
) -> Result<StartedWorker, StartError> {
    let folder = config.models.as_ref().ok_or(StartError::NoModels)?;
    let page_bytes = u32::try_from(CPU_PAGE_BYTES).unwrap_or(u32::MAX);
    let inventory = Inventory::open(folder, Target::CpuF32, page_bytes, config.slots)?;
    fits(&inventory, config)?;
    let set = instruction_set(config)?;
    let driver = Driver::cpu(&cpu_config(config, placement, &inventory, set)?)?;
    let context = driver.context(0)?;
    let wakes = context.set_completion_doorbell(station.bell.clone());
    assert!(wakes, "the cpu driver rings a doorbell, and this context has none yet");

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
    let profiles_folder = config.profiles.clone().unwrap_or_else(|| folder.join("profiles"));
    let profiler = Profiler { inventory: &inventory, folder: Some(&profiles_folder), kind, renew: false };
    let profiles = profiler.profiles(&mut lanes, &architectures, |package| progress(&package.name))?;

    let (disk, unlocked, buffered) = open_disk(config, &inventory, station)?;
    let listener = station.io.net.listen(&mut station.io.ring, config.listen, owner)?;
    let address = station.io.net.address(listener);
    let offer = offer(&inventory, config, kind, address.port());
    let entries = entries(&inventory, &profiles)?;
    let report = WorkerReport {
        models: inventory.packages.iter().zip(&inventory.infos).map(|(p, i)| (p.name.clone(), i.pages)).collect(),
        instructions: set.name(),
        unlocked,
        buffered,
    };
    let device = Device { core: DeviceCore::new(device_config(&inventory, config)), lanes, architectures };
    let mut work = VecDeque::with_capacity(WORK);
    work.extend(inventory.infos.iter().map(|info| Work::Host(HostEvent::AddModel(*info))));
    let mut host = HostConfig::single(config.host_pages, page_bytes, inventory.classes);
    host.models = inventory.infos.len().max(1);
    let worker = Worker {
        owner,
        controller: config.controller,
        offer,
        entries,
        tier: HostTier::new(host),
        devices: vec![device],
        disk,
        enlistment: Enlistment::Away { retry_at: Nanos::ZERO },
        epoch: 0,
        gateways: Vec::new(),
        work,
        freed: ArrayVec::new(),
    };
    Ok(StartedWorker { worker, address, report })
}

/// The disk, why its pages are not locked, and which packages it reads through the page cache.
fn open_disk(
    config: &WorkerConfig,
    inventory: &Inventory,
    station: &mut Station,
) -> Result<(Disk, Option<String>, Vec<String>), StartError> {
    let pages = HostPages::take(config.host_pages as usize, CPU_PAGE_BYTES)?;
    let unlocked = match pages.lock_state() {
        LockState::Locked => None,
        other => Some(format!("{other:?}")),
    };
    let mut disk = Disk::new(pages, CPU_PAGE_BYTES, HostConfig::READS_OUTSTANDING);
    let mut buffered = Vec::new();
    for package in &inventory.packages {
        if let Caching::Buffered { .. } = disk.add(&mut station.io.ring, package)? {
            buffered.push(package.name.clone());
        }
    }
    Ok((disk, unlocked, buffered))
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

fn device_config(inventory: &Inventory, config: &WorkerConfig) -> DeviceConfig {
    DeviceConfig {
        device: DeviceId(0),
        models: inventory.infos.len().max(1),
        device_pages: config.device_pages,
        page_bytes: u32::try_from(CPU_PAGE_BYTES).unwrap_or(u32::MAX),
        lane_credits: LANE_CREDITS,
        slots: inventory.classes,
    }
}

fn offer(inventory: &Inventory, config: &WorkerConfig, kind: DeviceKind, port: u16) -> WorkerOffer {
    let credits = u32::try_from(LANE_CREDITS).unwrap_or(u32::MAX);
    let slots = inventory.classes.map(|class| SlotOffer {
        count: class.count.into(),
        input_bytes: class.input_bytes,
        output_bytes: class.output_bytes,
    });
    let mut device_kind = Name::new();
    device_kind.push_str(&format!("{:016x}", kind.0));
    WorkerOffer {
        target: Target::CpuF32,
        device_kind,
        page_bytes: u32::try_from(CPU_PAGE_BYTES).unwrap_or(u32::MAX),
        host_pages: config.host_pages,
        disk_credits: credits,
        generation: 0,
        port,
        devices: std::iter::once(DeviceOffer { pages: config.device_pages, lane_credits: credits, slots }).collect(),
    }
}

fn entries(inventory: &Inventory, profiles: &[Profile]) -> Result<Vec<InventoryEntry>, StartError> {
    let mut store = ProfileStore::new(Percentile::P99);
    profiles.iter().for_each(|profile| store.seed(profile));
    inventory
        .packages
        .iter()
        .zip(&inventory.infos)
        .map(|(package, info)| {
            let name = Name::from(&package.name).map_err(|_| StartError::LongName {
                path: package.path.clone(),
                bytes: package.name.len(),
                limit: crate::base::limits::MAX_NAME_BYTES,
            })?;
            let profile = &profiles[usize::from(info.architecture.0)];
            Ok(InventoryEntry {
                model: ModelEntry {
                    model: info.id,
                    name,
                    class: info.class,
                    shapes: u8::try_from(package.shape_variants()).unwrap_or(u8::MAX),
                    inputs: package.inputs.clone(),
                    outputs: package.outputs.clone(),
                },
                architecture: short(&package.architecture),
                pages: info.pages,
                bytes: info.bytes,
                fetched: false,
                loaded: 0,
                plans: info.plans.to_bits(),
                exec: exec_times(profile),
                load: load_times(profile, info.pages),
                fetch: PlanTimes {
                    expected: Nanos(FETCH_PER_PAGE.0 * u64::from(info.pages)),
                    bound: Nanos(2 * FETCH_PER_PAGE.0 * u64::from(info.pages)),
                },
            })
        })
        .collect()
}

fn exec_times(profile: &Profile) -> [[PlanTimes; BATCH_SIZES.len()]; MAX_SHAPES] {
    let mut times = [[PlanTimes::default(); BATCH_SIZES.len()]; MAX_SHAPES];
    for plan in &profile.plans {
        let Some((shape, batch)) = plan.key() else { continue };
        let mut window = crate::profile::DurationWindow::default();
        plan.durations.iter().for_each(|&duration| window.record(duration));
        if let (Some(expected), Some(bound)) = (window.expected(), window.bound(Percentile::P99))
            && let Some(place) = times.get_mut(usize::from(shape.0))
        {
            place[batch.ordinal()] = PlanTimes { expected, bound };
        }
    }
    times
}

fn load_times(profile: &Profile, pages: u32) -> PlanTimes {
    let Some(sample) = profile.loads.first() else { return PlanTimes::default() };
    let expected = Nanos(sample.duration.0 / u64::from(sample.pages.max(1)) * u64::from(pages));
    PlanTimes { expected, bound: expected.three_halves() }
}
