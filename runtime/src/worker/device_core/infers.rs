//! INFER: the exec lane, one graph at a time, and the outputs that follow it.
//!
//! Membership is fixed when exec starts. An item that has no input by then, was withdrawn, or
//! whose input can't be used leaves its place to the null slot and is answered so; the plan stays.

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use super::{DeviceCore, Weights};
use crate::base::limits::MAX_BATCH;
use crate::base::{ActionId, BatchSize, Nanos, ShapeId, SlotId};
use crate::order::{Action, ActionResult, Item, ItemOutcome, Span, Stages, Status, Window};
use crate::worker::event::{DeviceOut, DeviceOutbox, DeviceReport, hull};
use crate::worker::op::{Lane, LaneOp, LaneOutcome, LaneTicket, TableId};

/// Outputs that answering one INFER may take: its result, and the end of each discarded slot.
const ANSWER_ROOM: usize = 1 + MAX_BATCH;

/// One item of an INFER that was accepted.
#[derive(Clone, Copy, Debug)]
struct Member {
    item: Item,
    /// Its slot's number.
    place: usize,
    /// How it ended, once that is known.
    status: Option<Status>,
}

/// One INFER that was accepted.
#[derive(Clone, Debug)]
struct Infer {
    action: ActionId,
    model: u16,
    shape: ShapeId,
    batch: BatchSize,
    window: Window,
    members: ArrayVec<Member, MAX_BATCH>,
    stages: Stages,
    /// Outputs that are being copied.
    copying: usize,
}

impl Infer {
    /// It was ordered without items: it runs over null slots, to see how long it takes.
    fn is_rehearsal(&self) -> bool {
        self.members.is_empty()
    }
}

/// Which output a copy is of: the INFER's place in the slab and the member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copied {
    infer: u16,
    member: usize,
}

/// The INFERs of a device: a slab, and the order of those that have not started.
#[derive(Debug)]
pub(super) struct Infers {
    slab: Box<[Option<Infer>]>,
    free: Vec<u16>,
    queue: VecDeque<u16>,
}

impl Infers {
    pub(super) fn new(credits: usize) -> Infers {
        let Ok(places) = u16::try_from(credits) else { panic!("{credits} credits: at most {}", u16::MAX) };
        Infers {
            slab: vec![None; credits].into(),
            free: (0..places).rev().collect(),
            queue: VecDeque::with_capacity(credits),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.slab.len()
    }

    fn push(&mut self, infer: Infer) -> u16 {
        let Some(index) = self.free.pop() else { panic!("more INFERs than credits: {}", self.slab.len()) };
        self.slab[usize::from(index)] = Some(infer);
        self.queue.push_back(index);
        index
    }

    fn get(&self, index: u16) -> &Infer {
        match &self.slab[usize::from(index)] {
            Some(infer) => infer,
            None => unreachable!("no INFER at {index}"),
        }
    }

    fn get_mut(&mut self, index: u16) -> &mut Infer {
        match &mut self.slab[usize::from(index)] {
            Some(infer) => infer,
            None => unreachable!("no INFER at {index}"),
        }
    }

    fn remove(&mut self, index: u16) -> Infer {
        let Some(infer) = self.slab[usize::from(index)].take() else { unreachable!("no INFER at {index}") };
        self.free.push(index);
        infer
    }
}

impl DeviceCore {
    /// Queues an INFER and binds its slots, or says why not; then nothing has changed.
    pub(super) fn on_infer(
        &mut self,
        action: &Action,
        model: u16,
        shape: ShapeId,
        batch: BatchSize,
        items: &[Item],
    ) -> Option<Status> {
        let info = self.models.get(model);
        if !info.plans.contains(shape, batch) || items.len() > batch.items() {
            return Some(Status::BadAction);
        }
        let variant = usize::from(shape.0);
        let needs = (info.input_bytes[variant], info.output_bytes[variant]);
        let mut members = ArrayVec::<Member, MAX_BATCH>::new();
        for &item in items {
            let place = self.bindable(item, needs);
            let Some(place) = place.filter(|&place| members.iter().all(|member| member.place != place)) else {
                return Some(Status::BadAction);
            };
            members.push(Member { item, place, status: None });
        }
        if self.now > action.window.latest {
            return Some(Status::TooLate);
        }
        if matches!(self.instance(model).weights, Weights::Absent) {
            return Some(Status::NotResident);
        }
        let stages = Stages { received: self.now, ..Stages::default() };
        let window = action.window;
        let infer = Infer { action: action.id, model, shape, batch, window, members, stages, copying: 0 };
        self.instance_mut(model).users += 1;
        let index = self.infers.push(infer);
        for member in &self.infers.get(index).members {
            let slot = self.slots.open(member.place, member.item.slot);
            slot.request = Some(member.item.request);
            slot.bound = Some(index);
        }
        None
    }

