//! Measuring at start: what each plan and each LOAD takes on this device, before HELLO.

use sys::memory::SharedLease;
use sys::thread::{Disturbances, Watch};

use super::{Architecture, Lanes, PlanKey};
use crate::base::Nanos;
use crate::base::limits::{MAX_BATCH, WEIGHT_CHUNK_BYTES};
use crate::worker::op::{TABLE_ENTRIES, TableId};
use crate::worker::{ArchitectureId, DevicePage, HostPage, Lane, LaneOp, LaneOutcome, LaneTicket};

/// Most undisturbed samples of one plan.
const MAX_SAMPLES: usize = 101;
/// Fewest samples of one plan, whatever they take.
const MIN_SAMPLES: usize = 3;
/// Samples thrown away first: caches and branch predictors are cold.
const WARM_UP: usize = 1;
/// Most samples of one plan on a disturbed core: as many as a bound is made of.
const MAX_DISTURBED_SAMPLES: usize = 1_000;

/// Time spent on measuring one plan while nothing disturbs.
const QUIET_BUDGET: Nanos = Nanos::millis(400);
/// Time spent on it once something else took a compute thread's core: more samples tell the plan from the disturbance.
const DISTURBED_BUDGET: Nanos = Nanos::seconds(2);

/// Work that failed while measuring, with the driver's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("measuring on the device failed with driver code {code}")]
pub struct MeasureError {
    /// The driver's status code.
    pub code: u32,
}

/// Durations of one plan, all of them in the order in which they were measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// The durations.
    pub durations: Vec<Nanos>,
    /// How many of them saw a core taken from a compute thread.
    pub disturbed: usize,
}

impl Samples {
    fn add(&mut self, duration: Nanos, disturbed: bool) {
        self.durations.push(duration);
        self.disturbed += usize::from(disturbed);
    }

    /// Whether there are enough of them, `spent` after the first began.
    fn are_enough(&self, spent: Nanos) -> bool {
        let taken = self.durations.len();
        let budget = if self.disturbed == 0 { QUIET_BUDGET } else { DISTURBED_BUDGET };
        taken - self.disturbed >= MAX_SAMPLES
            || taken >= MAX_DISTURBED_SAMPLES
            || (taken >= MIN_SAMPLES && spent > budget)
    }
}

/// What is measured with: the lanes of a device that serves nothing yet.
#[derive(Debug)]
pub struct Measure<'a> {
    lanes: &'a mut Lanes,
    architectures: &'a [Architecture],
    sequence: u64,
    /// The compute threads; none where the device computes by itself.
    watches: Vec<Watch>,
}

