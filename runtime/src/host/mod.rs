//! The only place that knows every part: roles, their threads, and the processes they make up.

pub mod config;
mod controller;
mod gateway;
pub mod inventory;
pub mod placement;
pub mod profiles;
mod renew;
mod role;
mod serve;
mod worker;

pub use config::{Config, ConfigError};
pub use placement::{Layout, Placement};
pub use renew::{Renewal, Renewed, renew};
pub use serve::{Parts, ServeError, ServeReport, Server, start};
pub use worker::{StartError, WorkerReport};
