//! The configuration: one TOML file, every key also a flag, unknown keys fatal.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::faults::{FaultError, FaultPlan};
use crate::base::limits;

/// Where a gateway listens for clients by default.
pub const DEFAULT_GATEWAY: SocketAddr = loopback(7070);
/// Where a controller listens for gateways and workers by default.
pub const DEFAULT_CONTROLLER: SocketAddr = loopback(7071);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, port))
}

/// Everything that can be set, with its value in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How roles are laid on threads.
    pub placement: PlacementChoice,
    /// File that the recorded steps are written to at a clean end; nothing is recorded if unset.
    pub record: Option<PathBuf>,
    /// The gateway.
    pub gateway: GatewayConfig,
    /// The controller.
    pub controller: ControllerConfig,
    /// The worker.
    pub worker: WorkerConfig,
}

/// How roles are laid on threads (DESIGN, "Roles, threads, placement").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlacementChoice {
    /// `full` if every role and device gets a core, else `dense`.
    #[default]
    Auto,
    /// One core for compute, all roles in turn on one sleeping thread.
    Dense,
    /// A core for each role and device; roles spin.
    Full,
}

/// What a gateway is set to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where it listens for clients.
    pub listen: SocketAddr,
    /// Where its controller is.
    pub controller: SocketAddr,
    /// Requests that it holds at once; more are refused as overloaded.
    pub requests: u16,
    /// Longest payload of a request or an answer, in bytes.
    pub payload_bytes: u32,
}

/// What a controller is set to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerConfig {
    /// Where it listens for gateways, workers and `ctl`.
    pub listen: SocketAddr,
    /// Percentile of measured durations that promises are made on, in percent. A higher one trades
    /// goodput for fewer revoked requests.
    pub bound_percentile: f64,
    /// Whether models are loaded before anybody asks for them, while pages are free.
    pub preload: bool,
    /// How long, in milliseconds, work with nothing queued behind it waits for an input that is later
    /// than expected; never more than an eighth of the time that its deadline leaves.
    pub input_patience_ms: u32,
}

/// What a worker is set to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Where it listens for gateways; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where its controller is.
    pub controller: SocketAddr,
    /// Folder with its packages (`.cwk`).
    pub models: Option<PathBuf>,
    /// Where measured profiles are kept; beside the packages if unset.
    pub profiles: Option<PathBuf>,
    /// Locked host pages of 2 MiB.
    pub host_pages: u32,
    /// Weight pages of each device.
    pub device_pages: u32,
    /// Slots of each size class on each device.
    pub slots: u16,
    /// Compute threads of each device.
    pub threads: u16,
    /// Cores of the compute threads; empty lets the placement choose.
    pub compute_cores: Vec<u16>,
    /// Instruction set of the kernels; the best of the machine if unset.
    pub instructions: Option<String>,
    /// Faults that the driver is made to have once the worker has started, for tests: see
    /// [`FaultPlan`].
    pub faults: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            placement: PlacementChoice::Auto,
            record: None,
            gateway: GatewayConfig::default(),
            controller: ControllerConfig::default(),
            worker: WorkerConfig::default(),
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        GatewayConfig { listen: DEFAULT_GATEWAY, controller: DEFAULT_CONTROLLER, requests: 64, payload_bytes: 4 << 20 }
    }
}

impl Default for ControllerConfig {
    fn default() -> ControllerConfig {
        ControllerConfig { listen: DEFAULT_CONTROLLER, bound_percentile: 99.0, preload: true, input_patience_ms: 10 }
    }
}

impl Default for WorkerConfig {
    fn default() -> WorkerConfig {
        WorkerConfig {
            listen: loopback(0),
            controller: DEFAULT_CONTROLLER,
            models: None,
            profiles: None,
            host_pages: 256,
            device_pages: 192,
            slots: 64,
            threads: 1,
            compute_cores: Vec::new(),
            instructions: None,
            faults: None,
        }
    }
}

/// Why a configuration can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be; the message names line and key.
    #[error("configuration {path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// A value lies outside of its bounds.
    #[error("configuration: {key} is {value}; allowed is {least} to {most}")]
    OutOfBounds {
        /// The key.
        key: &'static str,
        /// Its value.
        value: u64,
        /// The least that is allowed.
        least: u64,
        /// The most that is allowed.
        most: u64,
    },
    /// The faults are none.
    #[error("configuration: {0}")]
    Faults(#[from] FaultError),
    /// The percentile is none.
    #[error("configuration: controller.bound_percentile is {value}; allowed is 50 to 100")]
    Percentile {
        /// Its value.
        value: f64,
    },
}

impl Config {
    /// Reads a configuration file; keys that it does not name keep their defaults.
    ///
    /// # Errors
    /// [`ConfigError::Read`] and [`ConfigError::Parse`]; a key that does not exist is an error.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.to_path_buf(), source: Box::new(source) })
    }

    /// Checks every value against its bounds.
    ///
    /// # Errors
    /// The first value that is out of bounds.
    pub fn check(&self) -> Result<(), ConfigError> {
        let within = |key, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(ConfigError::OutOfBounds { key, value, least, most })
        };
        within("gateway.requests", self.gateway.requests.into(), 1, limits::MAX_REQUESTS as u64)?;
        within("gateway.payload_bytes", self.gateway.payload_bytes.into(), 4096, limits::MAX_PAYLOAD_BYTES as u64)?;
        within("worker.host_pages", self.worker.host_pages.into(), 1, 1 << 20)?;
        within("worker.device_pages", self.worker.device_pages.into(), 1, 1 << 20)?;
        within("worker.slots", self.worker.slots.into(), 1, 4096)?;
        within("worker.threads", self.worker.threads.into(), 1, 64)?;
        within("controller.input_patience_ms", self.controller.input_patience_ms.into(), 0, 60_000)?;
        FaultPlan::parse(self.worker.faults.as_deref().unwrap_or_default())?;
        let percentile = self.controller.bound_percentile;
        if !(50.0..=100.0).contains(&percentile) {
            return Err(ConfigError::Percentile { value: percentile });
        }
        Ok(())
    }

    /// The effective configuration as TOML, as printed at start and by `ctl config`.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_else(|error| unreachable!("plain values are always TOML: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clockwork.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let config = Config::default();
        assert_eq!(parse(&config.to_toml()).unwrap(), config);
    }

    #[test]
    fn an_unknown_key_is_fatal_and_named() {
        let error = parse("[worker]\nslot = 3\n").unwrap_err().to_string();
        assert!(error.contains("slot") && error.contains("clockwork.toml"), "{error}");
    }

    #[test]
    fn a_value_out_of_bounds_is_named_with_its_bounds() {
        let config = parse("[gateway]\nrequests = 0\n").unwrap();
        let error = config.check().unwrap_err().to_string();
        assert_eq!(error, "configuration: gateway.requests is 0; allowed is 1 to 4096");
    }
}
