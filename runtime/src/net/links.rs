//! The table of links and listeners of one thread.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};

use sys::memory::HostLease;
use sys::uring::{Completion, Op, Ring, Socket};

use super::error::{CloseReason, NetError, SendCause, SendError};
use super::incoming::{BUFFER_BYTES, Incoming, Step, Unfinished};
use super::link::{LinkId, ListenerId, NetEvent, Owner, PayloadOut};
use super::outgoing::{Blocks, Gone, Outgoing};
use crate::base::Nanos;
use crate::wire::{Message, PeerFault};

/// The highest byte of the user data of every operation of the network.
const DOMAIN: u64 = 1;
/// How long a peer may take to accept what was sent to it, to end a frame that it has begun, and to
/// say something at all once it has connected.
const PATIENCE: Nanos = Nanos::seconds(2);
/// What a peer must send of a payload that nobody wants, beyond [`PATIENCE`].
const LEAST_BYTES_PER_SECOND: u64 = 1 << 20;
/// Most of the events that one step of a link can add, for the capacity of the queue.
const EVENTS: usize = 4096;

/// Which operation of a link, or a listener, a completion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Which {
    Receive = 0,
    Send = 1,
    Connect = 2,
    Accept = 3,
}

/// Bounds of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// Links that can stand at once.
    pub links: usize,
}

#[derive(Debug)]
struct Link {
    id: LinkId,
    owner: Owner,
    socket: Socket,
    peer: SocketAddr,
    incoming: Incoming,
    outgoing: Outgoing,
    connecting: bool,
    /// When the send under way began.
    sending_since: Nanos,
    /// Since when the peer owes bytes, and how many frames and payloads had come whole then.
    owing_since: Option<(Nanos, u64)>,
    /// It connected to us, so it speaks first.
    accepted: bool,
    ending: Option<CloseReason>,
    /// The peer is being told this; the link ends when all that is queued has been sent.
    last_words: Option<PeerFault>,
}

#[derive(Debug)]
struct Listener {
    owner: Owner,
    socket: Socket,
    address: SocketAddr,
}

/// The network of one thread.
#[derive(Debug)]
pub struct Net {
    links: Vec<Option<Link>>,
    generations: Vec<u32>,
    buffers: Vec<(HostLease, Blocks)>,
    listeners: Vec<Listener>,
    events: VecDeque<(Owner, NetEvent)>,
    /// Links that have something to submit.
    stirred: VecDeque<LinkId>,
}

/// Whether a completion of the thread's ring belongs to the network.
pub fn is_net_completion(user: u64) -> bool {
    user >> 56 == DOMAIN
}

fn user(which: Which, index: u16, generation: u32) -> u64 {
    DOMAIN << 56 | (which as u64) << 48 | u64::from(index) << 32 | u64::from(generation)
}

#[expect(clippy::cast_possible_truncation, reason = "each field takes its own bits")]
fn parts(user: u64) -> (Which, LinkId) {
    let which = match (user >> 48) as u8 {
        0 => Which::Receive,
        1 => Which::Send,
        2 => Which::Connect,
        _ => Which::Accept,
    };
    (which, LinkId { index: (user >> 32) as u16, generation: user as u32 })
}

impl Link {
    /// Notes whether the peer owes bytes now, and since when.
    fn note_owing(&mut self, now: Nanos) {
        let whole = self.incoming.whole();
        let owes = self.incoming.unfinished().is_some() || (self.accepted && whole == 0);
        let same = self.owing_since.filter(|(_, then)| *then == whole);
        self.owing_since = owes.then(|| same.unwrap_or((now, whole)));
    }

    /// Whether the peer does not take what is sent to it.
    fn is_deaf(&self, now: Nanos) -> Option<PeerFault> {
        let waited = now.since(self.sending_since);
        (self.outgoing.is_under_way() && waited > PATIENCE).then(|| stalled(waited, PATIENCE))
    }

    /// Whether the peer does not end what it has begun to send. A payload that has a place is not
    /// looked at here: its request has a deadline.
    fn is_slow(&self, now: Nanos) -> Option<PeerFault> {
        let (since, _) = self.owing_since?;
        let allowed = match self.incoming.unfinished() {
            Some(Unfinished::Drained(bytes)) => {
                PATIENCE + Nanos((bytes as u64).saturating_mul(Nanos::seconds(1).0) / LEAST_BYTES_PER_SECOND)
            }
            _ => PATIENCE,
        };
        let waited = now.since(since);
        (waited > allowed).then(|| stalled(waited, allowed))
    }
}

fn stalled(waited: Nanos, limit: Nanos) -> PeerFault {
    PeerFault::Stalled { waited_ms: waited.0 / 1_000_000, limit_ms: limit.0 / 1_000_000 }
}

