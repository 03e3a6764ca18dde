//! A disk as a model: a latency that overlaps, a bandwidth that does not, and faults.

use super::device::scale;
use super::seeded::Seeded;
use crate::base::Nanos;
use crate::base::limits::CHECKSUM_BLOCK_BYTES;
use crate::worker::{DiskOp, DiskOutcome};

/// How a disk behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskConfig {
    /// From a read's submission to its first byte.
    pub latency: Nanos,
    /// Bytes that it reads in a microsecond, at least 1.
    pub bytes_per_us: u32,
    /// Every transfer is multiplied by 1 plus a uniform share of this.
    pub jitter: f64,
    /// Probability that a read fails.
    pub fault_rate: f64,
    /// Probability that a page does not match its checksum.
    pub checksum_rate: f64,
}

impl Default for DiskConfig {
    fn default() -> DiskConfig {
        // An ordinary NVMe drive.
        DiskConfig {
            latency: Nanos::micros(100),
            bytes_per_us: 2_000,
            jitter: 0.2,
            fault_rate: 0.0,
            checksum_rate: 0.0,
        }
    }
}

/// What the system says of a read that failed: `EIO`.
pub const FAULT_ERRNO: u32 = 5;

/// When a read is complete, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// When.
    pub end: Nanos,
    /// How.
    pub outcome: DiskOutcome,
}

/// One disk. All times are simulated time.
#[derive(Clone, Debug)]
pub struct DiskModel {
    config: DiskConfig,
    page_bytes: u32,
    stream: Seeded,
    free_at: Nanos,
}

impl DiskModel {
    /// An idle disk.
    pub fn new(config: DiskConfig, page_bytes: u32, stream: Seeded) -> DiskModel {
        DiskModel { config, page_bytes, stream, free_at: Nanos::ZERO }
    }

    /// Takes a read at `now` and says when it is complete.
    pub fn submit(&mut self, now: Nanos, op: &DiskOp) -> Read {
        let DiskOp::Read { page, bytes, .. } = *op;
        let end = self.free_at.max(now + self.config.latency) + self.transfer(bytes);
        self.free_at = end;
        let outcome = if self.stream.chance(self.config.fault_rate) {
            DiskOutcome::Fault { errno: FAULT_ERRNO, block: self.first_block(page) }
        } else if self.stream.chance(self.config.checksum_rate) {
            DiskOutcome::Fault { errno: 0, block: self.first_block(page) }
        } else {
            DiskOutcome::Ok
        };
        Read { end, outcome }
    }

    /// What moving so many bytes takes, jitter included.
    pub fn transfer(&mut self, bytes: u32) -> Nanos {
        let moving = Nanos(u64::from(bytes) * 1_000 / u64::from(self.config.bytes_per_us.max(1)));
        scale(moving, 1.0 + self.config.jitter * self.stream.unit())
    }

    fn first_block(&self, page: u32) -> u32 {
        let blocks = u64::from(page) * u64::from(self.page_bytes) / CHECKSUM_BLOCK_BYTES as u64;
        u32::try_from(blocks).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ModelId;
    use crate::worker::{DiskTicket, HostPage};

    fn read(page: u32) -> DiskOp {
        DiskOp::Read { ticket: DiskTicket(0), model: ModelId(1), page, to: HostPage(0), bytes: 2 << 20 }
    }

    #[test]
    fn latencies_overlap_and_transfers_do_not() {
        let config = DiskConfig { jitter: 0.0, bytes_per_us: 2_097, ..DiskConfig::default() };
        let mut disk = DiskModel::new(config, 2 << 20, Seeded::new(1));
        let transfer = Nanos(1_000_072);
        let ends = [0, 1].map(|page| disk.submit(Nanos::ZERO, &read(page)).end);
        assert_eq!(ends, [config.latency + transfer, config.latency + transfer + transfer]);
    }

    #[test]
    fn a_wrong_checksum_names_its_block() {
        let config = DiskConfig { checksum_rate: 1.0, ..DiskConfig::default() };
        let mut disk = DiskModel::new(config, 2 << 20, Seeded::new(1));
        assert_eq!(disk.submit(Nanos::ZERO, &read(3)).outcome, DiskOutcome::Fault { errno: 0, block: 24 });
    }
}
