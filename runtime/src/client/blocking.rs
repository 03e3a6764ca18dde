//! A client whose calls block: the library's plain face.
//!
//! One request at a time with [`Client::infer`], or many at once with [`Client::send`] and
//! [`Client::receive`]. Deadlines count from the send, on the client's own clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::connection::{Connection, ConnectionError};
use super::core::{ClientCore, Finished, Ticket, Timing};
use super::error::{InferError, LookupError, SendError};
use super::handshake::{ConnectError, PATIENCE, connect};
use super::payload::{pack, unpack};
use crate::base::limits::{MAX_NAME_BYTES, MAX_REQUESTS};
use crate::base::{ModelId, Nanos, ShapeId};
use crate::wire::{Catalog, Message, ModelEntry, Name, PeerRole, Welcome};

/// How long after a deadline the gateway's own word on the request is still waited for.
const GRACE: Nanos = Nanos::millis(20);

/// Now, on the clock of every deadline here.
pub fn now() -> Nanos {
    Nanos(sys::clock::now_ns())
}

/// A request: one item for one model.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The model, as [`Client::model`] gave it.
    pub model: &'a ModelEntry,
    /// Which of its shape variants.
    pub shape: ShapeId,
    /// Bytes of each input in the model's order: little-endian, row-major.
    pub inputs: &'a [&'a [u8]],
    /// How long it may take.
    pub slo: Nanos,
}

/// An answer in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of each output in the model's order: little-endian, row-major.
    pub outputs: Vec<Vec<u8>>,
    /// When what happened.
    pub timing: Timing,
}

/// A request that ended, with the payload of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which, how and when.
    pub finished: Finished,
    /// The answer's payload; [`unpack`] cuts it into outputs. Empty unless answered.
    pub payload: Vec<u8>,
}

/// A connection to a gateway.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    core: ClientCore,
    welcome: Welcome,
    /// By place of the ticket: whether nobody waits for its end any more.
    abandoned: Vec<bool>,
    ended: VecDeque<Ended>,
    lookups: u64,
}

impl Client {
    /// Connects to the gateway at `address` (`HOST:PORT`) and waits for its WELCOME.
    ///
    /// # Errors
    /// [`ConnectError`], which names the address and what to do.
    pub fn connect(address: &str) -> Result<Client, ConnectError> {
        let wish = u32::try_from(MAX_REQUESTS).unwrap_or(u32::MAX);
        let (connection, welcome) = connect(address, PeerRole::Client, wish)?;
        // A server may grant more than this client has a use for.
        let limit = welcome.requests.min(wish);
        Ok(Client::from_parts(connection, ClientCore::new(limit), welcome))
    }

    /// A client over a connection that was driven by someone else; the reverse of [`Client::into_parts`].
    pub fn from_parts(connection: Connection, core: ClientCore, welcome: Welcome) -> Client {
        let abandoned = vec![false; core.limit()];
        Client { connection, core, welcome, abandoned, ended: VecDeque::new(), lookups: 0 }
    }

    /// What the gateway grants.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Requests that are open.
    pub fn open_count(&self) -> usize {
        self.core.open_count()
    }

    /// The connection and the table of open requests, for a caller that drives them by itself.
    pub fn into_parts(self) -> (Connection, ClientCore) {
        (self.connection, self.core)
    }

    /// The model of that name.
    ///
    /// # Errors
    /// [`LookupError`].
    pub fn model(&mut self, name: &str) -> Result<ModelEntry, LookupError> {
        let unknown = || LookupError::Unknown { name: name.to_owned() };
        let wire = Name::from(name).map_err(|_| LookupError::Name { name: name.to_owned(), limit: MAX_NAME_BYTES })?;
        if name.is_empty() {
            return Err(unknown());
        }
        self.lookups += 1;
        let id = self.lookups;
        self.tell(&Message::Lookup { id, model: ModelId(0), name: wire }, Arc::from([]))?;
        let until = now() + nanos(PATIENCE);
        loop {
            match self.next_message(until)? {
                Some(Message::Catalog(catalog)) if catalog.id == id => {
                    let Catalog { entry, .. } = *catalog;
                    return entry.ok_or_else(unknown);
                }
                Some(message) => self.take(&message),
                None => return Err(LookupError::Silent { name: name.to_owned() }),
            }
        }
    }