impl Net {
    /// Takes the buffers of all links.
    ///
    /// # Errors
    /// [`NetError::Memory`].
    ///
    /// # Panics
    /// If more links are wanted than ids exist.
    pub fn new(config: NetConfig) -> Result<Net, NetError> {
        assert!((1..=usize::from(u16::MAX)).contains(&config.links), "links are numbered by u16");
        let memory = |source| NetError::Memory { links: config.links, source };
        let mut rest = HostLease::locked(config.links * (BUFFER_BYTES + Blocks::BYTES)).map_err(memory)?;
        let mut buffers = Vec::with_capacity(config.links);
        for _ in 0..config.links {
            let (buffer, tail) = rest.split_at(BUFFER_BYTES);
            let (blocks, tail) = tail.split_at(Blocks::BYTES);
            let Ok(blocks) = Blocks::cut(blocks) else { unreachable!("a link has as many bytes as its blocks") };
            buffers.push((buffer, blocks));
            rest = tail;
        }
        Ok(Net {
            links: (0..config.links).map(|_| None).collect(),
            generations: vec![0; config.links],
            buffers,
            listeners: Vec::new(),
            events: VecDeque::with_capacity(EVENTS),
            stirred: VecDeque::with_capacity(4 * config.links),
        })
    }

    /// Listens at `address`; its connections belong to `owner`.
    ///
    /// # Errors
    /// [`NetError::Listen`], a port in use among others, and [`NetError::Ring`].
    pub fn listen(&mut self, ring: &mut Ring, address: SocketAddr, owner: Owner) -> Result<ListenerId, NetError> {
        let listen = |source| NetError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let id = ListenerId(u16::try_from(self.listeners.len()).unwrap_or(u16::MAX));
        self.listeners.push(Listener { owner, socket: Socket::from(listener), address });
        self.accept(ring, id);
        Ok(id)
    }

    /// Where a listener listens, with the port that the system chose.
    pub fn address(&self, listener: ListenerId) -> SocketAddr {
        self.listeners[usize::from(listener.0)].address
    }

    fn accept(&mut self, ring: &mut Ring, id: ListenerId) {
        let listener = self.listeners[usize::from(id.0)].socket.clone();
        let pushed = ring.push(user(Which::Accept, id.0, 0), Op::Accept { listener });
        assert!(pushed.is_ok(), "the ring holds every operation of every link: {pushed:?}");
    }

    /// Opens a connection; [`NetEvent::Connected`] or [`NetEvent::Closed`] follows.
    ///
    /// # Errors
    /// [`NetError::Socket`] and [`NetError::TooManyLinks`].
    pub fn connect(&mut self, ring: &mut Ring, address: SocketAddr, owner: Owner) -> Result<LinkId, NetError> {
        let socket = Socket::unconnected(&address).map_err(|source| NetError::Socket { address, source })?;
        let id = self.add(socket.clone(), address, owner).ok_or(NetError::TooManyLinks { limit: self.links.len() })?;
        if let Some(link) = self.get(id) {
            link.connecting = true;
        }
        let pushed = ring.push(user(Which::Connect, id.index, id.generation), Op::Connect { socket, address });
        assert!(pushed.is_ok(), "the ring holds every operation of every link: {pushed:?}");
        Ok(id)
    }

    fn add(&mut self, socket: Socket, peer: SocketAddr, owner: Owner) -> Option<LinkId> {
        let place = self.links.iter().position(Option::is_none)?;
        let (buffer, blocks) = self.buffers.pop()?;
        let id = LinkId { index: u16::try_from(place).ok()?, generation: self.generations[place] };
        // Without it small frames wait for the peer's acknowledgement; a socket that can't is still one.
        let _ = socket.set_nodelay();
        self.links[place] = Some(Link {
            id,
            owner,
            socket,
            peer,
            incoming: Incoming::new(buffer),
            outgoing: Outgoing::new(blocks),
            connecting: false,
            sending_since: Nanos::ZERO,
            owing_since: None,
            accepted: false,
            ending: None,
            last_words: None,
        });
        Some(id)
    }

    fn get(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(usize::from(id.index))?.as_mut().filter(|link| link.id == id)
    }

    /// The peer's address.
    pub fn peer(&mut self, id: LinkId) -> Option<SocketAddr> {
        self.get(id).map(|link| link.peer)
    }

    /// How many messages surely fit into a link's queue; 0 for a link that has ended.
    pub fn room(&mut self, id: LinkId) -> usize {
        self.get(id).filter(|link| link.ending.is_none()).map_or(0, |link| link.outgoing.room())
    }

