//! Rehearsals: INFERs without items, on idle devices, for models that are refused by their bound.
//!
//! A bound that was measured in bad times, or before the machine came to rest, may refuse every
//! request. Then nothing is admitted, nothing is measured, and the bound would stand for ever. The
//! delays before and behind the exec can't be rehearsed; those from bad times are forgotten meanwhile.

use arrayvec::ArrayVec;

use super::core::Core;
use super::event::{Outbox, Output};
use super::mirror::{Committed, Outstanding, Purpose, Weights};
use crate::base::{Nanos, ShapeId};
use crate::order::{Action, ActionKind, Items, Window};
use crate::profile::{Cost, Entry};

/// A device rests that many times as long as a rehearsal took, before the next.
const REST: u64 = 4;

/// A plan whose bound refused a request that its expected time would have served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rehearsal {
    pub(super) device: usize,
    pub(super) class: usize,
    pub(super) model: usize,
    pub(super) shape: ShapeId,
    pub(super) entry: Entry,
    pub(super) cost: Cost,
}

impl Core {
    /// Whether a device has nothing to do and has rested since its last rehearsal.
    pub(super) fn may_rehearse(&self, now: Nanos, device: usize, model: usize) -> bool {
        let device = &self.devices[device];
        let idle = device.lane.is_empty() && device.booked.is_empty();
        idle && device.residency[model].weights == Weights::Resident && now >= device.rehearse_from
    }

    pub(super) fn rehearse(&mut self, now: Nanos, rehearsal: Rehearsal, out: &mut Outbox) {
        if self.actions.is_full() {
            return;
        }
        let Rehearsal { device: place, class, model, shape, entry, cost } = rehearsal;
        let device = &mut self.devices[place];
        let (worker, start) = (device.worker, now + self.config.transport);
        let (action, id) = self.actions.add(|id| Outstanding {
            id,
            worker,
            device: place,
            model,
            expected_start: start,
            expected: cost.expected,
            purpose: Purpose::Infer {
                items: Items::new(),
                requests: ArrayVec::new(),
                entry,
                batch: cost.batch,
                cancelled: false,
            },
        });
        device.delays[class].forget();
        device.rehearse_from = now + Nanos(cost.expected.0.saturating_mul(1 + REST));
        device.lane.push(Committed { action, ready: start, expected: cost.expected, bound: cost.bound });
        device.residency[model].users += 1;
        self.counters.infers += 1;
        self.counters.rehearsals += 1;
        let action = Action {
            id,
            model: self.models.get(model).id,
            // It serves nobody: what does not start soon is of no use.
            window: Window { earliest: now, ready_by: start, latest: start + cost.expected },
            expected_start: start,
            expected_duration: cost.expected,
            kind: ActionKind::Infer { device: device.id, shape, batch: cost.batch, items: Items::new() },
        };
        out.push(Output::Action { worker: self.workers[worker].id, action });
    }
}
