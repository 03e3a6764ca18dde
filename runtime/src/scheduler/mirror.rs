//! What the scheduler believes of workers and devices: timelines, weights, slots.

use arrayvec::ArrayVec;

use super::config::Config;
use super::event::{DeviceUp, WorkerUp};
use super::slots::Slots;
use super::strategy::{Link, MAX_BOOKED};
use crate::base::limits::MAX_SLOT_CLASSES;
use crate::base::{ActionId, DeviceId, Nanos, WorkerId};
use crate::order::{Items, Status};
use crate::package::Target;
use crate::profile::{DurationWindow, Percentile, TransferTimes};

/// INFERs outstanding on one device at most, whatever is configured.
pub(super) const MAX_COMMITTED: usize = 8;
/// LOADs planned for one device and not yet ordered.
pub(super) const MAX_WANTED: usize = 16;
/// Samples that a delay starts with, so that one outlier among the first does not become its bound.
const SEEDS: usize = 100;
/// Samples of a delay that give way with each rehearsal: a hundredth of what its bound is taken of.
const FORGOTTEN: usize = 10;

/// Where one model's weights stand on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    Absent,
    /// To be loaded; ready at the predicted time.
    Wanted(Nanos),
    /// LOAD ordered; ready at the predicted time.
    Loading(Nanos),
    Resident,
    /// UNLOAD ordered: its pages count as free already.
    Unloading,
}

impl Weights {
    /// Whether the device holds the model, or will.
    pub(super) fn are_promised(self) -> bool {
        !matches!(self, Weights::Absent | Weights::Unloading)
    }
}

/// One model on one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residency {
    pub(super) weights: Weights,
    /// When it was last booked or run: what least-recently-used looks at.
    pub(super) last_used: Nanos,
    /// Requests booked on it, and INFERs of it that are out.
    pub(super) users: usize,
    /// LOADs that failed one after the other.
    pub(super) failures: u32,
    /// How the last of them failed.
    pub(super) failed: Option<Status>,
    /// Not to be loaded before this.
    pub(super) not_before: Nanos,
}

/// A booked request: which, and its place in the order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Booking {
    pub(super) request: usize,
    pub(super) link: Link,
    /// Its share of the backlog.
    pub(super) expected: Nanos,
}

/// An ordered INFER on its device's timeline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    pub(super) action: usize,
    /// Its inputs are expected to be there.
    pub(super) ready: Nanos,
    pub(super) expected: Nanos,
    pub(super) bound: Nanos,
}

/// Measured delays of one slot class.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// From PLACE to the input lying on the device.
    pub(super) input: Box<DurationWindow>,
    /// From the end of exec to the output lying on the host.
    pub(super) output: Box<DurationWindow>,
    /// From there to the gateway having it.
    pub(super) handover: Box<DurationWindow>,
}

impl Delays {
    fn seeded(config: &Config) -> Delays {
        let mut delays = Delays::default();
        for _ in 0..SEEDS {
            delays.input.record(config.input_delay);
            delays.output.record(config.output_delay);
            delays.handover.record(config.handover_delay);
        }
        delays
    }

    pub(super) fn input_bound(&self, percentile: Percentile) -> Nanos {
        self.input.bound(percentile).unwrap_or_default()
    }

    /// Lets bad times pass out of the windows where nothing is admitted that would measure better ones:
    /// what is expected takes the place of the oldest samples.
    pub(super) fn forget(&mut self) {
        for window in [&mut self.input, &mut self.output, &mut self.handover] {
            let Some(expected) = window.expected() else { continue };
            (0..FORGOTTEN).for_each(|_| window.record(expected));
        }
    }

    /// From the end of exec to the gateway having the output, as expected.
    pub(super) fn return_expected(&self) -> Nanos {
        self.output.expected().unwrap_or_default() + self.handover.expected().unwrap_or_default()
    }

    /// From the end of exec to the gateway having the output.
    pub(super) fn return_bound(&self, percentile: Percentile) -> Nanos {
        let bound = |window: &DurationWindow| window.bound(percentile).unwrap_or_default();
        bound(&self.output) + bound(&self.handover)
    }
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) worker: usize,
    pub(super) id: DeviceId,
    pub(super) kind: usize,
    /// Its worker is gone; what was booked on it is still to be planned elsewhere.
    pub(super) lost: bool,
    pub(super) pages: u32,
    pub(super) pages_free: u32,
    pub(super) slots: Slots,
    pub(super) delays: ArrayVec<Delays, MAX_SLOT_CLASSES>,
    /// By model; empty once nothing of a lost device is left.
    pub(super) residency: Vec<Residency>,
    /// Models whose weights are not [`Weights::Absent`].
    pub(super) held: Vec<usize>,
    /// Booked requests, in the order of their links' keys.
    pub(super) booked: ArrayVec<Booking, MAX_BOOKED>,
    pub(super) backlog: Nanos,
    pub(super) lane: ArrayVec<Committed, MAX_COMMITTED>,
    /// No rehearsal before this.
    pub(super) rehearse_from: Nanos,
    /// End of the last exec reported.
    pub(super) last_end: Nanos,
    /// Models to be loaded, first in, first out.
    pub(super) wanted: ArrayVec<usize, MAX_WANTED>,
    /// LOADs and UNLOADs ordered and not answered.
    pub(super) transfers: usize,
    /// When its weights lane is expected to be free of all that is wanted.
    pub(super) bus_free: Nanos,
    /// Booked requests must be looked through for such as lost their weights.
    pub(super) sweep: bool,
    pub(super) next_due: Option<Nanos>,
}

