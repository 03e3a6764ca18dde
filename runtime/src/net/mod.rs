//! Links between peers: TCP sockets on the thread's io_uring, frames in, frames out.
//!
//! [`Net`] knows frames and payload, not what they mean. It is driven by completions and asked for
//! [`NetEvent`]s; nothing here blocks or allocates once a link stands. Data flows by these rules:
//! - [`NetEvent::Message`] with a payload pauses its link until [`Net::receive_into`] or
//!   [`Net::drain`] says where the payload goes; [`NetEvent::Payload`] then gives the lease back.
//! - [`Net::send`] takes a payload's lease; [`NetEvent::Sent`] gives it back.
//! - [`NetEvent::Closed`] is a link's last event: no lease is left in it.

mod error;
mod incoming;
mod link;
mod links;
mod outgoing;

pub use error::{CloseReason, NetError, SendCause, SendError};
pub use link::{LinkId, ListenerId, NetEvent, Owner, PayloadOut};
pub use links::{Net, NetConfig, is_net_completion};
