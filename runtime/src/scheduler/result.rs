//! Results: durations are learned, the mirror follows, and what failed is planned again.

use super::core::Core;
use super::event::{Outbox, Output};
use super::mirror::{Device, Outstanding, Purpose};
use super::requests::Admitted;
use super::strategy::Link;
use crate::base::{Nanos, WorkerId};
use crate::order::{ActionResult, ItemOutcome, Reject, Stages, Status};

impl Core {
    pub(super) fn result(&mut self, now: Nanos, worker: WorkerId, result: &ActionResult, out: &mut Outbox) {
        let known = self.actions.find(result.action);
        let of_worker = |&place: &usize| {
            let sender = &self.workers[self.actions.get(place).worker];
            sender.id == worker && !sender.lost
        };
        let Some(place) = known.filter(of_worker) else {
            self.counters.faults += 1;
            return;
        };
        let action = self.actions.remove(place);
        match action.purpose {
            Purpose::Infer { .. } => self.infer_result(now, place, &action, result, out),
            Purpose::Load | Purpose::Unload => self.weights_result(now, &action, result),
            Purpose::Fetch | Purpose::Drop => self.host_result(now, &action, result),
        }
        if matches!(action.purpose, Purpose::Infer { .. } | Purpose::Load) {
            self.advance(action.device, now, out);
        }
    }

    fn infer_result(
        &mut self,
        now: Nanos,
        place: usize,
        action: &Outstanding,
        result: &ActionResult,
        out: &mut Outbox,
    ) {
        let Purpose::Infer { items, requests, .. } = &action.purpose else { return };
        let device = &mut self.devices[action.device];
        device.lane.retain(|committed| committed.action != place);
        device.residency[action.model].users -= 1;
        let exec_end = result.stages.exec.end;
        device.last_end = device.last_end.max(exec_end.min(now));
        if result.status.is_ok() {
            self.learn(action, &result.stages);
        } else {
            self.counters.infers_failed += 1;
        }
        if result.status == Status::NotResident {
            self.lose_weights(now, action.device, action.model, Status::NotResident);
        }
        for (item, &request) in items.iter().zip(requests) {
            let reported = result.items.iter().find(|outcome| outcome.item == *item);
            let missing = ItemOutcome { item: *item, status: result.status, input_held: false };
            let outcome = *reported.unwrap_or(&missing);
            if outcome.status.is_ok() {
                let ended = self.requests.remove(request);
                self.handovers.begun(ended.ask.request, ended.device, ended.slot, result.stages.output.end);
                self.counters.served += u64::from(!ended.withdrawn);
            } else {
                self.item_failed(now, request, &outcome, out);
            }
        }
    }

    /// Learns from the stages of an INFER that succeeded.
    fn learn(&mut self, action: &Outstanding, stages: &Stages) {
        let Purpose::Infer { requests, entry, batch, .. } = &action.purpose else { return };
        let took = stages.exec.duration();
        self.store.record(*entry, *batch, took);
        self.duration_error.record(difference(took, action.expected));
        self.start_error.record(difference(stages.exec.begin, action.expected_start));
        // The last input of the batch belongs to the request that was placed last.
        let last = requests.iter().map(|&request| self.requests.get(request)).max_by_key(|admitted| admitted.placed);
        let Some(&Admitted { placed, slot, .. }) = last else { return };
        let delays = &mut self.devices[action.device].delays[usize::from(slot.class)];
        if stages.input.end > placed {
            delays.input.record(stages.input.end - placed);
        }
        if stages.output.end > stages.exec.end {
            delays.output.record(stages.output.end - stages.exec.end);
        }
    }

    /// One item did not succeed: again in the same slot, again elsewhere, or its request ends.
    fn item_failed(&mut self, now: Nanos, request: usize, outcome: &ItemOutcome, out: &mut Outbox) {
        let admitted = *self.requests.get(request);
        if admitted.withdrawn {
            self.requests.remove(request);
            self.discard(admitted.device, admitted.slot, out);
            return;
        }
        if outcome.status == Status::InputMissing {
            // Nothing else tells that inputs take longer than their bound: without this every INFER
            // would give up as early as the one before.
            let class = usize::from(admitted.slot.class);
            let waited = now.since(admitted.placed);
            self.devices[admitted.device].delays[class].input.record(waited.three_halves());
            // It is still on its way, as far as anyone knows: half as long again is waited, which no
            // number of attempts bounds but the time that is left. An input that is lost is sent again
            // once a third of that is gone.
            let left = admitted.ask.deadline().since(now);
            if waited.0.saturating_mul(2) <= left.0 && self.plan_in_place(now, request, now + Nanos(waited.0 / 2)) {
                return;
            }
        }
        let again = !matches!(outcome.status, Status::BadAction) && admitted.attempts < self.config.attempts;
        if again && outcome.input_held && self.plan_in_place(now, request, now) {
            self.requests.get_mut(request).attempts += 1;
            return;
        }
        self.discard(admitted.device, admitted.slot, out);
        let elsewhere = if again {
            self.place_again(now, request, out)
        } else {
            Err(Reject::WouldBeLate { predicted: now.since(admitted.ask.arrival) })
        };
        if let Err(reason) = elsewhere {
            self.end(request, reason, outcome.status, out);
        }
    }

    /// Ends an admitted request whose booking and slot are gone.
    pub(super) fn end(&mut self, request: usize, reason: Reject, status: Status, out: &mut Outbox) {
        let id = self.requests.remove(request).ask.request;
        if matches!(status, Status::DeviceFault { .. } | Status::DiskFault { .. } | Status::BadAction) {
            self.counters.failed += 1;
            out.push(Output::Fail { request: id, status });
        } else {
            self.counters.revoked += 1;
            out.push(Output::Revoke { request: id, reason });
        }
    }

