//! The client library: requests with deadlines.

pub mod core;
pub mod payload;

pub use core::{ClientCore, Ending, Finished, Judge, Ticket, Timing};
pub use payload::PayloadError;
