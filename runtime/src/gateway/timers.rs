//! One timer for each place of the slab, in a heap that knows where each lies: setting a timer costs
//! the logarithm of their number, asking for the earliest nothing.

use crate::base::Nanos;

/// Timers by place; all memory is taken at start.
#[derive(Debug)]
pub(super) struct Timers {
    /// When each place wants attention; [`Nanos::MAX`] for never.
    at: Box<[Nanos]>,
    /// The places as a binary heap, the earliest on top; of equal times the lowest place.
    heap: Box<[u16]>,
    /// Where each place lies in the heap.
    position: Box<[u16]>,
}

impl Timers {
    /// No place wants attention.
    pub(super) fn new(places: u16) -> Timers {
        // Equal times in the order of places are a heap.
        let order: Box<[u16]> = (0..places).collect();
        Timers { at: vec![Nanos::MAX; order.len()].into(), heap: order.clone(), position: order }
    }

    /// Sets the timer of a place, whatever it was; [`Nanos::MAX`] stops it.
    pub(super) fn set(&mut self, place: u16, at: Nanos) {
        self.at[usize::from(place)] = at;
        let position = usize::from(self.position[usize::from(place)]);
        let position = self.rise(position);
        self.sink(position);
    }

    /// The place that wants attention first, and when; none if no place ever does.
    pub(super) fn first(&self) -> Option<(u16, Nanos)> {
        let place = *self.heap.first()?;
        let at = self.at[usize::from(place)];
        (at < Nanos::MAX).then_some((place, at))
    }

    fn rise(&mut self, mut position: usize) -> usize {
        while position > 0 {
            let parent = (position - 1) / 2;
            if !self.is_before(position, parent) {
                break;
            }
            self.swap(position, parent);
            position = parent;
        }
        position
    }

    fn sink(&mut self, mut position: usize) {
        loop {
            let (left, right) = (2 * position + 1, 2 * position + 2);
            if left >= self.heap.len() {
                return;
            }
            let child = if right < self.heap.len() && self.is_before(right, left) { right } else { left };
            if !self.is_before(child, position) {
                return;
            }
            self.swap(child, position);
            position = child;
        }
    }

    fn is_before(&self, one: usize, other: usize) -> bool {
        let key = |position: usize| {
            let place = self.heap[position];
            (self.at[usize::from(place)], place)
        };
        key(one) < key(other)
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        let (at_one, at_other) = (usize::from(self.heap[one]), usize::from(self.heap[other]));
        // What now lies at `one` lay at `other`, and the other way round.
        self.position.swap(at_one, at_other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The earliest by looking at all of them.
    fn scan(at: &[Nanos]) -> Option<(u16, Nanos)> {
        let first = (0..).zip(at).min_by_key(|&(place, &at)| (at, place));
        first.map(|(place, &at)| (place, at)).filter(|&(_, at)| at < Nanos::MAX)
    }

    fn times() -> impl Strategy<Value = Nanos> {
        // Few values, so that many timers are equal.
        prop_oneof![3 => (0..20_u64).prop_map(Nanos), 1 => any::<u64>().prop_map(Nanos), 1 => Just(Nanos::MAX)]
    }

    proptest! {
        #[test]
        fn the_earliest_is_that_of_a_scan_over_all(
            (places, changes) in (1..70_u16).prop_flat_map(|places| {
                (Just(places), prop::collection::vec((0..places, times()), 0..300))
            })
        ) {
            let mut timers = Timers::new(places);
            let mut plain = vec![Nanos::MAX; usize::from(places)];
            for (place, at) in changes {
                timers.set(place, at);
                plain[usize::from(place)] = at;
                prop_assert_eq!(timers.first(), scan(&plain));
            }
            // Stopping the first again and again gives all that are left, in order.
            while let Some((place, at)) = timers.first() {
                prop_assert_eq!(Some((place, at)), scan(&plain));
                timers.set(place, Nanos::MAX);
                plain[usize::from(place)] = Nanos::MAX;
            }
            prop_assert_eq!(scan(&plain), None);
        }
    }

    #[test]
    fn no_place_wants_attention_at_first() {
        assert_eq!(Timers::new(3).first(), None);
        assert_eq!(Timers::new(0).first(), None);
    }
}
