//! A process's clock: ahead of simulated time by an offset, and drifting.

use super::seeded::Seeded;
use crate::base::Nanos;

/// How far the clocks of a run lie apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockConfig {
    /// Largest offset of a clock at the beginning.
    pub offset: Nanos,
    /// Largest drift, in parts per million, either way.
    pub drift_ppm: u32,
}

/// One clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    offset: u64,
    drift_ppm: i64,
}

impl Clock {
    /// A clock that shows simulated time.
    pub const TRUE: Clock = Clock { offset: 0, drift_ppm: 0 };

    /// A clock ahead by `offset` that gains `drift_ppm` parts per million.
    pub const fn new(offset: Nanos, drift_ppm: i64) -> Clock {
        Clock { offset: offset.0, drift_ppm }
    }

    /// A clock within the configured bounds.
    pub fn draw(config: &ClockConfig, stream: &mut Seeded) -> Clock {
        let offset = stream.up_to(config.offset.0);
        let drift = i64::try_from(stream.up_to(2 * u64::from(config.drift_ppm))).unwrap_or(0);
        Clock { offset, drift_ppm: drift - i64::from(config.drift_ppm) }
    }

    /// What it shows at simulated time `at`.
    pub fn read(&self, at: Nanos) -> Nanos {
        let elapsed = i64::try_from(at.0).unwrap_or(i64::MAX);
        let drifted = elapsed / 1_000_000 * self.drift_ppm + elapsed % 1_000_000 * self.drift_ppm / 1_000_000;
        (at + Nanos(self.offset)).offset(drifted)
    }

    /// The first simulated time at which it shows `local` or more; zero if it always did.
    pub fn when(&self, local: Nanos) -> Nanos {
        if local == Nanos::MAX {
            return Nanos::MAX;
        }
        // Each step leaves only the drift over the last step's error.
        let mut at = local.since(Nanos(self.offset));
        loop {
            let shown = self.read(at);
            match shown.since(local) {
                _ if shown < local => at += local.since(shown),
                Nanos(0..=2) => break,
                _ if at == Nanos::ZERO => break,
                ahead => at = at - ahead,
            }
        }
        while at > Nanos::ZERO && self.read(Nanos(at.0 - 1)) >= local {
            at = Nanos(at.0 - 1);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn when_is_the_first_moment(offset in 0u64..1 << 42, ppm in -100i64..100, at in 0u64..1 << 42) {
            let clock = Clock::new(Nanos(offset), ppm);
            let local = clock.read(Nanos(at));
            let first = clock.when(local);
            prop_assert!(clock.read(first) >= local);
            prop_assert!(first <= Nanos(at));
            prop_assert!(first == Nanos::ZERO || clock.read(first - Nanos(1)) < local);
        }
    }

    #[test]
    fn a_time_before_the_beginning_was_always_shown() {
        assert_eq!(Clock::new(Nanos(500), 0).when(Nanos(3)), Nanos::ZERO);
        assert_eq!(Clock::TRUE.when(Nanos(3)), Nanos(3));
    }
}
