//! What a run came to.

use serde::Serialize;

use crate::base::Nanos;

/// Percentiles of a set of durations, in nanoseconds; exact, by nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

impl Percentiles {
    /// The percentiles of `durations`; all zero for none.
    pub fn of(mut durations: Vec<Nanos>) -> Percentiles {
        durations.sort_unstable();
        let rank = |thousandths: usize| {
            let place = (durations.len() * thousandths).div_ceil(1_000).max(1) - 1;
            durations.get(place).map_or(0, |duration| duration.0)
        };
        Percentiles { count: durations.len() as u64, p50: rank(500), p99: rank(990), p999: rank(999), max: rank(1_000) }
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Requests sent.
    pub requests: u64,
    /// Answered in time.
    pub in_time: u64,
    /// Answered late, or not at all by then.
    pub late: u64,
    /// Never admitted.
    pub rejected: u64,
    /// Admitted, then refused before exec.
    pub revoked: u64,
    /// Executed without success.
    pub failed: u64,
    /// Withdrawn by their clients.
    pub withdrawn: u64,
    /// Answers in time per second of load.
    pub goodput_rps: f64,
    /// Requests admitted that had to wait for a LOAD.
    pub cold_starts: u64,
    /// INFERs ordered.
    pub infers: u64,
    /// Share of the load's time that the exec lanes worked.
    pub exec_busy: f64,
    /// Latency of the answers in time, from the intended send to the client's having them.
    pub latency_ns: Percentiles,
    /// Distance between the predicted and the measured end of each INFER's exec.
    pub prediction_error_ns: Percentiles,
    /// Seconds of load that were simulated.
    pub simulated_s: f64,
    /// Seconds that simulating took; set by whoever has a clock.
    pub wall_s: f64,
    /// Digest over all steps, in hexadecimal: equal for equal runs.
    pub digest: String,
}

impl Report {
    /// As an aligned table for people.
    pub fn table(&self) -> String {
        let count = |n: u64| n.to_string();
        let milliseconds = |ns: u64| format!("{:.3} ms", Nanos(ns).as_millis_f64());
        let rows = [
            ("requests", count(self.requests)),
            ("in time", count(self.in_time)),
            ("late", count(self.late)),
            ("rejected", count(self.rejected)),
            ("revoked", count(self.revoked)),
            ("failed", count(self.failed)),
            ("withdrawn", count(self.withdrawn)),
            ("goodput", format!("{:.1} /s", self.goodput_rps)),
            ("cold starts", count(self.cold_starts)),
            ("INFERs", count(self.infers)),
            ("exec busy", format!("{:.1} %", self.exec_busy * 100.0)),
            ("latency p50", milliseconds(self.latency_ns.p50)),
            ("latency p99", milliseconds(self.latency_ns.p99)),
            ("latency p99.9", milliseconds(self.latency_ns.p999)),
            ("latency max", milliseconds(self.latency_ns.max)),
            ("prediction error p50", milliseconds(self.prediction_error_ns.p50)),
            ("prediction error p99", milliseconds(self.prediction_error_ns.p99)),
            ("prediction error max", milliseconds(self.prediction_error_ns.max)),
            ("simulated", format!("{:.3} s", self.simulated_s)),
            ("wall", format!("{:.3} s", self.wall_s)),
            ("digest", self.digest.clone()),
        ];
        let mut text = String::new();
        for (name, value) in rows {
            text.push_str(&format!("{name:<22}{value:>16}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact() {
        let all = Percentiles::of((1..=1_000).rev().map(Nanos).collect());
        assert_eq!(all, Percentiles { count: 1_000, p50: 500, p99: 990, p999: 999, max: 1_000 });
        assert_eq!(Percentiles::of(vec![]), Percentiles::default());
        assert_eq!(Percentiles::of(vec![Nanos(7)]).p50, 7);
    }
}
