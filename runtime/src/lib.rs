//! The runtime of Clockwork: packages, protocol, worker, scheduler, gateway, client, simulator.
//!
//! The pure parts (`base`, `order`, `package`, `profile`, `wire`, `scheduler`, `worker`, `gateway`,
//! `client::core`, `controller`) hold no socket, thread or clock: they are driven by
//! `handle(now, event, out)`. The parts that touch the machine (`net`, `disk`, `device`, `host`)
//! reach it through the crate `sys` only.
#![forbid(unsafe_code)]

pub mod base;
pub mod client;
pub mod controller;
pub mod device;
pub mod disk;
pub mod gateway;
pub mod host;
pub mod net;
pub mod order;
pub mod package;
pub mod profile;
pub mod scheduler;
pub mod wire;
pub mod worker;