    /// The number of an item's slot, if it may be bound now.
    fn bindable(&self, item: Item, needs: (u32, u32)) -> Option<usize> {
        let place = self.slots.find(item.slot)?;
        let area = self.slots.layout().area(item.slot);
        let slot = self.slots.get(place);
        let ours = slot.request.is_none_or(|request| request == item.request);
        (ours && slot.bound.is_none() && !slot.discarded && needs.0 <= area.0 && needs.1 <= area.1).then_some(place)
    }

    /// Answers an INFER that was not accepted.
    pub(super) fn refuse_infer(&self, action: ActionId, status: Status, items: &[Item], out: &mut DeviceOutbox) {
        let outcome = |&item: &Item| {
            let slot = self.slots.find(item.slot).map(|place| self.slots.get(place));
            let input_held = slot.is_some_and(|slot| slot.has_input() && slot.request == Some(item.request));
            ItemOutcome { item, status, input_held }
        };
        let items = items.iter().map(outcome).collect();
        let stages = Stages { received: self.now, ..Stages::default() };
        let result = ActionResult { action, status, items, stages };
        self.report(out, DeviceReport::Result { lane: Lane::Exec, result });
    }

    /// Takes an INFER back that has not started.
    pub(super) fn cancel_infer(&mut self, action: ActionId, out: &mut DeviceOutbox) {
        let queue = &self.infers.queue;
        let queued = queue.iter().position(|&index| self.infers.get(index).action == action);
        if let Some(position) = queued {
            self.answer_queued(position, Status::Cancelled, out);
        }
    }

    /// Takes a discarded slot out of an INFER that has not started.
    pub(super) fn withdraw_member(&mut self, index: u16, place: usize) {
        if !self.infers.queue.contains(&index) {
            return;
        }
        let members = &mut self.infers.get_mut(index).members;
        for member in members.iter_mut().filter(|member| member.place == place) {
            member.status = Some(Status::Cancelled);
            self.slots.get_mut(place).bound = None;
        }
    }

    /// Answers every queued INFER that can't start any more, in the queue's order.
    pub(super) fn sweep_infers(&mut self, out: &mut DeviceOutbox) {
        let mut position = 0;
        while let Some(&index) = self.infers.queue.get(position) {
            match self.hopeless(index) {
                None => position += 1,
                Some(_) if !self.room(ANSWER_ROOM, out) => return,
                Some(status) => self.answer_queued(position, status, out),
            }
        }
    }

    fn hopeless(&self, index: u16) -> Option<Status> {
        let infer = self.infers.get(index);
        if self.reset.is_some() {
            Some(Status::ShuttingDown)
        } else if !infer.is_rehearsal() && infer.members.iter().all(|member| member.status.is_some()) {
            Some(Status::Cancelled)
        } else if self.now > infer.window.latest {
            Some(Status::TooLate)
        } else if matches!(self.instance(infer.model).weights, Weights::Absent) {
            Some(Status::NotResident)
        } else {
            None
        }
    }

