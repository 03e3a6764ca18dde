//! The only place that knows every part: roles, their threads, and the processes they make up.

pub mod config;
mod controller;
pub mod faults;
mod gateway;
pub mod inventory;
mod orders;
pub mod placement;
pub mod profiles;
pub mod recording;
mod renew;
mod role;
mod serve;
mod server;
mod worker;

pub use config::{Config, ConfigError};
pub use faults::{FaultError, FaultPlan};
pub use placement::{Layout, Placement};
pub use recording::RecordingError;
pub use renew::{Renewal, Renewed, renew};
pub use serve::{Parts, ServeError, ServeReport, start};
pub use server::{DRAIN_LIMIT, Ender, Server};
pub use worker::{StartError, WorkerReport};
