//! Admission: on which device a request can be promised to be in time, if on any.

use arrayvec::ArrayVec;

use super::core::Core;
use super::due::Due;
use super::event::{Ask, Outbox, Output};
use super::mirror::{Booking, Weights};
use super::rehearse::Rehearsal;
use super::requests::{Admitted, Phase};
use super::strategy::{Link, Policy, Probe, Start, room_to_grow};
use crate::base::Nanos;
use crate::order::{Reject, Status};
use crate::profile::Cost;

/// Devices that one admission plays through, of those that hold the model and of those that do not.
const CANDIDATES: usize = 4;

/// What a device can promise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    device: usize,
    link: Link,
    cost: Cost,
    class: usize,
    in_time: bool,
    /// When its exec would have ended, as bound: in the order if it is in time, else behind all.
    done: Nanos,
    /// There is a slot for it and a place in the order.
    has_room: bool,
}

/// Why no device takes a request.
#[derive(Clone, Copy, Debug, Default)]
struct Refusal {
    /// Some device could run it at all.
    possible: bool,
    /// Some device would be in time but has no slot.
    no_room: bool,
    /// Some device could not be given the weights.
    broken: Option<Reject>,
    /// What to measure, where only a bound stood against it.
    rehearsal: Option<Rehearsal>,
    /// Earliest completion that could be promised, as the client would see it.
    earliest: Option<Nanos>,
}

impl Refusal {
    fn reason(&self, now: Nanos, ask: &Ask) -> Reject {
        match self.earliest {
            _ if !self.possible => self.broken.unwrap_or(Reject::NoDevice),
            _ if self.no_room => Reject::Overloaded,
            earliest => Reject::WouldBeLate { predicted: earliest.unwrap_or(now).since(ask.arrival) },
        }
    }
}

impl Core {
    pub(super) fn ask(&mut self, now: Nanos, ask: Ask, out: &mut Outbox) {
        self.counters.asks += 1;
        if let Some(old) = self.requests.at(ask.request) {
            // Its gateway uses the place again, so the request before has ended there.
            let id = self.requests.get(old).ask.request;
            self.counters.faults += 1;
            self.withdraw(now, id, out);
        }
        let refused = match self.models.find(ask.model) {
            _ if self.draining => Some(Reject::Draining),
            _ if !self.requests.is_possible(ask.request) || self.requests.is_full() => Some(Reject::Overloaded),
            Some(model) if usize::from(ask.shape.0) < self.models.get(model).shapes.len() => {
                self.models.get_mut(model).asks += 1;
                self.admit(now, ask, model, out).err()
            }
            _ => Some(Reject::UnknownModel),
        };
        if let Some(reason) = refused {
            self.counters.rejected += 1;
            out.push(Output::Reject { request: ask.request, reason });
        }
    }

    fn admit(&mut self, now: Nanos, ask: Ask, model: usize, out: &mut Outbox) -> Result<(), Reject> {
        let mut refusal = Refusal::default();
        let Some(offer) = self.best_offer(now, &ask, model, &mut refusal) else {
            let reason = refusal.reason(now, &ask);
            if matches!(reason, Reject::WouldBeLate { .. }) {
                self.note_unmet(now, model);
            }
            if let Some(rehearsal) = refusal.rehearsal {
                self.rehearse(now, rehearsal, out);
            }
            return Err(reason);
        };
        self.counters.admitted += 1;
        let admitted = self.place(now, &offer, ask, model, 1, out);
        let request = self.requests.add(admitted);
        self.book(request, &offer, now);
        self.advance(offer.device, now, out);
        Ok(())
    }

    /// Plans an admitted request anew, whose booking and slot are gone already: books it where it can
    /// still be in time, or says why nowhere. The caller has looked at how often it was planned.
    pub(super) fn place_again(&mut self, now: Nanos, request: usize, out: &mut Outbox) -> Result<(), Reject> {
        let Admitted { ask, model, attempts, .. } = *self.requests.get(request);
        let mut refusal = Refusal::default();
        let offer = self.best_offer(now, &ask, model, &mut refusal).ok_or_else(|| refusal.reason(now, &ask))?;
        *self.requests.get_mut(request) = self.place(now, &offer, ask, model, attempts + 1, out);
        self.book(request, &offer, now);
        self.devices[offer.device].next_due = Some(now);
        Ok(())
    }

    /// The earliest completion in time, over the devices that hold the model, else over the others.
    fn best_offer(&mut self, now: Nanos, ask: &Ask, model: usize, refusal: &mut Refusal) -> Option<Offer> {
        for cold in [false, true] {
            let mut best: Option<Offer> = None;
            for device in self.candidates(now, model, cold) {
                let Some(offer) = self.assess(now, ask, model, device, refusal) else { continue };
                let fits = offer.in_time && offer.has_room;
                refusal.no_room |= offer.in_time && !offer.has_room;
                if fits && best.is_none_or(|best| offer.done < best.done) {
                    best = Some(offer);
                }
            }
            if best.is_some() {
                return best;
            }
        }
        None
    }

