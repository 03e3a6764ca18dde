//! The load generator: requests sent when they are meant to be, whatever the server does.
//!
//! One thread drives one connection that never blocks. It sleeps until shortly before the next
//! intended send and polls from there, so that it can share a core. Latency counts from the
//! *intended* send; what the generator itself was late by is measured and reported.

pub mod error;
pub mod generator;
pub mod input;
pub mod row;
pub mod schedule;
pub mod stages;
pub mod tally;
pub mod workload;

pub use error::LoadError;
pub use generator::{Sample, run};
pub use row::{Row, brief, table};
pub use tally::Tally;
pub use workload::{AfterRefusal, Load, Run, Workload};
