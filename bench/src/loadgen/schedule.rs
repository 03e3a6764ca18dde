//! The next intended send: arrivals known in advance, and closed-loop clients that become ready.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use runtime::base::Nanos;

use super::workload::{Load, Run, Workload};
use crate::arrivals::arrivals;

/// An intended send, counted from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Intended {
    /// When.
    pub at: Nanos,
    /// Of which workload.
    pub workload: usize,
}

/// All intended sends of a run, in order of time.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Vec<Intended>,
    next_arrival: usize,
    ready: BinaryHeap<Reverse<Intended>>,
    length: Nanos,
    left: u64,
}

impl Schedule {
    /// The sends of `workloads`: every arrival of the open loops, and the first of each closed-loop client.
    pub fn new(workloads: &[Workload], run: &Run) -> Schedule {
        let mut open = Vec::new();
        let mut ready = BinaryHeap::new();
        for (workload, spec) in workloads.iter().enumerate() {
            match spec.load {
                Load::Open { spacing, per_second } => {
                    let times = arrivals(spacing, per_second, run.length, run.seed_of(workload));
                    open.extend(times.into_iter().map(|at| Intended { at, workload }));
                }
                Load::Closed { clients, .. } => {
                    ready.extend((0..clients).map(|_| Reverse(Intended { at: Nanos::ZERO, workload })));
                }
            }
        }
        open.sort_unstable();
        let left = run.requests.unwrap_or(u64::MAX);
        Schedule { arrivals: open, next_arrival: 0, ready, length: run.length, left }
    }

    /// When the next send is meant to be; none if none will follow (from what is known now).
    pub fn next(&self) -> Option<Intended> {
        if self.left == 0 {
            return None;
        }
        let arrival = self.arrivals.get(self.next_arrival).copied();
        let ready = self.ready.peek().map(|Reverse(ready)| *ready);
        match (arrival, ready) {
            (Some(arrival), Some(ready)) => Some(arrival.min(ready)),
            (one, other) => one.or(other),
        }
    }

    /// Takes the next send if it is due by `now`.
    pub fn take_due(&mut self, now: Nanos) -> Option<Intended> {
        let next = self.next().filter(|next| next.at <= now)?;
        self.left -= 1;
        if self.arrivals.get(self.next_arrival) == Some(&next) {
            self.next_arrival += 1;
        } else {
            self.ready.pop();
        }
        Some(next)
    }

    /// A closed-loop client of `workload` sends again at `at`, unless the run is over by then.
    pub fn send_again(&mut self, workload: usize, at: Nanos) {
        if at < self.length {
            self.ready.push(Reverse(Intended { at, workload }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::Spacing;
    use crate::loadgen::AfterRefusal;
    use runtime::base::{ModelId, ShapeId};

    fn workload(load: Load) -> Workload {
        let (model, shape, slo) = (ModelId(1), ShapeId(0), Nanos::millis(1));
        Workload { name: "m".to_owned(), model, shape, slo, load, payloads: vec![] }
    }

    fn drain(schedule: &mut Schedule) -> Vec<Intended> {
        std::iter::from_fn(|| schedule.take_due(Nanos::MAX)).collect()
    }

    const RUN: Run = Run { length: Nanos::seconds(1), seed: 1, requests: None };

    #[test]
    fn sends_of_all_workloads_come_in_order_of_time() {
        let open = |per_second| workload(Load::Open { spacing: Spacing::Poisson, per_second });
        let mut schedule = Schedule::new(&[open(300.0), open(700.0)], &RUN);
        let sends = drain(&mut schedule);
        assert!(sends.is_sorted());
        let of_first = sends.iter().filter(|send| send.workload == 0).count();
        assert!((240..360).contains(&of_first) && (600..800).contains(&(sends.len() - of_first)));
    }

    #[test]
    fn a_closed_loop_client_sends_when_told_and_not_after_the_run() {
        let after_refusal = AfterRefusal::SendAtOnce;
        let mut schedule = Schedule::new(&[workload(Load::Closed { clients: 2, after_refusal })], &RUN);
        assert_eq!(drain(&mut schedule).len(), 2);
        schedule.send_again(0, Nanos::millis(500));
        schedule.send_again(0, Nanos::seconds(1));
        assert_eq!(schedule.take_due(Nanos::millis(499)), None);
        assert_eq!(drain(&mut schedule), [Intended { at: Nanos::millis(500), workload: 0 }]);
    }

    #[test]
    fn a_number_of_requests_ends_the_run() {
        let run = Run { requests: Some(3), ..RUN };
        let open = workload(Load::Open { spacing: Spacing::Fixed, per_second: 100.0 });
        assert_eq!(drain(&mut Schedule::new(&[open], &run)).len(), 3);
    }
}
