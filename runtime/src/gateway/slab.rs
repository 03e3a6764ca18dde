//! The bounded slab of requests, each in a place that is its own until nothing reads or writes it.

use super::event::{Answer, ClientId, Request};
use super::timers::Timers;
use crate::base::{GatewayId, Nanos, RequestId, SlotId, WorkerId};

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) request: Request,
    pub(super) deadline: Nanos,
    pub(super) output_bytes: u64,
    /// Its payload is being received into the place.
    pub(super) receiving: bool,
    /// The controller knows of it.
    pub(super) asked: bool,
    /// Where it was placed last.
    pub(super) placed: Option<(WorkerId, SlotId)>,
    /// INPUTs that read the place.
    pub(super) inputs_out: u32,
    /// Since when its answer is being sent.
    pub(super) sending: Option<Nanos>,
    /// How it is answered; an OK is one only once it is sent.
    pub(super) answer: Option<Answer>,
    /// The controller is still to be told of its withdrawal.
    pub(super) owes_withdraw: bool,
}

impl Held {
    pub(super) fn new(request: Request, deadline: Nanos, output_bytes: u64) -> Held {
        Held {
            request,
            deadline,
            output_bytes,
            receiving: true,
            asked: false,
            placed: None,
            inputs_out: 0,
            sending: None,
            answer: None,
            owes_withdraw: false,
        }
    }

    /// Whether nothing reads or writes its place and nothing is owed for it.
    fn is_over(&self) -> bool {
        self.answer.is_some()
            && !self.receiving
            && self.inputs_out == 0
            && self.sending.is_none()
            && !self.owes_withdraw
    }
}

/// The slab.
#[derive(Debug)]
pub(super) struct Slab {
    gateway: GatewayId,
    places: Vec<(u32, Option<Held>)>,
    free: Vec<u16>,
    /// When each place wants attention.
    timers: Timers,
}

impl Slab {
    pub(super) fn new(gateway: GatewayId, capacity: u16) -> Slab {
        let count = usize::from(capacity);
        Slab {
            gateway,
            places: vec![(0, None); count],
            free: (0..capacity).rev().collect(),
            timers: Timers::new(capacity),
        }
    }

    /// Gives requests from here on another gateway's number.
    pub(super) fn rename(&mut self, gateway: GatewayId) {
        self.gateway = gateway;
    }

    /// Takes a place for a request; none if there is none.
    pub(super) fn add(&mut self, held: Held) -> Option<RequestId> {
        let index = self.free.pop()?;
        let (generation, place) = &mut self.places[usize::from(index)];
        *generation = generation.wrapping_add(1);
        *place = Some(held);
        Some(RequestId { gateway: self.gateway, index, generation: *generation })
    }

    /// The request, while it holds its place.
    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Held> {
        let (generation, held) = self.places.get_mut(usize::from(id.index))?;
        if id.gateway != self.gateway || *generation != id.generation {
            return None;
        }
        held.as_mut()
    }

    /// The request, if it was not answered yet.
    pub(super) fn open_mut(&mut self, id: RequestId) -> Option<&mut Held> {
        self.get_mut(id).filter(|held| held.answer.is_none())
    }

    /// Frees the place if the request is over.
    pub(super) fn settle(&mut self, id: RequestId) {
        if self.get_mut(id).is_some_and(|held| held.is_over()) {
            self.places[usize::from(id.index)].1 = None;
            self.timers.set(id.index, Nanos::MAX);
            self.free.push(id.index);
        }
    }

    /// Asks for attention to a request at a time; replaces what was asked before.
    pub(super) fn wake(&mut self, id: RequestId, at: Nanos) {
        self.timers.set(id.index, at);
    }

    /// When the next request wants attention.
    pub(super) fn due(&self) -> Option<Nanos> {
        self.timers.first().map(|(_, at)| at)
    }

    /// A request that wants attention by `now`; none is left when this says so.
    pub(super) fn next_due(&self, now: Nanos) -> Option<RequestId> {
        let (place, at) = self.timers.first()?;
        (at <= now).then(|| self.id(usize::from(place)))
    }

    /// The requests of a client.
    pub(super) fn of_client(&self, client: ClientId) -> impl Iterator<Item = RequestId> {
        let theirs = move |held: &Option<Held>| held.is_some_and(|held| held.request.client == client);
        let places = self.places.iter().enumerate();
        places.filter(move |(_, (_, held))| theirs(held)).map(|(place, _)| self.id(place))
    }

    /// The open request that a client knows by a number of its own.
    pub(super) fn find(&self, client: ClientId, correlation: u64) -> Option<RequestId> {
        self.of_client(client).find(|id| {
            let held = self.places[usize::from(id.index)].1;
            held.is_some_and(|held| held.request.correlation == correlation && held.answer.is_none())
        })
    }

    /// How many places there are.
    pub(super) fn capacity(&self) -> usize {
        self.places.len()
    }

    /// The request in a place, if there is one.
    pub(super) fn at(&self, place: usize) -> Option<RequestId> {
        self.places[place].1.map(|_| self.id(place))
    }

    /// Requests that hold a place.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn id(&self, place: usize) -> RequestId {
        let Ok(index) = u16::try_from(place) else { unreachable!("places are numbered by 16 bits") };
        RequestId { gateway: self.gateway, index, generation: self.places[place].0 }
    }
}
