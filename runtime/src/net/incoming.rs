//! What a link receives: a buffer that frames are cut from, and payload on its way into a lease.

use sys::memory::HostLease;
use sys::uring::{Op, Socket};

use crate::base::limits::MAX_BODY_BYTES;
use crate::wire::{HEADER_BYTES, Message, PeerFault, next_frame};

/// Bytes of a link's receive buffer: the longest body fits.
pub(super) const BUFFER_BYTES: usize = (MAX_BODY_BYTES + HEADER_BYTES).next_multiple_of(4096);

/// Where a payload goes.
#[derive(Debug)]
enum Payload {
    /// A message announced it; nobody has said where it goes.
    Announced { bytes: usize },
    /// Into a lease; `None` while the receive has it.
    Into { lease: Option<HostLease>, received: usize, bytes: usize },
    /// Nowhere.
    Drained { left: usize, bytes: usize },
}

/// What a peer has begun to send and not ended, other than a payload that has a place: that has a
/// deadline of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// A frame.
    Frame,
    /// A payload of that many bytes that nobody wants.
    Drained(usize),
}

/// What a step over the received bytes gave.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a step is matched at once and never stored")]
pub(super) enum Step {
    /// A message.
    Message(Message),
    /// A payload is whole.
    Whole(HostLease),
    /// Nothing more until the next receive completes.
    Receive(Op),
    /// Nothing more until the payload has a place.
    Paused,
    /// The peer broke the protocol.
    Fault(PeerFault),
}

/// The receiving half of a link.
#[derive(Debug)]
pub(super) struct Incoming {
    /// `None` while a receive has it.
    buffer: Option<HostLease>,
    start: usize,
    end: usize,
    payload: Option<Payload>,
    under_way: bool,
    /// Frames and payloads that have come whole.
    whole: u64,
}

impl Incoming {
    pub(super) fn new(buffer: HostLease) -> Incoming {
        Incoming { buffer: Some(buffer), start: 0, end: 0, payload: None, under_way: false, whole: 0 }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// How many frames and payloads have come whole.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// What has begun and not ended.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        match self.payload {
            Some(Payload::Drained { bytes, .. }) => Some(Unfinished::Drained(bytes)),
            None if self.end > self.start => Some(Unfinished::Frame),
            _ => None,
        }
    }

    /// Says where the announced payload goes.
    ///
    /// # Panics
    /// If none is announced, or the lease is shorter.
    pub(super) fn receive_into(&mut self, lease: HostLease) {
        let Some(Payload::Announced { bytes }) = self.payload else {
            panic!("no payload waits for a place");
        };
        assert!(lease.len() >= bytes, "a payload of {bytes} bytes does not fit into {}", lease.len());
        self.payload = Some(Payload::Into { lease: Some(lease), received: 0, bytes });
    }

    /// Says that the announced payload is to be thrown away.
    ///
    /// # Panics
    /// If none is announced.
    pub(super) fn drain(&mut self) {
        let Some(Payload::Announced { bytes }) = self.payload else {
            panic!("no payload waits for a place");
        };
        self.payload = Some(Payload::Drained { left: bytes, bytes });
    }

    /// Goes one step on in what has been received.
    ///
    /// # Panics
    /// If a receive is under way.
    pub(super) fn step(&mut self, socket: &Socket) -> Step {
        assert!(!self.under_way, "what is being received can't be read");
        match self.payload.take() {
            Some(announced @ Payload::Announced { .. }) => {
                self.payload = Some(announced);
                Step::Paused
            }
            Some(Payload::Drained { left, bytes }) => self.step_drain(left, bytes, socket),
            Some(Payload::Into { lease: Some(lease), received, bytes }) => {
                self.step_into(lease, received, bytes, socket)
            }
            Some(Payload::Into { lease: None, .. }) => unreachable!("only a receive under way has the lease"),
            None => self.step_frame(socket),
        }
    }

    fn step_frame(&mut self, socket: &Socket) -> Step {
        match next_frame(&self.here()[self.start..self.end]) {
            Err(fault) => Step::Fault(fault),
            Ok(None) => self.receive(socket),
            Ok(Some(frame)) => {
                self.start += frame.bytes;
                self.whole += 1;
                if frame.payload > 0 {
                    self.payload = Some(Payload::Announced { bytes: frame.payload as usize });
                }
                Step::Message(frame.message)
            }
        }
    }

    fn step_drain(&mut self, left: usize, bytes: usize, socket: &Socket) -> Step {
        let here = left.min(self.end - self.start);
        self.start += here;
        if here == left {
            self.whole += 1;
            return self.step_frame(socket);
        }
        self.payload = Some(Payload::Drained { left: left - here, bytes });
        self.receive(socket)
    }

    fn step_into(&mut self, mut lease: HostLease, received: usize, bytes: usize, socket: &Socket) -> Step {
        let here = (bytes - received).min(self.end - self.start);
        lease[received..received + here].copy_from_slice(&self.here()[self.start..self.start + here]);
        self.start += here;
        let received = received + here;
        if received == bytes {
            self.whole += 1;
            return Step::Whole(lease);
        }
        // The rest comes straight into its place.
        self.payload = Some(Payload::Into { lease: None, received, bytes });
        self.under_way = true;
        Step::Receive(Op::Receive { socket: socket.clone(), lease, range: received..bytes, whole: true })
    }

    fn here(&self) -> &HostLease {
        match &self.buffer {
            Some(buffer) => buffer,
            None => unreachable!("no receive is under way"),
        }
    }

    /// Receives more into the buffer, after what is there.
    fn receive(&mut self, socket: &Socket) -> Step {
        let Some(mut buffer) = self.buffer.take() else { unreachable!("no receive is under way") };
        buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        assert!(self.end < buffer.len(), "the longest frame fits the buffer");
        self.under_way = true;
        let range = self.end..buffer.len();
        Step::Receive(Op::Receive { socket: socket.clone(), lease: buffer, range, whole: false })
    }

    /// Takes the lease of a completed receive back.
    pub(super) fn complete(&mut self, bytes: usize, back: HostLease) {
        assert!(self.under_way, "a receive completes once");
        self.under_way = false;
        match &mut self.payload {
            Some(Payload::Into { lease, received, .. }) if lease.is_none() => {
                *received += bytes;
                *lease = Some(back);
            }
            _ => {
                self.end += bytes;
                self.buffer = Some(back);
            }
        }
    }

    /// The lease of a payload that will never be whole, and the buffer for the next link.
    pub(super) fn give_up(self) -> (Option<HostLease>, HostLease) {
        assert!(!self.under_way, "a receive that is under way completes first");
        let Some(buffer) = self.buffer else { unreachable!("no receive is under way") };
        match self.payload {
            Some(Payload::Into { lease, .. }) => (lease, buffer),
            _ => (None, buffer),
        }
    }
}
