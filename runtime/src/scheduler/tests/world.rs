//! One gateway and ideal workers in simulated time: lanes first in, first out, durations with jitter,
//! faults from a seed. Every message is checked against what may be said at that point.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use arrayvec::ArrayVec;

use super::physics::{Physics, Seeded};
use crate::base::*;
use crate::order::record::End;
use crate::order::*;
use crate::scheduler::*;

/// How requests ended at the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub asked: u64,
    pub ok: u64,
    pub late: u64,
    pub rejected: u64,
    pub revoked: u64,
    pub failed: u64,
    pub withdrawn: u64,
    pub items: u64,
    pub infers: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    /// Something for the scheduler: an index into `mail`.
    Mail(usize),
    /// An action or discard reaches a worker.
    Order(usize),
    Input(WorkerId, u64, RequestId),
    Lane(WorkerId, u8),
    Answer(RequestId),
    Withdraw(RequestId),
    Deadline(RequestId),
}

#[derive(Clone, Debug, Default)]
struct Lane {
    queue: VecDeque<Action>,
    busy_until: Nanos,
    cancelled: BTreeSet<ActionId>,
}

/// One simulated worker.
#[derive(Clone, Debug, Default)]
struct Worker {
    epoch: u32,
    up: bool,
    /// Exec lanes by device, then the weights lanes, then the disk.
    lanes: BTreeMap<u8, Lane>,
    /// Slots that are out: whose, and since when the input is there.
    slots: BTreeMap<u64, (RequestId, Option<Nanos>)>,
    generation: u32,
    resident: BTreeSet<(u8, ModelId)>,
    host: BTreeSet<ModelId>,
}

/// An event on its way, and which life of which worker it comes from.
type Mail = (Event, Option<(WorkerId, u32)>);

pub struct World {
    pub core: Core,
    pub physics: Physics,
    pub random: Seeded,
    pub now: Nanos,
    pub ends: Ends,
    /// Requests not ended: their deadlines, and whether they were placed.
    pub open: BTreeMap<RequestId, (Nanos, bool)>,
    pub said: Vec<Output>,
    keep_said: bool,
    workers: BTreeMap<WorkerId, Worker>,
    events: BinaryHeap<Reverse<(Nanos, u64, Later)>>,
    sequence: u64,
    mail: Vec<Option<Mail>>,
    orders: Vec<Option<(WorkerId, u32, Output)>>,
    next_request: (u16, u32),
}

const TRANSPORT: u64 = 30_000;
const DISK_LANE: u8 = 255;
const WEIGHTS_LANE: u8 = 100;

impl World {
    pub fn new(physics: Physics, config: Config, seed: u64) -> World {
        let mut random = Seeded(seed);
        let models: Vec<ModelSpec> = (0..physics.models).map(|model| physics.model(model, &mut random)).collect();
        let mut world = World {
            core: Core::new(Config { max_models: 64, max_workers: 4, max_requests: 4096, max_gateways: 1, ..config }),
            physics,
            random,
            now: Nanos::ZERO,
            ends: Ends::default(),
            open: BTreeMap::new(),
            said: Vec::new(),
            keep_said: false,
            workers: BTreeMap::new(),
            events: BinaryHeap::new(),
            sequence: 0,
            mail: Vec::new(),
            orders: Vec::new(),
            next_request: (0, 0),
        };
        for model in models {
            world.deliver(Event::ModelRegistered(Box::new(model)));
        }
        world
    }

    /// Keeps all that the scheduler says, for tests of single walks.
    pub fn keep(mut self) -> World {
        self.keep_said = true;
        self
    }

    pub fn worker_up(&mut self, id: u16) {
        let worker = self.workers.entry(WorkerId(id)).or_default();
        *worker = Worker { epoch: worker.epoch + 1, up: true, generation: worker.generation, ..Worker::default() };
        let up = self.physics.worker(id, worker.generation);
        self.deliver(Event::WorkerUp(Box::new(up)));
    }

    /// A worker that has measured things.
    pub fn worker_up_as(&mut self, up: WorkerUp) {
        self.workers.insert(up.worker, Worker { epoch: 1, up: true, ..Worker::default() });
        self.deliver(Event::WorkerUp(Box::new(up)));
    }

    pub fn worker_lost(&mut self, id: u16) {
        let Some(worker) = self.workers.get_mut(&WorkerId(id)).filter(|worker| worker.up) else { return };
        worker.up = false;
        worker.epoch += 1;
        self.deliver(Event::WorkerLost(WorkerId(id)));
    }

