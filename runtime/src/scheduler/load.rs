//! Weights: when they would be there, bringing them by demand, and what their results change.

use super::core::{Core, STEP_OUTPUTS};
use super::event::{Outbox, Output};
use super::mirror::{HostWeights, MAX_WANTED, Outstanding, Purpose, Weights};
use crate::base::Nanos;
use crate::base::ShapeId;
use crate::base::limits::MAX_SHAPES;
use crate::order::{Action, ActionKind, ActionResult, Status, Window};
use crate::profile::SizedSample;

/// LOADs and UNLOADs ordered ahead on one device: one runs, one waits.
const TRANSFERS_AHEAD: usize = 2;
/// Models that preloading keeps wanted on a device; demand finds room behind.
const PRELOADS_AHEAD: usize = 2;
/// Models that one event's preloading looks at.
const PRELOAD_SCAN: usize = 64;
/// How long after it was ordered a transfer may start.
const TRANSFER_PATIENCE: Nanos = Nanos::seconds(5);
/// After a second failure in a row a LOAD is not tried again for this long, doubling up to 64 times.
const BACKOFF: Nanos = Nanos::millis(50);

/// Predicted times of one load.
#[derive(Clone, Copy, Debug)]
struct Forecast {
    host_ready: Nanos,
    bus_free: Nanos,
    disk_free: Nanos,
    ready: Nanos,
}

impl Core {
    /// When a model's weights are, or could be, on a device, as bound; none if they can't be.
    pub(super) fn weights_ready(&self, now: Nanos, place: usize, model: usize) -> Option<Nanos> {
        match self.devices[place].residency.get(model)?.weights {
            Weights::Resident => Some(now),
            Weights::Wanted(ready) | Weights::Loading(ready) => Some(ready.max(now + self.config.transport)),
            Weights::Absent | Weights::Unloading => self.forecast(now, place, model).map(|forecast| forecast.ready),
        }
    }

    fn forecast(&self, now: Nanos, place: usize, model: usize) -> Option<Forecast> {
        let device = &self.devices[place];
        let worker = &self.workers[device.worker];
        let pages = self.models.get(model).pages;
        if device.lost || now < device.residency[model].not_before || device.wanted.len() == MAX_WANTED {
            return None;
        }
        let wanted: u32 = device.wanted.iter().map(|&wanted| self.models.get(wanted).pages).sum();
        if device.pages_free + self.evictable(now, place) < wanted.saturating_add(pages) {
            return None;
        }
        let (percentile, transport) = (self.config.percentile, self.config.transport);
        let fetch = worker.fetch_times.of(pages, percentile, self.config.fetch_per_page);
        let load = worker.load_times.of(pages, percentile, self.config.load_per_page);
        let (mut host_ready, mut disk_free) = (now, worker.disk_free);
        match worker.host[model].weights {
            HostWeights::Held => {}
            HostWeights::Fetching(ready) => host_ready = ready.max(now + transport),
            HostWeights::Absent | HostWeights::Dropping if pages > worker.host_pages => return None,
            HostWeights::Absent | HostWeights::Dropping => {
                host_ready = disk_free.max(now + transport) + fetch.1;
                disk_free = disk_free.max(now + transport) + fetch.0;
            }
        }
        let start = host_ready.max(device.bus_free) + transport;
        Some(Forecast { host_ready, bus_free: start + load.0, disk_free, ready: start + load.1 + transport })
    }

    /// Has a model's weights brought to a device. The caller has a forecast of it.
    pub(super) fn want(&mut self, now: Nanos, place: usize, model: usize) {
        let Some(forecast) = self.forecast(now, place, model) else { return };
        let device = &mut self.devices[place];
        device.set_weights(model, Weights::Wanted(forecast.ready));
        device.residency[model].last_used = now;
        device.wanted.push(model);
        device.bus_free = forecast.bus_free;
        let worker = &mut self.workers[device.worker];
        worker.disk_free = forecast.disk_free;
        worker.host[model].pins += 1;
        worker.host[model].last_needed = forecast.host_ready;
        let known = self.models.get_mut(model);
        known.copies += 1;
        known.unmet = Nanos::ZERO;
        self.load_due = Some(now);
    }

