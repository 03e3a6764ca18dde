//! A device core alone, its lanes held in hand.

use clockwork_runtime::base::limits::MAX_SHAPES;
use clockwork_runtime::base::{ActionId, BatchSize, DeviceId, GatewayId, ModelId, Nanos, RequestId, ShapeId, SlotId};
use clockwork_runtime::order::{Action, ActionKind, ActionResult, Item, Span, Status, Window};
use clockwork_runtime::worker::config::{SlotClass, SlotClasses};
use clockwork_runtime::worker::{
    ArchitectureId, DeviceConfig, DeviceCore, DeviceEvent, DeviceOut, DeviceOutbox, DeviceReport, HostPage, Lane,
    LaneOp, LaneOutcome, LaneTicket, ModelInfo, PlanSet,
};

pub const DEVICE: DeviceId = DeviceId(0);
pub const PAGE_BYTES: u32 = 4 << 20;
pub const INPUT_BYTES: u32 = 100;
pub const OUTPUT_BYTES: u32 = 10;

pub fn request(index: u16) -> RequestId {
    RequestId { gateway: GatewayId(1), index, generation: 7 }
}

pub fn slot(index: u16, generation: u32) -> SlotId {
    SlotId { device: DEVICE, class: 0, index, generation }
}

pub fn item(index: u16) -> Item {
    Item { request: request(index), slot: slot(index, 0) }
}

pub fn model(id: u64, pages: u32) -> ModelInfo {
    let mut plans = PlanSet::EMPTY;
    for batch in [1, 2, 4].map(|n| BatchSize::new(n).unwrap()) {
        plans.insert(ShapeId(0), batch);
    }
    ModelInfo {
        id: ModelId(id),
        architecture: ArchitectureId(3),
        pages,
        bytes: u64::from(pages) * u64::from(PAGE_BYTES) - 1000,
        class: 0,
        plans,
        input_bytes: [INPUT_BYTES; MAX_SHAPES],
        output_bytes: [OUTPUT_BYTES; MAX_SHAPES],
    }
}

pub fn classes() -> SlotClasses {
    let mut classes = SlotClasses::default();
    classes[0] = SlotClass { count: 6, input_bytes: INPUT_BYTES, output_bytes: OUTPUT_BYTES };
    classes
}

pub fn infer(id: u64, of: u64, batch: u8, window: Window, items: &[Item]) -> Action {
    let kind = ActionKind::Infer {
        device: DEVICE,
        shape: ShapeId(0),
        batch: BatchSize::new(batch).unwrap(),
        items: items.iter().copied().collect(),
    };
    action(id, of, window, kind)
}

pub fn load(id: u64, of: u64, window: Window) -> Action {
    action(id, of, window, ActionKind::Load { device: DEVICE })
}

pub fn unload(id: u64, of: u64) -> Action {
    action(id, of, Window::until(Nanos(0), Nanos::MAX), ActionKind::Unload { device: DEVICE })
}

pub fn action(id: u64, of: u64, window: Window, kind: ActionKind) -> Action {
    Action {
        id: ActionId(id),
        model: ModelId(of),
        window,
        expected_start: window.earliest,
        expected_duration: Nanos(50),
        kind,
    }
}

pub fn window(earliest: u64, ready_by: u64, latest: u64) -> Window {
    Window { earliest: Nanos(earliest), ready_by: Nanos(ready_by), latest: Nanos(latest) }
}

/// A device core, and what it said last.
pub struct Rig {
    pub core: DeviceCore,
    pub ops: Vec<LaneOp>,
    pub reports: Vec<DeviceReport>,
}

impl Rig {
    /// A device with 5 pages and two models: 1 of 2 pages, 2 of 4 pages.
    pub fn new() -> Rig {
        let config = DeviceConfig {
            device: DEVICE,
            models: 4,
            device_pages: 5,
            page_bytes: PAGE_BYTES,
            lane_credits: 8,
            slots: classes(),
        };
        let mut rig = Rig { core: DeviceCore::new(config), ops: Vec::new(), reports: Vec::new() };
        rig.tell(0, DeviceEvent::AddModel(model(1, 2)));
        rig.tell(0, DeviceEvent::AddModel(model(2, 4)));
        rig
    }