    pub fn ask(&mut self, model: u16, slo: Nanos) -> RequestId {
        let (index, generation) = self.next_request;
        self.next_request = if index == 4095 { (0, generation + 1) } else { (index + 1, generation) };
        let request = RequestId { gateway: GatewayId(0), index, generation };
        assert!(self.open.keys().all(|open| open.index != index), "the gateway's place is free");
        let arrival = Nanos(self.now.0.saturating_sub(TRANSPORT));
        self.open.insert(request, (arrival + slo, false));
        self.ends.asked += 1;
        self.later(arrival + slo + Nanos(1), Later::Deadline(request));
        let (model, shape) = (ModelId(u64::from(model)), ShapeId(0));
        let return_bound = Nanos::micros(50);
        self.deliver(Event::Ask(Ask { request, model, shape, arrival, slo, return_bound }));
        request
    }

    pub fn withdraw_at(&mut self, request: RequestId, at: Nanos) {
        self.later(at, Later::Withdraw(request));
    }

    /// Lets everything happen that is due by `until`.
    pub fn run(&mut self, until: Nanos) {
        loop {
            if let Some(due) = self.core.due() {
                let due = due.max(self.now);
                let first = self.events.peek().map_or(Nanos::MAX, |Reverse((at, ..))| *at);
                if due < first && due <= until {
                    self.now = due;
                    self.deliver(Event::Tick);
                    continue;
                }
            }
            let Some(Reverse((at, ..))) = self.events.peek() else { break };
            if *at > until {
                break;
            }
            let Some(Reverse((at, _, later))) = self.events.pop() else { break };
            self.now = self.now.max(at);
            self.happen(later);
        }
        self.now = self.now.max(until);
    }