    /// Remembers work that was refused: what a LOAD would serve.
    pub(super) fn note_unmet(&mut self, now: Nanos, model: usize) {
        let entry = (0..MAX_SHAPES).find_map(|shape| {
            let shape = ShapeId(u8::try_from(shape).ok()?);
            self.devices.iter().find_map(|device| self.models.get(model).entry(shape, device.kind))
        });
        let one = entry.and_then(|entry| self.store.costs(entry).one());
        self.models.get_mut(model).unmet += one.map(|cost| cost.expected).unwrap_or_default();
        if self.demand_due.is_none() {
            self.demand_due = Some(now);
            self.load_due = Some(now);
        }
    }

    /// Orders the transfers that are due, as far as the outputs have room.
    pub(super) fn pump_loads(&mut self, now: Nanos, out: &mut Outbox) {
        if self.load_due.is_none_or(|due| due > now) {
            return;
        }
        self.load_due = None;
        if self.demand_due.is_some_and(|due| due <= now) {
            self.demand_due = self.serve_demand(now).then(|| now + self.config.load_period);
        }
        if self.config.preload {
            self.preload(now);
        }
        let mut blocked = false;
        for place in 0..self.devices.len() {
            if !self.devices[place].lost && !self.devices[place].wanted.is_empty() {
                blocked |= !self.pump_device(now, place, out);
            }
        }
        // What waits for a result goes on with it; what waits for victims or room looks again.
        let again = if out.remaining_capacity() < STEP_OUTPUTS { now } else { now + self.config.load_period };
        let again = blocked.then_some(again);
        self.load_due = again.into_iter().chain(self.demand_due).chain(self.load_due).min();
    }

    /// Wants the model with the most unmet demand where it would be ready first. Whether there is
    /// demand left to look at.
    fn serve_demand(&mut self, now: Nanos) -> bool {
        let mut most: Option<(Nanos, usize)> = None;
        let mut left = false;
        for model in 0..self.models.len() {
            let known = self.models.get_mut(model);
            let unmet = known.unmet;
            known.unmet = Nanos(unmet.0 / 2);
            left |= unmet.0 > 0;
            let load = self.workers.iter().find(|worker| !worker.lost && worker.target == known.target);
            let load = load
                .map(|worker| worker.load_times.of(known.pages, self.config.percentile, self.config.load_per_page).0);
            // A further copy must be worth its transfer.
            let worth = known.copies == 0 || load.is_some_and(|load| unmet > load);
            if unmet.0 > 0 && worth && most.is_none_or(|(most, _)| unmet > most) {
                most = Some((unmet, model));
            }
        }
        if let Some((_, model)) = most {
            let target = self.models.get(model).target;
            let takes = |&place: &usize| {
                let device = &self.devices[place];
                !device.lost
                    && self.workers[device.worker].target == target
                    && !device.residency[model].weights.are_promised()
            };
            let ready = |place: usize| Some((self.forecast(now, place, model)?.ready, place));
            if let Some((_, place)) = (0..self.devices.len()).filter(takes).filter_map(ready).min() {
                self.want(now, place, model);
            }
        }
        left
    }

    /// Wants models that no device holds, while pages are free without evicting any.
    fn preload(&mut self, now: Nanos) {
        let last = (self.preload_cursor + PRELOAD_SCAN).min(self.models.len());
        while self.preload_cursor < last {
            let model = self.preload_cursor;
            let known = self.models.get(model);
            let (target, pages, copies) = (known.target, known.pages, known.copies);
            let spare = |place: usize| {
                let device = &self.devices[place];
                let wanted: u32 = device.wanted.iter().map(|&wanted| self.models.get(wanted).pages).sum();
                let fits = !device.lost && self.workers[device.worker].target == target;
                let spare = device.pages_free.checked_sub(wanted)?;
                let sound = device.residency.get(model)?.failed.is_none();
                (fits && sound && spare >= pages && self.forecast(now, place, model).is_some())
                    .then_some((spare, place))
            };
            if copies == 0
                && let Some((_, place)) = (0..self.devices.len()).filter_map(spare).max()
            {
                if self.devices[place].wanted.len() >= PRELOADS_AHEAD {
                    return; // The next LOAD's result looks again.
                }
                self.want(now, place, model);
            }
            self.preload_cursor += 1;
        }
        if self.preload_cursor < self.models.len() {
            self.load_due = Some(now);
        }
    }