    /// Queues a message and its payload. They leave with the next [`Net::flush`].
    ///
    /// # Errors
    /// [`SendError`], with the payload's lease.
    pub fn send(&mut self, id: LinkId, message: &Message, payload: Option<PayloadOut>) -> Result<(), SendError> {
        let Some(link) = self.get(id).filter(|link| link.ending.is_none() && link.last_words.is_none()) else {
            return Err(SendError { cause: SendCause::Closed, payload: payload.map(|payload| payload.lease) });
        };
        link.outgoing.push(message, payload)?;
        self.stirred.push_back(id);
        Ok(())
    }

    /// Says where the payload that a message announced goes.
    pub fn receive_into(&mut self, id: LinkId, lease: HostLease) {
        match self.get(id) {
            Some(link) if link.ending.is_none() => {
                link.incoming.receive_into(lease);
                self.stirred.push_back(id);
            }
            Some(link) => {
                let owner = link.owner;
                self.events.push_back((owner, NetEvent::Payload { link: id, lease, whole: false }));
            }
            None => unreachable!("a link that announced a payload stands until its last event was taken"),
        }
    }

    /// Says that the payload that a message announced is to be thrown away.
    pub fn drain(&mut self, id: LinkId) {
        if let Some(link) = self.get(id).filter(|link| link.ending.is_none()) {
            link.incoming.drain();
            self.stirred.push_back(id);
        }
    }

    /// Tells the peer what it did wrong, then ends the link.
    pub fn cut_off(&mut self, id: LinkId, fault: PeerFault) {
        let Some(link) = self.get(id).filter(|link| link.ending.is_none()) else { return };
        // A peer that takes nothing more is not told; it finds the connection closed.
        if !link.connecting && link.outgoing.push(&Message::Fault(fault), None).is_ok() {
            link.last_words = Some(fault);
            self.stirred.push_back(id);
        } else {
            self.end(id, CloseReason::Fault(fault));
        }
    }

    /// Ends a link.
    pub fn close(&mut self, id: LinkId) {
        self.end(id, CloseReason::Local);
    }

    fn end(&mut self, id: LinkId, reason: CloseReason) {
        let Some(link) = self.get(id).filter(|link| link.ending.is_none()) else { return };
        link.ending = Some(reason);
        // Operations under way complete now; one that is not connected has none to end.
        let _ = link.socket.shutdown(std::net::Shutdown::Both);
        self.stirred.push_back(id);
    }

    /// The next event and whose it is.
    pub fn next_event(&mut self) -> Option<(Owner, NetEvent)> {
        self.events.pop_front()
    }

    /// Whether anything that was to be sent has not been accepted by its socket.
    pub fn is_sending(&self) -> bool {
        self.links.iter().flatten().any(|link| link.ending.is_none() && !link.outgoing.is_empty())
    }

    /// Whether there are events to be taken.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Ends the links of peers that do not take what is sent to them, or do not end what they began.
    pub fn tick(&mut self, now: Nanos) {
        for place in 0..self.links.len() {
            let Some(link) = self.links[place].as_ref().filter(|link| link.ending.is_none()) else { continue };
            let id = link.id;
            if let Some(fault) = link.is_deaf(now) {
                self.end(id, CloseReason::Fault(fault));
            } else if let Some(fault) = link.is_slow(now).filter(|_| link.last_words.is_none()) {
                self.cut_off(id, fault);
            }
        }
    }

    /// Takes a completion of the ring that belongs to the network.
    pub fn complete(&mut self, ring: &mut Ring, completion: Completion) {
        let (which, id) = parts(completion.user);
        if which == Which::Accept {
            return self.accepted(ring, ListenerId(id.index), completion);
        }
        let Some(link) = self.get(id) else { unreachable!("a link stands while operations of it are under way") };
        let owner = link.owner;
        let failed = match (which, completion.result, completion.lease) {
            (Which::Connect, result, _) => {
                link.connecting = false;
                match result {
                    Ok(_) => {
                        self.events.push_back((owner, NetEvent::Connected { link: id }));
                        None
                    }
                    Err(source) => Some(CloseReason::Unreachable { address: link.peer, source }),
                }
            }
            (Which::Receive, result, Some(lease)) => {
                let bytes = *result.as_ref().unwrap_or(&0) as usize;
                link.incoming.complete(bytes, lease);
                match result {
                    Ok(0) => Some(CloseReason::Ended),
                    Ok(_) => None,
                    Err(error) => Some(CloseReason::Broken(error)),
                }
            }
            (Which::Send, result, Some(lease)) => {
                let (whole, gone) = link.outgoing.complete(*result.as_ref().unwrap_or(&0) as usize, lease);
                self.give_back(owner, id, gone);
                match result {
                    Ok(_) if whole => None,
                    Ok(_) => Some(CloseReason::Ended),
                    Err(error) => Some(CloseReason::Broken(error)),
                }
            }
            (which, _, _) => unreachable!("{which:?} gives its lease back"),
        };
        if let Some(reason) = failed {
            self.end(id, reason);
        }
        // An ended link too has more to do: it gives its leases back.
        self.stirred.push_back(id);
    }

