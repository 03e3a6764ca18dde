//! What sending an answer takes at most, by its size: the largest of what was measured recently.

use crate::base::Nanos;

/// Size classes: powers of two of bytes.
const SIZES: usize = 32;
/// The largest of this period and of the one before is the bound; older ones are forgotten, so that
/// one hiccup does not refuse everything for ever.
const PERIOD: Nanos = Nanos::seconds(1);

#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    period: u64,
    largest: Nanos,
    before: Nanos,
}

impl Recent {
    /// Moves on to the period of `now`.
    fn turn(&mut self, now: Nanos) {
        let period = now.0 / PERIOD.0;
        if period != self.period {
            self.before = if period == self.period + 1 { self.largest } else { Nanos::ZERO };
            self.largest = Nanos::ZERO;
            self.period = period;
        }
    }
}

/// Bounds on sending, by size.
#[derive(Debug)]
pub(super) struct Returns {
    unmeasured: Nanos,
    sizes: [Recent; SIZES],
}

impl Returns {
    pub(super) fn new(unmeasured: Nanos) -> Returns {
        Returns { unmeasured, sizes: [Recent::default(); SIZES] }
    }

    /// An answer of `bytes` took that long to be accepted.
    pub(super) fn record(&mut self, now: Nanos, bytes: u64, took: Nanos) {
        let recent = &mut self.sizes[size_class(bytes)];
        recent.turn(now);
        recent.largest = recent.largest.max(took);
    }

    /// What sending `bytes` takes at most.
    pub(super) fn bound(&self, now: Nanos, bytes: u64) -> Nanos {
        let mut recent = self.sizes[size_class(bytes)];
        recent.turn(now);
        match recent.largest.max(recent.before) {
            Nanos::ZERO => self.unmeasured,
            measured => measured,
        }
    }
}

fn size_class(bytes: u64) -> usize {
    (bytes.max(1).ilog2() as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_two_periods_is_the_bound() {
        let mut returns = Returns::new(Nanos(7));
        assert_eq!(returns.bound(Nanos::ZERO, 4000), Nanos(7));
        returns.record(Nanos::millis(10), 4000, Nanos(90));
        returns.record(Nanos::millis(20), 4000, Nanos(50));
        assert_eq!(returns.bound(Nanos::millis(30), 4000), Nanos(90));
        assert_eq!(returns.bound(Nanos::millis(30), 9000), Nanos(7), "another size");
        returns.record(Nanos::millis(1_500), 4000, Nanos(40));
        assert_eq!(returns.bound(Nanos::millis(1_600), 4000), Nanos(90));
        assert_eq!(returns.bound(Nanos::millis(2_100), 4000), Nanos(40));
        assert_eq!(returns.bound(Nanos::millis(9_000), 4000), Nanos(7));
    }
}
