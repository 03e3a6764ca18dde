//! A client that writes frames by hand, and wrong ones too.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use runtime::base::limits::MAX_BODY_BYTES;
use runtime::base::{ModelId, Nanos, ShapeId};
use runtime::wire::handshake::VERSION;
use runtime::wire::{HEADER_BYTES, Hello, Message, Name, Outcome, PeerFault, PeerRole, encode, next_frame};

use super::program::PATIENCE;

/// A connection and what has come on it and was not looked at yet.
pub struct Raw {
    pub stream: TcpStream,
    come: Vec<u8>,
}

/// A frame without its payload.
pub fn frame(message: &Message) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + MAX_BODY_BYTES];
    let length = encode(message, &mut bytes).expect("a message fits a frame");
    bytes.truncate(length);
    bytes
}

/// The HELLO of a client.
pub fn hello(version: u16) -> Vec<u8> {
    frame(&Message::Hello(Box::new(Hello {
        role: PeerRole::Client,
        version_min: version,
        version_max: version,
        features: 0,
        id: 0,
        epoch: 0,
        requests: 64,
        worker: None,
        clock: 0,
    })))
}

/// A REQUEST for a model's first shape with 20 s to live, without its payload.
pub fn request(id: u64, model: ModelId, shape: ShapeId, payload: u32) -> Vec<u8> {
    frame(&Message::Request { id, model, shape, slo: Nanos::seconds(20), payload })
}

/// A LOOKUP of a name.
pub fn lookup(name: &str) -> Vec<u8> {
    frame(&Message::Lookup { id: 1, model: ModelId(0), name: Name::from(name).expect("a short name") })
}

impl Raw {
    /// Connects and says nothing.
    pub fn connect(address: &str) -> Raw {
        let stream = TcpStream::connect(address).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Raw { stream, come: Vec::new() }
    }

    /// Connects and says HELLO.
    pub fn welcome(address: &str) -> Raw {
        let mut raw = Raw::connect(address);
        raw.send(&hello(VERSION));
        let answer = raw.next();
        assert!(matches!(answer, Some(Message::Welcome(_))), "{answer:?}");
        raw
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes bytes");
    }

    /// The next message, its payload thrown away; none when the server has closed.
    pub fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(frame) = next_frame(&self.come).expect("the server speaks the protocol") {
                self.come.drain(..frame.bytes);
                while self.come.len() < frame.payload as usize {
                    assert!(self.receive(), "a payload comes whole");
                }
                self.come.drain(..frame.payload as usize);
                return Some(frame.message);
            }
            if !self.receive() {
                return None;
            }
        }
    }

    /// Receives more; whether the connection still stands.
    fn receive(&mut self) -> bool {
        let mut some = [0; 4096];
        match self.stream.read(&mut some) {
            Ok(0) => false,
            Ok(count) => {
                self.come.extend(&some[..count]);
                true
            }
            // Bytes that the server did not take any more make the end a reset.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
            Err(error) => panic!("no end after {PATIENCE:?}: {error}"),
        }
    }

    /// Sends a request for a model's first shape, all zeros.
    pub fn ask(&mut self, id: u64, model: ModelId, bytes: usize) {
        self.send(&request(id, model, ShapeId(0), u32::try_from(bytes).expect("small")));
        self.send(&vec![0; bytes]);
    }

    /// The next answer to a request, and which.
    #[track_caller]
    pub fn answer(&mut self) -> (u64, Outcome) {
        match self.next() {
            Some(Message::Response(response)) => (response.id, response.outcome),
            other => panic!("{other:?} instead of an answer"),
        }
    }

    /// The fault that the server names before it closes.
    #[track_caller]
    pub fn fault(&mut self) -> PeerFault {
        match self.next() {
            Some(Message::Fault(fault)) => {
                assert_eq!(self.next(), None, "nothing follows a fault");
                fault
            }
            other => panic!("{other:?} instead of a fault"),
        }
    }
}
