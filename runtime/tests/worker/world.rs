//! A worker of two devices with memory that remembers whose data lies where, a controller that
//! keeps the rules of slots and credits, and rings that delay every message.

mod finish;

use std::collections::{BTreeMap, VecDeque};

use clockwork_runtime::base::limits::{EXEC_DEPTH, MAX_BATCH, WEIGHT_CHUNK_BYTES, WEIGHT_COPIES_OUTSTANDING};
use clockwork_runtime::base::{ActionId, BatchSize, DeviceId, GatewayId, ModelId, Nanos, RequestId, ShapeId, SlotId};
use clockwork_runtime::order::{Action, ActionKind, ActionResult, Item, Span, Status, Window};
use clockwork_runtime::worker::{
    DeviceConfig, DeviceCore, DeviceEvent, DeviceOut, DeviceOutbox, DeviceReport, DiskOp, DiskOutcome, HostConfig,
    HostEvent, HostOut, HostOutbox, HostTier, Lane, LaneOp, LaneOutcome, Receive,
};

use crate::rig::{INPUT_BYTES, OUTPUT_BYTES, PAGE_BYTES, classes, model};

const MODELS: [(u64, u32); 3] = [(1, 1), (2, 2), (3, 34)];
const HOST_PAGES: u32 = 36;
const DEVICE_PAGES: u32 = 36;
const CREDITS: usize = 4;
const DEVICES: u8 = 2;

/// What lies in a page: the model and which of its pages.
type Content = Option<(ModelId, u32)>;

/// Data of one slot on its way: whose it is.
#[derive(Clone, Copy, Default)]
struct SlotData {
    pinned_input: Option<RequestId>,
    input: Option<RequestId>,
    output: Option<RequestId>,
    pinned_output: Option<RequestId>,
}

struct Device {
    core: DeviceCore,
    inbox: VecDeque<DeviceEvent>,
    reports: VecDeque<DeviceReport>,
    lanes: [VecDeque<LaneOp>; 4],
    pages: Vec<Content>,
    tables: BTreeMap<(u16, u32), u32>,
    last_started: Option<ActionId>,
}

/// A slot as the controller sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    Free,
    Placed(RequestId),
    Bound(RequestId),
    /// Answered or discarded: waits for FREED.
    Ending,
}

pub struct World {
    now: u64,
    host: HostTier,
    devices: Vec<Device>,
    reads: Vec<DiskOp>,
    host_pages: Vec<Content>,
    receives: Vec<(SlotId, RequestId)>,
    sends: Vec<(SlotId, RequestId)>,
    slots: BTreeMap<u64, (SlotId, Use)>,
    data: BTreeMap<u64, SlotData>,
    outstanding: BTreeMap<ActionId, Action>,
    next_action: u64,
    next_request: u32,
    lost: bool,
    /// How often actions of each verb ended in each way.
    pub ends: BTreeMap<(&'static str, String), u64>,
}

/// A slot whatever its use.
fn key(slot: SlotId) -> u64 {
    SlotId { generation: 0, ..slot }.to_bits()
}

fn verb(action: &Action) -> &'static str {
    match action.kind {
        ActionKind::Fetch => "FETCH",
        ActionKind::Drop => "DROP",
        ActionKind::Load { .. } => "LOAD",
        ActionKind::Unload { .. } => "UNLOAD",
        ActionKind::Infer { .. } => "INFER",
    }
}

/// A status without its numbers.
fn word(status: Status) -> String {
    let text = format!("{status:?}");
    text.split(' ').next().unwrap_or_default().to_owned()
}

