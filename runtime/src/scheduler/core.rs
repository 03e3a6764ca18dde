//! The scheduler's state, and which part handles which event.

use arrayvec::ArrayVec;

use super::Scheduler;
use super::actions::Actions;
use super::config::Config;
use super::event::{Event, ModelSpec, Outbox, Output, WorkerUp};
use super::handovers::Handovers;
use super::mirror::{Device, HostWeights, Weights, Worker};
use super::models::Models;
use super::requests::{Phase, Requests};
use super::status::{Counters, DeviceStatus, ModelStatus, Snapshot};
use super::strategy::Chain;
use crate::base::limits::{LANE_CREDITS, MAX_DEVICES_PER_WORKER, MAX_GATEWAYS};
use crate::base::{GatewayId, Nanos, RequestId, SlotId, WorkerId};
use crate::order::record::End;
use crate::profile::{DurationWindow, ProfileStore};

/// Outputs kept free for one step of work that may go on later.
pub(super) const STEP_OUTPUTS: usize = 4;

/// "Book, then bind late".
#[derive(Debug)]
pub struct Core {
    pub(super) config: Config,
    pub(super) store: ProfileStore,
    pub(super) models: Models,
    pub(super) workers: Vec<Worker>,
    pub(super) devices: Vec<Device>,
    pub(super) requests: Requests,
    pub(super) actions: Actions,
    pub(super) chain: Chain,
    pub(super) handovers: Handovers,
    pub(super) counters: Counters,
    pub(super) draining: bool,
    pub(super) load_due: Option<Nanos>,
    /// When unmet demand is looked through next; none while there is none.
    pub(super) demand_due: Option<Nanos>,
    /// Gateways that are gone, each with the place at which giving up its requests goes on.
    pub(super) gone_gateways: ArrayVec<(GatewayId, u16), MAX_GATEWAYS>,
    /// Models that preloading has looked at since something changed.
    pub(super) preload_cursor: usize,
    pub(super) start_error: Box<DurationWindow>,
    pub(super) duration_error: Box<DurationWindow>,
}

impl Core {
    /// A scheduler that knows no model and no worker. Takes all memory for requests and actions.
    pub fn new(config: Config) -> Core {
        let actions = (config.max_workers * MAX_DEVICES_PER_WORKER * LANE_CREDITS).min(1 << 16);
        Core {
            store: ProfileStore::new(config.percentile),
            models: Models::new(config.max_models),
            workers: Vec::with_capacity(config.max_workers),
            devices: Vec::with_capacity(config.max_workers * MAX_DEVICES_PER_WORKER),
            requests: Requests::new(config.max_requests, config.max_gateways),
            actions: Actions::new(actions),
            chain: Chain::new(),
            handovers: Handovers::default(),
            counters: Counters::default(),
            draining: false,
            load_due: None,
            demand_due: None,
            gone_gateways: ArrayVec::new(),
            preload_cursor: 0,
            start_error: Box::default(),
            duration_error: Box::default(),
            config,
        }
    }

