//! The client library: requests with deadlines.

pub mod core;

pub use core::{Answer, ClientCore, ClientFault, Correlation, Done, Finished};