impl World {
    pub fn new() -> World {
        let host = HostConfig {
            models: MODELS.len(),
            host_pages: HOST_PAGES,
            page_bytes: PAGE_BYTES,
            reads_outstanding: 3,
            disk_credits: CREDITS,
            lane_credits: CREDITS,
            devices: vec![classes(); usize::from(DEVICES)],
        };
        let device = |number| Device {
            core: DeviceCore::new(DeviceConfig {
                device: DeviceId(number),
                models: MODELS.len(),
                device_pages: DEVICE_PAGES,
                page_bytes: PAGE_BYTES,
                lane_credits: CREDITS,
                slots: classes(),
            }),
            inbox: VecDeque::new(),
            reports: VecDeque::new(),
            lanes: Default::default(),
            pages: vec![None; DEVICE_PAGES as usize],
            tables: BTreeMap::new(),
            last_started: None,
        };
        let mut world = World {
            now: 1000,
            host: HostTier::new(host),
            devices: (0..DEVICES).map(device).collect(),
            reads: Vec::new(),
            host_pages: vec![None; HOST_PAGES as usize],
            receives: Vec::new(),
            sends: Vec::new(),
            slots: BTreeMap::new(),
            data: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            next_action: 1,
            next_request: 1,
            lost: false,
            ends: BTreeMap::new(),
        };
        for device in 0..DEVICES {
            for index in 0..classes()[0].count {
                let slot = SlotId { device: DeviceId(device), class: 0, index, generation: 0 };
                world.slots.insert(key(slot), (slot, Use::Free));
            }
        }
        for (id, pages) in MODELS {
            world.tell_host(HostEvent::AddModel(model(id, pages)));
        }
        world
    }

    /// Does one of the things that can happen; which one, and to whom, the numbers say.
    pub fn step(&mut self, what: u8, first: u16, second: u16) {
        let device = usize::from(first) % usize::from(DEVICES);
        let fault = second.is_multiple_of(16);
        match what % 24 {
            0 => self.now += u64::from(second % 200),
            1 | 2 => self.place(first),
            3 | 4 => self.begin_receive(first),
            5 | 6 => self.end_receive(first, !fault),
            7..=9 => self.infer(first, second),
            10 => self.order(first, second, |device| ActionKind::Load { device }),
            11 => self.order(first, second, |device| ActionKind::Unload { device }),
            12 => self.order(first, second, |_| ActionKind::Fetch),
            13 => self.order(first, second, |_| ActionKind::Drop),
            14 => self.cancel(first),
            15 => self.discard(first),
            16..=18 => {
                // Whole pages go by at once sometimes, or no LOAD would ever come to its end.
                for more in 0..1 + second / 64 % 16 {
                    self.finish_op(device, usize::from(second / 16) % 4, fault && more == 0);
                }
            }
            19 => {
                for more in 0..1 + second / 16 % 8 {
                    self.finish_read(first, fault && more == 0);
                }
            }
            20 => (0..1 + second % 8).for_each(|_| self.deliver_to_device(device)),
            21 => (0..1 + second % 8).for_each(|_| self.deliver_to_host(device)),
            22 => self.finish_send(first),
            _ => self.tick(),
        }
    }

    fn tell_host(&mut self, event: HostEvent) {
        let mut out = HostOutbox::new();
        self.host.handle(Nanos(self.now), event, &mut out);
        for said in out {
            match said {
                HostOut::Disk(op) => self.reads.push(op),
                HostOut::ToDevice { device, event } => self.devices[usize::from(device.0)].inbox.push_back(event),
                HostOut::Result(result) => self.on_result(&result),
                HostOut::Output { request, slot, bytes, .. } => {
                    assert_eq!(bytes, OUTPUT_BYTES);
                    self.sends.push((slot, request));
                }
                HostOut::Freed(slot) => self.on_freed(slot),
            }
        }
        assert!(self.reads.len() <= 3);
    }

    fn tell_device(&mut self, device: usize, event: DeviceEvent) {
        let mut out = DeviceOutbox::new();
        self.devices[device].core.handle(Nanos(self.now), event, &mut out);
        for said in out {
            match said {
                DeviceOut::Lane(op) => self.on_op(device, op),
                DeviceOut::Report(report) => self.devices[device].reports.push_back(report),
            }
        }
    }

