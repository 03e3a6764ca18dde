//! One connection to a server: frames with their payloads, over a TCP stream that may block or not.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::base::limits::MAX_BODY_BYTES;
use crate::wire::{EncodeError, HEADER_BYTES, Message, PeerFault, encode, next_frame};

/// Longest header and body, in bytes.
const FRAME_BYTES: usize = HEADER_BYTES + MAX_BODY_BYTES;

/// Why a connection is of no use any more.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// The system failed to move bytes.
    #[error("connection to {address}: can't {doing}: {source}")]
    Io {
        /// The server's address.
        address: SocketAddr,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The server closed the connection without a word.
    #[error("the server at {address} closed the connection")]
    Closed {
        /// The server's address.
        address: SocketAddr,
    },
    /// The server said goodbye.
    #[error("the server at {address} is going down")]
    Goodbye {
        /// The server's address.
        address: SocketAddr,
    },
    /// The server cut the connection off and said why.
    #[error("the server at {address} cut the connection off: {fault}{}", wrong_door(fault))]
    CutOff {
        /// The server's address.
        address: SocketAddr,
        /// Why.
        fault: PeerFault,
    },
    /// The server breaks the protocol.
    #[error("what answers at {address} breaks the protocol: {fault}")]
    Breach {
        /// The server's address.
        address: SocketAddr,
        /// How.
        fault: PeerFault,
    },
    /// A message that no frame can hold.
    #[error("message to {address}: {source}")]
    Encode {
        /// The server's address.
        address: SocketAddr,
        /// What does not fit.
        source: EncodeError,
    },
}

/// Where a question that is not answered here would be.
fn wrong_door(fault: &PeerFault) -> &'static str {
    match fault {
        PeerFault::Unexpected { .. } => {
            "; requests go to a gateway (port 7070 unless set otherwise), questions of `ctl` to a controller (7071)"
        }
        _ => "",
    }
}

/// A frame on its way out.
#[derive(Debug)]
struct Outgoing {
    head: Vec<u8>,
    payload: Arc<[u8]>,
    sent: usize,
}

impl Outgoing {
    fn left(&self) -> usize {
        self.head.len() + self.payload.len() - self.sent
    }

    fn slices(&self) -> [IoSlice<'_>; 2] {
        let head = self.sent.min(self.head.len());
        [IoSlice::new(&self.head[head..]), IoSlice::new(&self.payload[self.sent - head..])]
    }
}

/// A payload on its way in.
#[derive(Debug)]
struct Incoming {
    message: Message,
    filled: usize,
}

/// A connection. Whether its calls block follows the stream's mode.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    scratch: Box<[u8]>,
    outgoing: VecDeque<Outgoing>,
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
    incoming: Option<Incoming>,
    payload: Vec<u8>,
}

