//! The simulator: the scheduler, gateway and worker logic of production over simulated time.
//!
//! Only what the machines are driven by is modelled: clocks, links, disks, devices and clients. A run
//! is a function of its settings, the seed among them, and has a digest that says so.

pub mod agenda;
pub mod check;
pub mod clock;
pub mod config;
pub mod device;
pub mod disk;
mod inventory;
pub mod link;
pub mod report;
pub mod seeded;
pub mod trace;
pub mod workload;
pub mod world;

pub use check::Violation;
pub use config::{LossConfig, ModelConfig, SimConfig, SimError};
pub use report::Report;
pub use workload::{Load, Pace, Sending};
pub use world::{Broken, World};