    fn on_op(&mut self, device: usize, op: LaneOp) {
        match &op {
            LaneOp::Exec { table, places, .. } => self.check_exec(device, table.0, places),
            LaneOp::CopyPage { bytes, .. } => assert!(*bytes as usize <= WEIGHT_CHUNK_BYTES),
            _ => {}
        }
        let lane = op.ticket().lane;
        let queue = &mut self.devices[device].lanes[lane as usize];
        queue.push_back(op);
        assert!(lane != Lane::Weights || queue.len() <= WEIGHT_COPIES_OUTSTANDING);
        assert!(lane != Lane::Exec || queue.len() <= EXEC_DEPTH);
    }

    /// A graph starts: inside its window, in its turn, on its own weights and inputs.
    fn check_exec(&mut self, device: usize, table: u16, places: &[Option<SlotId>; MAX_BATCH]) {
        let started = self.devices[device].last_started;
        // Without a slot it is a rehearsal: one that has not started and whose window is open.
        let owner = self.outstanding.values().find(|action| match &action.kind {
            ActionKind::Infer { device: on, items, .. } => match places.iter().copied().flatten().next() {
                Some(held) => items.iter().any(|item| item.slot == held),
                None => {
                    let model = ModelId(MODELS[usize::from(table)].0);
                    let ours = usize::from(on.0) == device && items.is_empty() && action.model == model;
                    let open = (action.window.earliest.0..=action.window.latest.0).contains(&self.now);
                    ours && open && Some(action.id) > started
                }
            },
            _ => false,
        });
        let action = owner.expect("a graph runs for an action that is not answered");
        assert!(action.window.earliest.0 <= self.now && self.now <= action.window.latest.0, "outside its window");
        let ActionKind::Infer { items, .. } = &action.kind else { unreachable!() };
        for (place, slot) in places.iter().enumerate().filter_map(|(place, slot)| Some((place, (*slot)?))) {
            assert_eq!(items[place].slot, slot);
            assert_eq!(self.data[&key(slot)].input, Some(items[place].request), "another's input");
        }
        let on = &mut self.devices[device];
        assert!(on.last_started < Some(action.id), "INFERs overtook each other");
        on.last_started = Some(action.id);
        let (id, pages) = MODELS[usize::from(table)];
        assert_eq!(action.model, ModelId(id));
        for page in 0..pages {
            let at = on.tables[&(table, page)];
            assert_eq!(on.pages[at as usize], Some((ModelId(id), page)), "wrong weights");
        }
    }

    fn on_result(&mut self, result: &ActionResult) {
        let Some(action) = self.outstanding.remove(&result.action) else { panic!("{result:?} was not asked for") };
        *self.ends.entry((verb(&action), word(result.status))).or_default() += 1;
        let ActionKind::Infer { items, .. } = &action.kind else {
            assert!(result.items.is_empty());
            return;
        };
        assert_eq!(items.len(), result.items.len());
        for (item, end) in items.iter().zip(&result.items) {
            assert_eq!(*item, end.item);
            let (slot, used) = self.slots.get_mut(&key(item.slot)).unwrap();
            if *slot != item.slot || *used == Use::Ending || *used == Use::Free {
                continue;
            }
            *used = if end.status == Status::Ok { Use::Ending } else { Use::Placed(item.request) };
        }
    }

    fn on_freed(&mut self, slot: SlotId) {
        let (current, used) = self.slots.get_mut(&key(slot)).unwrap();
        assert_eq!(*current, slot, "another use of the slot comes back");
        // The output may leave before the last item of its batch is answered.
        assert!(*used != Use::Free && (self.lost || !matches!(used, Use::Placed(_))), "{slot} was {used:?}");
        assert!(!self.receives.iter().any(|(into, _)| *into == slot), "a receive into {slot} is in flight");
        assert!(!self.sends.iter().any(|(from, _)| *from == slot), "an output of {slot} is being sent");
        (current.generation, *used) = (slot.generation + 1, Use::Free);
    }

    fn place(&mut self, which: u16) {
        let request = RequestId { gateway: GatewayId(0), index: 0, generation: self.next_request };
        let free = self.slots.values_mut().filter(|(_, used)| *used == Use::Free);
        let mut free: Vec<_> = free.collect();
        if !free.is_empty() {
            let count = free.len();
            free[usize::from(which) % count].1 = Use::Placed(request);
            self.next_request += 1;
        }
    }

