//! The logic that one worker has once: FETCH and DROP, pins, the ledger of slots, and routing.
//!
//! Everything that enters or leaves the worker passes here, so credits are counted, slots freed and
//! host pages pinned in one place, whichever device or connection is concerned.

mod fetches;
mod pins;

use std::collections::VecDeque;

use self::fetches::{Fetch, HostPages};
use self::pins::Pin;
use super::config::HostConfig;
use super::event::{DeviceEvent, DeviceReport, HostEvent, HostOut, HostOutbox};
use super::model::{ModelInfo, ModelTable};
use super::op::{DiskTicket, Lane};
use super::pages::PagePool;
use super::slots::{Receive, SlotLayout, SlotLedger};
use crate::base::limits::MAX_DEVICES_PER_WORKER;
use crate::base::{ActionId, DeviceId, ModelId, Nanos, RequestId, SlotId};
use crate::order::{Action, ActionKind, ActionResult, Item, ItemOutcome, Span, Stages, Status};

/// A model in host memory.
#[derive(Debug)]
struct HostModel {
    pages: HostPages,
    /// LOADs that read its pages.
    pins: usize,
}

/// What the host tier keeps of one device.
#[derive(Debug)]
struct Device {
    ledger: SlotLedger,
    /// LOADs and UNLOADs that are not answered.
    weights_outstanding: usize,
    /// INFERs that are not answered.
    infers_outstanding: usize,
}

/// The logic that one worker has once.
#[derive(Debug)]
pub struct HostTier {
    config: HostConfig,
    now: Nanos,
    models: ModelTable,
    hosted: Vec<HostModel>,
    pages: PagePool,
    fetches: VecDeque<Fetch>,
    reads: Vec<DiskTicket>,
    next_read: u64,
    pins: Vec<Pin>,
    devices: Vec<Device>,
    /// A reset is under way: the slots up to here, of this device, were ended.
    reset: Option<(usize, usize)>,
    /// The outbox was full before everything was said.
    more: bool,
}

impl HostTier {
    /// A worker with empty pages and slots; all memory is taken here.
    ///
    /// # Panics
    /// If there are more devices than [`MAX_DEVICES_PER_WORKER`].
    pub fn new(config: HostConfig) -> HostTier {
        assert!(config.devices.len() <= MAX_DEVICES_PER_WORKER, "{} devices are too many", config.devices.len());
        let device = |(number, &classes): (u8, _)| Device {
            ledger: SlotLedger::new(SlotLayout::new(DeviceId(number), classes)),
            weights_outstanding: 0,
            infers_outstanding: 0,
        };
        HostTier {
            now: Nanos::ZERO,
            models: ModelTable::new(config.models),
            hosted: Vec::with_capacity(config.models),
            pages: PagePool::new(config.host_pages),
            fetches: VecDeque::with_capacity(config.disk_credits),
            reads: Vec::with_capacity(config.reads_outstanding),
            next_read: 0,
            pins: Vec::with_capacity(config.devices.len() * config.lane_credits),
            devices: (0..).zip(&config.devices).map(device).collect(),
            reset: None,
            more: false,
            config,
        }
    }

    /// Takes one event. `now` never goes back; what it may, it takes as the latest `now` it saw.
    ///
    /// # Panics
    /// If `out` is not empty, or for an event that answers nothing that was asked.
    pub fn handle(&mut self, now: Nanos, event: HostEvent, out: &mut HostOutbox) {
        assert!(out.is_empty(), "what the last event emitted was not taken");
        self.now = self.now.max(now);
        self.more = false;
        match event {
            HostEvent::AddModel(info) => self.add_model(info, out),
            HostEvent::Action(action) => self.on_action(action, out),
            HostEvent::Cancel(action) => self.on_cancel(action, out),
            HostEvent::Discard(slot) => self.on_discard(slot, out),
            HostEvent::InputEnded { slot, request, bytes, whole } => {
                self.on_input_ended(slot, request, bytes, whole, out);
            }
            HostEvent::OutputSent { slot } => {
                self.device_of(slot).ledger.output_sent(slot);
                self.free_if_over(slot, out);
            }
            HostEvent::DiskDone { ticket, outcome, span } => self.read_done(ticket, outcome, span),
            HostEvent::Device { device, report } => self.on_report(device, report, out),
            HostEvent::Tick => {}
            HostEvent::Reset => self.on_reset(out),
        }
        self.advance_fetches(out);
        self.advance_pins(out);
        self.advance_reset(out);
    }

