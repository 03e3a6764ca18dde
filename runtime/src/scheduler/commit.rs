//! Binding late: which batch a device runs next is decided one commit lead before it is free.

use arrayvec::ArrayVec;

use super::core::{Core, STEP_OUTPUTS};
use super::due::Due;
use super::event::{Outbox, Output};
use super::mirror::{Committed, MAX_COMMITTED, Outstanding, Purpose, Weights};
use super::requests::Phase;
use super::strategy::{Batch, Policy};
use crate::base::Nanos;
use crate::order::{Action, ActionKind, Item, Items, Reject, Window};
use crate::profile::Cost;

/// What a device is to do next.
enum Next {
    /// Bind this batch now.
    Bind(Batch),
    /// Look again then; none: when something happens.
    Wait(Option<Nanos>),
    /// The request in this place of the order can't be in time any more.
    Expired(usize),
}

impl Core {
    /// Binds and expires what is due on a device, as far as the outputs have room.
    pub(super) fn advance(&mut self, device: usize, now: Nanos, out: &mut Outbox) {
        self.devices[device].next_due = None;
        if self.devices[device].lost {
            return;
        }
        loop {
            if out.remaining_capacity() < STEP_OUTPUTS || self.actions.is_full() {
                self.devices[device].next_due = Some(now);
                return;
            }
            match self.next(device, now) {
                Next::Bind(batch) => self.bind(device, &batch, now, out),
                Next::Expired(place) => self.expire(device, place, now, out),
                Next::Wait(until) => {
                    self.devices[device].next_due = until;
                    return;
                }
            }
        }
    }

    fn next(&mut self, place: usize, now: Nanos) -> Next {
        let transport = self.config.transport;
        let device = &self.devices[place];
        let Some(first) = device.booked.first() else { return Next::Wait(None) };
        // Alone, started as soon as an order can reach the worker, is the best that can still happen.
        let last_start = |link: &super::strategy::Link| {
            let cost = self.store.costs(link.entry).one();
            cost.map_or(Nanos::ZERO, |cost| self.latest_start(link.due, cost))
        };
        let expiry = last_start(&first.link);
        if now + transport > expiry {
            return Next::Expired(0);
        }
        let expiry = Nanos((expiry - transport).0.max(now.0)) + Nanos(1);
        if device.lane.len() >= self.config.committed.min(MAX_COMMITTED) {
            return Next::Wait(Some(expiry));
        }
        let class = usize::from(self.requests.get(first.request).slot.class);
        let lead = transport + device.delays[class].input_bound(self.config.percentile);
        let (free, variance) = device.exec_free(now);
        let start = free.max(now + transport);
        if now + lead < start {
            return Next::Wait(Some(expiry.min(start - lead)));
        }
        // Weights that are not there yet are not waited for in the lane, however near they are.
        let not_yet = now + lead + Nanos(1);
        self.chain.fill(device.booked.iter().map(|booking| {
            let mut link = booking.link;
            if device.residency[link.group.0].weights != Weights::Resident {
                link.ready = link.ready.max(not_yet);
            }
            link
        }));
        let Some(batch) = self.first_batch(start) else { return Next::Wait(Some(expiry)) };
        let (model, _) = self.chain.link(batch.members[0]).group;
        if self.devices[place].residency[model].weights != Weights::Resident {
            return Next::Wait(Some(expiry));
        }
        if batch.start > now + lead {
            return Next::Wait(Some(expiry.min(batch.start - lead)));
        }
        // What is ahead may end before it is expected to; beyond its spread that is no hope.
        let latest = self.latest_start(batch.due, batch.cost);
        if latest < batch.start && batch.start.since(latest) > Nanos(variance.isqrt()) {
            return Next::Expired(batch.members[0]);
        }
        Next::Bind(batch)
    }

    /// The first batch of a chain that keeps the rest in time; of those that do not, the first.
    fn first_batch(&mut self, start: Nanos) -> Option<Batch> {
        let gathered = self.chain.first(&self.store, start, Policy::Gather)?;
        for policy in [Policy::Gather, Policy::InOrder] {
            let batch = self.chain.first(&self.store, start, policy)?;
            let keeps = |policy| self.chain.keeps_rest(&self.store, &batch, policy);
            if [Policy::Gather, Policy::InOrder].into_iter().any(keeps) {
                return Some(batch);
            }
        }
        Some(gathered)
    }

