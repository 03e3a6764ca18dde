//! What is to happen when: the heap that drives a run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::Nanos;

/// Future happenings, taken by time; those of one time in the order in which they were put in.
///
/// Happenings lie in a slab, so that the heap moves small keys only.
#[derive(Debug)]
pub struct Agenda<T> {
    heap: BinaryHeap<Reverse<(Nanos, u64, u32)>>,
    places: Vec<Option<T>>,
    free: Vec<u32>,
    sequence: u64,
    now: Nanos,
}

impl<T> Agenda<T> {
    /// Nothing is to happen; it is `now`.
    pub fn new(now: Nanos) -> Agenda<T> {
        Agenda { heap: BinaryHeap::new(), places: Vec::new(), free: Vec::new(), sequence: 0, now }
    }

    /// The time of what was taken last.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Puts a happening in; what should have been before now happens now.
    ///
    /// # Panics
    /// If more than 2^32 happenings lie ahead.
    pub fn put(&mut self, at: Nanos, happening: T) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            match u32::try_from(self.places.len() - 1) {
                Ok(place) => place,
                Err(_) => unreachable!("an agenda of 2^32 happenings does not fit memory"),
            }
        });
        self.places[place as usize] = Some(happening);
        self.heap.push(Reverse((at.max(self.now), self.sequence, place)));
        self.sequence += 1;
    }

    /// Takes what happens next, and moves time there.
    pub fn take(&mut self) -> Option<T> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.now = at;
        self.free.push(place);
        self.places[place as usize].take()
    }

    /// When something happens next.
    pub fn next_at(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_time_then_by_order() {
        let mut agenda = Agenda::new(Nanos(5));
        for (at, what) in [(9, 'c'), (7, 'b'), (9, 'd'), (1, 'a')] {
            agenda.put(Nanos(at), what);
        }
        let taken: Vec<(u64, char)> = std::iter::from_fn(|| agenda.take().map(|what| (agenda.now().0, what))).collect();
        assert_eq!(taken, [(5, 'a'), (7, 'b'), (9, 'c'), (9, 'd')]);
        assert_eq!(agenda.next_at(), None);
    }
}
