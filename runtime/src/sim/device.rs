//! A device as a model: four lanes, each one operation at a time, with durations, jitter and faults.

use super::seeded::Seeded;
use crate::base::{BatchSize, Nanos};
use crate::worker::{ArchitectureId, Lane, LaneOp, LaneOutcome};

/// How long things take on a device, before jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceTimes {
    /// What every copy takes beside its bytes.
    pub copy_latency: Nanos,
    /// Bytes that the bus moves in a microsecond, at least 1.
    pub bytes_per_us: u32,
    /// Every duration is multiplied by 1 plus a uniform share of this.
    pub jitter: f64,
    /// Probability of a disturbance of an exec...
    pub spike_rate: f64,
    /// ...which multiplies its duration by this.
    pub spike_factor: f64,
}

impl Default for DeviceTimes {
    fn default() -> DeviceTimes {
        DeviceTimes {
            copy_latency: Nanos::micros(8),
            bytes_per_us: 12_000,
            jitter: 0.02,
            spike_rate: 0.0,
            spike_factor: 1.5,
        }
    }
}

/// Exec durations of one architecture, by batch size; none where there is no plan.
pub type ExecTimes = [Option<Nanos>; BatchSize::ALL.len()];

/// Which operations of a device fail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceFaults {
    /// Probability that a copy of weights fails.
    pub weights: f64,
    /// Probability that a copy of an input fails.
    pub input: f64,
    /// Probability that an exec fails.
    pub exec: f64,
    /// Probability that a copy of an output fails.
    pub output: f64,
    /// Operations that fail for certain: lane, and number among the lane's operations.
    pub certain: Vec<(Lane, u64)>,
}

/// What the driver says of a fault: `CUDA_ERROR_UNKNOWN`.
pub const FAULT_CODE: u32 = 999;

/// When an operation runs, and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it begins.
    pub begin: Nanos,
    /// When it ends.
    pub end: Nanos,
    /// How.
    pub outcome: LaneOutcome,
}

/// One device. All times are simulated time.
#[derive(Clone, Debug)]
pub struct DeviceModel {
    times: DeviceTimes,
    exec: Vec<ExecTimes>,
    faults: DeviceFaults,
    stream: Seeded,
    free_at: [Nanos; Lane::ALL.len()],
    busy: Nanos,
}

impl DeviceModel {
    /// An idle device; `exec` is by [`ArchitectureId`].
    pub fn new(times: DeviceTimes, exec: Vec<ExecTimes>, faults: DeviceFaults, stream: Seeded) -> DeviceModel {
        DeviceModel { times, exec, faults, stream, free_at: [Nanos::ZERO; Lane::ALL.len()], busy: Nanos::ZERO }
    }

    /// Takes an operation at `now` and says when it runs.
    ///
    /// # Panics
    /// If it names a plan that the architecture does not have: the device core checks that.
    pub fn submit(&mut self, now: Nanos, op: &LaneOp) -> Run {
        let ticket = op.ticket();
        let (work, fault_rate) = match op {
            LaneOp::CopyPage { bytes, .. } => (self.copy(*bytes), self.faults.weights),
            LaneOp::WriteTable { .. } => (self.copy(0), self.faults.weights),
            LaneOp::CopyInput { bytes, .. } => (self.copy(*bytes), self.faults.input),
            LaneOp::CopyOutput { bytes, .. } => (self.copy(*bytes), self.faults.output),
            LaneOp::Exec { architecture, batch, .. } => (self.exec(*architecture, *batch), self.faults.exec),
        };
        let free_at = &mut self.free_at[ticket.lane as usize];
        let begin = (*free_at).max(now);
        let end = begin + work;
        *free_at = end;
        if ticket.lane == Lane::Exec {
            self.busy += work;
        }
        let fails = self.faults.certain.contains(&(ticket.lane, ticket.sequence)) || self.stream.chance(fault_rate);
        let outcome = if fails { LaneOutcome::Fault { code: FAULT_CODE } } else { LaneOutcome::Ok };
        Run { begin, end, outcome }
    }

    /// What an exec takes, jitter included.
    ///
    /// # Panics
    /// If there is no such plan.
    pub fn exec(&mut self, architecture: ArchitectureId, batch: BatchSize) -> Nanos {
        match self.exec[usize::from(architecture.0)][batch.ordinal()] {
            Some(work) => {
                let work = self.jittered(work);
                let disturbed = self.stream.chance(self.times.spike_rate);
                if disturbed { scale(work, self.times.spike_factor) } else { work }
            }
            None => unreachable!("{architecture:?} has no plan for a batch of {batch}"),
        }
    }

    /// What a copy takes, jitter included.
    pub fn copy(&mut self, bytes: u32) -> Nanos {
        let moving = Nanos(u64::from(bytes) * 1_000 / u64::from(self.times.bytes_per_us.max(1)));
        self.jittered(self.times.copy_latency + moving)
    }

    /// Time that the exec lane worked.
    pub fn busy(&self) -> Nanos {
        self.busy
    }

    fn jittered(&mut self, work: Nanos) -> Nanos {
        scale(work, 1.0 + self.times.jitter * self.stream.unit())
    }
}

/// A duration times a factor.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "durations are far below 2^53 ns and factors are positive"
)]
pub(super) fn scale(duration: Nanos, factor: f64) -> Nanos {
    Nanos((duration.0 as f64 * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DeviceId, SlotId};
    use crate::worker::LaneTicket;

    fn copy_in(sequence: u64) -> LaneOp {
        let slot = SlotId { device: DeviceId(0), class: 0, index: 0, generation: 0 };
        LaneOp::CopyInput { ticket: LaneTicket { lane: Lane::Input, sequence }, slot, bytes: 12_000 }
    }

    #[test]
    fn a_lane_does_one_thing_at_a_time() {
        let times = DeviceTimes { jitter: 0.0, ..DeviceTimes::default() };
        let mut device = DeviceModel::new(times, vec![], DeviceFaults::default(), Seeded::new(1));
        let first = device.submit(Nanos::micros(3), &copy_in(0));
        let second = device.submit(Nanos::micros(4), &copy_in(1));
        assert_eq!((first.begin, first.end), (Nanos::micros(3), Nanos::micros(12)));
        assert_eq!((second.begin, second.end), (Nanos::micros(12), Nanos::micros(21)));
    }

    #[test]
    fn the_operation_named_fails_and_no_other() {
        let faults = DeviceFaults { certain: vec![(Lane::Input, 1)], ..DeviceFaults::default() };
        let mut device = DeviceModel::new(DeviceTimes::default(), vec![], faults, Seeded::new(1));
        let outcomes = [0, 1, 2].map(|n| device.submit(Nanos::ZERO, &copy_in(n)).outcome);
        assert_eq!(outcomes, [LaneOutcome::Ok, LaneOutcome::Fault { code: FAULT_CODE }, LaneOutcome::Ok]);
    }

    #[test]
    fn jitter_only_adds_and_keeps_its_bound() {
        let mut device = DeviceModel::new(
            DeviceTimes::default(),
            vec![[Some(Nanos::millis(10)); 5]],
            DeviceFaults::default(),
            Seeded::new(1),
        );
        for _ in 0..1_000 {
            let took = device.exec(ArchitectureId(0), BatchSize::ONE);
            assert!((Nanos::millis(10)..=Nanos::micros(10_200)).contains(&took), "{took}");
        }
    }
}
