//! What goes wrong on a link, and with the network as a whole.

use std::io;
use std::net::SocketAddr;

use sys::memory::{HostLease, MemoryError};
use sys::uring::RingError;
use thiserror::Error;

use crate::wire::{EncodeError, PeerFault};

/// Why a link ended.
#[derive(Debug, Error)]
pub enum CloseReason {
    /// The peer closed it.
    #[error("the peer closed the connection")]
    Ended,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// The peer can't be reached.
    #[error("{address} can't be reached: {source}")]
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The peer broke the protocol, or did not keep up; it was told so.
    #[error("cut off: {0}")]
    Fault(PeerFault),
    /// The peer told us what we did wrong.
    #[error("the peer cut us off: {0}")]
    ToldFault(PeerFault),
    /// This side ended it.
    #[error("ended here")]
    Local,
}

/// Why the network can't be used.
#[derive(Debug, Error)]
pub enum NetError {
    /// The address can't be listened at.
    #[error("can't listen at {address}: {source}; {}", listen_hint(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No socket can be made.
    #[error("can't open a socket for {address}: {source}")]
    Socket {
        /// The peer's address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The buffers of the links can't be taken.
    #[error("buffers of {links} links: {source}")]
    Memory {
        /// How many links they are for.
        links: usize,
        /// Why.
        source: MemoryError,
    },
    /// All places for links are taken.
    #[error("all {limit} links are in use")]
    TooManyLinks {
        /// The limit.
        limit: usize,
    },
    /// The ring failed.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// Why a message was not sent; its payload comes back.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct SendError {
    /// Why.
    pub cause: SendCause,
    /// The payload's lease.
    pub payload: Option<HostLease>,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendCause {
    /// The link has ended.
    #[error("the link has ended")]
    Closed,
    /// Too much is queued already.
    #[error("{limit} blocks are queued already")]
    Full {
        /// Blocks of frames that can be queued.
        limit: usize,
    },
    /// The message does not fit into a frame.
    #[error(transparent)]
    Encode(EncodeError),
}

fn listen_hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => "is another server running there?",
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address: 0.0.0.0 listens at all of its own",
        std::io::ErrorKind::PermissionDenied => "ports below 1024 are for root: choose another",
        _ => "choose another address",
    }
}