    /// Requests that were admitted and have not ended.
    pub fn open(&self) -> usize {
        self.requests.len()
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn model_registered(&mut self, now: Nanos, spec: &ModelSpec) {
        spec.profiles.iter().for_each(|profile| self.store.seed(profile));
        if self.models.register(spec, &self.store).is_none() {
            self.counters.faults += 1;
            return;
        }
        for worker in &mut self.workers {
            worker.fetch_times.prepare(spec.pages);
            worker.load_times.prepare(spec.pages);
        }
        self.preload_cursor = 0;
        self.load_due = Some(now);
    }

    fn worker_up(&mut self, now: Nanos, up: &WorkerUp) {
        let known = self.workers.iter().any(|worker| worker.id == up.worker && !worker.lost);
        if known {
            self.worker_lost(up.worker);
        }
        let models = self.config.max_models;
        let mut worker = Worker::new(up, models);
        for model in self.models.iter() {
            worker.fetch_times.prepare(model.pages);
            worker.load_times.prepare(model.pages);
        }
        worker.fetch_times.seed(&up.fetches);
        worker.load_times.seed(&up.loads);
        for model in up.fetched.iter().filter_map(|&id| self.models.find(id)) {
            worker.host[model].weights = HostWeights::Held;
            worker.host_free = worker.host_free.saturating_sub(self.models.get(model).pages);
        }
        // A lost worker's place is used again once nothing of it is left.
        let unused = self.workers.iter().position(|old| old.lost && old.host.is_empty());
        let place = unused.unwrap_or(self.workers.len());
        if place == self.config.max_workers {
            self.counters.faults += 1;
            return;
        }
        match self.workers.get_mut(place) {
            Some(old) => *old = worker,
            None => self.workers.push(worker),
        }
        for device_up in &up.devices {
            let Some(kind) = self.models.kind(device_up.kind, &self.store) else {
                self.counters.faults += 1;
                continue;
            };
            let mut device = Device::new(place, device_up, kind, models, up.slot_generation, &self.config);
            for &id in &device_up.resident {
                let Some(model) = self.models.find(id) else { continue };
                device.set_weights(model, Weights::Resident);
                device.pages_free = device.pages_free.saturating_sub(self.models.get(model).pages);
                self.models.get_mut(model).copies += 1;
            }
            match self.devices.iter().position(|old| old.lost && old.residency.is_empty()) {
                Some(old) => self.devices[old] = device,
                None => self.devices.push(device),
            }
        }
        self.preload_cursor = 0;
        self.load_due = Some(now);
    }

    fn freed(&mut self, worker: WorkerId, slots: &[SlotId]) {
        for &slot in slots {
            let device = self.device_of(worker, slot);
            let known = device.is_some_and(|device| self.devices[device].slots.give_back(slot));
            self.counters.faults += u64::from(!known);
        }
    }

    fn device_of(&self, worker: WorkerId, slot: SlotId) -> Option<usize> {
        let ours =
            |device: &Device| !device.lost && device.id == slot.device && self.workers[device.worker].id == worker;
        self.devices.iter().position(ours)
    }

    /// The request is not wanted any more; who asked has ended it already.
    pub(super) fn withdraw(&mut self, now: Nanos, request: RequestId, out: &mut Outbox) {
        let Some(place) = self.requests.find(request) else { return };
        self.counters.withdrawn += 1;
        let phase = self.requests.get(place).phase;
        self.release(now, place, out);
        if let Phase::Bound { action } = phase {
            self.cancel_if_unwanted(action, out);
        }
    }

    /// The word of an OK overtook the RESULT that ends the request here, or that was lost: then the
    /// request may be planned again already.
    fn answered(&mut self, now: Nanos, request: RequestId, out: &mut Outbox) {
        if let Some(place) = self.requests.find(request) {
            self.counters.served += 1;
            self.release(now, place, out);
        }
    }

    /// Nobody waits for a request any more, and it is counted.
    fn release(&mut self, now: Nanos, place: usize, out: &mut Outbox) {
        let admitted = *self.requests.get(place);
        match admitted.phase {
            Phase::Booked => {
                self.unbook(place, admitted.device);
                self.requests.remove(place);
                self.discard(admitted.device, admitted.slot, out);
                self.advance(admitted.device, now, out);
            }
            Phase::Bound { .. } => {
                self.requests.get_mut(place).withdrawn = true;
                self.requests.detach(place);
            }
        }
    }

    /// Takes a request off its device's order.
    pub(super) fn unbook(&mut self, request: usize, device: usize) {
        let model = self.requests.get(request).model;
        let device = &mut self.devices[device];
        let place = device.booked.iter().position(|booking| booking.request == request);
        let Some(place) = place else { unreachable!("a booked request stands in its device's order") };
        device.unbook(place);
        device.residency[model].users -= 1;
    }

    /// Tells the worker that a slot will not be bound (again); a lost worker's slots are gone.
    pub(super) fn discard(&mut self, device: usize, slot: SlotId, out: &mut Outbox) {
        let device = &self.devices[device];
        if !device.lost {
            out.push(Output::Discard { worker: self.workers[device.worker].id, slot });
        }
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        for device in 0..self.devices.len() {
            if self.devices[device].next_due.is_some_and(|due| due <= now) {
                self.advance(device, now, out);
            }
        }
    }
}

impl Scheduler for Core {
    fn handle(&mut self, now: Nanos, event: Event, out: &mut Outbox) {
        assert!(out.is_empty(), "the outputs of the event before were not taken");
        match event {
            Event::Ask(ask) => self.ask(now, ask, out),
            Event::Ended { request, end, at } => {
                if matches!(end, End::Ok | End::Late) {
                    self.learn_handover(request, at);
                }
                match end {
                    End::Ok => self.answered(now, request, out),
                    _ => self.withdraw(now, request, out),
                }
            }
            Event::Withdraw(request) => self.withdraw(now, request, out),
            Event::WorkerUp(up) => self.worker_up(now, &up),
            Event::GatewayLost(gateway) => self.gateway_lost(gateway),
            Event::WorkerLost(worker) => self.worker_lost(worker),
            Event::ClockError(worker, error) => {
                self.workers.iter_mut().filter(|known| known.id == worker).for_each(|known| known.clock_error = error);
            }
            Event::Result(worker, result) => self.result(now, worker, &result, out),
            Event::Freed(worker, slots) => self.freed(worker, &slots),
            Event::ModelRegistered(spec) => self.model_registered(now, &spec),
            Event::Drain => self.draining = true,
            Event::Tick => self.tick(now, out),
        }
        self.sweep_lost(now, out);
        self.sweep_gateways(now, out);
        self.pump_loads(now, out);
    }