    /// Starts the head of the queue if it may start now; answers heads that must wait no longer.
    pub(super) fn start_infer(&mut self, out: &mut DeviceOutbox) {
        while self.exec.has_room() {
            let Some(&index) = self.infers.queue.front() else { return };
            let infer = self.infers.get(index);
            if self.now < infer.window.earliest || self.hopeless(index).is_some() {
                return;
            }
            let waits_no_longer = self.now >= infer.window.ready_by;
            let resident = matches!(self.instance(infer.model).weights, Weights::Resident(_));
            let live = || infer.members.iter().filter(|member| member.status.is_none());
            let settled = live().all(|member| self.slots.get(member.place).is_settled());
            if !(waits_no_longer || resident && settled) {
                return;
            }
            // The caller may still have an answer or the copies of a batch to emit.
            if !self.room(2 * ANSWER_ROOM, out) {
                return;
            }
            if resident {
                self.fix_members(index);
            }
            let places = self.places(index);
            if !resident {
                self.answer_queued(0, Status::NotResident, out);
            } else if places.iter().all(Option::is_none) && !self.infers.get(index).is_rehearsal() {
                let status = self.reason_without_input(index);
                self.answer_queued(0, status, out);
            } else {
                self.exec_head(places, out);
            }
        }
    }

    /// Fixes who takes part: each live member with its input on the device.
    fn fix_members(&mut self, index: u16) {
        let infer = self.infers.get(index);
        let wanted = self.models.get(infer.model).input_bytes[usize::from(infer.shape.0)];
        let mut members = infer.members.clone();
        for member in members.iter_mut().filter(|member| member.status.is_none()) {
            member.status = self.unplaced(member.place, wanted);
        }
        self.infers.get_mut(index).members = members;
    }

    /// The slot of each place of the batch.
    fn places(&self, index: u16) -> [Option<SlotId>; MAX_BATCH] {
        let mut places = [None; MAX_BATCH];
        for (place, member) in places.iter_mut().zip(&self.infers.get(index).members) {
            *place = member.status.is_none().then_some(member.item.slot);
        }
        places
    }

    /// Why an INFER as a whole can't run, when no member has a usable input.
    fn reason_without_input(&self, index: u16) -> Status {
        let ends = || self.infers.get(index).members.iter().filter_map(|member| member.status);
        if ends().any(|status| status == Status::InputMissing) {
            return Status::InputMissing;
        }
        ends().find(|&status| status != Status::Cancelled).unwrap_or(Status::Cancelled)
    }

    fn exec_head(&mut self, places: [Option<SlotId>; MAX_BATCH], out: &mut DeviceOutbox) {
        let Some(index) = self.infers.queue.pop_front() else { unreachable!("the queue has a head") };
        let infer = self.infers.get(index);
        let placed = infer.members.iter().filter(|member| member.status.is_none());
        let input = placed.map(|member| self.slots.get(member.place).copied).max_by_key(|span| span.end);
        let info = self.models.get(infer.model);
        let window = infer.window;
        assert!(window.earliest <= self.now && self.now <= window.latest, "exec outside its window");
        out.push(DeviceOut::Lane(LaneOp::Exec {
            ticket: self.exec.issue(index),
            architecture: info.architecture,
            shape: infer.shape,
            batch: infer.batch,
            table: TableId(infer.model),
            places,
        }));
        self.infers.get_mut(index).stages.input = input.unwrap_or_default();
    }

    /// A graph is done: the next may start, and the outputs of this one go out.
    pub(super) fn exec_done(&mut self, ticket: LaneTicket, outcome: LaneOutcome, span: Span, out: &mut DeviceOutbox) {
        let index = self.exec.complete(ticket);
        let infer = self.infers.get_mut(index);
        infer.stages.exec = span;
        let model = infer.model;
        self.instance_mut(model).users -= 1;
        // The exec lane must not wait for the submission of this batch's output copies.
        self.start_infer(out);
        match outcome {
            LaneOutcome::Ok => self.copy_outputs(index, out),
            LaneOutcome::Fault { code } => {
                let status = Status::DeviceFault { code };
                for member in &mut self.infers.get_mut(index).members {
                    member.status.get_or_insert(status);
                }
                self.answer(index, status, out);
            }
        }
    }

    fn copy_outputs(&mut self, index: u16, out: &mut DeviceOutbox) {
        let infer = self.infers.get_mut(index);
        let bytes = self.models.get(infer.model).output_bytes[usize::from(infer.shape.0)];
        for (number, member) in infer.members.iter_mut().enumerate() {
            if member.status.is_some() {
                continue;
            }
            if self.slots.get(member.place).discarded {
                member.status = Some(Status::Cancelled);
                continue;
            }
            infer.copying += 1;
            let ticket = self.outputs.issue(Copied { infer: index, member: number });
            out.push(DeviceOut::Lane(LaneOp::CopyOutput { ticket, slot: member.item.slot, bytes }));
        }
        if infer.copying == 0 {
            self.answer(index, Status::Ok, out);
        }
    }

