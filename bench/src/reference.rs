//! What simple rules reach on the same arrivals: the yardsticks beside a measured goodput.
//!
//! Both rules have one server, no overhead, batch size 1 and one SLO. The *reference rule* is first
//! in, first out and admits a request if its expected start plus the bound of one service lies
//! before its deadline. The *clairvoyant rule* knows every arrival and service time in advance: an
//! upper bound for every rule without batching.

use std::collections::BinaryHeap;

use runtime::base::Nanos;

/// What a rule did with a run of arrivals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Served by their deadline.
    pub in_time: u64,
    /// Admitted, and served after their deadline.
    pub late: u64,
    /// Refused at arrival.
    pub refused: u64,
}

/// First in, first out; admit iff expected start + `bound` <= deadline.
///
/// `arrivals` ascend; `services[i % len]` is what the i-th *admitted* request really takes;
/// `expected` is what the rule believes each takes.
///
/// # Panics
/// If `services` is empty while there are arrivals.
pub fn reference_rule(arrivals: &[Nanos], services: &[Nanos], slo: Nanos, expected: Nanos, bound: Nanos) -> Outcome {
    assert!(arrivals.is_empty() || !services.is_empty(), "a run needs measured service times");
    let mut outcome = Outcome::default();
    let mut free_at = Nanos::ZERO;
    let mut admitted = 0;
    // Starts that are still ahead decide what the rule expects: it knows what has finished, not
    // how long the queued ones will really take.
    let mut queue: std::collections::VecDeque<Nanos> = std::collections::VecDeque::new();
    for &arrival in arrivals {
        while queue.front().is_some_and(|&end| end <= arrival) {
            queue.pop_front();
        }
        let queued = u64::try_from(queue.len()).unwrap_or(u64::MAX);
        let expected_start = expected_start(arrival, queue.front().copied(), queued, expected);
        if expected_start + bound > arrival + slo {
            outcome.refused += 1;
            continue;
        }
        let start = arrival.max(free_at);
        free_at = start + services[admitted % services.len()];
        admitted += 1;
        queue.push_back(free_at);
        if free_at <= arrival + slo {
            outcome.in_time += 1;
        } else {
            outcome.late += 1;
        }
    }
    outcome
}

/// The running request's end is taken as known to within its own service; the rest at `expected` each.
fn expected_start(arrival: Nanos, running_end: Option<Nanos>, queued: u64, expected: Nanos) -> Nanos {
    match running_end {
        None => arrival,
        Some(end) => end.max(arrival) + Nanos(expected.0.saturating_mul(queued - 1)),
    }
}

/// No batch-1 rule serves more than this in time (Moore and Hodgson's algorithm within each busy
/// period): keep all, and whenever one would be late, give up the longest of the busy period.
///
/// With one SLO deadlines ascend with arrivals, so first in, first out is the right order, and only
/// the choice of whom to give up remains. The gap that a request given up leaves is assumed filled
/// by its successors even where they had not arrived yet, so the figure is an upper bound.
///
/// # Panics
/// If `services` is empty while there are arrivals.
pub fn clairvoyant_rule(arrivals: &[Nanos], services: &[Nanos], slo: Nanos) -> Outcome {
    assert!(arrivals.is_empty() || !services.is_empty(), "a run needs measured service times");
    let mut outcome = Outcome::default();
    let mut free_at = Nanos::ZERO;
    let mut waiting: BinaryHeap<Nanos> = BinaryHeap::new();
    for (i, &arrival) in arrivals.iter().enumerate() {
        if free_at <= arrival {
            free_at = arrival;
            waiting.clear();
        }
        let service = services[i % services.len()];
        free_at += service;
        waiting.push(service);
        outcome.in_time += 1;
        if free_at > arrival + slo {
            let longest = waiting.pop().unwrap_or(service);
            free_at = free_at - longest;
            outcome.in_time -= 1;
            outcome.refused += 1;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Spacing, arrivals};

    const SERVICE: Nanos = Nanos::millis(10);
    const SLO: Nanos = Nanos::millis(20);

    fn at_share(share: f64) -> (Vec<Nanos>, f64) {
        let run = arrivals(Spacing::Poisson, share * 100.0, Nanos::seconds(200), 11);
        let offered = f64::from(u32::try_from(run.len()).expect("small"));
        (run, offered)
    }

    #[test]
    fn below_capacity_an_even_stream_is_served_whole() {
        let run = arrivals(Spacing::Fixed, 90.0, Nanos::seconds(10), 0);
        let outcome = reference_rule(&run, &[SERVICE], SLO, SERVICE, SERVICE);
        assert_eq!((outcome.refused, outcome.late), (0, 0));
    }

    #[test]
    fn under_overload_the_server_stays_busy_and_nobody_is_late() {
        let (run, _) = at_share(3.0);
        let outcome = reference_rule(&run, &[SERVICE], SLO, SERVICE, SERVICE);
        assert_eq!(outcome.late, 0);
        let capacity = 200 * 100;
        assert!(outcome.in_time * 100 > capacity * 85, "{outcome:?}");
    }

    #[test]
    fn every_request_has_one_end_and_clairvoyance_never_serves_less() {
        for share in [0.2, 0.6, 1.0, 1.5, 3.0] {
            let (run, offered) = at_share(share);
            let plain = reference_rule(&run, &[SERVICE], SLO, SERVICE, SERVICE);
            let clairvoyant = clairvoyant_rule(&run, &[SERVICE], SLO);
            assert_eq!(plain.in_time + plain.late + plain.refused, run.len() as u64);
            assert_eq!(clairvoyant.in_time + clairvoyant.refused, run.len() as u64);
            assert!(clairvoyant.in_time >= plain.in_time, "{share} of {offered}: {clairvoyant:?} {plain:?}");
        }
    }
}