impl Device {
    pub(super) fn new(
        worker: usize,
        up: &DeviceUp,
        kind: usize,
        models: usize,
        generation: u32,
        config: &Config,
    ) -> Device {
        let absent = Residency {
            weights: Weights::Absent,
            last_used: Nanos::ZERO,
            users: 0,
            failures: 0,
            failed: None,
            not_before: Nanos::ZERO,
        };
        Device {
            worker,
            id: up.device,
            kind,
            lost: false,
            pages: up.pages,
            pages_free: up.pages,
            slots: Slots::new(up.device, &up.slots, generation),
            delays: up.slots.iter().map(|_| Delays::seeded(config)).collect(),
            residency: vec![absent; models],
            held: Vec::with_capacity(models),
            booked: ArrayVec::new(),
            backlog: Nanos::ZERO,
            lane: ArrayVec::new(),
            rehearse_from: Nanos::ZERO,
            last_end: Nanos::ZERO,
            wanted: ArrayVec::new(),
            transfers: 0,
            bus_free: Nanos::ZERO,
            sweep: false,
            next_due: None,
        }
    }

    /// When the exec lane is expected to have done all that was ordered, and the sum of
    /// (bound - expected)^2 of that. An action that is overdue is expected to end now.
    pub(super) fn exec_free(&self, now: Nanos) -> (Nanos, u64) {
        let (mut free, mut variance) = (self.last_end, 0u64);
        for committed in &self.lane {
            free = (free.max(committed.ready) + committed.expected).max(now);
            let spread = committed.bound.since(committed.expected).0;
            variance = variance.saturating_add(spread.saturating_mul(spread));
        }
        (free.max(now), variance)
    }

    /// Weights of a model changed their state.
    pub(super) fn set_weights(&mut self, model: usize, weights: Weights) {
        let before = std::mem::replace(&mut self.residency[model].weights, weights);
        if before == Weights::Absent && weights != Weights::Absent {
            self.held.push(model);
        } else if before != Weights::Absent && weights == Weights::Absent {
            self.held.retain(|&held| held != model);
        }
    }

    pub(super) fn book(&mut self, booking: Booking) {
        let place = self.booked.partition_point(|other| other.link.key <= booking.link.key);
        self.booked.insert(place, booking);
        self.backlog += booking.expected;
    }

    pub(super) fn unbook(&mut self, place: usize) -> Booking {
        let booking = self.booked.remove(place);
        self.backlog = self.backlog - booking.expected;
        booking
    }
}

/// Where one model's weights stand on one worker's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostWeights {
    Absent,
    /// FETCH ordered; held at the predicted time.
    Fetching(Nanos),
    Held,
    /// DROP ordered: its pages count as free already.
    Dropping,
}

/// One model on one worker's host.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostModel {
    pub(super) weights: HostWeights,
    /// When it was last to be loaded from here.
    pub(super) last_needed: Nanos,
    /// LOADs, wanted or ordered, that read it.
    pub(super) pins: usize,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) lost: bool,
    pub(super) target: Target,
    pub(super) clock_error: Nanos,
    pub(super) credits: usize,
    pub(super) host_pages: u32,
    pub(super) host_free: u32,
    /// By model.
    pub(super) host: Vec<HostModel>,
    /// FETCHes and DROPs ordered and not answered.
    pub(super) reads: usize,
    pub(super) disk_free: Nanos,
    pub(super) fetch_times: TransferTimes,
    pub(super) load_times: TransferTimes,
}

impl Worker {
    pub(super) fn new(up: &WorkerUp, models: usize) -> Worker {
        Worker {
            id: up.worker,
            lost: false,
            target: up.target,
            clock_error: up.clock_error,
            credits: usize::from(up.credits.max(1)),
            host_pages: up.host_pages,
            host_free: up.host_pages,
            host: vec![HostModel { weights: HostWeights::Absent, last_needed: Nanos::ZERO, pins: 0 }; models],
            reads: 0,
            disk_free: Nanos::ZERO,
            fetch_times: TransferTimes::default(),
            load_times: TransferTimes::default(),
        }
    }
}

/// What an ordered action was for.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "it lies in a table of fixed places; nothing on the path is boxed")]
pub(super) enum Purpose {
    Infer {
        items: Items,
        /// Their places in the slab, in the same order.
        requests: ArrayVec<usize, { crate::base::limits::MAX_BATCH }>,
        entry: crate::profile::Entry,
        batch: crate::base::BatchSize,
        cancelled: bool,
    },
    Load,
    Unload,
    Fetch,
    Drop,
}

/// An action that was ordered and not answered.
#[derive(Clone, Debug)]
pub(super) struct Outstanding {
    pub(super) id: ActionId,
    pub(super) worker: usize,
    /// Which device; of no meaning for FETCH and DROP.
    pub(super) device: usize,
    pub(super) model: usize,
    pub(super) expected_start: Nanos,
    pub(super) expected: Nanos,
    pub(super) purpose: Purpose,
}