    fn placed(&self) -> Vec<(SlotId, RequestId)> {
        let placed = |&(slot, used): &(SlotId, Use)| match used {
            Use::Placed(request) => Some((slot, request)),
            _ => None,
        };
        self.slots.values().filter_map(placed).collect()
    }

    /// A gateway sends the input of a request that has a slot, or once in a while of an older one.
    fn begin_receive(&mut self, which: u16) {
        let held = |&(slot, used): &(SlotId, Use)| match used {
            Use::Placed(request) | Use::Bound(request) => Some((slot, request)),
            _ => None,
        };
        let all: Vec<_> = self.slots.values().filter_map(held).collect();
        let Some(&(mut slot, request)) = all.get(usize::from(which) % all.len().max(1)) else { return };
        let stale = which.is_multiple_of(16) && slot.generation > 0;
        slot.generation -= u32::from(stale);
        let decision = self.host.accept_input(slot, request, INPUT_BYTES);
        if decision == Receive::Accept {
            assert!(!stale, "payload of an older use must be drained");
            assert!(!self.receives.iter().any(|(into, _)| *into == slot), "two receives into one slot");
            self.data.entry(key(slot)).or_default().pinned_input = None;
            self.receives.push((slot, request));
        }
    }

    fn end_receive(&mut self, which: u16, whole: bool) {
        if self.receives.is_empty() {
            return;
        }
        let place = usize::from(which) % self.receives.len();
        let (slot, request) = self.receives.swap_remove(place);
        if whole {
            self.data.entry(key(slot)).or_default().pinned_input = Some(request);
        }
        self.tell_host(HostEvent::InputEnded { slot, request, bytes: INPUT_BYTES, whole });
    }

    fn send(&mut self, model: u64, window: Window, kind: ActionKind) {
        let id = ActionId(self.next_action);
        let (expected_start, expected_duration) = (window.earliest, Nanos(10));
        let action = Action { id, model: ModelId(model), window, expected_start, expected_duration, kind };
        if !self.host.has_credit(&action) {
            return;
        }
        self.next_action += 1;
        if let ActionKind::Infer { items, .. } = &action.kind {
            for item in items {
                if let Some((slot, used)) = self.slots.get_mut(&key(item.slot))
                    && *slot == item.slot
                {
                    *used = Use::Bound(item.request);
                }
            }
        }
        self.outstanding.insert(id, action.clone());
        self.tell_host(HostEvent::Action(action));
    }

    fn window(&self, second: u16) -> Window {
        let earliest = self.now + u64::from(second % 3) * 50;
        let ready_by = earliest + u64::from(second / 3 % 5) * 100;
        Window {
            earliest: Nanos(earliest),
            ready_by: Nanos(ready_by),
            latest: Nanos(ready_by + u64::from(second / 15 % 7) * 500),
        }
    }

    fn order(&mut self, first: u16, second: u16, kind: impl Fn(DeviceId) -> ActionKind) {
        let device = DeviceId((first % 5 % 3) as u8);
        let model = u64::from(first / 5 % 10 % 3) + 1 + u64::from(first.is_multiple_of(97)) * 50;
        self.send(model, self.window(second), kind(device));
    }

    fn infer(&mut self, first: u16, second: u16) {
        let device = DeviceId((first % u16::from(DEVICES)) as u8);
        let batch = [1, 2, 4][usize::from(first / 2 % 3)];
        let placed = self.placed().into_iter().filter(|(slot, _)| slot.device == device);
        // Now and then there are more items than the plan has places.
        let most = batch + usize::from(first.is_multiple_of(11));
        let items = placed.take(most).map(|(slot, request)| Item { request, slot }).collect();
        let batch = BatchSize::new(batch as u8).unwrap();
        let model = u64::from(first / 6 % 3) + 1;
        self.send(model, self.window(second), ActionKind::Infer { device, shape: ShapeId(0), batch, items });
    }

