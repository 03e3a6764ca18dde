//! The protocol: frames of a header, a body and payload bytes, without any I/O.
//!
//! [`Message`] is what peers say; [`codec::encode`] and [`codec::decode`] turn it into the bytes
//! that `docs/protocol.md` specifies and back; [`next_frame`] cuts a stream into frames. Payload
//! never passes through here: a message states its length, the caller moves the bytes.

mod body;
pub mod codec;
pub mod fault;
pub mod handshake;
pub mod header;
pub mod kind;
pub mod message;

pub use codec::{EncodeError, Frame, decode, encode, next_frame};
pub use fault::PeerFault;
pub use handshake::{DeviceOffer, Hello, PeerRole, Welcome};
pub use header::{HEADER_BYTES, Header};
pub use kind::Kind;
pub use message::{
    Catalog, Inventory, InventoryEntry, Message, ModelEntry, Name, Outcome, PlanTimes, Refusal, Response, Sync,
};
