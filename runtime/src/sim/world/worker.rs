//! A worker's process: its host tier, its device cores, and the models of its disk and devices.

use std::collections::VecDeque;

use super::happening::{Connection, Life, Told};
use crate::base::{DeviceId, Nanos, RequestId, SlotId, WorkerId};
use crate::order::record::Event as Step;
use crate::order::{ActionResult, Span, Stages};
use crate::scheduler::{DeviceUp, SlotClass, WorkerUp};
use crate::sim::clock::Clock;
use crate::sim::config::SimConfig;
use crate::sim::device::DeviceModel;
use crate::sim::disk::DiskModel;
use crate::sim::inventory::{self, KIND, TARGET};
use crate::sim::seeded::{Part, Seeded};
use crate::worker::{
    DeviceConfig, DeviceCore, DeviceEvent, DeviceOut, DeviceOutbox, HostConfig, HostEvent, HostOut, HostOutbox,
    HostTier, Witness,
};

/// What telling a worker something comes to.
#[derive(Debug)]
pub(super) enum Effect {
    /// This is to be told at that time.
    Later(Nanos, Told),
    /// RESULT.
    Result(ActionResult),
    /// OUTPUT.
    Output { request: RequestId, slot: SlotId, bytes: u32, stages: Stages },
    /// FREED.
    Freed(SlotId),
    /// This is to be recorded.
    Step(Nanos, Step),
}

/// One worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) clock: Clock,
    pub(super) life: Life,
    /// None while it is lost.
    pub(super) connection: Option<Connection>,
    connections: u32,
    pub(super) host: HostTier,
    pub(super) cores: Vec<DeviceCore>,
    disk: DiskModel,
    pub(super) devices: Vec<DeviceModel>,
    witness: Witness,
    queue: VecDeque<Told>,
}

impl Worker {
    /// A worker that knows its models and holds nothing.
    pub(super) fn new(config: &SimConfig, number: u16, clock: Clock) -> Worker {
        let device = |device: u8| {
            let stream = Seeded::part(config.seed, Part::Devices, u64::from(number) << 8 | u64::from(device));
            DeviceModel::new(config.device, config.architectures.clone(), config.device_faults.clone(), stream)
        };
        let stream = Seeded::part(config.seed, Part::Disks, u64::from(number));
        let mut worker = Worker {
            id: WorkerId(number),
            clock,
            life: Life(0),
            connection: None,
            connections: 0,
            host: HostTier::new(host_config(config)),
            cores: cores(config),
            disk: DiskModel::new(config.disk, config.page_bytes, stream),
            devices: (0..config.devices).map(device).collect(),
            witness: witness(config),
            queue: VecDeque::new(),
        };
        worker.add_models(config);
        worker
    }

    /// The process ends, and another one with empty memory takes its place.
    pub(super) fn crash(&mut self, config: &SimConfig) {
        self.life.0 += 1;
        self.host = HostTier::new(host_config(config));
        self.cores = cores(config);
        self.witness = witness(config);
        self.add_models(config);
    }

    fn add_models(&mut self, config: &SimConfig) {
        let mut effects = Vec::new();
        for number in 0..config.models.len() {
            let event = HostEvent::AddModel(inventory::info(config, number));
            self.tell(Nanos::ZERO, Told::Host(event), &mut effects);
        }
        assert!(effects.is_empty(), "a new worker has nothing to say");
    }

    /// Tells a machine something at simulated time `at`, and every other machine of this worker what
    /// follows from it; what leaves the worker goes to `effects`.
    pub(super) fn tell(&mut self, at: Nanos, told: Told, effects: &mut Vec<Effect>) {
        self.queue.push_back(told);
        while let Some(told) = self.queue.pop_front() {
            match told {
                Told::Host(event) => self.tell_host(at, event, effects),
                Told::Core(core, event) => self.tell_core(at, core, event, effects),
            }
        }
    }

    fn tell_host(&mut self, at: Nanos, event: HostEvent, effects: &mut Vec<Effect>) {
        let mut out = HostOutbox::new();
        let clock = self.clock;
        self.witness.told(at, &event, |at, step| effects.push(Effect::Step(at, step)));
        self.host.handle(clock.read(at), event, &mut out);
        for said in out.drain(..) {
            let write = |at, step| effects.push(Effect::Step(at, step));
            self.witness.said(at, &said, |time| clock.when(time), write);
            match said {
                HostOut::Disk(op) => {
                    let read = self.disk.submit(at, &op);
                    let crate::worker::DiskOp::Read { ticket, .. } = op;
                    let span = self.span(at, read.end);
                    let done = HostEvent::DiskDone { ticket, outcome: read.outcome, span };
                    effects.push(Effect::Later(read.end, Told::Host(done)));
                }
                HostOut::ToDevice { device, event } => {
                    self.queue.push_back(Told::Core(usize::from(device.0), event));
                }
                HostOut::Result(result) => effects.push(Effect::Result(result)),
                HostOut::Output { request, slot, bytes, stages } => {
                    effects.push(Effect::Output { request, slot, bytes, stages });
                }
                HostOut::Freed(slot) => effects.push(Effect::Freed(slot)),
            }
        }
    }

