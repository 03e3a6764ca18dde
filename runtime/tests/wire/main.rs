//! The protocol: every message survives its bytes, no bytes do harm, and the page says the truth.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that is wrong may fail loudly")]

mod hostile;
mod messages;
mod page;
mod round_trip;