    fn bind(&mut self, place: usize, batch: &Batch, now: Nanos, out: &mut Outbox) {
        let percentile = self.config.percentile;
        let latest = self.latest_start(batch.due, batch.cost);
        let (free, _) = self.devices[place].exec_free(now);
        let (mut items, mut requests) = (Items::new(), ArrayVec::new());
        let (mut ready, mut ready_by) = (now + self.config.transport, now + self.config.transport);
        let mut group = None;
        // Backwards, so that the places of the others stay right.
        for &member in batch.members.iter().rev() {
            let booking = self.devices[place].unbook(member);
            let device = &self.devices[place];
            let admitted = self.requests.get(booking.request);
            let last = self.latest_start(booking.link.due, batch.cost);
            assert!(latest <= last, "a bound request must be in time by its bound");
            items.push(Item { request: admitted.ask.request, slot: admitted.slot });
            requests.push(booking.request);
            let delays = &device.delays[usize::from(admitted.slot.class)];
            ready = ready.max(admitted.placed + delays.input.expected().unwrap_or_default());
            ready_by = ready_by.max(admitted.placed + delays.input_bound(percentile));
            group = Some((admitted.model, admitted.ask.shape, booking.link.entry));
        }
        items.reverse();
        requests.reverse();
        let Some((model, shape, entry)) = group else { unreachable!("a batch has a member") };
        let cost = batch.cost;
        let expected_start = free.max(ready).min(latest);
        let purpose = Purpose::Infer {
            items: items.clone(),
            requests: requests.clone(),
            entry,
            batch: cost.batch,
            cancelled: false,
        };
        let device = &mut self.devices[place];
        let worker = device.worker;
        let (action, id) = self.actions.add(|id| Outstanding {
            id,
            worker,
            device: place,
            model,
            expected_start,
            expected: cost.expected,
            purpose,
        });
        device.lane.push(Committed { action, ready, expected: cost.expected, bound: cost.bound });
        // The requests' uses of the weights become the batch's.
        let residency = &mut device.residency[model];
        residency.users = residency.users + 1 - requests.len();
        residency.last_used = now;
        for &request in &requests {
            self.requests.get_mut(request).phase = Phase::Bound { action };
        }
        self.counters.infers += 1;
        let device = &self.devices[place];
        let idle = self.idle_wait(place, cost, latest.since(now));
        // A worker that wakes a little late must still be able to start with what is there.
        let ready_by = ready_by.max(expected_start + idle).min(latest - self.config.safety_margin).max(now);
        let action = Action {
            id,
            model: self.models.get(model).id,
            window: Window { earliest: now, ready_by, latest },
            expected_start,
            expected_duration: cost.expected,
            kind: ActionKind::Infer { device: device.id, shape, batch: cost.batch, items },
        };
        out.push(Output::Action { worker: self.workers[worker].id, action });
    }

    /// When work must have started. The margin that admission kept is there to be used.
    fn latest_start(&self, due: Due, cost: Cost) -> Nanos {
        due.latest(cost) + self.config.safety_margin
    }

    /// How long an input that is later than its bound is waited for: not at all while work is queued
    /// behind it, otherwise for as long as the batch itself takes, or for a while that its deadline can
    /// spare. Nobody gains by an INFER that runs without it.
    fn idle_wait(&self, place: usize, cost: Cost, left: Nanos) -> Nanos {
        let patience = self.config.input_patience.min(Nanos(left.0 / 8));
        if self.devices[place].booked.is_empty() { cost.expected.max(patience) } else { Nanos::ZERO }
    }

    /// Refuses a booked request that can't be in time any more.
    fn expire(&mut self, device: usize, place: usize, now: Nanos, out: &mut Outbox) {
        let booking = self.devices[device].unbook(place);
        let admitted = self.requests.remove(booking.request);
        self.devices[device].residency[admitted.model].users -= 1;
        self.discard(device, admitted.slot, out);
        let one = self.store.costs(booking.link.entry).one().map(|cost| cost.bound).unwrap_or_default();
        let done = self.devices[device].exec_free(now).0 + one + (admitted.ask.deadline() - booking.link.due.at);
        let reason = Reject::WouldBeLate { predicted: done.since(admitted.ask.arrival) };
        self.counters.revoked += 1;
        out.push(Output::Revoke { request: admitted.ask.request, reason });
    }

    /// Takes an INFER back if every request in it is withdrawn.
    pub(super) fn cancel_if_unwanted(&mut self, action: usize, out: &mut Outbox) {
        let outstanding = self.actions.get_mut(action);
        let (id, worker) = (outstanding.id, outstanding.worker);
        let Purpose::Infer { requests, cancelled, .. } = &mut outstanding.purpose else { return };
        if !*cancelled
            && !self.workers[worker].lost
            && requests.iter().all(|&request| self.requests.get(request).withdrawn)
        {
            *cancelled = true;
            out.push(Output::Cancel { worker: self.workers[worker].id, action: id });
        }
    }
}
