//! The client library: requests with deadlines.
//!
//! [`Client`] is its plain face. [`ClientCore`] is pure and judges answers by the client's clock;
//! [`connection::Connection`] moves frames and also serves callers that must not block, such as a
//! load generator.

pub mod blocking;
pub mod connection;
pub mod control;
pub mod core;
pub mod error;
pub mod handshake;
pub mod payload;

pub use blocking::{Answer, Client, Ended, Request, now};
pub use connection::ConnectionError;
pub use control::{Control, QueryError};
pub use core::{ClientCore, Ending, Finished, Judge, Ticket, Timing};
pub use error::{InferError, LookupError, SendError};
pub use handshake::ConnectError;
pub use payload::PayloadError;