    /// Orders FETCHes and LOADs for a device. False if something waits for victims or room.
    fn pump_device(&mut self, now: Nanos, place: usize, out: &mut Outbox) -> bool {
        let mut at = 0;
        while at < self.devices[place].wanted.len() {
            if out.remaining_capacity() < STEP_OUTPUTS || self.actions.is_full() {
                return false;
            }
            let model = self.devices[place].wanted[at];
            let worker = self.devices[place].worker;
            match self.workers[worker].host[model].weights {
                HostWeights::Absent | HostWeights::Dropping => {
                    if self.workers[worker].reads < self.workers[worker].credits.min(TRANSFERS_AHEAD)
                        && !self.fetch(now, worker, model, out)
                    {
                        return false;
                    }
                }
                HostWeights::Held if at == 0 && self.devices[place].transfers < TRANSFERS_AHEAD => {
                    if !self.load(now, place, model, out) {
                        return false;
                    }
                    self.devices[place].wanted.remove(0);
                    continue;
                }
                HostWeights::Held | HostWeights::Fetching(_) => {}
            }
            at += 1;
        }
        true
    }

    fn fetch(&mut self, now: Nanos, worker: usize, model: usize, out: &mut Outbox) -> bool {
        let pages = self.models.get(model).pages;
        if !self.drop_for(now, worker, pages, out) {
            return false;
        }
        let known = &mut self.workers[worker];
        let (expected, bound) = known.fetch_times.of(pages, self.config.percentile, self.config.fetch_per_page);
        known.host_free -= pages;
        known.host[model].weights = HostWeights::Fetching(now + self.config.transport + bound);
        known.reads += 1;
        self.counters.fetches += 1;
        self.order(now, (worker, usize::MAX), model, expected, ActionKind::Fetch, Purpose::Fetch, out);
        true
    }

    fn load(&mut self, now: Nanos, place: usize, model: usize, out: &mut Outbox) -> bool {
        let pages = self.models.get(model).pages;
        if !self.evict_for(now, place, pages, out) {
            return false;
        }
        let (percentile, per_page) = (self.config.percentile, self.config.load_per_page);
        let device = &mut self.devices[place];
        let (expected, bound) = self.workers[device.worker].load_times.of(pages, percentile, per_page);
        device.pages_free -= pages;
        device.set_weights(model, Weights::Loading(now + self.config.transport + bound));
        device.transfers += 1;
        let (worker, kind) = (device.worker, ActionKind::Load { device: device.id });
        self.counters.loads += 1;
        self.order(now, (worker, place), model, expected, kind, Purpose::Load, out);
        true
    }

    /// Orders anything but an INFER.
    #[expect(clippy::too_many_arguments, reason = "each is a different field of the order")]
    pub(super) fn order(
        &mut self,
        now: Nanos,
        (worker, device): (usize, usize),
        model: usize,
        expected: Nanos,
        kind: ActionKind,
        purpose: Purpose,
        out: &mut Outbox,
    ) {
        let expected_start = now + self.config.transport;
        let make = |id| Outstanding { id, worker, device, model, expected_start, expected, purpose };
        let (_, id) = self.actions.add(make);
        let window = Window::until(now, now + TRANSFER_PATIENCE);
        let model = self.models.get(model).id;
        let action = Action { id, model, window, expected_start, expected_duration: expected, kind };
        out.push(Output::Action { worker: self.workers[worker].id, action });
    }