impl<'a> Measure<'a> {
    /// Measures on `lanes`, which must be idle.
    pub fn new(lanes: &'a mut Lanes, architectures: &'a [Architecture]) -> Measure<'a> {
        assert!(!lanes.is_busy(), "a device that serves is not measured");
        let watches = Watch::registered(&sys::cpu::compute_thread_prefix(lanes.ordinal()));
        Measure { lanes, architectures, sequence: 0, watches }
    }

    /// Points an instance's page table at the first `pages` pages, so that its plans can run. What
    /// lies there does not matter: kernels take the same time over any weights.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn point_table(&mut self, table: TableId, pages: u32) -> Result<(), MeasureError> {
        for first in (0..pages).step_by(TABLE_ENTRIES) {
            let entries = (first..pages).take(TABLE_ENTRIES).map(DevicePage).collect();
            let ticket = self.ticket(Lane::Weights);
            self.run(&LaneOp::WriteTable { ticket, table, first, pages: entries }, None)?;
        }
        Ok(())
    }

    /// What a LOAD takes: the first `pages` pages of the host, each chunk after the other, and then
    /// the instance's page table.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn load(
        &mut self,
        table: TableId,
        pages: u32,
        host_page: impl Fn(HostPage) -> SharedLease,
    ) -> Result<Nanos, MeasureError> {
        let begin = now();
        for number in 0..pages {
            let page = host_page(HostPage(number));
            for offset in (0..page.len()).step_by(WEIGHT_CHUNK_BYTES) {
                let bytes = (page.len() - offset).min(WEIGHT_CHUNK_BYTES);
                let [offset, bytes] = [offset, bytes].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
                let ticket = self.ticket(Lane::Weights);
                let (from, to) = (HostPage(number), DevicePage(number));
                self.run(&LaneOp::CopyPage { ticket, from, to, offset, bytes }, Some(&page))?;
            }
        }
        self.point_table(table, pages)?;
        Ok(now().since(begin))
    }

    /// Runs one plan over null slots until there are enough samples: for at most 400 ms, or 2 s where
    /// something else took a compute thread's core meanwhile.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn plan(
        &mut self,
        architecture: ArchitectureId,
        table: TableId,
        key: PlanKey,
    ) -> Result<Samples, MeasureError> {
        let mut samples = Samples::default();
        let begin = now();
        let mut before = self.disturbances();
        for run in 0.. {
            if samples.are_enough(now().since(begin)) {
                break;
            }
            let ticket = self.ticket(Lane::Exec);
            let places = [None; MAX_BATCH];
            let op = LaneOp::Exec { ticket, architecture, shape: key.shape, batch: key.batch, table, places };
            let duration = self.run(&op, None)?;
            let after = self.disturbances();
            let disturbed =
                after.iter().zip(&before).any(|(after, before)| after.since(before).took_time_from(duration.0));
            before = after;
            if run >= WARM_UP {
                samples.add(duration, disturbed);
            }
        }
        Ok(samples)
    }

    fn disturbances(&mut self) -> Vec<Disturbances> {
        self.watches.iter_mut().map(Watch::read).collect()
    }

    fn ticket(&mut self, lane: Lane) -> LaneTicket {
        self.sequence += 1;
        LaneTicket { lane, sequence: self.sequence }
    }

    fn run(&mut self, op: &LaneOp, page: Option<&SharedLease>) -> Result<Nanos, MeasureError> {
        let host_page = |_| match page {
            Some(page) => page.clone(),
            None => unreachable!("only a copy of weights reads a host page"),
        };
        self.lanes.submit(op, self.architectures, host_page, now());
        loop {
            self.lanes.move_copies();
            if let Some(done) = self.lanes.poll() {
                return match done.outcome {
                    LaneOutcome::Ok => Ok(done.span.duration()),
                    LaneOutcome::Fault { code } => Err(MeasureError { code }),
                };
            }
            std::hint::spin_loop();
        }
    }
}

fn now() -> Nanos {
    Nanos(sys::clock::now_ns())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(quiet: usize, disturbed: usize) -> Samples {
        let mut samples = Samples::default();
        (0..quiet + disturbed).for_each(|n| samples.add(Nanos::millis(1), n < disturbed));
        samples
    }

    #[test]
    fn a_quiet_plan_is_measured_until_its_budget_or_its_samples_are_spent() {
        assert!(!samples(2, 0).are_enough(Nanos::seconds(60)), "too few to say anything");
        assert!(!samples(100, 0).are_enough(QUIET_BUDGET));
        assert!(samples(101, 0).are_enough(Nanos::ZERO));
        assert!(samples(3, 0).are_enough(QUIET_BUDGET + Nanos(1)));
    }

    #[test]
    fn a_disturbed_plan_is_measured_on_and_every_sample_kept() {
        let some = samples(100, 1);
        assert_eq!((some.durations.len(), some.disturbed), (101, 1));
        assert!(!some.are_enough(QUIET_BUDGET + Nanos(1)));
        assert!(some.are_enough(DISTURBED_BUDGET + Nanos(1)));
        assert!(samples(101, 60).are_enough(Nanos::ZERO));
        assert!(!samples(0, 999).are_enough(Nanos::ZERO) && samples(0, 1_000).are_enough(Nanos::ZERO));
    }
}