    /// When the next `Tick` is needed at the latest; zero for at once.
    pub fn due(&self) -> Option<Nanos> {
        if self.more { Some(Nanos::ZERO) } else { self.fetches_due() }
    }

    /// Decides on a payload that a gateway announces. An accepted one is answered by
    /// [`HostEvent::InputEnded`] once it is whole or the connection broke.
    pub fn accept_input(&mut self, slot: SlotId, request: RequestId, bytes: u32) -> Receive {
        match self.devices.get_mut(usize::from(slot.device.0)) {
            Some(device) if self.reset.is_none() => device.ledger.accept(slot, request, bytes),
            _ => Receive::Drain,
        }
    }

    /// Whether the controller may send this action now, by the credits that it was granted.
    pub fn has_credit(&self, action: &Action) -> bool {
        match action.kind {
            ActionKind::Fetch | ActionKind::Drop => self.fetches.len() < self.config.disk_credits,
            ActionKind::Load { device } | ActionKind::Unload { device } => {
                self.device(device).is_none_or(|device| device.weights_outstanding < self.config.lane_credits)
            }
            ActionKind::Infer { device, .. } => {
                self.device(device).is_none_or(|device| device.infers_outstanding < self.config.lane_credits)
            }
        }
    }

    /// The worker's models, in the order of their numbers, and whether they are in host memory.
    pub fn inventory(&self) -> impl Iterator<Item = (&ModelInfo, bool)> {
        self.models.iter().zip(&self.hosted).map(|(info, hosted)| (info, hosted.pages.are_resident()))
    }

    /// Whether a model is in host memory.
    pub fn is_resident(&self, model: ModelId) -> bool {
        let number = self.models.find(model);
        number.is_some_and(|number| self.hosted[usize::from(number)].pages.are_resident())
    }

    /// Free host pages.
    pub fn free_pages(&self) -> u32 {
        self.pages.free()
    }

    /// Slots of a device that are in use, as far as the host has heard.
    pub fn open_slots(&self, device: DeviceId) -> usize {
        self.device(device).map_or(0, |device| device.ledger.open())
    }

    /// The lowest generation that opens any slot: a new controller starts all of them there.
    pub fn generation_floor(&self) -> u32 {
        self.devices.iter().map(|device| device.ledger.floor()).max().unwrap_or(0)
    }

    /// Whether every action is answered, every slot free and no page pinned.
    pub fn is_quiet(&self) -> bool {
        let at_rest = |device: &Device| {
            device.weights_outstanding == 0 && device.infers_outstanding == 0 && device.ledger.open() == 0
        };
        self.reset.is_none() && self.fetches.is_empty() && self.pins.is_empty() && self.devices.iter().all(at_rest)
    }

    fn device(&self, device: DeviceId) -> Option<&Device> {
        self.devices.get(usize::from(device.0))
    }

    fn device_of(&mut self, slot: SlotId) -> &mut Device {
        &mut self.devices[usize::from(slot.device.0)]
    }

    fn device_ids(&self) -> impl Iterator<Item = DeviceId> + use<> {
        (0..).take(self.devices.len()).map(DeviceId)
    }

    fn add_model(&mut self, info: ModelInfo, out: &mut HostOutbox) {
        assert!(info.pages > 0, "model {} has no pages", info.id);
        self.models.add(info);
        self.hosted.push(HostModel { pages: HostPages::Absent, pins: 0 });
        for device in self.device_ids() {
            out.push(HostOut::ToDevice { device, event: DeviceEvent::AddModel(info) });
        }
    }

    fn on_action(&mut self, action: Action, out: &mut HostOutbox) {
        assert!(self.has_credit(&action), "action {:?} without credit", action.id);
        let model = self.models.find(action.model);
        let refusal = match (&action.kind, model) {
            _ if self.reset.is_some() => Status::ShuttingDown,
            (ActionKind::Infer { device, .. } | ActionKind::Unload { device }, _) if self.device(*device).is_some() => {
                let device = *device;
                return self.route(device, action, out);
            }
            (_, None) => Status::BadAction,
            (ActionKind::Load { device }, Some(model)) if self.device(*device).is_some() => {
                let device = *device;
                match self.pin(action.id, device, model) {
                    Ok(()) => return self.route(device, action, out),
                    Err(status) => status,
                }
            }
            (ActionKind::Fetch, Some(model)) => match self.on_fetch(&action, model) {
                None => return,
                Some(status) => status,
            },
            (ActionKind::Drop, Some(model)) => self.on_drop(&action, model),
            _ => Status::BadAction,
        };
        self.refuse(&action, refusal, out);
    }