    fn tell_core(&mut self, at: Nanos, core: usize, event: DeviceEvent, effects: &mut Vec<Effect>) {
        let mut out = DeviceOutbox::new();
        self.cores[core].handle(self.clock.read(at), event, &mut out);
        for said in out.drain(..) {
            match said {
                DeviceOut::Lane(op) => {
                    let run = self.devices[core].submit(at, &op);
                    let (ticket, outcome) = (op.ticket(), run.outcome);
                    let done = DeviceEvent::OpDone { ticket, outcome, span: self.span(run.begin, run.end) };
                    effects.push(Effect::Later(run.end, Told::Core(core, done)));
                }
                DeviceOut::Report(report) => {
                    let device = device_id(core);
                    self.queue.push_back(Told::Host(HostEvent::Device { device, report }));
                }
            }
        }
    }

    fn span(&self, begin: Nanos, end: Nanos) -> Span {
        Span { begin: self.clock.read(begin), end: self.clock.read(end) }
    }

    /// Whether it holds nothing but weights.
    pub(super) fn is_quiet(&self) -> bool {
        self.host.is_quiet() && self.cores.iter().all(DeviceCore::is_quiet)
    }

    /// Opens a connection and says what it has.
    pub(super) fn connect(&mut self, config: &SimConfig) -> (Connection, WorkerUp) {
        assert!(self.is_quiet(), "a worker connects when it is quiet");
        self.connections += 1;
        let connection = Connection(self.connections);
        self.connection = Some(connection);
        let host = host_config(config);
        let classes = host.devices[0].iter().filter(|class| class.count > 0).map(|class| SlotClass {
            input_bytes: class.input_bytes,
            output_bytes: class.output_bytes,
            count: class.count,
        });
        let device = |(number, core): (usize, &DeviceCore)| DeviceUp {
            device: device_id(number),
            kind: KIND,
            pages: config.device_pages,
            slots: classes.clone().collect(),
            resident: self.host.inventory().map(|(info, _)| info.id).filter(|&id| core.is_resident(id)).collect(),
        };
        let profiles = (0..config.models.len()).flat_map(|number| inventory::spec(config, number).profiles);
        let (fetches, loads): (Vec<_>, Vec<_>) = profiles.map(|profile| (profile.fetches, profile.loads)).unzip();
        let up = WorkerUp {
            worker: self.id,
            target: TARGET,
            host_pages: config.host_pages,
            credits: u16::try_from(host.lane_credits).unwrap_or(u16::MAX),
            slot_generation: self.host.generation_floor(),
            clock_error: Nanos::ZERO,
            devices: self.cores.iter().enumerate().map(device).collect(),
            fetched: self.host.inventory().filter(|(_, fetched)| *fetched).map(|(info, _)| info.id).collect(),
            fetches: fetches.concat(),
            loads: loads.concat(),
        };
        (connection, up)
    }

    /// Pages that a device's resident models hold.
    pub(super) fn device_pages_held(&self, core: usize) -> u32 {
        let resident = self.host.inventory().filter(|(info, _)| self.cores[core].is_resident(info.id));
        resident.map(|(info, _)| info.pages).sum()
    }

    /// Host pages that resident models hold.
    pub(super) fn host_pages_held(&self) -> u32 {
        self.host.inventory().filter(|(_, fetched)| *fetched).map(|(info, _)| info.pages).sum()
    }
}

fn device_id(number: usize) -> DeviceId {
    DeviceId(u8::try_from(number).unwrap_or(u8::MAX))
}

/// Capacities of a run's host tiers.
pub(super) fn host_config(config: &SimConfig) -> HostConfig {
    let slots = inventory::slots(config);
    let devices = vec![slots; usize::from(config.devices)];
    HostConfig {
        models: config.models.len(),
        devices,
        ..HostConfig::single(config.host_pages, config.page_bytes, slots)
    }
}

fn witness(config: &SimConfig) -> Witness {
    let host = host_config(config);
    let slots = host.devices.iter().flatten().map(|class| usize::from(class.count)).sum();
    Witness::new(host.lane_credits * (1 + 2 * host.devices.len()), slots)
}

fn cores(config: &SimConfig) -> Vec<DeviceCore> {
    let core = |device: u8| {
        DeviceCore::new(DeviceConfig {
            device: DeviceId(device),
            models: config.models.len(),
            device_pages: config.device_pages,
            page_bytes: config.page_bytes,
            lane_credits: host_config(config).lane_credits,
            slots: inventory::slots(config),
        })
    };
    (0..config.devices).map(core).collect()
}
