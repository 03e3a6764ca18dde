//! Measurement: arrivals, the load generator, reference rules, latency summaries.
#![forbid(unsafe_code)]

pub mod arrivals;
pub mod capacity;
pub mod counts;
pub mod loadgen;
pub mod predict;
pub mod probe;
pub mod reference;
pub mod summary;
pub mod sweep;
pub mod table;