    fn route(&mut self, device: DeviceId, action: Action, out: &mut HostOutbox) {
        let entry = &mut self.devices[usize::from(device.0)];
        match action.kind {
            ActionKind::Infer { .. } => entry.infers_outstanding += 1,
            _ => entry.weights_outstanding += 1,
        }
        out.push(HostOut::ToDevice { device, event: DeviceEvent::Action(action) });
    }

    /// Answers an action that goes nowhere. Whether an item's input is held only a device knows;
    /// an action that names none is answered as if it were not.
    fn refuse(&self, action: &Action, status: Status, out: &mut HostOutbox) {
        let items: &[Item] = match &action.kind {
            ActionKind::Infer { items, .. } => items,
            _ => &[],
        };
        let items = items.iter().map(|&item| ItemOutcome { item, status, input_held: false }).collect();
        let stages = Stages { received: self.now, ..Stages::default() };
        out.push(HostOut::Result(ActionResult { action: action.id, status, items, stages }));
    }

    fn on_cancel(&mut self, action: ActionId, out: &mut HostOutbox) {
        if self.cancel_fetch(action, out) {
            return;
        }
        for device in self.device_ids() {
            out.push(HostOut::ToDevice { device, event: DeviceEvent::Cancel(action) });
        }
    }

    fn on_discard(&mut self, slot: SlotId, out: &mut HostOutbox) {
        let device = slot.device;
        if self.device(device).is_some() {
            out.push(HostOut::ToDevice { device, event: DeviceEvent::Discard(slot) });
        }
    }

    fn on_input_ended(&mut self, slot: SlotId, request: RequestId, bytes: u32, whole: bool, out: &mut HostOutbox) {
        if self.device_of(slot).ledger.receive_ended(slot, request, whole) && self.reset.is_none() {
            let event = DeviceEvent::InputArrived { slot, request, bytes };
            out.push(HostOut::ToDevice { device: slot.device, event });
        }
        self.free_if_over(slot, out);
    }

    fn on_report(&mut self, device: DeviceId, report: DeviceReport, out: &mut HostOutbox) {
        let entry = &mut self.devices[usize::from(device.0)];
        match report {
            DeviceReport::Result { lane, result } => {
                let outstanding = match lane {
                    Lane::Exec => &mut entry.infers_outstanding,
                    _ => &mut entry.weights_outstanding,
                };
                assert!(*outstanding > 0, "{:?} was answered twice", result.action);
                *outstanding -= 1;
                out.push(HostOut::Result(result));
            }
            DeviceReport::Output { request, slot, bytes, stages } => {
                entry.ledger.device_done(slot, true);
                out.push(HostOut::Output { request, slot, bytes, stages });
            }
            DeviceReport::SlotDone(slot) => {
                entry.ledger.device_done(slot, false);
                self.free_if_over(slot, out);
            }
            DeviceReport::SourceDone(action) => self.unpin(action),
        }
    }

    fn free_if_over(&mut self, slot: SlotId, out: &mut HostOutbox) {
        if self.device_of(slot).ledger.close_if_over(slot) {
            out.push(HostOut::Freed(slot));
        }
    }

    fn on_reset(&mut self, out: &mut HostOutbox) {
        self.reset = Some((0, 0));
        for device in self.device_ids() {
            out.push(HostOut::ToDevice { device, event: DeviceEvent::Reset });
        }
    }

    /// Ends slots that only the host has heard of; the devices end what they know by themselves,
    /// and a second end of the same use means nothing to them.
    fn advance_reset(&mut self, out: &mut HostOutbox) {
        while let Some((device, place)) = self.reset {
            let Some(entry) = self.devices.get(device) else {
                // Queued FETCHes hold the reset until all of them are answered.
                if !self.more {
                    self.reset = None;
                }
                return;
            };
            if place == entry.ledger.total() {
                self.reset = Some((device + 1, 0));
                continue;
            }
            let slot = entry.ledger.unfinished(place);
            if slot.is_some() && !self.room(1, out) {
                return;
            }
            if let Some(slot) = slot {
                self.on_discard(slot, out);
            }
            self.reset = Some((device, place + 1));
        }
    }

    /// Whether `wanted` more outputs fit; if not, a `Tick` goes on from here.
    fn room(&mut self, wanted: usize, out: &HostOutbox) -> bool {
        let fits = out.remaining_capacity() >= wanted;
        self.more |= !fits;
        fits
    }

    fn stages(received: Nanos, exec: Span) -> Stages {
        Stages { received, exec, ..Stages::default() }
    }
}
