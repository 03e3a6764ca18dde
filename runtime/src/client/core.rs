//! Which requests of a client are open, and how each ended by the client's own clock. Pure.

use crate::base::Nanos;
use crate::order::{Reject, Stages, Status};
use crate::wire::{Outcome, Refusal, Response};

/// One open request of a client: a place in its table and which use of that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    index: u32,
    generation: u32,
}

impl Ticket {
    /// The number that stands in the frames.
    pub const fn to_wire(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The ticket that [`Ticket::to_wire`] gave.
    #[expect(clippy::cast_possible_truncation, reason = "each field takes its own bits")]
    pub const fn from_wire(id: u64) -> Ticket {
        Ticket { index: id as u32, generation: (id >> 32) as u32 }
    }

    /// Its place in the table, below the table's limit: lets a caller keep data beside it.
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// How a request ended. Exactly one for each request that the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Answered by its deadline, by the gateway's clock and the client's.
    Ok,
    /// Answered after its deadline.
    Late(Judge),
    /// Not answered by its deadline: the gateway says so once it has passed.
    Expired,
    /// Refused; never admitted.
    Rejected(Reject),
    /// Admitted, then refused before its exec.
    Revoked(Reject),
    /// Its exec or a copy failed and no time was left.
    Failed(Status),
    /// Taken back by the client.
    Withdrawn,
}

/// Whose clock found an answer late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The gateway, on whose clock deadlines are judged.
    Gateway,
    /// The gateway called it in time, but it was whole only after the deadline of the client.
    Client,
}

/// When what happened. `sent`, `deadline` and `received` are the client's time; `arrival` and
/// `answered` the gateway's; the stages the worker's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// When the request was sent, or was meant to be.
    pub sent: Nanos,
    /// `sent` plus the SLO.
    pub deadline: Nanos,
    /// When the answer was whole.
    pub received: Nanos,
    /// Arrival of the request's first byte.
    pub arrival: Nanos,
    /// When the gateway handed the answer to its socket.
    pub answered: Nanos,
    /// Stages at the worker; all zero where it did not come so far.
    pub stages: Stages,
}

impl Timing {
    /// From the send to the whole answer.
    pub fn latency(&self) -> Nanos {
        self.received.since(self.sent)
    }

    /// How long after the deadline the answer was whole; zero if before.
    pub fn late_by(&self) -> Nanos {
        self.received.since(self.deadline)
    }
}

/// A request that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub ticket: Ticket,
    /// How.
    pub ending: Ending,
    /// When.
    pub timing: Timing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    generation: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    sent: Nanos,
    deadline: Nanos,
}

/// The open requests of one connection, at most as many as the server granted.
#[derive(Debug)]
pub struct ClientCore {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl ClientCore {
    /// A table of `limit` places, taken now.
    pub fn new(limit: u32) -> ClientCore {
        let places = (0..limit).map(|_| Place::default()).collect();
        ClientCore { places, free: (0..limit).rev().collect() }
    }

    /// Requests that may be open at once.
    pub fn limit(&self) -> usize {
        self.places.len()
    }

    /// Requests that are open.
    pub fn open_count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Opens a request that is sent (or was meant to be sent) at `sent`; none if all places are taken.
    pub fn open(&mut self, sent: Nanos, slo: Nanos) -> Option<Ticket> {
        let index = self.free.pop()?;
        let place = &mut self.places[index as usize];
        place.open = Some(Open { sent, deadline: sent + slo });
        Some(Ticket { index, generation: place.generation })
    }

    /// The deadline of a request; none if it is not open.
    pub fn deadline(&self, ticket: Ticket) -> Option<Nanos> {
        let place = self.places.get(ticket.index())?;
        place.open.filter(|_| place.generation == ticket.generation).map(|open| open.deadline)
    }

    /// Closes the request that a response, whole at `received`, belongs to. None if there is no such
    /// request: the server answered twice, or what was never asked.
    pub fn close(&mut self, received: Nanos, response: &Response) -> Option<Finished> {
        let ticket = Ticket::from_wire(response.id);
        self.deadline(ticket)?;
        let place = &mut self.places[ticket.index()];
        let Open { sent, deadline } = place.open.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(ticket.index);
        let Response { outcome, arrival, answered, stages, .. } = *response;
        let ending = match outcome {
            Outcome::Done { late: true } => Ending::Late(Judge::Gateway),
            Outcome::Done { late: false } if received > deadline => Ending::Late(Judge::Client),
            Outcome::Done { late: false } => Ending::Ok,
            Outcome::Expired => Ending::Expired,
            Outcome::Refused(refusal) => refused(refusal),
        };
        Some(Finished { ticket, ending, timing: Timing { sent, deadline, received, arrival, answered, stages } })
    }
}

fn refused(refusal: Refusal) -> Ending {
    match refusal {
        Refusal::Rejected(Reject::Withdrawn) | Refusal::Revoked(Reject::Withdrawn) => Ending::Withdrawn,
        Refusal::Rejected(reason) => Ending::Rejected(reason),
        Refusal::Revoked(reason) => Ending::Revoked(reason),
        Refusal::Failed(status) => Ending::Failed(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(ticket: Ticket, outcome: Outcome) -> Response {
        let (arrival, answered) = (Nanos::ZERO, Nanos::ZERO);
        Response { id: ticket.to_wire(), outcome, arrival, answered, stages: Stages::default(), payload: 0 }
    }

    const DONE: Outcome = Outcome::Done { late: false };

    #[test]
    fn an_answer_after_the_deadline_is_never_ok() {
        let mut core = ClientCore::new(1);
        let mut ending = |received, outcome| {
            let ticket = core.open(Nanos(1_000), Nanos(500)).unwrap();
            core.close(received, &response(ticket, outcome)).unwrap().ending
        };
        assert_eq!(ending(Nanos(1_500), DONE), Ending::Ok);
        assert_eq!(ending(Nanos(1_501), DONE), Ending::Late(Judge::Client));
        assert_eq!(ending(Nanos(1_400), Outcome::Done { late: true }), Ending::Late(Judge::Gateway));
        let withdrawn = Outcome::Refused(Refusal::Revoked(Reject::Withdrawn));
        assert_eq!(ending(Nanos(1_400), withdrawn), Ending::Withdrawn);
    }

    #[test]
    fn no_more_are_open_than_were_granted() {
        let mut core = ClientCore::new(2);
        let first = core.open(Nanos(0), Nanos(9)).unwrap();
        core.open(Nanos(0), Nanos(9)).unwrap();
        assert_eq!(core.open(Nanos(0), Nanos(9)), None);
        core.close(Nanos(1), &response(first, DONE)).unwrap();
        assert_eq!(core.open_count(), 1);
        assert!(core.open(Nanos(0), Nanos(9)).is_some());
    }

    #[test]
    fn a_second_answer_belongs_to_nobody() {
        let mut core = ClientCore::new(1);
        let first = core.open(Nanos(0), Nanos(9)).unwrap();
        core.close(Nanos(1), &response(first, DONE)).unwrap();
        let again = core.open(Nanos(2), Nanos(9)).unwrap();
        assert_ne!(first, again);
        assert_eq!(core.close(Nanos(3), &response(first, DONE)), None);
        assert_eq!(core.deadline(again), Some(Nanos(11)));
        assert_eq!(core.close(Nanos(3), &response(Ticket::from_wire(7), DONE)), None);
    }
}