    /// Sends one request and waits for its end, at most until shortly after its deadline. A request
    /// that has no answer by then is withdrawn.
    ///
    /// # Errors
    /// [`InferError`]: anything but an answer in time.
    pub fn infer(&mut self, request: Request<'_>) -> Result<Answer, InferError> {
        let ticket = self.send(request)?;
        let until = self.core.deadline(ticket).unwrap_or_else(now) + GRACE;
        loop {
            if let Some(place) = self.ended.iter().position(|ended| ended.finished.ticket == ticket) {
                let Some(ended) = self.ended.remove(place) else { unreachable!("position gave it") };
                return answer(request, &ended);
            }
            match self.next_message(until)? {
                Some(message) => self.take(&message),
                None => {
                    self.abandoned[ticket.index()] = true;
                    self.withdraw(ticket)?;
                    return Err(InferError::NoAnswer { slo: request.slo });
                }
            }
        }
    }

    /// Sends one request without waiting for its answer.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&mut self, request: Request<'_>) -> Result<Ticket, SendError> {
        let payload = pack(request.model, request.shape, request.inputs)?;
        let bytes = payload.len();
        let limit = self.welcome.payload_bytes;
        let Some(length) = u32::try_from(bytes).ok().filter(|length| *length <= limit) else {
            return Err(SendError::TooLong { bytes, limit });
        };
        let opened = self.core.open(now(), request.slo);
        let ticket = opened.ok_or(SendError::Full { limit: self.core.limit() })?;
        self.abandoned[ticket.index()] = false;
        let (id, model) = (ticket.to_wire(), request.model.model);
        let message = Message::Request { id, model, shape: request.shape, slo: request.slo, payload: length };
        self.tell(&message, payload.into())?;
        Ok(ticket)
    }

    /// The next request that ended; none if none does before `until`.
    ///
    /// # Errors
    /// [`ConnectionError`]: then no open request ends any more.
    pub fn receive(&mut self, until: Nanos) -> Result<Option<Ended>, ConnectionError> {
        loop {
            if let Some(ended) = self.ended.pop_front() {
                return Ok(Some(ended));
            }
            match self.next_message(until)? {
                Some(message) => self.take(&message),
                None => return Ok(None),
            }
        }
    }

    /// Takes a request back. It still ends, as withdrawn or with what came first.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub fn withdraw(&mut self, ticket: Ticket) -> Result<(), ConnectionError> {
        self.tell(&Message::Withdraw { id: ticket.to_wire() }, Arc::from([]))
    }

    fn tell(&mut self, message: &Message, payload: Arc<[u8]>) -> Result<(), ConnectionError> {
        self.connection.queue(message, payload)?;
        self.connection.flush().map(|_| ())
    }

    /// The next message; none if none is whole by `until`, which is looked at after one try at least.
    fn next_message(&mut self, until: Nanos) -> Result<Option<Message>, ConnectionError> {
        loop {
            let left = until.since(now());
            self.connection.set_patience(Duration::from_nanos(left.0))?;
            let message = self.connection.receive()?;
            if message.is_some() || now() >= until {
                return Ok(message);
            }
        }
    }

    /// Keeps the end of a request for whoever waits for it. Other messages mean nothing to a client.
    fn take(&mut self, message: &Message) {
        let Message::Response(response) = message else { return };
        let Some(finished) = self.core.close(now(), response) else { return };
        if !std::mem::take(&mut self.abandoned[finished.ticket.index()]) {
            self.ended.push_back(Ended { finished, payload: self.connection.payload().to_vec() });
        }
    }
}

fn answer(request: Request<'_>, ended: &Ended) -> Result<Answer, InferError> {
    let Finished { ending, timing, .. } = ended.finished;
    if let Some(error) = InferError::of(ending, timing) {
        return Err(error);
    }
    Ok(Answer { outputs: unpack(request.model, request.shape, &ended.payload)?, timing })
}

fn nanos(duration: Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
