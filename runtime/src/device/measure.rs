//! Measuring at start: what each plan and each copy of a page takes on this device, before HELLO.

use sys::memory::SharedLease;

use super::{Architecture, Lanes, PlanKey};
use crate::base::Nanos;
use crate::base::limits::{MAX_BATCH, WEIGHT_CHUNK_BYTES};
use crate::worker::op::{TABLE_ENTRIES, TableId};
use crate::worker::{ArchitectureId, DevicePage, HostPage, Lane, LaneOp, LaneOutcome, LaneTicket};

/// Most samples of one plan.
const MAX_SAMPLES: usize = 101;
/// Fewest samples of one plan, whatever they take.
const MIN_SAMPLES: usize = 3;
/// Samples thrown away first: caches and branch predictors are cold.
const WARM_UP: usize = 1;

/// Work that failed while measuring, with the driver's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("measuring on the device failed with driver code {code}")]
pub struct MeasureError {
    /// The driver's status code.
    pub code: u32,
}

/// What is measured with: the lanes of a device that serves nothing yet.
#[derive(Debug)]
pub struct Measure<'a> {
    lanes: &'a mut Lanes,
    architectures: &'a [Architecture],
    sequence: u64,
}

impl<'a> Measure<'a> {
    /// Measures on `lanes`, which must be idle.
    pub fn new(lanes: &'a mut Lanes, architectures: &'a [Architecture]) -> Measure<'a> {
        assert!(!lanes.is_busy(), "a device that serves is not measured");
        Measure { lanes, architectures, sequence: 0 }
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

    /// What one page takes from host to device.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn page_copy(&mut self, page: &SharedLease) -> Result<Nanos, MeasureError> {
        let mut total = Nanos::ZERO;
        for offset in (0..page.len()).step_by(WEIGHT_CHUNK_BYTES) {
            let bytes = (page.len() - offset).min(WEIGHT_CHUNK_BYTES);
            let [offset, bytes] = [offset, bytes].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            let ticket = self.ticket(Lane::Weights);
            let op = LaneOp::CopyPage { ticket, from: HostPage(0), to: DevicePage(0), offset, bytes };
            total += self.run(&op, Some(page))?;
        }
        Ok(total)
    }

    /// Runs one plan over null slots until `budget` is spent or enough samples are there.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn plan(
        &mut self,
        architecture: ArchitectureId,
        table: TableId,
        key: PlanKey,
        budget: Nanos,
    ) -> Result<Vec<Nanos>, MeasureError> {
        let mut durations = Vec::with_capacity(MAX_SAMPLES);
        let end = Nanos(sys::clock::now_ns()) + budget;
        for run in 0..MAX_SAMPLES + WARM_UP {
            if durations.len() >= MIN_SAMPLES && Nanos(sys::clock::now_ns()) > end {
                break;
            }
            let ticket = self.ticket(Lane::Exec);
            let places = [None; MAX_BATCH];
            let op = LaneOp::Exec { ticket, architecture, shape: key.shape, batch: key.batch, table, places };
            let duration = self.run(&op, None)?;
            if run >= WARM_UP {
                durations.push(duration);
            }
        }
        Ok(durations)
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
        let begin = Nanos(sys::clock::now_ns());
        self.lanes.submit(op, self.architectures, host_page, begin);
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
