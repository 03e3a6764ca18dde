//! When requests are meant to be sent, known before the first is: an open loop owes nothing to the answers.

use runtime::base::Nanos;

use runtime::sim::seeded::Seeded;

/// How the sends of an open loop are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Exponential gaps: independent users.
    Poisson,
    /// Equal gaps: a camera, a sensor.
    Fixed,
}

/// Intended send times, counted from the start of a run, ascending.
///
/// `per_second` is the mean rate; a rate of zero or below gives none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a run is far shorter than 2^63 ns")]
pub fn arrivals(spacing: Spacing, per_second: f64, length: Nanos, seed: u64) -> Vec<Nanos> {
    if per_second <= 0.0 {
        return Vec::new();
    }
    let mean_gap = 1e9 / per_second;
    let mut stream = Seeded::new(seed);
    let mut at = 0.0_f64;
    let mut times = Vec::new();
    loop {
        at += match spacing {
            Spacing::Poisson => stream.exponential(mean_gap),
            Spacing::Fixed => mean_gap,
        };
        let time = Nanos(at as u64);
        if time >= length {
            return times;
        }
        times.push(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_rate_and_order() {
        for spacing in [Spacing::Poisson, Spacing::Fixed] {
            let times = arrivals(spacing, 500.0, Nanos::seconds(20), 3);
            assert!((9_700..10_300).contains(&times.len()), "{spacing:?}: {}", times.len());
            assert!(times.is_sorted());
        }
    }

    #[test]
    fn one_seed_gives_one_run() {
        let run = |seed| arrivals(Spacing::Poisson, 100.0, Nanos::seconds(1), seed);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn no_rate_sends_nothing() {
        assert!(arrivals(Spacing::Fixed, 0.0, Nanos::seconds(1), 0).is_empty());
    }
}
