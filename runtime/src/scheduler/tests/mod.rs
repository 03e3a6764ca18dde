//! The scheduler against a simulated worker: promises kept under jitter, faults, loss and overload.
#![expect(clippy::cast_possible_truncation, reason = "simulated times and small counts fit their types")]

mod goodput;
mod physics;
mod properties;
mod walks;
mod world;
