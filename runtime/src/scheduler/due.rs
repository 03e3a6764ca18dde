//! When an exec must have ended, and what that leaves it.
//!
//! What follows an exec varies as the exec itself does, and as what runs before it does. These
//! deviations are independent, so their squares add: the sum of the bounds would be too careful.

use crate::base::Nanos;
use crate::profile::Cost;

/// The end that an exec must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// So that the deadline is met if what follows takes what is expected of it.
    pub(super) at: Nanos,
    /// By how much what follows may take longer, as bound.
    pub(super) spread: Nanos,
}

impl Due {
    /// What work takes of the time until then, as bound. `ahead` is the sum of squares of
    /// (bound - expected) of what runs before it.
    pub(super) fn taken(self, ahead: u64, cost: Cost) -> Nanos {
        let square = |spread: Nanos| spread.0.saturating_mul(spread.0);
        let own = square(cost.bound.since(cost.expected));
        cost.expected + Nanos(own.saturating_add(square(self.spread)).saturating_add(ahead).isqrt())
    }

    /// Whether work that is expected to start at `start` is in time.
    pub(super) fn allows(self, start: Nanos, ahead: u64, cost: Cost) -> bool {
        start + self.taken(ahead, cost) <= self.at
    }

    /// When work must have started.
    pub(super) fn latest(self, cost: Cost) -> Nanos {
        self.at - self.taken(0, cost)
    }

    /// What keeps to both.
    pub(super) fn and(self, other: Due) -> Due {
        Due { at: self.at.min(other.at), spread: self.spread.max(other.spread) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::BatchSize;

    #[test]
    fn deviations_add_as_squares_do() {
        let [at, spread, expected, bound] = [100, 4, 10, 13].map(Nanos::millis);
        let due = Due { at, spread };
        let cost = Cost { batch: BatchSize::ALL[0], expected, bound };
        assert_eq!((due.taken(0, cost), due.latest(cost)), (Nanos::millis(15), Nanos::millis(85)));
        let ahead = Nanos::millis(12).0.pow(2);
        assert_eq!(due.taken(ahead, cost), Nanos::millis(23));
        assert!(due.allows(Nanos::millis(77), ahead, cost) && !due.allows(Nanos::millis(78), ahead, cost));
        let later = Due { at: Nanos::millis(101), spread: Nanos::millis(6) };
        assert_eq!(due.and(later), Due { at, spread: Nanos::millis(6) });
    }
}
