//! The worker's two machines: the walks of the design, and random events with faults.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that is wrong may fail loudly")]

mod random;
mod rig;
mod walks;
mod world;