    fn give_back(&mut self, owner: Owner, link: LinkId, gone: Option<Gone>) {
        if let Some(Gone { tag, lease, whole }) = gone {
            self.events.push_back((owner, NetEvent::Sent { link, tag, lease, whole }));
        }
    }

    fn accepted(&mut self, ring: &mut Ring, listener: ListenerId, completion: Completion) {
        if let Some(socket) = completion.socket {
            let owner = self.listeners[usize::from(listener.0)].owner;
            let peer = socket.to_tcp().and_then(|stream| stream.peer_addr());
            // Without room or address the socket is dropped, which closes it: the peer sees that.
            if let Ok(peer) = peer
                && let Some(id) = self.add(socket, peer, owner)
            {
                if let Some(link) = self.get(id) {
                    link.accepted = true;
                }
                self.events.push_back((owner, NetEvent::Accepted { link: id }));
                self.stirred.push_back(id);
            }
        }
        self.accept(ring, listener);
    }

    /// Submits what the links have to send and to receive, and takes ended links apart.
    pub fn flush(&mut self, ring: &mut Ring, now: Nanos) {
        while let Some(id) = self.stirred.pop_front() {
            let Some(link) = self.get(id) else { continue };
            if link.ending.is_some() {
                self.take_apart(id);
            } else if !link.connecting {
                self.send_next(ring, id, now);
                self.receive_next(ring, id, now);
            }
        }
    }

    fn send_next(&mut self, ring: &mut Ring, id: LinkId, now: Nanos) {
        let Some(link) = self.get(id) else { return };
        let socket = link.socket.clone();
        if let Some(op) = link.outgoing.next_op(&socket) {
            link.sending_since = now;
            let pushed = ring.push(user(Which::Send, id.index, id.generation), op);
            assert!(pushed.is_ok(), "the ring holds every operation of every link: {pushed:?}");
        } else if let Some(fault) = link.last_words
            && link.outgoing.is_empty()
        {
            self.end(id, CloseReason::Fault(fault));
        }
    }

    fn receive_next(&mut self, ring: &mut Ring, id: LinkId, now: Nanos) {
        loop {
            let Some(link) = self.get(id) else { return };
            if link.incoming.is_under_way() || link.ending.is_some() || link.last_words.is_some() {
                return;
            }
            let (owner, socket) = (link.owner, link.socket.clone());
            match link.incoming.step(&socket) {
                Step::Paused => return,
                Step::Receive(op) => {
                    link.note_owing(now);
                    let pushed = ring.push(user(Which::Receive, id.index, id.generation), op);
                    assert!(pushed.is_ok(), "the ring holds every operation of every link: {pushed:?}");
                    return;
                }
                Step::Message(Message::Fault(fault)) => self.end(id, CloseReason::ToldFault(fault)),
                Step::Message(Message::Goodbye) => self.end(id, CloseReason::Ended),
                Step::Message(message) => {
                    self.events.push_back((owner, NetEvent::Message { link: id, message }));
                }
                Step::Whole(lease) => {
                    self.events.push_back((owner, NetEvent::Payload { link: id, lease, whole: true }));
                }
                Step::Fault(fault) => self.cut_off(id, fault),
            }
        }
    }

    /// Gives all leases of an ended link back, then its place.
    fn take_apart(&mut self, id: LinkId) {
        let Some(link) = self.get(id) else { return };
        if link.connecting || link.incoming.is_under_way() || link.outgoing.is_under_way() {
            return;
        }
        let Some(mut link) = self.links[usize::from(id.index)].take() else { return };
        while let Some(gone) = link.outgoing.give_up() {
            self.give_back(link.owner, id, gone);
        }
        let (payload, buffer) = link.incoming.give_up();
        if let Some(lease) = payload {
            self.events.push_back((link.owner, NetEvent::Payload { link: id, lease, whole: false }));
        }
        self.buffers.push((buffer, link.outgoing.into_blocks()));
        self.generations[usize::from(id.index)] = id.generation.wrapping_add(1);
        let reason = link.ending.unwrap_or(CloseReason::Local);
        self.events.push_back((link.owner, NetEvent::Closed { link: id, reason }));
    }
}
