//! The simulator: the scheduler, gateway and worker logic of production over simulated time.
//!
//! Only what the machines are driven by is modelled: clocks, links, disks, devices and clients. A run
//! is a function of its settings, the seed among them, and has a digest that says so.

pub mod agenda;
pub mod clock;
pub mod device;
pub mod disk;
pub mod link;
pub mod seeded;
pub mod workload;
