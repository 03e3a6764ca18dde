//! In which order and in which batches a device would serve what is booked on it.
//!
//! Work is ordered by the latest time at which it may start alone, so within one instance earliest
//! deadline first. [`Chain::run`] plays that order through: `expected` for what is ahead, `bound` for
//! what must be in time. Admission asks whether all stay in time with one more; the commit takes the
//! first batch of a chain that keeps the rest in time.

use arrayvec::ArrayVec;

use super::due::Due;
use crate::base::limits::MAX_BATCH;
use crate::base::{BatchSize, Nanos};
use crate::profile::{Cost, Entry, PlanCosts, ProfileStore};

/// Requests booked on one device and not yet bound: what one admission may have to look through.
pub(super) const MAX_BOOKED: usize = 256;

/// A larger batch must be cheaper per item by this many percent to be worth its latency.
const BATCH_GAIN_PERCENT: u64 = 2;

/// One booked request, as far as the order is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Latest start alone when it was admitted. The order.
    pub(super) key: Nanos,
    /// When its exec must have ended, less the safety margin.
    pub(super) due: Due,
    /// When its input, and its weights, are there.
    pub(super) ready: Nanos,
    /// Equal for requests that may share a batch.
    pub(super) group: (usize, u8),
    /// Where its durations are.
    pub(super) entry: Entry,
}

/// Which requests of an instance share a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Those that are ready, wherever they stand in the order.
    Gather,
    /// Those that follow each other in the order: nothing is overtaken.
    InOrder,
}

/// How a chain would end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether everything that was checked is in time.
    pub(super) in_time: bool,
    /// When the device would be free again, as expected.
    pub(super) end: Nanos,
    /// When the probe would be done, as bound, what follows it included.
    pub(super) probe: Nanos,
}

/// A batch that a chain would start with.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Places in the chain, ascending.
    pub(super) members: ArrayVec<usize, MAX_BATCH>,
    pub(super) cost: Cost,
    /// When it would start.
    pub(super) start: Nanos,
    /// What keeps to those of all members.
    pub(super) due: Due,
}

/// Scratch for playing one device's order through; taken once.
#[derive(Debug)]
pub(super) struct Chain {
    links: ArrayVec<Link, { MAX_BOOKED + 1 }>,
    taken: [bool; MAX_BOOKED + 1],
    /// For each link the next one of its group, or the length.
    next_same: [usize; MAX_BOOKED + 1],
    last_of_group: ArrayVec<((usize, u8), usize), { MAX_BOOKED + 1 }>,
}

/// A request whose admission is in question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// Its place in the chain.
    pub(super) place: usize,
    /// What its batch may come to take by the time that it runs: see [`room_to_grow`].
    pub(super) reserve: Cost,
}

/// How long the batch of a request due in `slack` should be able to take: the cheapest batch per item
/// that runs twice within the slack, once while the request waits and once with it.
///
/// A queue that is filled to the last moment at which each may run alone is served alone, batch 1
/// after batch 1, and stays full: so what must wait is only taken while its batch can still grow.
pub(super) fn room_to_grow(costs: &PlanCosts, slack: Nanos) -> Option<Cost> {
    let mut best = costs.one()?;
    let mut fewer = 1;
    for items in BatchSize::ALL.map(BatchSize::items) {
        let Some(cost) = costs.of(items) else { break };
        if cost.bound + cost.bound <= slack && is_worth(cost, items, best, fewer) {
            (best, fewer) = (cost, items);
        }
    }
    Some(best)
}

/// When a chain starts and how sure that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// When the device is expected to be free.
    pub(super) at: Nanos,
    /// Sum of (bound - expected)^2 of what runs until then.
    pub(super) variance: u64,
}

impl Chain {
    pub(super) fn new() -> Chain {
        Chain {
            links: ArrayVec::new(),
            taken: [false; MAX_BOOKED + 1],
            next_same: [0; MAX_BOOKED + 1],
            last_of_group: ArrayVec::new(),
        }
    }

    /// Takes the links of a device, in order.
    pub(super) fn fill(&mut self, links: impl Iterator<Item = Link>) {
        self.links.clear();
        self.links.extend(links);
    }

    /// Adds one at its place in the order; says where.
    pub(super) fn insert(&mut self, link: Link) -> usize {
        let place = self.links.partition_point(|other| other.key <= link.key);
        self.links.insert(place, link);
        place
    }

    /// Takes one out again.
    pub(super) fn remove(&mut self, place: usize) {
        self.links.remove(place);
    }

    pub(super) fn link(&self, place: usize) -> &Link {
        &self.links[place]
    }

