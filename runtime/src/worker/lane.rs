//! What is outstanding in one lane.

use std::collections::VecDeque;

use super::op::{Lane, LaneTicket};

/// Operations of one lane that were issued and are not done, oldest first. A lane is strictly
/// first in, first out, so a completion is always the oldest's.
#[derive(Debug)]
pub struct InFlight<T> {
    lane: Lane,
    next: u64,
    ops: VecDeque<T>,
    limit: usize,
}

impl<T> InFlight<T> {
    /// A lane that has at most `limit` operations outstanding.
    pub fn new(lane: Lane, limit: usize) -> InFlight<T> {
        InFlight { lane, next: 0, ops: VecDeque::with_capacity(limit), limit }
    }

    /// Names the next operation and keeps what it is about.
    ///
    /// # Panics
    /// If the lane is full: its limit is the number of things that can issue at once.
    pub fn issue(&mut self, about: T) -> LaneTicket {
        assert!(self.has_room(), "{:?} lane full: {} operations outstanding", self.lane, self.limit);
        let ticket = LaneTicket { lane: self.lane, sequence: self.next };
        self.next += 1;
        self.ops.push_back(about);
        ticket
    }

    /// What the oldest operation was about, which is now done.
    ///
    /// # Panics
    /// If `ticket` does not name the oldest operation: a lane that reorders breaks every promise.
    pub fn complete(&mut self, ticket: LaneTicket) -> T {
        assert_eq!(ticket.lane, self.lane, "completion of another lane");
        match self.ops.pop_front() {
            Some(about) => {
                let oldest = self.next - 1 - self.ops.len() as u64;
                assert_eq!(ticket.sequence, oldest, "{:?} lane completed out of order", self.lane);
                about
            }
            None => unreachable!("{ticket:?} is done, but nothing is outstanding"),
        }
    }

    /// Whether another operation may be issued.
    pub fn has_room(&self) -> bool {
        self.ops.len() < self.limit
    }

    /// Whether nothing is outstanding.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_follow_the_order_of_issue() {
        let mut lane = InFlight::new(Lane::Weights, 2);
        let (first, second) = (lane.issue('a'), lane.issue('b'));
        assert!(!lane.has_room());
        assert_eq!((lane.complete(first), lane.complete(second)), ('a', 'b'));
        assert!(lane.is_empty());
    }

    #[test]
    #[should_panic(expected = "out of order")]
    fn a_lane_that_reorders_is_caught() {
        let mut lane = InFlight::new(Lane::Input, 2);
        lane.issue(());
        let second = lane.issue(());
        lane.complete(second);
    }
}