    /// LOAD and UNLOAD.
    pub(super) fn weights_result(&mut self, now: Nanos, action: &Outstanding, result: &ActionResult) {
        let (place, model) = (action.device, action.model);
        let pages = self.models.get(model).pages;
        let device = &mut self.devices[place];
        device.transfers -= 1;
        self.load_due = Some(now);
        if matches!(action.purpose, Purpose::Unload) {
            if device.residency[model].weights == Weights::Unloading {
                let refused = !result.status.is_ok() && result.status != Status::NotResident;
                device.set_weights(model, if refused { Weights::Resident } else { Weights::Absent });
                if refused {
                    device.pages_free = device.pages_free.saturating_sub(pages);
                    self.models.get_mut(model).copies += 1;
                }
            }
            return;
        }
        let worker = &mut self.workers[device.worker];
        worker.host[model].pins -= 1;
        if result.status.is_ok() {
            worker.load_times.record(SizedSample { pages, duration: result.stages.exec.duration() });
            let residency = &mut device.residency[model];
            (residency.failures, residency.failed) = (0, None);
            residency.last_used = now;
            device.set_weights(model, Weights::Resident);
            self.weights_expected(now, place, model);
            return;
        }
        if result.status == Status::NotResident && worker.host[model].weights == HostWeights::Held {
            worker.host[model].weights = HostWeights::Absent;
            worker.host_free = (worker.host_free + pages).min(worker.host_pages);
        }
        self.lose_weights(now, place, model, result.status);
    }

    /// FETCH and DROP.
    pub(super) fn host_result(&mut self, now: Nanos, action: &Outstanding, result: &ActionResult) {
        let (place, model) = (action.worker, action.model);
        let pages = self.models.get(model).pages;
        let worker = &mut self.workers[place];
        worker.reads -= 1;
        self.load_due = Some(now);
        let host = &mut worker.host[model];
        match (&action.purpose, result.status.is_ok()) {
            (Purpose::Fetch, true) => {
                host.weights = HostWeights::Held;
                worker.fetch_times.record(SizedSample { pages, duration: result.stages.exec.duration() });
            }
            (Purpose::Fetch, false) => {
                host.weights = HostWeights::Absent;
                worker.host_free = (worker.host_free + pages).min(worker.host_pages);
                for device in 0..self.devices.len() {
                    let known = &mut self.devices[device];
                    if known.lost || known.worker != place || !known.wanted.contains(&model) {
                        continue;
                    }
                    known.wanted.retain(|wanted| *wanted != model);
                    self.workers[place].host[model].pins -= 1;
                    self.lose_weights(now, device, model, result.status);
                }
            }
            (_, true) if host.weights == HostWeights::Dropping => host.weights = HostWeights::Absent,
            (_, false) if host.weights == HostWeights::Dropping => {
                host.weights = HostWeights::Held;
                worker.host_free = worker.host_free.saturating_sub(pages);
            }
            _ => {}
        }
    }

    /// A model's weights are not, or did not get, where they should be: once more if there is
    /// anything booked for them, else left alone until there is.
    pub(super) fn lose_weights(&mut self, now: Nanos, place: usize, model: usize, failed: Status) {
        let device = &mut self.devices[place];
        if matches!(device.residency[model].weights, Weights::Loading(_) | Weights::Resident) {
            device.pages_free = (device.pages_free + self.models.get(model).pages).min(device.pages);
        }
        if device.residency[model].weights.are_promised() {
            self.models.get_mut(model).copies -= 1;
        }
        device.wanted.retain(|wanted| *wanted != model);
        device.set_weights(model, Weights::Absent);
        let residency = &mut device.residency[model];
        residency.failures += 1;
        residency.failed = Some(failed);
        if residency.failures > 1 {
            residency.not_before = now + Nanos(BACKOFF.0 << (residency.failures - 2).min(6));
        }
        if residency.users > 0 {
            self.want(now, place, model);
            self.weights_expected(now, place, model);
            self.devices[place].sweep = true;
        }
    }

    /// Booked requests wait for their weights until the time that is predicted now.
    fn weights_expected(&mut self, now: Nanos, place: usize, model: usize) {
        let Some(weights) = self.weights_ready(now, place, model) else { return };
        let percentile = self.config.percentile;
        let device = &mut self.devices[place];
        for booking in device.booked.iter_mut().filter(|booking| booking.link.group.0 == model) {
            let admitted = self.requests.get(booking.request);
            let input = admitted.placed + device.delays[usize::from(admitted.slot.class)].input_bound(percentile);
            booking.link.ready = weights.max(input);
        }
    }
}
