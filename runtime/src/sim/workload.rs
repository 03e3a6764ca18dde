//! What clients do: when they send, how much time they give, when they change their mind.

use super::seeded::{Part, Seeded};
use crate::base::Nanos;

/// How a model's requests are spaced.
#[derive(Clone, Debug, PartialEq)]
pub enum Pace {
    /// Exponential gaps of this mean rate per second: independent users.
    Poisson(f64),
    /// Equal gaps at this rate per second: a camera, a sensor.
    Fixed(f64),
    /// Clients each of which sends again once it is answered.
    Closed {
        /// How many.
        clients: u16,
        /// How long each waits after an answer.
        think: Nanos,
    },
    /// Exactly these.
    Listed(Vec<Sending>),
}

/// One request of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    /// When, counted from the start of the load.
    pub at: Nanos,
    /// When the client withdraws it, counted from there; none if never.
    pub withdraw_after: Option<Nanos>,
    /// How much longer than the link its inputs take from the gateway to the worker.
    pub input_held: Nanos,
}

impl Sending {
    /// An ordinary request.
    pub fn at(at: Nanos) -> Sending {
        Sending { at, ..Sending::default() }
    }
}

/// The load on one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// How its requests are spaced.
    pub pace: Pace,
    /// How long each may take.
    pub slo: Nanos,
    /// Share of the requests that are withdrawn, at a uniform time within their SLO.
    pub withdrawn: f64,
}

/// The requests of one model, one after the other.
#[derive(Clone, Debug)]
pub struct Sender {
    load: Load,
    arrivals: Seeded,
    withdrawals: Seeded,
    /// Position in time of an open loop, in nanoseconds.
    position: f64,
    listed: usize,
}

impl Sender {
    /// The sender of model number `model` in the run of `seed`.
    pub fn new(load: Load, seed: u64, model: u64) -> Sender {
        Sender {
            load,
            arrivals: Seeded::part(seed, Part::Arrivals, model),
            withdrawals: Seeded::part(seed, Part::Withdrawals, model),
            position: 0.0,
            listed: 0,
        }
    }

    /// How long each request may take.
    pub fn slo(&self) -> Nanos {
        self.load.slo
    }

    /// Clients of a closed loop; none for an open one.
    pub fn closed(&self) -> Option<u16> {
        match self.load.pace {
            Pace::Closed { clients, .. } => Some(clients),
            _ => None,
        }
    }

    /// How long a client of a closed loop waits after an answer.
    pub fn think(&self) -> Nanos {
        match self.load.pace {
            Pace::Closed { think, .. } => think,
            _ => Nanos::ZERO,
        }
    }

    /// The next request of an open loop, counted from the start of the load; none when there is no more.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a run is far shorter than 2^63 ns")]
    pub fn next_open(&mut self) -> Option<Sending> {
        let gap = match &self.load.pace {
            Pace::Poisson(rate) if *rate > 0.0 => self.arrivals.exponential(1e9 / rate),
            Pace::Fixed(rate) if *rate > 0.0 => 1e9 / rate,
            Pace::Poisson(_) | Pace::Fixed(_) | Pace::Closed { .. } => return None,
            Pace::Listed(list) => {
                let sending = list.get(self.listed).copied();
                self.listed += 1;
                return sending;
            }
        };
        self.position += gap;
        Some(self.sending(Nanos(self.position as u64)))
    }

    /// The next request of a closed loop's client, sent at `at`.
    pub fn next_closed(&mut self, at: Nanos) -> Sending {
        self.sending(at)
    }

    fn sending(&mut self, at: Nanos) -> Sending {
        let withdrawn = self.withdrawals.chance(self.load.withdrawn);
        let withdraw_after = withdrawn.then(|| Nanos(self.withdrawals.up_to(self.load.slo.0)));
        Sending { at, withdraw_after, input_held: Nanos::ZERO }
    }
}

/// Shares of `models` models whose popularity falls as rank to the power of `-exponent`; they sum to 1.
#[expect(clippy::cast_precision_loss, reason = "models are few")]
pub fn zipf(models: usize, exponent: f64) -> Vec<f64> {
    let weights: Vec<f64> = (1..=models).map(|rank| (rank as f64).powf(-exponent)).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pace: Pace, withdrawn: f64) -> Load {
        Load { pace, slo: Nanos::millis(10), withdrawn }
    }

    #[test]
    fn an_open_loop_keeps_its_rate_and_order() {
        for pace in [Pace::Poisson(1_000.0), Pace::Fixed(1_000.0)] {
            let mut sender = Sender::new(load(pace, 0.5), 1, 0);
            let sent: Vec<Sending> = (0..10_000).map_while(|_| sender.next_open()).collect();
            assert!(sent.is_sorted_by_key(|sending| sending.at));
            let last = sent[9_999].at.as_millis_f64();
            assert!((9_700.0..10_300.0).contains(&last), "{last}");
            let withdrawn = sent.iter().filter(|sending| sending.withdraw_after.is_some()).count();
            assert!((4_700..5_300).contains(&withdrawn), "{withdrawn}");
        }
    }

    #[test]
    fn withdrawals_do_not_shift_arrivals() {
        let times = |withdrawn| {
            let mut sender = Sender::new(load(Pace::Poisson(10.0), withdrawn), 1, 0);
            (0..50).map(|_| sender.next_open().map(|sending| sending.at)).collect::<Vec<_>>()
        };
        assert_eq!(times(0.0), times(0.7));
    }

    #[test]
    fn popularity_falls_and_sums_to_one() {
        let shares = zipf(10, 0.9);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(shares.is_sorted_by(|one, next| one >= next));
        assert_eq!(zipf(4, 0.0), [0.25; 4]);
    }
}
