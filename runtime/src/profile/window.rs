//! The last durations of one kind of work, and the two numbers planned with.

use crate::base::Nanos;

/// Samples that `expected` is the median of.
pub const EXPECTED_SAMPLES: usize = 101;
/// Samples that `bound` is a percentile of.
pub const BOUND_SAMPLES: usize = 1_000;
/// Below this many samples a percentile says nothing, and `bound` is 1.5 times the largest.
pub const PERCENTILE_SAMPLES: usize = 100;

/// A percentile in hundredths of a percent: 9,900 is p99.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile(u16);

impl Percentile {
    /// The 99th: the default of every bound.
    pub const P99: Percentile = Percentile(9_900);
    /// The largest sample.
    pub const MAX: Percentile = Percentile(10_000);

    /// A percentile in hundredths of a percent; none above 10,000.
    pub const fn new(hundredths: u16) -> Option<Percentile> {
        if hundredths <= 10_000 { Some(Percentile(hundredths)) } else { None }
    }

    /// Rank, from 0, of this percentile among `len` sorted samples (nearest rank).
    pub fn rank(self, len: usize) -> usize {
        (len * usize::from(self.0)).div_ceil(10_000).clamp(1, len) - 1
    }
}

/// The last `N` samples, in order of arrival and sorted.
///
/// Adding one is two binary searches and one `memmove` of at most `8 N` bytes; nothing allocates.
#[derive(Clone, Debug)]
pub struct SortedRing<const N: usize> {
    arrived: [Nanos; N],
    sorted: [Nanos; N],
    len: usize,
    next: usize,
}

impl<const N: usize> Default for SortedRing<N> {
    fn default() -> SortedRing<N> {
        SortedRing { arrived: [Nanos::ZERO; N], sorted: [Nanos::ZERO; N], len: 0, next: 0 }
    }
}

impl<const N: usize> SortedRing<N> {
    /// Adds a sample; the oldest of a full ring goes.
    pub fn push(&mut self, sample: Nanos) {
        if self.len == N {
            let gone = self.arrived[self.next];
            let from = self.sorted.partition_point(|&s| s < gone);
            let to = self.sorted.partition_point(|&s| s <= sample);
            // The gap left by the old sample is closed towards the place of the new one.
            if from < to {
                self.sorted.copy_within(from + 1..to, from);
                self.sorted[to - 1] = sample;
            } else {
                self.sorted.copy_within(to..from, to + 1);
                self.sorted[to] = sample;
            }
        } else {
            let to = self.sorted[..self.len].partition_point(|&s| s <= sample);
            self.sorted.copy_within(to..self.len, to + 1);
            self.sorted[to] = sample;
            self.len += 1;
        }
        self.arrived[self.next] = sample;
        self.next = (self.next + 1) % N;
    }

    /// The samples, ascending.
    pub fn sorted(&self) -> &[Nanos] {
        &self.sorted[..self.len]
    }

    /// The median: the upper of the two middle ones where their number is even.
    pub fn median(&self) -> Option<Nanos> {
        self.sorted().get(self.len / 2).copied()
    }

    /// The largest.
    pub fn largest(&self) -> Option<Nanos> {
        self.sorted().last().copied()
    }

    /// The sample at `percentile`.
    pub fn percentile(&self, percentile: Percentile) -> Option<Nanos> {
        if self.len == 0 { None } else { Some(self.sorted[percentile.rank(self.len)]) }
    }
}

/// Durations of one kind of work.
#[derive(Clone, Debug, Default)]
pub struct DurationWindow {
    recent: SortedRing<EXPECTED_SAMPLES>,
    long: SortedRing<BOUND_SAMPLES>,
}

impl DurationWindow {
    /// Adds a measured duration.
    pub fn record(&mut self, duration: Nanos) {
        self.recent.push(duration);
        self.long.push(duration);
    }

    /// Samples held.
    pub fn len(&self) -> usize {
        self.long.len
    }

    /// Whether nothing was measured yet.
    pub fn is_empty(&self) -> bool {
        self.long.len == 0
    }

    /// What the next one probably takes: the median of the last 101. None without a sample.
    pub fn expected(&self) -> Option<Nanos> {
        self.recent.median()
    }

    /// What the next one takes at most, as far as is promised: `percentile` of the last 1,000, never
    /// below `expected`; below 100 samples 1.5 times the largest. None without a sample.
    pub fn bound(&self, percentile: Percentile) -> Option<Nanos> {
        if self.len() < PERCENTILE_SAMPLES {
            return self.long.largest().map(Nanos::three_halves);
        }
        // After a step up the median of the last 101 overtakes the percentile of the last 1,000.
        self.long.percentile(percentile).max(self.expected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_ring_sorts_its_last_samples(samples in prop::collection::vec(0u64..50, 1..60)) {
            let mut ring = SortedRing::<7>::default();
            for (i, &sample) in samples.iter().enumerate() {
                ring.push(Nanos(sample));
                let mut want: Vec<Nanos> = samples[(i + 1).saturating_sub(7)..=i].iter().copied().map(Nanos).collect();
                want.sort_unstable();
                prop_assert_eq!(ring.sorted(), &want[..]);
                prop_assert_eq!(ring.median(), Some(want[want.len() / 2]));
                prop_assert_eq!(ring.largest(), want.last().copied());
            }
        }
    }

    #[test]
    fn few_samples_give_a_wide_bound() {
        let mut window = DurationWindow::default();
        assert_eq!((window.expected(), window.bound(Percentile::P99)), (None, None));
        for n in 1..PERCENTILE_SAMPLES as u64 {
            window.record(Nanos(n));
        }
        assert_eq!(window.expected(), Some(Nanos(50)));
        assert_eq!(window.bound(Percentile::P99), Some(Nanos(148)));
        window.record(Nanos(100));
        assert_eq!(window.bound(Percentile::P99), Some(Nanos(99)));
        assert_eq!(window.bound(Percentile::MAX), Some(Nanos(100)));
    }

    #[test]
    fn the_bound_follows_a_step_up() {
        let mut window = DurationWindow::default();
        (0..1_000).for_each(|_| window.record(Nanos(10)));
        (0..5).for_each(|_| window.record(Nanos(99)));
        assert_eq!((window.expected(), window.bound(Percentile::P99)), (Some(Nanos(10)), Some(Nanos(10))));
        (0..51).for_each(|_| window.record(Nanos(99)));
        assert_eq!((window.expected(), window.bound(Percentile::P99)), (Some(Nanos(99)), Some(Nanos(99))));
    }
}