    /// An output is in its pinned area: it goes to its gateway, and the last one ends the INFER.
    pub(super) fn output_done(&mut self, ticket: LaneTicket, outcome: LaneOutcome, span: Span, out: &mut DeviceOutbox) {
        let Copied { infer: index, member } = self.outputs.complete(ticket);
        let infer = self.infers.get_mut(index);
        infer.stages.output = hull(infer.stages.output, span);
        infer.copying -= 1;
        let (last, received, exec) = (infer.copying == 0, infer.stages.received, infer.stages.exec);
        let bytes = self.models.get(infer.model).output_bytes[usize::from(infer.shape.0)];
        let member = &mut infer.members[member];
        let (item, place) = (member.item, member.place);
        let slot = self.slots.get_mut(place);
        member.status = Some(match outcome {
            LaneOutcome::Fault { code } => Status::DeviceFault { code },
            LaneOutcome::Ok if slot.discarded => Status::Cancelled,
            LaneOutcome::Ok => Status::Ok,
        });
        if member.status == Some(Status::Ok) {
            let stages = Stages { received, input: slot.copied, exec, output: span };
            slot.bound = None;
            self.slots.close(place);
            let (request, slot) = (item.request, item.slot);
            self.report(out, DeviceReport::Output { request, slot, bytes, stages });
        }
        if last {
            self.answer(index, self.status_after_copies(index), out);
        }
    }

    /// An INFER is `Ok` if any member got its answer, or none wanted one any more.
    fn status_after_copies(&self, index: u16) -> Status {
        let members = &self.infers.get(index).members;
        let faulty = members.iter().find_map(|member| match member.status {
            Some(fault @ Status::DeviceFault { .. }) => Some(fault),
            _ => None,
        });
        let served = members.iter().any(|member| member.status == Some(Status::Ok));
        faulty.filter(|_| !served).unwrap_or(Status::Ok)
    }

    /// Answers an INFER that has not started.
    fn answer_queued(&mut self, position: usize, status: Status, out: &mut DeviceOutbox) {
        let Some(index) = self.infers.queue.remove(position) else { unreachable!("no INFER at {position}") };
        let infer = self.infers.get_mut(index);
        for member in &mut infer.members {
            member.status.get_or_insert(status);
        }
        let model = infer.model;
        self.instance_mut(model).users -= 1;
        self.answer(index, status, out);
    }

    /// Answers an INFER whose members have all ended. Emits at most `ANSWER_ROOM` outputs.
    fn answer(&mut self, index: u16, status: Status, out: &mut DeviceOutbox) {
        let infer = self.infers.remove(index);
        let mut items = ArrayVec::<ItemOutcome, MAX_BATCH>::new();
        for member in &infer.members {
            let Some(ended) = member.status else { unreachable!("{:?} has not ended", member.item) };
            let slot = self.slots.get_mut(member.place);
            let ours = slot.bound == Some(index);
            items.push(ItemOutcome {
                item: member.item,
                status: ended,
                input_held: ours && !slot.discarded && slot.has_input(),
            });
            if ours {
                slot.bound = None;
            }
        }
        let result = ActionResult { action: infer.action, status, items, stages: infer.stages };
        self.report(out, DeviceReport::Result { lane: Lane::Exec, result });
        for member in infer.members.iter().filter(|member| member.status != Some(Status::Ok)) {
            self.close_if_over(member.place, out);
        }
    }

    /// When the exec lane next depends on time.
    pub(super) fn infers_due(&self) -> Option<Nanos> {
        let queue = &self.infers.queue;
        let expiry = queue.iter().map(|&index| self.infers.get(index).window.latest + Nanos(1)).min();
        let head = queue.front().filter(|_| self.exec.has_room()).map(|&index| self.infers.get(index).window);
        let later = |at: Nanos| (at > self.now).then_some(at);
        let turns = head.and_then(|window| later(window.earliest).or_else(|| later(window.ready_by)));
        [expiry, turns].into_iter().flatten().min()
    }
}
