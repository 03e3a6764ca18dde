//! Measurement: arrivals, the load generator, reference rules, latency summaries.
#![forbid(unsafe_code)]

pub mod arrivals;
pub mod loadgen;
pub mod reference;
pub mod seeded;
pub mod summary;
pub mod table;
