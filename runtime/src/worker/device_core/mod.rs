//! The logic of one device: LOAD, UNLOAD and INFER on four lanes, strictly first in, first out.
//!
//! Events change state and emit little; what follows from the state (what has expired, what may
//! start, what is to be copied next) is found by `advance`, as far as the outbox has room. What
//! finds none is remembered, and `due` asks for a `Tick` at once.

mod infers;
mod inputs;
mod loads;
mod slot;

use std::collections::VecDeque;

use self::infers::{Copied, Infers};
use self::loads::Load;
use self::slot::Slots;
use super::config::DeviceConfig;
use super::event::{DeviceEvent, DeviceOut, DeviceOutbox, DeviceReport};
use super::lane::InFlight;
use super::model::ModelTable;
use super::op::{Lane, LaneOutcome, LaneTicket};
use super::pages::{Chain, HostPage, PagePool};
use super::slots::SlotLayout;
use crate::base::limits::{EXEC_DEPTH, WEIGHT_COPIES_OUTSTANDING};
use crate::base::{ActionId, ModelId, Nanos};
use crate::order::{Action, ActionKind, ActionResult, Span, Stages, Status};

/// Whether a model's weights are on the device.
#[derive(Debug)]
enum Weights {
    Absent,
    /// A LOAD is queued or under way; the pages are its.
    Loading(Chain),
    Resident(Chain),
}

/// A model on this device.
#[derive(Debug)]
struct Instance {
    weights: Weights,
    /// INFERs that are queued or executing.
    users: usize,
}

/// The logic of one device.
#[derive(Debug)]
pub struct DeviceCore {
    config: DeviceConfig,
    now: Nanos,
    models: ModelTable,
    instances: Vec<Instance>,
    pages: PagePool,
    /// Where the content of each page of a model that is being loaded comes from.
    source: Box<[HostPage]>,
    slots: Slots,
    loads: VecDeque<Load>,
    infers: Infers,
    weights: InFlight<()>,
    inputs: InFlight<usize>,
    exec: InFlight<u16>,
    outputs: InFlight<Copied>,
    /// A reset is under way: everything queued is answered, slots up to here were swept.
    reset: Option<usize>,
    /// The outbox was full before everything was said.
    more: bool,
}

impl DeviceCore {
    /// A device with empty pages and slots; all memory is taken here.
    pub fn new(config: DeviceConfig) -> DeviceCore {
        let slots = Slots::new(SlotLayout::new(config.device, config.slots));
        DeviceCore {
            now: Nanos::ZERO,
            models: ModelTable::new(config.models),
            instances: Vec::with_capacity(config.models),
            pages: PagePool::new(config.device_pages),
            source: vec![HostPage(0); config.device_pages as usize].into(),
            loads: VecDeque::with_capacity(config.lane_credits),
            infers: Infers::new(config.lane_credits),
            weights: InFlight::new(Lane::Weights, WEIGHT_COPIES_OUTSTANDING),
            inputs: InFlight::new(Lane::Input, slots.total()),
            exec: InFlight::new(Lane::Exec, EXEC_DEPTH),
            outputs: InFlight::new(Lane::Output, slots.total()),
            slots,
            reset: None,
            more: false,
            config,
        }
    }

    /// Takes one event. `now` never goes back; what it may, it takes as the latest `now` it saw.
    ///
    /// # Panics
    /// If `out` is not empty, if a lane completes out of order, or if more actions are
    /// outstanding than there are credits: the session checks that before.
    pub fn handle(&mut self, now: Nanos, event: DeviceEvent, out: &mut DeviceOutbox) {
        assert!(out.is_empty(), "what the last event emitted was not taken");
        self.now = self.now.max(now);
        self.more = false;
        match event {
            DeviceEvent::AddModel(info) => {
                self.models.add(info);
                self.instances.push(Instance { weights: Weights::Absent, users: 0 });
            }
            DeviceEvent::Action(action) => self.on_action(&action, out),
            DeviceEvent::Source { action, pages } => self.on_source(action, &pages),
            DeviceEvent::Cancel(action) => self.on_cancel(action, out),
            DeviceEvent::Discard(slot) => self.on_discard(slot, out),
            DeviceEvent::InputArrived { slot, request, bytes } => self.on_input(slot, request, bytes, out),
            DeviceEvent::OpDone { ticket, outcome, span } => self.on_done(ticket, outcome, span, out),
            DeviceEvent::Tick => {}
            DeviceEvent::Reset => self.reset = Some(0),
        }
        self.advance(out);
    }