    fn cancel(&mut self, which: u16) {
        let ids: Vec<_> = self.outstanding.keys().copied().collect();
        if let Some(&id) = ids.get(usize::from(which) % ids.len().max(1)) {
            self.tell_host(HostEvent::Cancel(id));
        }
    }

    /// The controller ends a slot that is placed or bound, wherever its INFER is.
    fn discard(&mut self, which: u16) {
        let held: Vec<_> = self.slots.values().filter(|(_, used)| !matches!(used, Use::Free | Use::Ending)).collect();
        let Some(&&(slot, _)) = held.get(usize::from(which) % held.len().max(1)) else { return };
        self.slots.insert(key(slot), (slot, Use::Ending));
        self.tell_host(HostEvent::Discard(slot));
    }

    fn deliver_to_device(&mut self, device: usize) {
        if let Some(event) = self.devices[device].inbox.pop_front() {
            self.tell_device(device, event);
        }
    }

    fn deliver_to_host(&mut self, device: usize) {
        if let Some(report) = self.devices[device].reports.pop_front() {
            let device = DeviceId(device as u8);
            self.tell_host(HostEvent::Device { device, report });
        }
    }

    /// Ticks whoever is due.
    fn tick(&mut self) {
        let now = Nanos(self.now);
        if self.host.due().is_some_and(|due| due <= now) {
            self.tell_host(HostEvent::Tick);
        }
        for device in 0..self.devices.len() {
            if self.devices[device].core.due().is_some_and(|due| due <= now) {
                self.tell_device(device, DeviceEvent::Tick);
            }
        }
    }

    /// The controller is lost: every slot is to come back by itself.
    pub fn reset(&mut self) {
        self.lost = true;
        self.tell_host(HostEvent::Reset);
    }

    /// Lets everything under way come to its end, without further faults.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            let busy = self.devices.iter().any(|device| {
                !device.inbox.is_empty()
                    || !device.reports.is_empty()
                    || device.lanes.iter().any(|lane| !lane.is_empty())
            });
            for device in 0..self.devices.len() {
                self.deliver_to_device(device);
                self.deliver_to_host(device);
                (0..4).for_each(|lane| self.finish_op(device, lane, false));
            }
            let waits = busy || !self.reads.is_empty() || !self.receives.is_empty() || !self.sends.is_empty();
            self.finish_read(0, false);
            self.end_receive(0, true);
            self.finish_send(0);
            let due = self.devices.iter().map(|device| device.core.due()).chain([self.host.due()]).flatten().min();
            match due {
                None if !waits => {
                    assert!(self.outstanding.is_empty(), "never answered: {:?}", self.outstanding);
                    return;
                }
                Some(due) if !waits => self.now = self.now.max(due.0),
                _ => {}
            }
            self.tick();
        }
        panic!("it never settles");
    }

    /// The controller takes everything back; then nothing may be missing.
    pub fn free_everything(&mut self) {
        if self.lost {
            let heard: Vec<_> = self.slots.values().filter(|(_, used)| matches!(used, Use::Placed(_))).collect();
            assert_eq!((0..DEVICES).map(|n| self.host.open_slots(DeviceId(n))).sum::<usize>(), 0, "{heard:?}");
        } else {
            while let Some(&(slot, _)) = self.placed().first() {
                self.slots.insert(key(slot), (slot, Use::Ending));
                self.tell_host(HostEvent::Discard(slot));
            }
            self.settle();
            let held: Vec<_> = self.slots.values().filter(|(_, used)| *used != Use::Free).collect();
            assert!(held.is_empty(), "never freed: {held:?}");
        }
        let always = Window::until(Nanos(0), Nanos::MAX);
        for (model, _) in MODELS {
            for device in (0..DEVICES).map(DeviceId) {
                self.send(model, always, ActionKind::Unload { device });
                self.settle();
            }
            self.send(model, always, ActionKind::Drop);
            self.settle();
        }
        assert!(self.host.is_quiet() && self.devices.iter().all(|device| device.core.is_quiet()));
        assert_eq!(self.host.free_pages(), HOST_PAGES);
        assert!(self.devices.iter().all(|device| device.core.free_pages() == DEVICE_PAGES));
    }
}
