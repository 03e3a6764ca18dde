//! Names of links, and what is told of them.

use sys::memory::HostLease;

use super::CloseReason;
use crate::wire::Message;

/// One link: a place in the table and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// Place in the table.
    pub index: u16,
    /// Which use of that place.
    pub generation: u32,
}

/// One listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u16);

/// Whose a link or listener is: a number of whoever made it, returned with each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u8);

/// A payload to be sent after a message: the first `bytes` of the lease.
#[derive(Debug)]
pub struct PayloadOut {
    /// Returned with [`NetEvent::Sent`].
    pub tag: u64,
    /// The bytes.
    pub lease: HostLease,
    /// How many.
    pub bytes: usize,
}

/// What happened on the network.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "events lie in a queue of fixed places; nothing is boxed")]
pub enum NetEvent {
    /// A peer connected.
    Accepted {
        /// Its link.
        link: LinkId,
    },
    /// A connection that this side opened stands.
    Connected {
        /// Its link.
        link: LinkId,
    },
    /// A message came.
    Message {
        /// From where.
        link: LinkId,
        /// What.
        message: Message,
    },
    /// The payload of the last message, or what was left of it when the link ended.
    Payload {
        /// From where.
        link: LinkId,
        /// The lease that was given for it.
        lease: HostLease,
        /// Whether all of it came.
        whole: bool,
    },
    /// A payload was accepted by the socket, or thrown away with its link.
    Sent {
        /// Where to.
        link: LinkId,
        /// Its tag.
        tag: u64,
        /// Its lease.
        lease: HostLease,
        /// Whether the socket accepted all of it.
        whole: bool,
    },
    /// A link has ended; its last event.
    Closed {
        /// Which.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
}