    /// When the next `Tick` is needed at the latest; zero for at once.
    pub fn due(&self) -> Option<Nanos> {
        if self.more {
            return Some(Nanos::ZERO);
        }
        [self.loads_due(), self.infers_due()].into_iter().flatten().min()
    }

    /// Free weight pages.
    pub fn free_pages(&self) -> u32 {
        self.pages.free()
    }

    /// Slots in use, as far as the device has heard.
    pub fn open_slots(&self) -> usize {
        self.slots.open_count()
    }

    /// Whether a model's weights are whole on the device.
    pub fn is_resident(&self, model: ModelId) -> bool {
        let number = self.models.find(model);
        number.is_some_and(|number| matches!(self.instance(number).weights, Weights::Resident(_)))
    }

    /// Whether nothing is queued, outstanding or in use.
    pub fn is_quiet(&self) -> bool {
        self.loads.is_empty() && self.infers.is_empty() && self.inputs.is_empty() && self.open_slots() == 0
    }

    fn instance(&self, number: u16) -> &Instance {
        &self.instances[usize::from(number)]
    }

    fn instance_mut(&mut self, number: u16) -> &mut Instance {
        &mut self.instances[usize::from(number)]
    }

    fn on_action(&mut self, action: &Action, out: &mut DeviceOutbox) {
        let refusal = match (&action.kind, self.models.find(action.model)) {
            _ if self.reset.is_some() => Some(Status::ShuttingDown),
            (_, None) => Some(Status::BadAction),
            _ if !action.window.is_ordered() => Some(Status::BadAction),
            (ActionKind::Load { .. }, Some(model)) => self.on_load(action, model),
            (ActionKind::Unload { .. }, Some(model)) => Some(self.on_unload(action, model)),
            (ActionKind::Infer { shape, batch, items, .. }, Some(model)) => {
                self.on_infer(action, model, *shape, *batch, items)
            }
            (ActionKind::Fetch | ActionKind::Drop, _) => Some(Status::BadAction),
        };
        let Some(status) = refusal else { return };
        match &action.kind {
            ActionKind::Infer { items, .. } => self.refuse_infer(action.id, status, items, out),
            ActionKind::Load { .. } => {
                self.report(out, DeviceReport::SourceDone(action.id));
                self.answer_weights(action.id, status, Stages { received: self.now, ..Stages::default() }, out);
            }
            _ => self.answer_weights(action.id, status, Stages { received: self.now, ..Stages::default() }, out),
        }
    }

    fn on_cancel(&mut self, action: ActionId, out: &mut DeviceOutbox) {
        if !self.cancel_load(action, out) {
            self.cancel_infer(action, out);
        }
    }

    fn on_done(&mut self, ticket: LaneTicket, outcome: LaneOutcome, span: Span, out: &mut DeviceOutbox) {
        match ticket.lane {
            Lane::Weights => self.weights_done(ticket, outcome, span),
            Lane::Input => self.input_done(ticket, outcome, span, out),
            Lane::Exec => self.exec_done(ticket, outcome, span, out),
            Lane::Output => self.output_done(ticket, outcome, span, out),
        }
    }

    /// Does what follows from the state. The exec lane comes first: it is the one that must not idle.
    fn advance(&mut self, out: &mut DeviceOutbox) {
        self.sweep_infers(out);
        self.start_infer(out);
        self.advance_loads(out);
        self.sweep_slots(out);
        // A LOAD that was just answered may have failed INFERs, or made the head's weights whole.
        self.sweep_infers(out);
        self.start_infer(out);
    }

    /// Whether `wanted` more outputs fit; if not, a `Tick` goes on from here.
    fn room(&mut self, wanted: usize, out: &DeviceOutbox) -> bool {
        let fits = out.remaining_capacity() >= wanted;
        self.more |= !fits;
        fits
    }

    fn report(&self, out: &mut DeviceOutbox, report: DeviceReport) {
        out.push(DeviceOut::Report(report));
    }

    fn answer_weights(&self, action: ActionId, status: Status, stages: Stages, out: &mut DeviceOutbox) {
        let result = ActionResult { action, status, items: Default::default(), stages };
        self.report(out, DeviceReport::Result { lane: Lane::Weights, result });
    }
}