    /// Books a request again for the slot that it has, from `from` on, if it can be in time there.
    fn plan_in_place(&mut self, now: Nanos, request: usize, from: Nanos) -> bool {
        let admitted = *self.requests.get(request);
        let Admitted { ask, model, device: place, slot, .. } = admitted;
        let Some(ready) = self.weights_ready(now, place, model).map(|ready| ready.max(from)) else { return false };
        let device = &self.devices[place];
        let Some(entry) = self.models.get(model).entry(ask.shape, device.kind) else { return false };
        let Some(cost) = self.store.costs(entry).one() else { return false };
        let due = self.due_on(&ask, place, usize::from(slot.class));
        let start = ready.max(now + self.config.transport).max(device.exec_free(now).0);
        if device.lost || device.booked.is_full() || !due.allows(start, 0, cost) {
            return false;
        }
        if !device.residency[model].weights.are_promised() {
            self.want(now, place, model);
        }
        let link = Link { key: due.latest(cost), due, ready, group: (model, ask.shape.0), entry };
        self.rebook(request, link, cost, now);
        true
    }

    /// A worker is gone: its devices take nothing more, and what was on them is planned elsewhere by
    /// [`Core::sweep_lost`], as far as each event's outputs allow.
    pub(super) fn worker_lost(&mut self, worker: WorkerId) {
        for (place, known) in self.workers.iter_mut().enumerate() {
            if known.id != worker || known.lost {
                continue;
            }
            known.lost = true;
            if !self.devices.iter().any(|device| device.worker == place && !device.lost) {
                known.host = Vec::new();
            }
            for device in self.devices.iter_mut().filter(|device| device.worker == place && !device.lost) {
                device.lost = true;
                device.next_due = None;
                for (model, held) in device.residency.iter().enumerate() {
                    if held.weights.are_promised() {
                        self.models.get_mut(model).copies -= 1;
                    }
                }
            }
        }
    }

    /// Plans elsewhere what was on lost workers, and what lost its weights, one request at a time.
    pub(super) fn sweep_lost(&mut self, now: Nanos, out: &mut Outbox) {
        for place in 0..self.devices.len() {
            while self.devices[place].sweep || (self.devices[place].lost && !self.devices[place].residency.is_empty()) {
                // One step may place, load, and end: and the loads that it starts need room of their own.
                if out.remaining_capacity() < super::core::STEP_OUTPUTS {
                    self.devices[place].next_due = Some(now);
                    break;
                }
                self.sweep_step(now, place, out);
            }
        }
    }

    fn sweep_step(&mut self, now: Nanos, place: usize, out: &mut Outbox) {
        let device = &self.devices[place];
        let stranded =
            |device: &Device, link: &Link| device.lost || !device.residency[link.group.0].weights.are_promised();
        if let Some(at) = device.booked.iter().position(|booking| stranded(device, &booking.link)) {
            let booking = self.devices[place].unbook(at);
            let admitted = *self.requests.get(booking.request);
            self.devices[place].residency[admitted.model].users -= 1;
            self.plan_elsewhere(now, booking.request, out);
        } else if !device.lost {
            self.devices[place].sweep = false;
        } else if let Some(&committed) = device.lane.first() {
            let Purpose::Infer { requests, .. } = &mut self.actions.get_mut(committed.action).purpose else {
                unreachable!("the exec lane holds INFERs")
            };
            if let Some(request) = requests.pop() {
                self.plan_elsewhere(now, request, out);
            } else {
                self.actions.remove(committed.action);
                self.devices[place].lane.remove(0);
            }
        } else {
            self.forget(place);
            self.preload_cursor = 0;
            self.load_due = Some(now);
        }
    }

    /// The slot, or its whole device, is lost to this request.
    fn plan_elsewhere(&mut self, now: Nanos, request: usize, out: &mut Outbox) {
        let admitted = *self.requests.get(request);
        if admitted.withdrawn {
            self.requests.remove(request);
            return;
        }
        self.discard(admitted.device, admitted.slot, out);
        let device = &self.devices[admitted.device];
        let (lost, failed) = (device.lost, device.residency.get(admitted.model).and_then(|held| held.failed));
        let placed = if admitted.attempts < self.config.attempts {
            self.place_again(now, request, out)
        } else {
            Err(Reject::WouldBeLate { predicted: admitted.ask.slo })
        };
        if let Err(reason) = placed {
            let reason = if lost { Reject::WorkerLost } else { reason };
            let status = failed.filter(|_| !lost).unwrap_or(Status::ShuttingDown);
            self.end(request, reason, status, out);
        }
    }

    /// Nothing of a lost device is left: its place may be used again, its worker's with the last one.
    fn forget(&mut self, place: usize) {
        let worker = self.devices[place].worker;
        self.devices[place].residency = Vec::new();
        self.devices[place].sweep = false;
        self.devices[place].next_due = None;
        let left = |device: &Device| device.worker == worker && device.lost && !device.residency.is_empty();
        if self.devices.iter().any(left) {
            return;
        }
        while let Some(transfer) = self.actions.transfer_of(worker) {
            self.actions.remove(transfer);
        }
        self.workers[worker].host = Vec::new();
    }
}

fn difference(one: Nanos, other: Nanos) -> Nanos {
    one.since(other).max(other.since(one))
}
