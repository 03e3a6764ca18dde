//! The only place that knows every part: roles, their threads, and the processes they make up.

pub mod config;
pub mod placement;

pub use config::{Config, ConfigError};
pub use placement::{Layout, Placement};
