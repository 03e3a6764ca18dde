//! Matches answers to requests, and judges them by the client's own clock. Pure.
//!
//! The deadline is counted from handing the request to the socket. An answer after it is `Late`,
//! whatever the server called it; a request unanswered by then is `Late` at once, and its answer is
//! dropped when it comes.

use thiserror::Error;

use crate::base::Nanos;
use crate::order::Reject;

/// The client's number for one request: a place in its table and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Correlation(pub u64);

impl Correlation {
    fn new(place: usize, generation: u32) -> Correlation {
        Correlation(u64::from(generation) << 32 | place as u64)
    }

    fn place(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
}

/// How the server says that a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; its outputs came with it.
    Done {
        /// Whether the gateway itself judged it late.
        late: bool,
    },
    /// Never admitted.
    Rejected(Reject),
    /// Admitted, then refused before its exec.
    Revoked(Reject),
    /// Executed without success.
    Failed(Reject),
}

/// How a request ended for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// In time, by the server's judgement and by our clock.
    InTime,
    /// Not in time, by either.
    Late,
    /// Never admitted.
    Rejected(Reject),
    /// Admitted, then refused before its exec.
    Revoked(Reject),
    /// Executed without success.
    Failed(Reject),
    /// The connection was lost first.
    Disconnected,
}

/// Why a request can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClientFault {
    /// Too many requests are open.
    #[error("{limit} requests are open, which is the limit of this client")]
    Full {
        /// The limit.
        limit: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct Place {
    generation: u32,
    open: bool,
    sent: Nanos,
    deadline: Nanos,
}

/// A finished request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub request: Correlation,
    /// How it ended.
    pub done: Done,
    /// From handing it to the socket to now.
    pub took: Nanos,
}

/// The requests of one connection. All its memory is taken at construction.
#[derive(Debug)]
pub struct ClientCore {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl ClientCore {
    /// Room for `limit` open requests.
    ///
    /// # Panics
    /// If `limit` does not fit 32 bits.
    pub fn new(limit: usize) -> ClientCore {
        let count = u32::try_from(limit);
        let Ok(count) = count else { unreachable!("a limit of {limit} requests does not fit 32 bits") };
        let place = Place { generation: 0, open: false, sent: Nanos::ZERO, deadline: Nanos::ZERO };
        ClientCore { places: vec![place; limit], free: (0..count).rev().collect() }
    }

    /// Opens a request that is handed to the socket now; its number goes with it.
    ///
    /// # Errors
    /// `Full` if as many as the limit are open.
    pub fn submit(&mut self, now: Nanos, slo: Nanos) -> Result<Correlation, ClientFault> {
        let index = self.free.pop().ok_or(ClientFault::Full { limit: self.places.len() })? as usize;
        let place = &mut self.places[index];
        *place = Place { generation: place.generation.wrapping_add(1), open: true, sent: now, deadline: now + slo };
        Ok(Correlation::new(index, place.generation))
    }

    /// An answer came whole. None if its request is not open any more.
    pub fn answered(&mut self, now: Nanos, request: Correlation, answer: Answer) -> Option<Finished> {
        let place = self.places.get(request.place())?;
        if !place.open || Correlation::new(request.place(), place.generation) != request {
            return None;
        }
        let done = match answer {
            Answer::Done { late } if late || now > place.deadline => Done::Late,
            Answer::Done { .. } => Done::InTime,
            Answer::Rejected(reason) => Done::Rejected(reason),
            Answer::Revoked(reason) => Done::Revoked(reason),
            Answer::Failed(reason) => Done::Failed(reason),
        };
        Some(self.finish(now, request.place(), done))
    }

    /// The next open request whose deadline has passed, as late; call until none is left.
    pub fn expired(&mut self, now: Nanos) -> Option<Finished> {
        let place = self.places.iter().position(|place| place.open && place.deadline < now)?;
        Some(self.finish(now, place, Done::Late))
    }

    /// The connection is lost: the next request that ends by that; call until none is left.
    pub fn disconnected(&mut self, now: Nanos) -> Option<Finished> {
        let place = self.places.iter().position(|place| place.open)?;
        Some(self.finish(now, place, Done::Disconnected))
    }

    /// When [`ClientCore::expired`] is to be called next.
    pub fn due(&self) -> Option<Nanos> {
        let open = self.places.iter().filter(|place| place.open);
        open.map(|place| place.deadline + Nanos(1)).min()
    }

    /// Requests that are open.
    pub fn open(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn finish(&mut self, now: Nanos, index: usize, done: Done) -> Finished {
        let place = &mut self.places[index];
        place.open = false;
        let finished =
            Finished { request: Correlation::new(index, place.generation), done, took: now.since(place.sent) };
        let Ok(index) = u32::try_from(index) else { unreachable!("places are numbered by 32 bits") };
        self.free.push(index);
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Answer = Answer::Done { late: false };

    #[test]
    fn an_answer_after_the_deadline_is_late() {
        let mut client = ClientCore::new(2);
        let first = client.submit(Nanos(100), Nanos(50)).unwrap();
        let second = client.submit(Nanos(100), Nanos(60)).unwrap();
        assert_eq!(client.submit(Nanos(100), Nanos(60)), Err(ClientFault::Full { limit: 2 }));
        assert_eq!(client.answered(Nanos(150), first, OK).unwrap().done, Done::InTime);
        assert_eq!(client.answered(Nanos(161), second, OK).unwrap().done, Done::Late);
        assert_eq!(client.answered(Nanos(161), second, OK), None);
    }

    #[test]
    fn the_gateways_judgement_counts_too() {
        let mut client = ClientCore::new(1);
        let request = client.submit(Nanos(0), Nanos(50)).unwrap();
        assert_eq!(client.answered(Nanos(1), request, Answer::Done { late: true }).unwrap().done, Done::Late);
    }

    #[test]
    fn what_is_not_answered_is_late_once() {
        let mut client = ClientCore::new(1);
        let request = client.submit(Nanos(0), Nanos(50)).unwrap();
        assert_eq!((client.due(), client.expired(Nanos(50))), (Some(Nanos(51)), None));
        let late = Finished { request, done: Done::Late, took: Nanos(51) };
        assert_eq!((client.expired(Nanos(51)), client.expired(Nanos(51))), (Some(late), None));
        // Its place is used again; the old answer does not end the new request.
        let again = client.submit(Nanos(60), Nanos(50)).unwrap();
        assert_eq!(client.answered(Nanos(61), request, OK), None);
        assert_eq!(client.disconnected(Nanos(62)).map(|f| (f.request, f.done)), Some((again, Done::Disconnected)));
        assert_eq!((client.open(), client.due()), (0, None));
    }
}