impl Connection {
    /// A connection over an open stream to `address`. It sends small frames at once.
    ///
    /// # Errors
    /// [`ConnectionError::Io`] if the stream is no longer open.
    pub fn new(stream: TcpStream, address: SocketAddr) -> Result<Connection, ConnectionError> {
        let set = stream.set_nodelay(true);
        set.map_err(|source| ConnectionError::Io { address, doing: "set no-delay", source })?;
        Ok(Connection {
            stream,
            address,
            scratch: vec![0; FRAME_BYTES].into(),
            outgoing: VecDeque::new(),
            buffer: vec![0; FRAME_BYTES].into(),
            begin: 0,
            end: 0,
            incoming: None,
            payload: Vec::new(),
        })
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The stream, to wait on it.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Makes [`Connection::flush`] and [`Connection::receive`] return instead of waiting, or wait again.
    ///
    /// # Errors
    /// [`ConnectionError::Io`].
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<(), ConnectionError> {
        self.stream.set_nonblocking(nonblocking).map_err(|source| self.io("change its mode", source))
    }

    /// Bounds how long [`Connection::receive`] waits. Shorter than a millisecond counts as one.
    ///
    /// # Errors
    /// [`ConnectionError::Io`].
    pub fn set_patience(&self, patience: Duration) -> Result<(), ConnectionError> {
        let patience = Some(patience.max(Duration::from_millis(1)));
        self.stream.set_read_timeout(patience).map_err(|source| self.io("set a time-out", source))
    }

    fn io(&self, doing: &'static str, source: io::Error) -> ConnectionError {
        ConnectionError::Io { address: self.address, doing, source }
    }

    /// Puts a message with its payload at the end of what goes out.
    ///
    /// # Errors
    /// [`ConnectionError::Encode`].
    ///
    /// # Panics
    /// If the payload is not as long as the message says.
    pub fn queue(&mut self, message: &Message, payload: Arc<[u8]>) -> Result<(), ConnectionError> {
        assert_eq!(message.payload_bytes() as usize, payload.len(), "a message states its payload's length");
        let bytes = encode(message, &mut self.scratch)
            .map_err(|source| ConnectionError::Encode { address: self.address, source })?;
        self.outgoing.push_back(Outgoing { head: self.scratch[..bytes].to_vec(), payload, sent: 0 });
        Ok(())
    }

    /// Frames that are not wholly sent.
    pub fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Sends what goes out, as much as the stream takes; true when all of it is sent.
    ///
    /// # Errors
    /// [`ConnectionError::Io`] or [`ConnectionError::Closed`].
    pub fn flush(&mut self) -> Result<bool, ConnectionError> {
        while let Some(first) = self.outgoing.front_mut() {
            match self.stream.write_vectored(&first.slices()) {
                Ok(0) => return Err(ConnectionError::Closed { address: self.address }),
                Ok(bytes) => first.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(self.io("send", error)),
            }
            if self.outgoing.front().is_some_and(|first| first.left() == 0) {
                self.outgoing.pop_front();
            }
        }
        Ok(true)
    }

    /// The next whole message; its payload is [`Connection::payload`] until the next call. None if
    /// no message is whole yet and the stream does not block, or its patience ended.
    ///
    /// # Errors
    /// [`ConnectionError`], also when the server ends the connection.
    pub fn receive(&mut self) -> Result<Option<Message>, ConnectionError> {
        loop {
            if let Some(incoming) = &mut self.incoming {
                if incoming.filled == self.payload.len() {
                    return Ok(self.incoming.take().map(|whole| whole.message));
                }
                if !self.fill_payload()? {
                    return Ok(None);
                }
                continue;
            }
            let frame = next_frame(&self.buffer[self.begin..self.end])
                .map_err(|fault| ConnectionError::Breach { address: self.address, fault })?;
            match frame {
                Some(frame) => {
                    self.begin += frame.bytes;
                    self.begin_message(frame.message, frame.payload as usize)?;
                }
                None if !self.fill_buffer()? => return Ok(None),
                None => {}
            }
        }
    }

    /// Payload of the message that [`Connection::receive`] gave last.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn begin_message(&mut self, message: Message, payload: usize) -> Result<(), ConnectionError> {
        match message {
            Message::Fault(fault) => return Err(ConnectionError::CutOff { address: self.address, fault }),
            Message::Goodbye => return Err(ConnectionError::Goodbye { address: self.address }),
            _ => {}
        }
        self.payload.resize(payload, 0);
        let filled = payload.min(self.end - self.begin);
        self.payload[..filled].copy_from_slice(&self.buffer[self.begin..self.begin + filled]);
        self.begin += filled;
        self.incoming = Some(Incoming { message, filled });
        Ok(())
    }

    fn fill_payload(&mut self) -> Result<bool, ConnectionError> {
        let Some(incoming) = &mut self.incoming else { unreachable!("only called with a payload on its way") };
        let read = read(&mut self.stream, self.address, &mut self.payload[incoming.filled..])?;
        incoming.filled += read.unwrap_or(0);
        Ok(read.is_some())
    }

    fn fill_buffer(&mut self) -> Result<bool, ConnectionError> {
        self.buffer.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        let read = read(&mut self.stream, self.address, &mut self.buffer[self.end..])?;
        self.end += read.unwrap_or(0);
        Ok(read.is_some())
    }
}

/// Bytes read; none if the stream has none for now.
fn read(stream: &mut TcpStream, address: SocketAddr, into: &mut [u8]) -> Result<Option<usize>, ConnectionError> {
    loop {
        match stream.read(into) {
            Ok(0) => return Err(ConnectionError::Closed { address }),
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(source) => return Err(ConnectionError::Io { address, doing: "receive", source }),
        }
    }
}
