//! The scheduler against a simulated worker: promises kept under jitter, faults, loss and overload.

mod goodput;
mod properties;
mod walks;
mod world;
