//! Starting a worker: driver, packages, memory, graphs, profiles, disk; all that it will ever need.

use std::collections::VecDeque;
use std::path::PathBuf;

use arrayvec::ArrayVec;
use kernels::image::Unavailable;
use sys::cuda::{DriverError, Faults, OpenError};
use sys::memory::{LockState, MemoryError};
use sys::uring::Caching;
use thiserror::Error;

use super::ready::{Ready, Wanted, ready};
use super::{Device, Enlistment, InventoryEntry, WORK, Work, Worker, WorkerOffer};
use crate::base::limits::{BATCH_SIZES, CPU_PAGE_BYTES, LANE_CREDITS, MAX_SHAPES};
use crate::base::{DeviceId, Nanos};
use crate::device::DeviceError;
use crate::disk::{Disk, DiskError, HostPages, PagesError};
use crate::host::config::WorkerConfig;
use crate::host::faults::{FaultError, FaultPlan};
use crate::host::inventory::{Inventory, InventoryError};
use crate::host::placement::Placement;
use crate::host::profiles::{ProfileError, Profiled, short};
use crate::host::role::Station;
use crate::net::{NetError, Owner};
use crate::order::record::Record;
use crate::package::Target;
use crate::profile::{DeviceKind, Percentile, Profile, SizedSample, TransferTimes};
use crate::wire::handshake::SlotOffer;
use crate::wire::{DeviceOffer, ModelEntry, Name, PlanTimes};
use crate::worker::{DeviceConfig, DeviceCore, HostConfig, HostEvent, HostTier, Witness};

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
    /// The faults are none.
    #[error(transparent)]
    Faults(#[from] FaultError),
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
    /// Models whose profile was measured while something else took the compute core: name, such
    /// samples, all samples.
    pub disturbed: Vec<(String, usize, usize)>,
    /// Models whose FETCH could not be measured, and why.
    pub unread: Vec<(String, String)>,
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
    record: Record,
    station: &mut Station,
    owner: Owner,
    mut progress: impl FnMut(&str),
) -> Result<StartedWorker, StartError> {
    let faults = FaultPlan::parse(config.faults.as_deref().unwrap_or_default())?;
    let Ready { inventory, set, kind, lanes, architectures, profiles, pages } =
        ready(config, placement, Some(&station.bell), &Wanted::default(), |step| {
            if step.plan.is_none() {
                progress(step.package);
            }
        })?;
    let (disk, unlocked, buffered) = open_disk(pages, &inventory, station)?;
    let listener = station.io.net.listen(&mut station.io.ring, config.listen, owner)?;
    let address = station.io.net.address(listener);
    let offer = offer(&inventory, config, kind, address.port());
    let entries = entries(&inventory, &profiles)?;
    let report = WorkerReport {
        models: inventory.packages.iter().zip(&inventory.infos).map(|(p, i)| (p.name.clone(), i.pages)).collect(),
        instructions: set.name(),
        unlocked,
        buffered,
        disturbed: profiles.iter().filter_map(|profiled| disturbed(&inventory, profiled)).collect(),
        unread: profiles.iter().filter_map(|profiled| unread(&inventory, profiled)).collect(),
    };
    let device = Device { core: DeviceCore::new(device_config(&inventory, config)), lanes, architectures };
    let witness = witness(&record, &inventory);
    let mut work = VecDeque::with_capacity(WORK);
    work.extend(inventory.infos.iter().map(|info| Work::Host(HostEvent::AddModel(*info))));
    let page_bytes = u32::try_from(CPU_PAGE_BYTES).unwrap_or(u32::MAX);
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
        record,
        witness,
    };
    // What was measured above was measured without them.
    Faults::process().set(faults.seed, &faults.rules);
    Ok(StartedWorker { worker, address, report })
}

/// Sees what is recorded: all that the credits and slots allow, or nothing.
fn witness(record: &Record, inventory: &Inventory) -> Witness {
    if !record.is_on() {
        return Witness::new(0, 0);
    }
    Witness::new(3 * LANE_CREDITS, inventory.classes.iter().map(|class| usize::from(class.count)).sum())
}

/// The disk, why its pages are not locked, and which packages it reads through the page cache.
fn open_disk(
    pages: HostPages,
    inventory: &Inventory,
    station: &mut Station,
) -> Result<(Disk, Option<String>, Vec<String>), StartError> {
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

fn entries(inventory: &Inventory, profiles: &[Profiled]) -> Result<Vec<InventoryEntry>, StartError> {
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
            let profile = &profiles[usize::from(info.architecture.0)].profile;
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
                load: transfer_times(&profile.loads, info.pages),
                fetch: transfer_times(&profile.fetches, info.pages),
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

/// What moving `pages` pages takes by these samples; zero where there are none.
fn transfer_times(samples: &[SizedSample], pages: u32) -> PlanTimes {
    let mut times = TransferTimes::default();
    times.seed(samples);
    let (expected, bound) = times.of(pages, Percentile::P99, Nanos::ZERO);
    PlanTimes { expected, bound }
}

fn disturbed(inventory: &Inventory, profiled: &Profiled) -> Option<(String, usize, usize)> {
    let plans = &profiled.profile.plans;
    let disturbed = plans.iter().map(|plan| plan.disturbed as usize).sum();
    let all = plans.iter().map(|plan| plan.durations.len()).sum();
    (disturbed > 0).then(|| (inventory.packages[profiled.package].name.clone(), disturbed, all))
}

fn unread(inventory: &Inventory, profiled: &Profiled) -> Option<(String, String)> {
    let why = profiled.unread.as_ref()?;
    Some((inventory.packages[profiled.package].name.clone(), why.to_string()))
}
