//! The protocol: every message survives its bytes, no bytes do harm, and the page says the truth.

mod hostile;
mod messages;
mod page;
mod round_trip;
