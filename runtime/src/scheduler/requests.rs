//! The requests that were admitted and have not ended, in a slab of fixed size.

use super::event::Ask;
use crate::base::limits::MAX_REQUESTS;
use crate::base::{Nanos, RequestId, SlotId};

/// Where an admitted request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// On its device, in no batch yet.
    Booked,
    /// In a batch that was ordered.
    Bound {
        /// Its place in the table of actions.
        action: usize,
    },
}

/// One admitted request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    pub(super) ask: Ask,
    pub(super) model: usize,
    pub(super) device: usize,
    pub(super) slot: SlotId,
    /// When its slot was given out.
    pub(super) placed: Nanos,
    pub(super) phase: Phase,
    /// Nobody waits for it any more, and it is counted; its batch had been ordered already.
    pub(super) withdrawn: bool,
    /// How often it was planned.
    pub(super) attempts: u8,
}

/// The slab, and where in it each gateway's request lies.
#[derive(Debug)]
pub(super) struct Requests {
    places: Vec<Option<Admitted>>,
    free: Vec<usize>,
    /// By gateway and the gateway's own index: the place, if that request is open.
    by_id: Vec<Option<u32>>,
}

impl Requests {
    pub(super) fn new(capacity: usize, gateways: usize) -> Requests {
        Requests {
            places: vec![None; capacity],
            free: (0..capacity).rev().collect(),
            by_id: vec![None; gateways * MAX_REQUESTS],
        }
    }

    fn index(&self, id: RequestId) -> Option<usize> {
        let (gateway, index) = (usize::from(id.gateway.0), usize::from(id.index));
        let place = gateway * MAX_REQUESTS + index;
        (index < MAX_REQUESTS && place < self.by_id.len()).then_some(place)
    }

    /// Whether an id can belong to a request of a known gateway.
    pub(super) fn is_possible(&self, id: RequestId) -> bool {
        self.index(id).is_some()
    }

    /// The open request in the gateway's place `id.index`, of whatever generation.
    pub(super) fn at(&self, id: RequestId) -> Option<usize> {
        Some(self.by_id[self.index(id)?]? as usize)
    }

    /// The open request with this id.
    pub(super) fn find(&self, id: RequestId) -> Option<usize> {
        self.at(id).filter(|&place| self.get(place).ask.request == id)
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Adds a request. The caller has checked that there is room and that the id is possible.
    pub(super) fn add(&mut self, admitted: Admitted) -> usize {
        let Some(place) = self.free.pop() else { unreachable!("admission checks for room") };
        let Some(index) = self.index(admitted.ask.request) else { unreachable!("admission checks the id") };
        debug_assert!(self.by_id[index].is_none(), "one open request in a gateway's place");
        self.by_id[index] = u32::try_from(place).ok();
        self.places[place] = Some(admitted);
        place
    }

    pub(super) fn get(&self, place: usize) -> &Admitted {
        let Some(admitted) = &self.places[place] else { unreachable!("place {place} of the slab is in use") };
        admitted
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut Admitted {
        let Some(admitted) = &mut self.places[place] else { unreachable!("place {place} of the slab is in use") };
        admitted
    }

    /// Makes the request's id free for another one while its batch is still out.
    pub(super) fn detach(&mut self, place: usize) {
        let id = self.get(place).ask.request;
        if self.find(id) == Some(place)
            && let Some(index) = self.index(id)
        {
            self.by_id[index] = None;
        }
    }

    /// Ends a request.
    pub(super) fn remove(&mut self, place: usize) -> Admitted {
        self.detach(place);
        let Some(admitted) = self.places[place].take() else { unreachable!("place {place} of the slab is in use") };
        self.free.push(place);
        admitted
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