    fn due(&self) -> Option<Nanos> {
        let sweep = (!self.gone_gateways.is_empty()).then_some(Nanos::ZERO);
        self.devices.iter().filter_map(|device| device.next_due).chain(self.load_due).chain(sweep).min()
    }

    fn status(&self) -> Snapshot {
        let percentile = self.config.percentile;
        let up = self.devices.iter().filter(|device| !device.lost);
        let devices = up.map(|device| DeviceStatus {
            worker: self.workers[device.worker].id,
            device: device.id,
            booked: device.booked.len(),
            committed: device.lane.len(),
            free_at: device.exec_free(Nanos::ZERO).0,
            pages: device.pages,
            pages_free: device.pages_free,
            slots: device.slots.total(),
            slots_out: device.slots.out(),
            input_bound: device.delays.iter().map(|delays| delays.input_bound(percentile)).max().unwrap_or_default(),
            return_bound: device.delays.iter().map(|delays| delays.return_bound(percentile)).max().unwrap_or_default(),
            resident: device.residency.iter().filter(|held| held.weights == Weights::Resident).count(),
        });
        let models = self.models.iter().enumerate().map(|(place, model)| {
            let entry = (0..super::models::MAX_KINDS).find_map(|kind| model.entry(crate::base::ShapeId(0), kind));
            let one = entry.and_then(|entry| self.store.costs(entry).one());
            let holds = |device: &&Device| !device.lost && device.residency[place].weights == Weights::Resident;
            ModelStatus {
                model: model.id,
                resident_on: self.devices.iter().filter(holds).count(),
                asks: model.asks,
                expected: one.map(|cost| cost.expected).unwrap_or_default(),
                bound: one.map(|cost| cost.bound).unwrap_or_default(),
                failed: self
                    .devices
                    .iter()
                    .filter(|device| !device.lost)
                    .find_map(|device| device.residency[place].failed),
            }
        });
        Snapshot {
            counters: Counters { open: self.requests.len() as u64, ..self.counters },
            devices: devices.collect(),
            models: models.collect(),
            start_error: self.start_error.expected().unwrap_or_default(),
            duration_error: self.duration_error.expected().unwrap_or_default(),
            draining: self.draining,
        }
    }
}