    fn later(&mut self, at: Nanos, later: Later) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, later)));
    }

    fn travel(&mut self) -> Nanos {
        self.now + Nanos(TRANSPORT / 2 + self.random.below(TRANSPORT / 2))
    }

    fn mail(&mut self, from: Option<WorkerId>, at: Nanos, event: Event) {
        let from = from.map(|worker| (worker, self.workers[&worker].epoch));
        self.mail.push(Some((event, from)));
        self.later(at, Later::Mail(self.mail.len() - 1));
    }

    fn happen(&mut self, later: Later) {
        match later {
            Later::Mail(index) => {
                let (event, from) = self.mail[index].take().expect("mail is read once");
                if from.is_none_or(|(worker, epoch)| self.workers[&worker].epoch == epoch) {
                    self.deliver(event);
                }
            }
            Later::Order(index) => {
                let (worker, epoch, order) = self.orders[index].take().expect("an order comes once");
                if self.workers[&worker].epoch == epoch {
                    self.ordered(worker, order);
                }
            }
            Later::Input(worker, slot, request) => {
                let now = self.now;
                let state = self.workers.get_mut(&worker).expect("known").slots.get_mut(&slot);
                if let Some(state) = state.filter(|state| state.0 == request) {
                    state.1 = Some(now);
                }
                (0..self.physics.devices).for_each(|device| self.exec_lane(worker, device));
            }
            Later::Lane(worker, lane) if lane < WEIGHTS_LANE => self.exec_lane(worker, lane),
            Later::Lane(..) => {}
            Later::Answer(request) => {
                let Some((deadline, placed)) = self.open.remove(&request) else { return };
                assert!(placed, "an answer without a place");
                let in_time = self.now <= deadline;
                *if in_time { &mut self.ends.ok } else { &mut self.ends.late } += 1;
                let end = if in_time { End::Ok } else { End::Late };
                self.deliver(Event::Ended { request, end, at: self.now });
            }
            Later::Withdraw(request) => {
                if self.open.remove(&request).is_some() {
                    self.ends.withdrawn += 1;
                    self.deliver(Event::Withdraw(request));
                }
            }
            Later::Deadline(request) => {
                if self.open.remove(&request).is_some() {
                    self.ends.late += 1;
                    self.deliver(Event::Ended { request, end: End::Late, at: self.now });
                }
            }
        }
    }

    pub fn deliver(&mut self, event: Event) {
        let mut out = Outbox::new();
        self.core.handle(self.now, event, &mut out);
        if self.keep_said {
            self.said.extend(out.iter().cloned());
        }
        for output in out {
            self.obey(output);
        }
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Place { request, worker, slot } => {
                let at = self.travel() + self.physics.input + Nanos(self.random.below(60_000));
                if let Some(open) = self.open.get_mut(&request) {
                    open.1 = true;
                }
                let known = self.workers.get_mut(&worker).expect("a known worker");
                known.generation = known.generation.max(slot.generation);
                assert!(known.up, "a slot of a lost worker");
                let other = |out: &u64| {
                    let out = SlotId::from_bits(*out);
                    (out.device, out.class, out.index) == (slot.device, slot.class, slot.index)
                };
                assert!(!known.slots.keys().any(other), "{slot} is out already");
                known.slots.insert(slot.to_bits(), (request, None));
                self.later(at, Later::Input(worker, slot.to_bits(), request));
            }
            Output::Reject { request, .. } => {
                let (_, placed) = self.open.remove(&request).expect("an open request");
                assert!(!placed, "{request} was admitted, then rejected");
                self.ends.rejected += 1;
            }
            Output::Revoke { request, .. } => {
                let (_, placed) = self.open.remove(&request).expect("an open request");
                assert!(placed, "{request} was revoked, but never admitted");
                self.ends.revoked += 1;
            }
            Output::Fail { request, .. } => {
                self.open.remove(&request).expect("an open request");
                self.ends.failed += 1;
            }
            Output::Action { worker, .. } | Output::Cancel { worker, .. } | Output::Discard { worker, .. } => {
                let known = &self.workers[&worker];
                assert!(known.up, "{output:?} to a lost worker");
                self.orders.push(Some((worker, known.epoch, output)));
                let at = self.now + Nanos(TRANSPORT);
                self.later(at, Later::Order(self.orders.len() - 1));
            }
        }
    }

    fn ordered(&mut self, worker: WorkerId, order: Output) {
        match order {
            Output::Discard { slot, .. } => {
                let known = self.workers.get_mut(&worker).expect("known");
                assert!(known.slots.remove(&slot.to_bits()).is_some(), "{slot} was discarded, but is not out");
                let at = self.travel();
                self.mail(Some(worker), at, Event::Freed(worker, ArrayVec::from_iter([slot])));
            }
            Output::Cancel { action, .. } => {
                for lane in self.workers.get_mut(&worker).expect("known").lanes.values_mut() {
                    lane.cancelled.insert(action);
                }
                (0..self.physics.devices).for_each(|device| self.exec_lane(worker, device));
            }
            Output::Action { action, .. } => match action.kind {
                ActionKind::Infer { device, batch, ref items, .. } => {
                    assert!(items.len() <= batch.items() && action.window.is_ordered());
                    for item in items {
                        let slot = self.workers[&worker].slots.get(&item.slot.to_bits());
                        assert_eq!(slot.map(|slot| slot.0), Some(item.request), "bound to the request's own slot");
                    }
                    self.ends.infers += u64::from(!items.is_empty());
                    self.ends.items += items.len() as u64;
                    let lane = self.workers.get_mut(&worker).expect("known").lanes.entry(device.0).or_default();
                    assert!(lane.queue.len() <= limits::EXEC_DEPTH, "more INFERs than may be committed");
                    lane.queue.push_back(action);
                    self.exec_lane(worker, device.0);
                }
                _ => self.transfer(worker, &action),
            },
            _ => unreachable!("orders of workers"),
        }
    }

    fn transfer(&mut self, worker: WorkerId, action: &Action) {
        let fault = self.random.unit() < self.physics.faults;
        let (now, model) = (self.now, action.model);
        let (lane, took) = match action.kind {
            ActionKind::Fetch => (DISK_LANE, self.physics.fetch),
            ActionKind::Load { device } => (WEIGHTS_LANE + device.0, self.physics.load),
            ActionKind::Unload { device } => (WEIGHTS_LANE + device.0, Nanos::ZERO),
            _ => (DISK_LANE, Nanos::ZERO),
        };
        let took = self.physics.jittered(took, &mut self.random);
        let (pages, room) = (self.physics.pages_per_model as usize, self.physics.device_pages as usize);
        let host_room = self.physics.host_pages as usize;
        let known = self.workers.get_mut(&worker).expect("known");
        let running =
            |device| known.lanes.get(&device).is_some_and(|l: &Lane| l.queue.iter().any(|a| a.model == model));
        let status = match action.kind {
            ActionKind::Unload { device } => {
                assert!(!running(device.0), "UNLOAD of a model with work");
                known.resident.remove(&(device.0, model));
                Status::Ok
            }
            ActionKind::Drop => {
                known.host.remove(&model);
                Status::Ok
            }
            _ if fault => Status::DiskFault { errno: 5, block: 0 },
            ActionKind::Fetch => {
                known.host.insert(model);
                assert!(known.host.len() * pages <= host_room, "host pages are overdrawn");
                Status::Ok
            }
            ActionKind::Load { device } => {
                assert!(known.host.contains(&model), "LOAD without FETCH");
                known.resident.insert((device.0, model));
                let held = known.resident.iter().filter(|(on, _)| *on == device.0).count();
                assert!(held * pages <= room, "device pages are overdrawn");
                Status::Ok
            }
            ActionKind::Infer { .. } => unreachable!("INFER is no transfer"),
        };
        let lane = known.lanes.entry(lane).or_default();
        let begin = lane.busy_until.max(now);
        lane.busy_until = begin + took;
        let exec = Span { begin, end: begin + took };
        let stages = Stages { received: now, exec, ..Stages::default() };
        let result = ActionResult { action: action.id, status, items: ArrayVec::new(), stages };
        let at = exec.end + Nanos(TRANSPORT);
        self.mail(Some(worker), at, Event::Result(worker, result));
    }

    /// Starts, expires or waits with the head of an exec lane.
    fn exec_lane(&mut self, worker: WorkerId, device: u8) {
        loop {
            let now = self.now;
            let known = self.workers.get_mut(&worker).expect("known");
            let Some(lane) = known.lanes.get_mut(&device) else { return };
            let Some(head) = lane.queue.front() else { return };
            let ActionKind::Infer { items, .. } = &head.kind else { unreachable!("exec lanes hold INFERs") };
            let inputs: Vec<Option<Nanos>> =
                items.iter().map(|item| known.slots.get(&item.slot.to_bits()).and_then(|slot| slot.1)).collect();
            let window = head.window;
            let resident = known.resident.contains(&(device, head.model));
            let all = inputs.iter().all(Option::is_some);
            let wait_for = if lane.busy_until > now { lane.busy_until } else { window.ready_by };
            let status = if lane.cancelled.contains(&head.id) && lane.busy_until <= now {
                Status::Cancelled
            } else if now > window.latest {
                Status::TooLate
            } else if lane.busy_until > now || (!all && now < window.ready_by) {
                let again = wait_for.min(window.latest + Nanos(1));
                self.later(again, Later::Lane(worker, device));
                return;
            } else if !resident {
                Status::NotResident
            } else if !inputs.is_empty() && inputs.iter().all(Option::is_none) {
                Status::InputMissing
            } else if self.random.unit() < self.physics.faults {
                Status::DeviceFault { code: 700 }
            } else {
                Status::Ok
            };
            let action = lane.queue.pop_front().expect("a head");
            self.executed(worker, device, &action, status, &inputs);
        }
    }

    fn executed(&mut self, worker: WorkerId, device: u8, action: &Action, status: Status, inputs: &[Option<Nanos>]) {
        let ActionKind::Infer { batch, items, .. } = &action.kind else { unreachable!("exec lanes hold INFERs") };
        let ran = matches!(status, Status::Ok | Status::DeviceFault { .. });
        let took = self.physics.jittered(self.physics.duration(batch.items()), &mut self.random);
        let begin = self.now;
        let end = if ran { begin + took } else { begin };
        let (copied, arrived) = (end + Nanos(20_000), inputs.iter().flatten().max().copied().unwrap_or_default());
        let stages = if ran {
            Stages {
                received: begin,
                input: Span { begin: arrived, end: arrived },
                exec: Span { begin, end },
                output: Span { begin: end, end: copied },
            }
        } else {
            Stages::default()
        };
        let known = self.workers.get_mut(&worker).expect("known");
        let lane = known.lanes.get_mut(&device).expect("known");
        if ran {
            assert!(lane.busy_until <= begin, "one INFER at a time");
            lane.busy_until = end;
        }
        let epoch = known.epoch;
        let mut result = ActionResult { action: action.id, status, items: ArrayVec::new(), stages };
        let mut freed = ArrayVec::new();
        for (item, input) in items.iter().zip(inputs) {
            let item_status = if status.is_ok() && input.is_none() { Status::InputMissing } else { status };
            result.items.push(ItemOutcome { item: *item, status: item_status, input_held: input.is_some() });
            if item_status.is_ok() {
                freed.push(item.slot);
                known.slots.remove(&item.slot.to_bits());
            }
        }
        for item in result.items.clone().iter().filter(|item| item.status.is_ok()) {
            let at = copied + Nanos(TRANSPORT + self.random.below(TRANSPORT));
            assert_eq!(self.workers[&worker].epoch, epoch);
            self.later(at, Later::Answer(item.item.request));
        }
        let at = copied + Nanos(TRANSPORT);
        self.mail(Some(worker), at, Event::Result(worker, result));
        if !freed.is_empty() {
            self.mail(Some(worker), at + Nanos(10), Event::Freed(worker, freed));
        }
        self.later(end, Later::Lane(worker, device));
    }
}
