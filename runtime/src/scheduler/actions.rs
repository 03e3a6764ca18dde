//! The actions that were ordered and not answered, in a table of fixed size.

use super::mirror::Outstanding;
use crate::base::ActionId;

/// Bits of an [`ActionId`] that name its place in the table; the others count.
const PLACE_BITS: u32 = 16;

/// The table. An action's id holds its place, so that a result finds it without a search.
#[derive(Debug)]
pub(super) struct Actions {
    places: Vec<Option<Outstanding>>,
    free: Vec<usize>,
    sequence: u64,
}

impl Actions {
    /// # Panics
    /// If `capacity` exceeds what the ids can name.
    pub(super) fn new(capacity: usize) -> Actions {
        assert!(capacity <= 1 << PLACE_BITS, "{capacity} actions at once can't be named");
        Actions { places: vec![None; capacity], free: (0..capacity).rev().collect(), sequence: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Adds the action that `make` gives for its id. The caller has checked that there is room.
    pub(super) fn add(&mut self, make: impl FnOnce(ActionId) -> Outstanding) -> (usize, ActionId) {
        let Some(place) = self.free.pop() else { unreachable!("orders check for room in the table of actions") };
        self.sequence += 1;
        let id = ActionId(self.sequence << PLACE_BITS | place as u64);
        self.places[place] = Some(make(id));
        (place, id)
    }

    /// The place of an outstanding action.
    pub(super) fn find(&self, id: ActionId) -> Option<usize> {
        let place = usize::try_from(id.0 & ((1 << PLACE_BITS) - 1)).ok()?;
        (self.places.get(place)?.as_ref()?.id == id).then_some(place)
    }

    pub(super) fn get(&self, place: usize) -> &Outstanding {
        let Some(action) = &self.places[place] else { unreachable!("action {place} is outstanding") };
        action
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut Outstanding {
        let Some(action) = &mut self.places[place] else { unreachable!("action {place} is outstanding") };
        action
    }

    pub(super) fn remove(&mut self, place: usize) -> Outstanding {
        let Some(action) = self.places[place].take() else { unreachable!("action {place} is outstanding") };
        self.free.push(place);
        action
    }

    /// An outstanding action of a worker other than its INFERs.
    pub(super) fn transfer_of(&self, worker: usize) -> Option<usize> {
        use super::mirror::Purpose;
        let matches =
            |action: &Outstanding| action.worker == worker && !matches!(action.purpose, Purpose::Infer { .. });
        self.places.iter().position(|place| place.as_ref().is_some_and(matches))
    }
}