    /// A device on which model 1 is loaded.
    pub fn loaded() -> Rig {
        let mut rig = Rig::new();
        rig.begin_load(1, 1, window(0, 0, 0));
        rig.run_weights(0);
        assert_eq!(rig.result().status, Status::Ok);
        rig
    }

    pub fn tell(&mut self, now: u64, event: DeviceEvent) {
        let mut out = DeviceOutbox::new();
        self.core.handle(Nanos(now), event, &mut out);
        self.ops.clear();
        self.reports.clear();
        for said in out {
            match said {
                DeviceOut::Lane(op) => self.ops.push(op),
                DeviceOut::Report(report) => self.reports.push(report),
            }
        }
    }

    pub fn order(&mut self, now: u64, action: Action) {
        self.tell(now, DeviceEvent::Action(action));
    }

    /// Orders a LOAD and names its host pages; its first copies are then in `ops`.
    pub fn begin_load(&mut self, id: u64, of: u64, window: Window) {
        self.order(window.earliest.0, load(id, of, window));
        if self.reports.is_empty() {
            let pages = (0..if of == 1 { 2 } else { 4 }).map(HostPage).collect();
            self.tell(window.earliest.0, DeviceEvent::Source { action: ActionId(id), pages });
        }
    }

    /// Completes operations of the weights lane until a LOAD ends.
    pub fn run_weights(&mut self, now: u64) {
        let mut waiting = self.ops.clone();
        while self.reports.is_empty() {
            let op = waiting.remove(0);
            self.done(now, op.ticket(), now, now);
            waiting.extend(self.ops.iter().cloned());
        }
    }

    pub fn input(&mut self, now: u64, index: u16) -> LaneTicket {
        let event = DeviceEvent::InputArrived { slot: slot(index, 0), request: request(index), bytes: INPUT_BYTES };
        self.tell(now, event);
        match &self.ops[..] {
            [LaneOp::CopyInput { ticket, bytes: INPUT_BYTES, .. }, ..] => *ticket,
            other => panic!("an input must be copied at once, not {other:?}"),
        }
    }

    /// Input arrives and is copied in no time.
    pub fn input_held(&mut self, now: u64, index: u16) {
        let ticket = self.input(now, index);
        self.done(now, ticket, now, now);
    }

    pub fn done(&mut self, now: u64, ticket: LaneTicket, begin: u64, end: u64) {
        let span = Span { begin: Nanos(begin), end: Nanos(end) };
        self.tell(now, DeviceEvent::OpDone { ticket, outcome: LaneOutcome::Ok, span });
    }

    pub fn fail(&mut self, now: u64, ticket: LaneTicket, code: u32) {
        let span = Span { begin: Nanos(now), end: Nanos(now) };
        self.tell(now, DeviceEvent::OpDone { ticket, outcome: LaneOutcome::Fault { code }, span });
    }

    /// The only result of the last event.
    pub fn result(&self) -> ActionResult {
        match &self.results()[..] {
            [result] => result.clone(),
            other => panic!("one result expected: {other:?}"),
        }
    }

    pub fn results(&self) -> Vec<ActionResult> {
        let result = |report: &DeviceReport| match report {
            DeviceReport::Result { result, .. } => Some(result.clone()),
            _ => None,
        };
        self.reports.iter().filter_map(result).collect()
    }

    pub fn statuses(&self) -> Vec<(u64, Status)> {
        self.results().iter().map(|result| (result.action.0, result.status)).collect()
    }

    /// Slots that the device gave up without output, by index.
    pub fn slots_done(&self) -> Vec<u16> {
        let done = |report: &DeviceReport| match report {
            DeviceReport::SlotDone(slot) => Some(slot.index),
            _ => None,
        };
        self.reports.iter().filter_map(done).collect()
    }

    /// The graph that the last event launched, and the slot indices of its first four places.
    pub fn exec(&self) -> Option<(LaneTicket, [Option<u16>; 4])> {
        self.ops.iter().find_map(|op| match op {
            LaneOp::Exec { ticket, places, .. } => {
                assert!(places[4..].iter().all(Option::is_none));
                Some((*ticket, [0, 1, 2, 3].map(|place: usize| places[place].map(|slot| slot.index))))
            }
            _ => None,
        })
    }

    pub fn tickets(&self, lane: Lane) -> Vec<LaneTicket> {
        self.ops.iter().map(LaneOp::ticket).filter(|ticket| ticket.lane == lane).collect()
    }
}
