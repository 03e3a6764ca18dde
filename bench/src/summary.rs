//! Latency summaries, as people and machines read them.

use hdrhistogram::Histogram;
use runtime::base::Nanos;
use serde::Serialize;

/// Percentiles of a set of durations, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many durations.
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

/// Durations gathered with three significant digits, from 1 ns up to [`Durations::LIMIT`].
#[derive(Clone, Debug)]
pub struct Durations {
    histogram: Histogram<u64>,
}

impl Durations {
    /// Longer durations count as this one: an hour.
    pub const LIMIT: Nanos = Nanos::seconds(3600);

    /// No durations yet.
    pub fn new() -> Durations {
        let histogram = Histogram::new_with_bounds(1, Durations::LIMIT.0, 3);
        Durations { histogram: histogram.unwrap_or_else(|error| unreachable!("constant bounds are valid: {error}")) }
    }

    /// Adds one.
    pub fn record(&mut self, duration: Nanos) {
        self.histogram.saturating_record(duration.0.max(1));
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &Durations) {
        let added = self.histogram.add(&other.histogram);
        assert!(added.is_ok(), "both sets have the same bounds");
    }

    /// The percentiles; all zero for an empty set.
    pub fn percentiles(&self) -> Percentiles {
        if self.histogram.is_empty() {
            return Percentiles::default();
        }
        Percentiles {
            count: self.histogram.len(),
            p50: self.histogram.value_at_quantile(0.5),
            p99: self.histogram.value_at_quantile(0.99),
            p999: self.histogram.value_at_quantile(0.999),
            max: self.histogram.max(),
        }
    }
}

impl Default for Durations {
    fn default() -> Durations {
        Durations::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_set() {
        let mut set = Durations::new();
        for n in 1..=1000 {
            set.record(Nanos::micros(n));
        }
        let read = set.percentiles();
        assert_eq!(read.count, 1000);
        assert!(read.p50.abs_diff(500_000) < 1_000, "{read:?}");
        assert!(read.p99.abs_diff(990_000) < 2_000, "{read:?}");
        assert!(read.max.abs_diff(1_000_000) < 2_000, "{read:?}");
    }

    #[test]
    fn an_empty_set_reads_as_zero() {
        assert_eq!(Durations::new().percentiles(), Percentiles::default());
    }
}