    /// The devices with the least to do that hold the model (or will), or that do not.
    fn candidates(&self, now: Nanos, model: usize, cold: bool) -> ArrayVec<usize, CANDIDATES> {
        let target = self.models.get(model).target;
        let mut least: ArrayVec<(Nanos, usize), CANDIDATES> = ArrayVec::new();
        for (place, device) in self.devices.iter().enumerate() {
            if device.lost
                || self.workers[device.worker].target != target
                || device.residency[model].weights.are_promised() == cold
            {
                continue;
            }
            let free = device.exec_free(now).0 + device.backlog;
            let behind = least.partition_point(|other| other.0 <= free);
            if behind < CANDIDATES {
                if least.is_full() {
                    least.pop();
                }
                least.insert(behind, (free, place));
            }
        }
        least.into_iter().map(|(_, place)| place).collect()
    }

    /// What one device can promise; none if it could never run the request.
    fn assess(&mut self, now: Nanos, ask: &Ask, model: usize, place: usize, refusal: &mut Refusal) -> Option<Offer> {
        let device = &self.devices[place];
        let known = self.models.get(model);
        let entry = known.entry(ask.shape, device.kind)?;
        let cost = self.store.costs(entry).one()?;
        let class = device.slots.class_for(known.shapes[usize::from(ask.shape.0)])?;
        let Some(weights_ready) = self.weights_ready(now, place, model) else {
            if let Some(Status::DiskFault { errno, block }) = device.residency[model].failed {
                refusal.broken = Some(Reject::BrokenModel { errno, block });
            }
            return None;
        };
        refusal.possible = true;
        let due = self.due_on(ask, place, class);
        let delays = &self.devices[place].delays[class];
        let percentile = self.config.percentile;
        let ready = weights_ready.max(now + delays.input_bound(percentile));
        let link = Link { key: due.latest(cost), due, ready, group: (model, ask.shape.0), entry };
        let device = &self.devices[place];
        let has_room = device.slots.has_free(class) && !device.booked.is_full();
        let (free, variance) = device.exec_free(now);
        let at = free.max(now + self.config.transport);
        let start = Start { at, variance };
        self.chain.fill(device.booked.iter().map(|booking| booking.link));
        let mut offer = Offer { device: place, link, cost, class, in_time: false, done: Nanos::MAX, has_room };
        let reserve = room_to_grow(self.store.costs(entry), (due.at - due.spread).since(ready)).unwrap_or(cost);
        let probe = Probe { place: self.chain.insert(link), reserve };
        for policy in [Policy::Gather, Policy::InOrder] {
            let verdict = self.chain.run(&self.store, start, policy, Some(probe));
            if verdict.in_time && verdict.probe < offer.done {
                offer.in_time = true;
                offer.done = verdict.probe;
            }
        }
        if !offer.in_time {
            self.chain.remove(probe.place);
            let behind = self.chain.run(&self.store, start, Policy::InOrder, None).end;
            offer.done = behind.max(ready) + due.taken(0, cost);
            let soonest = at.max(now + self.devices[place].delays[class].input.expected().unwrap_or_default());
            if soonest + cost.expected <= due.at && self.may_rehearse(now, place, model) {
                refusal.rehearsal = Some(Rehearsal { device: place, class, model, shape: ask.shape, entry, cost });
            }
            let seen = offer.done + (ask.deadline() - due.at);
            refusal.earliest = Some(refusal.earliest.map_or(seen, |known| known.min(seen)));
        }
        Some(offer)
    }

    /// When the exec of a request must have ended on a device. What the gateway needs to send the answer
    /// is known as a bound only, which counts as spread.
    pub(super) fn due_on(&self, ask: &Ask, place: usize, class: usize) -> Due {
        let device = &self.devices[place];
        let delays = &device.delays[class];
        let expected = delays.return_expected();
        let bound = delays.return_bound(self.config.percentile) + ask.return_bound;
        let kept = self.workers[device.worker].clock_error + self.config.safety_margin;
        Due { at: ask.deadline() - expected - kept, spread: bound - expected }
    }

    /// Gives out the slot of an offer and tells the gateway.
    fn place(&mut self, now: Nanos, offer: &Offer, ask: Ask, model: usize, attempts: u8, out: &mut Outbox) -> Admitted {
        let device = &mut self.devices[offer.device];
        let Some(slot) = device.slots.take(offer.class) else { unreachable!("an offer with room has a slot") };
        let worker = self.workers[device.worker].id;
        out.push(Output::Place { request: ask.request, worker, slot });
        let phase = Phase::Booked;
        Admitted { ask, model, device: offer.device, slot, placed: now, phase, withdrawn: false, attempts }
    }

    /// Puts a placed request into its device's order, and has its weights loaded if they are absent.
    fn book(&mut self, request: usize, offer: &Offer, now: Nanos) {
        let model = self.requests.get(request).model;
        let weights = self.devices[offer.device].residency[model].weights;
        if weights != Weights::Resident {
            self.counters.cold_starts += 1;
        }
        if !weights.are_promised() {
            self.want(now, offer.device, model);
        }
        self.rebook(request, offer.link, offer.cost, now);
    }

    /// Puts a placed request into the order of the device that its slot is on.
    pub(super) fn rebook(&mut self, request: usize, link: Link, cost: Cost, now: Nanos) {
        let admitted = self.requests.get_mut(request);
        admitted.phase = Phase::Booked;
        let device = &mut self.devices[admitted.device];
        let residency = &mut device.residency[admitted.model];
        residency.users += 1;
        residency.last_used = now;
        device.book(Booking { request, link, expected: cost.expected });
    }
}
