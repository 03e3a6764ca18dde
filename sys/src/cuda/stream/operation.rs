//! What goes into a stream's operations and what comes out of them.

use super::super::error::DriverError;
use super::super::graph::GraphExec;
use super::super::memory::DeviceLease;
use crate::memory::{HostLease, HostSource};
use std::ptr::NonNull;

/// The largest write that goes before a launch in the same operation.
pub const MAX_SMALL_WRITE_BYTES: usize = 4096;

/// Which bytes of its two leases a copy concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopyPart {
    /// Offset in the lease that is read, in bytes.
    pub from: usize,
    /// Offset in the lease that is written, in bytes.
    pub to: usize,
    /// Bytes to copy.
    pub bytes: usize,
}

impl CopyPart {
    /// The first `bytes` of both leases.
    #[must_use]
    pub fn first(bytes: usize) -> Self {
        Self { from: 0, to: 0, bytes }
    }

    pub(super) fn check(self, from: usize, to: usize) -> Result<(), StreamCause> {
        let fits = |offset: usize, all: usize| offset.checked_add(self.bytes).is_some_and(|end| end <= all);
        if fits(self.from, from) && fits(self.to, to) && self.bytes > 0 {
            return Ok(());
        }
        Err(StreamCause::Part { part: self, from, to })
    }
}

/// A write of a few bytes from host to device memory, in stream order before a launch: the
/// first `bytes` of both leases.
#[derive(Debug)]
pub struct SmallWrite {
    /// The bytes; best in pinned memory.
    pub from: HostLease,
    /// Where they go.
    pub to: DeviceLease,
    /// How many, at most [`MAX_SMALL_WRITE_BYTES`].
    pub bytes: usize,
}

impl SmallWrite {
    /// Source, device address and size, checked.
    pub(super) fn prepared(&self) -> Result<(NonNull<u8>, u64, usize), StreamCause> {
        let part = CopyPart::first(self.bytes);
        part.check(self.from.len().min(MAX_SMALL_WRITE_BYTES), self.to.len())?;
        Ok((self.from.pointer(), self.to.address(), self.bytes))
    }
}

/// The leases of an operation, given back.
#[derive(Debug)]
pub enum Returned {
    /// Of [`super::Stream::copy_in`].
    CopyIn {
        /// What was read.
        from: HostSource,
        /// What was written.
        to: DeviceLease,
    },
    /// Of [`super::Stream::copy_out`].
    CopyOut {
        /// What was read.
        from: DeviceLease,
        /// What was written.
        to: HostLease,
    },
    /// Of [`super::Stream::launch`].
    Launch {
        /// What ran.
        graph: GraphExec,
        /// What was written before.
        binding: Option<SmallWrite>,
        /// What was held.
        held: Vec<DeviceLease>,
    },
}

impl Returned {
    pub(super) fn device_leases(&self) -> impl Iterator<Item = &DeviceLease> {
        let (one, binding, many) = match self {
            Self::CopyIn { to, .. } => (Some(to), None, &[][..]),
            Self::CopyOut { from, .. } => (Some(from), None, &[][..]),
            Self::Launch { binding, held, .. } => (None, binding.as_ref(), held.as_slice()),
        };
        one.into_iter().chain(binding.map(|write| &write.to)).chain(many)
    }
}

/// A completed operation.
#[derive(Debug)]
pub struct Finished {
    /// The number that the operation was given.
    pub ticket: u64,
    /// Its leases.
    pub leases: Returned,
    /// Nanoseconds between the two events round it, on the device's clock; or why the driver
    /// does not say.
    pub elapsed_ns: Result<u64, DriverError>,
    /// When the completion was seen, on [`crate::clock::now_ns`].
    pub seen_ns: u64,
}

/// Why an operation was not put into a stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamCause {
    /// As many operations are in flight as the stream can hold.
    #[error("the stream holds {capacity} operations already")]
    Full {
        /// What it can hold.
        capacity: usize,
    },
    /// The bytes wanted don't lie within the leases, or are none.
    #[error("{part:?} does not lie within leases of {from} and {to} bytes, or is empty")]
    Part {
        /// What was wanted.
        part: CopyPart,
        /// Bytes of the lease that would be read (of a small write, at most its limit).
        from: usize,
        /// Bytes of the lease that would be written.
        to: usize,
    },
    /// A lease or graph belongs to another device.
    #[error("a lease or the graph belongs to another device than the stream")]
    OtherDevice,
    /// The driver refused.
    #[error(transparent)]
    Driver(DriverError),
}

/// An operation that was not put into a stream, and its leases.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct StreamError {
    /// Why.
    pub cause: StreamCause,
    /// The leases. None when the device may still use them, so that they had to be leaked.
    pub leases: Option<Box<Returned>>,
}

impl StreamError {
    pub(super) fn unused(cause: StreamCause, leases: Returned) -> Self {
        Self { cause, leases: Some(Box::new(leases)) }
    }
}
