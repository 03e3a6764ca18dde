//! Making room for weights: the least recently used go first, never one with work.

use super::core::{Core, STEP_OUTPUTS};
use super::event::Outbox;
use super::mirror::{HostWeights, Purpose, Weights};
use crate::base::Nanos;
use crate::order::ActionKind;

impl Core {
    /// Whether a model's weights may leave a device: nothing is booked for them, and they were not
    /// used for as long as it takes to load them again. Else two models that take turns would keep
    /// the bus busy and serve nobody.
    fn is_victim(&self, now: Nanos, place: usize, model: usize) -> bool {
        let device = &self.devices[place];
        let held = &device.residency[model];
        let pages = self.models.get(model).pages;
        let times = &self.workers[device.worker].load_times;
        let (load, _) = times.of(pages, self.config.percentile, self.config.load_per_page);
        held.weights == Weights::Resident && held.users == 0 && now.since(held.last_used) >= load
    }

    /// Pages of a device that could be made free.
    pub(super) fn evictable(&self, now: Nanos, place: usize) -> u32 {
        let held = self.devices[place].held.iter().copied();
        held.filter(|&model| self.is_victim(now, place, model)).map(|model| self.models.get(model).pages).sum()
    }

    /// Orders UNLOADs until `pages` are free on a device. False if they are not, for want of victims
    /// or of room for outputs.
    pub(super) fn evict_for(&mut self, now: Nanos, place: usize, pages: u32, out: &mut Outbox) -> bool {
        if self.devices[place].pages_free + self.evictable(now, place) < pages {
            return false;
        }
        while self.devices[place].pages_free < pages {
            if out.remaining_capacity() < STEP_OUTPUTS || self.actions.is_full() {
                return false;
            }
            let device = &self.devices[place];
            let victims = device.held.iter().copied().filter(|&model| self.is_victim(now, place, model));
            let Some(victim) = victims.min_by_key(|&model| device.residency[model].last_used) else { return false };
            let freed = self.models.get(victim).pages;
            self.models.get_mut(victim).copies -= 1;
            let device = &mut self.devices[place];
            device.set_weights(victim, Weights::Unloading);
            device.pages_free += freed;
            device.transfers += 1;
            let (worker, kind) = (device.worker, ActionKind::Unload { device: device.id });
            self.counters.unloads += 1;
            self.order(now, (worker, place), victim, Nanos::ZERO, kind, Purpose::Unload, out);
        }
        true
    }

    /// Orders DROPs until `pages` are free on a worker's host. False if they are not.
    pub(super) fn drop_for(&mut self, now: Nanos, worker: usize, pages: u32, out: &mut Outbox) -> bool {
        while self.workers[worker].host_free < pages {
            if out.remaining_capacity() < STEP_OUTPUTS || self.actions.is_full() {
                return false;
            }
            let known = &self.workers[worker];
            let held = known.host.iter().enumerate();
            let victims = held.filter(|(_, host)| host.weights == HostWeights::Held && host.pins == 0);
            let Some((victim, _)) = victims.min_by_key(|(_, host)| host.last_needed) else { return false };
            let freed = self.models.get(victim).pages;
            let known = &mut self.workers[worker];
            known.host[victim].weights = HostWeights::Dropping;
            known.host_free += freed;
            known.reads += 1;
            self.order(now, (worker, usize::MAX), victim, Nanos::ZERO, ActionKind::Drop, Purpose::Drop, out);
        }
        true
    }
}
