//! What a ring can do, and what comes back.

use super::registered::RegisteredFile;
use super::socket::Socket;
use crate::memory::HostLease;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

/// A file to read.
#[derive(Clone, Debug)]
pub enum FileRef {
    /// Registered with the ring, which saves a look-up in the kernel.
    Registered(RegisteredFile),
    /// Any open file.
    Open(Arc<File>),
}

/// An operation. It owns what it uses until it completes.
#[derive(Debug)]
pub enum Op {
    /// Reads from `offset` of a file into `range` of the lease; where the memory is registered,
    /// without pinning it anew.
    Read {
        /// The file.
        file: FileRef,
        /// Where to read, in bytes.
        offset: u64,
        /// Where to put it.
        lease: HostLease,
        /// Which part of the lease.
        range: Range<usize>,
    },
    /// Waits for one connection; it comes in [`Completion::socket`].
    Accept {
        /// A listening socket.
        listener: Socket,
    },
    /// Connects a socket.
    Connect {
        /// From [`Socket::unconnected`].
        socket: Socket,
        /// Where to.
        address: SocketAddr,
    },
    /// Receives into `range` of the lease.
    Receive {
        /// From where.
        socket: Socket,
        /// Where to put it.
        lease: HostLease,
        /// Which part of the lease.
        range: Range<usize>,
        /// Whether to complete only when `range` is full (or the peer is done).
        whole: bool,
    },
    /// Sends `range` of the lease, all of it unless the connection breaks.
    Send {
        /// Where to.
        socket: Socket,
        /// What.
        lease: HostLease,
        /// Which part of the lease.
        range: Range<usize>,
        /// Whether more follows at once, so that the kernel may wait for it.
        more: bool,
    },
}

impl Op {
    /// The lease and range, if it has one.
    pub(super) fn memory(&self) -> Option<(&HostLease, &Range<usize>)> {
        match self {
            Self::Read { lease, range, .. } | Self::Receive { lease, range, .. } | Self::Send { lease, range, .. } => {
                Some((lease, range))
            }
            Self::Accept { .. } | Self::Connect { .. } => None,
        }
    }

    pub(super) fn into_lease(self) -> Option<HostLease> {
        match self {
            Self::Read { lease, .. } | Self::Receive { lease, .. } | Self::Send { lease, .. } => Some(lease),
            Self::Accept { .. } | Self::Connect { .. } => None,
        }
    }
}

/// A completed operation.
#[derive(Debug)]
pub struct Completion {
    /// The number that the operation was given.
    pub user: u64,
    /// Bytes read, received or sent (0: the end); 0 of the others. A cancelled operation fails
    /// with `ECANCELED`.
    pub result: io::Result<u32>,
    /// The lease, if it had one.
    pub lease: Option<HostLease>,
    /// The connection, of a successful accept.
    pub socket: Option<Socket>,
}

/// Why an operation was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushCause {
    /// As many operations are under way as the ring was made for.
    #[error("the ring holds {capacity} operations already")]
    Full {
        /// What it was made for.
        capacity: usize,
    },
    /// The range is empty, not within the lease or longer than 2 GiB.
    #[error("bytes {range:?} of a lease of {bytes} bytes can't be transferred")]
    Range {
        /// What was wanted.
        range: Range<usize>,
        /// Bytes of the lease.
        bytes: usize,
    },
    /// The file is not registered any more.
    #[error("the file is not registered with this ring")]
    UnknownFile,
    /// The kernel did not take what was queued before.
    #[error("the kernel refused the operations queued before: {0}")]
    Submit(io::Error),
}

/// An operation that was not taken.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct PushError {
    /// Why.
    pub cause: PushCause,
    /// The operation, with its lease.
    pub op: Op,
}