    /// Forgets what an earlier run took. One pass backwards links each group; the number of groups
    /// looked through is that of the instances booked at once.
    fn reset(&mut self) {
        self.last_of_group.clear();
        let len = self.links.len();
        self.taken[..len].fill(false);
        for i in (0..len).rev() {
            let group = self.links[i].group;
            let known = self.last_of_group.iter_mut().find(|(known, _)| *known == group);
            self.next_same[i] = match known {
                Some((_, last)) => std::mem::replace(last, i),
                None => {
                    self.last_of_group.push((group, i));
                    len
                }
            };
        }
    }

    /// The first batch of the chain; none if it is empty.
    pub(super) fn first(&mut self, store: &ProfileStore, at: Nanos, policy: Policy) -> Option<Batch> {
        self.reset();
        self.pick(store, at, 0, policy)
    }

    /// Whether the rest stays in time after `batch` has run.
    pub(super) fn keeps_rest(&mut self, store: &ProfileStore, batch: &Batch, policy: Policy) -> bool {
        self.reset();
        batch.members.iter().for_each(|&member| self.taken[member] = true);
        let start = Start { at: batch.start + batch.cost.expected, variance: 0 };
        self.play(store, start, policy, None).in_time
    }

    /// Plays the whole chain through. With a `probe`, what it delays is checked, and itself;
    /// without one, everything is.
    pub(super) fn run(&mut self, store: &ProfileStore, start: Start, policy: Policy, probe: Option<Probe>) -> Verdict {
        self.reset();
        self.play(store, start, policy, probe)
    }

    fn play(&mut self, store: &ProfileStore, start: Start, policy: Policy, probe: Option<Probe>) -> Verdict {
        let mut verdict = Verdict { in_time: true, end: start.at, probe: Nanos::MAX };
        let (mut variance, mut from) = (start.variance, 0);
        let mut checked = probe.is_none();
        loop {
            while from < self.links.len() && self.taken[from] {
                from += 1;
            }
            let Some(batch) = self.pick(store, verdict.end, from, policy) else { return verdict };
            if let Some(probe) = probe.filter(|probe| batch.members.contains(&probe.place)) {
                verdict.probe = batch.start + batch.due.taken(variance, batch.cost);
                checked = true;
                verdict.in_time &= self.links[probe.place].due.allows(batch.start, variance, probe.reserve);
            }
            verdict.in_time &= !checked || batch.due.allows(batch.start, variance, batch.cost);
            batch.members.iter().for_each(|&member| self.taken[member] = true);
            verdict.end = batch.start + batch.cost.expected;
            let spread = batch.cost.bound.since(batch.cost.expected).0;
            variance = variance.saturating_add(spread.saturating_mul(spread));
        }
    }

    /// The next batch for a device free at `at`: led by the first link that is ready by then, else by
    /// the one that is ready first; of the batches in time for all members the cheapest per item.
    fn pick(&self, store: &ProfileStore, at: Nanos, from: usize, policy: Policy) -> Option<Batch> {
        let left = || (from..self.links.len()).filter(|&i| !self.taken[i]);
        let head =
            left().find(|&i| self.links[i].ready <= at).or_else(|| left().min_by_key(|&i| self.links[i].ready))?;
        let start = at.max(self.links[head].ready);
        let costs = store.costs(self.links[head].entry);
        let one = costs.one()?;
        let mut batch = Batch { members: ArrayVec::from_iter([head]), cost: one, start, due: self.links[head].due };
        let mut gathered = batch.members.clone();
        let mut due = batch.due;
        let mut next = self.next_same[head];
        while next < self.links.len() && !gathered.is_full() {
            let link = &self.links[next];
            if policy == Policy::InOrder && left().nth(gathered.len()) != Some(next) {
                break;
            }
            if !self.taken[next] && link.ready <= start {
                gathered.push(next);
                due = due.and(link.due);
                let Some(cost) = costs.of(gathered.len()) else { break };
                if !due.allows(start, 0, cost) {
                    break;
                }
                if is_worth(cost, gathered.len(), batch.cost, batch.members.len()) {
                    batch.members.clone_from(&gathered);
                    (batch.cost, batch.due) = (cost, due);
                }
            }
            next = self.next_same[next];
        }
        Some(batch)
    }
}

/// Whether `items` at `cost` are cheaper each than `fewer` at `before`, by enough.
fn is_worth(cost: Cost, items: usize, before: Cost, fewer: usize) -> bool {
    let scaled = |cost: Cost, by: usize| u128::from(cost.expected.0) * by as u128;
    scaled(cost, fewer) * 100 <= scaled(before, items) * u128::from(100 - BATCH_GAIN_PERCENT)
}

#[cfg(test)]
#[path = "strategy_tests.rs"]
mod tests;
