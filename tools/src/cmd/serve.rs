//! `clockwork serve`, `controller`, `gateway`, `worker`: processes made of roles, from one configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use runtime::host::config::PlacementChoice;
use runtime::host::{self, Config, ConfigError, Parts, ServeError, ServeReport};
use thiserror::Error;

use crate::print::tell;

/// Serve models: gateway, controller and worker in one process.
#[derive(Args, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    worker: WorkerFlags,
    /// Where the controller listens for gateways, workers and `ctl`.
    #[arg(long, value_name = "ADDR")]
    controller_listen: Option<SocketAddr>,
}

/// Decide: take questions of gateways, order workers.
#[derive(Args, Debug)]
pub struct ControllerArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Where it listens for gateways, workers and `ctl`.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

/// Take requests of clients.
#[derive(Args, Debug)]
pub struct GatewayArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    gateway: GatewayFlags,
    /// Where the controller is.
    #[arg(long, value_name = "ADDR")]
    controller: Option<SocketAddr>,
}

/// Run models as the controller orders.
#[derive(Args, Debug)]
pub struct WorkerArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    worker: WorkerFlags,
    /// Where it listens for gateways.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where the controller is.
    #[arg(long, value_name = "ADDR")]
    controller: Option<SocketAddr>,
}

#[derive(Args, Debug)]
pub(super) struct CommonArgs {
    /// Configuration file (TOML); flags override its keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How roles are laid on threads.
    #[arg(long, value_enum)]
    placement: Option<PlacementFlag>,
    /// Percentile of measured durations that promises are made on.
    #[arg(long, value_name = "PERCENT")]
    bound_percentile: Option<f64>,
}

#[derive(Args, Debug)]
struct GatewayFlags {
    /// Where the gateway listens for clients.
    #[arg(long = "gateway-listen", value_name = "ADDR")]
    gateway_listen: Option<SocketAddr>,
    /// Requests that it holds at once.
    #[arg(long)]
    requests: Option<u16>,
    /// Longest payload of a request or an answer, in bytes.
    #[arg(long)]
    payload_bytes: Option<u32>,
}

#[derive(Args, Debug)]
pub(super) struct WorkerFlags {
    /// Folder with packages (`.cwk`).
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Folder for measured profiles; `profiles` in the models folder if not given.
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
    /// Locked host pages of 2 MiB.
    #[arg(long)]
    host_pages: Option<u32>,
    /// Weight pages of the device.
    #[arg(long)]
    device_pages: Option<u32>,
    /// Slots of each size class.
    #[arg(long)]
    slots: Option<u16>,
    /// Compute threads.
    #[arg(long)]
    threads: Option<u16>,
    /// Cores of the compute threads.
    #[arg(long, value_delimiter = ',')]
    compute_cores: Option<Vec<u16>>,
    /// Instruction set of the kernels: avx512, avx2 or portable.
    #[arg(long)]
    instructions: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PlacementFlag {
    Auto,
    Dense,
    Full,
}

/// Why a server can't start or go on.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It can't start, or stopped.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

fn set<T>(key: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *key = value;
    }
}

impl CommonArgs {
    /// The configuration file with these flags.
    pub(super) fn config(self) -> Result<Config, ConfigError> {
        let mut config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
        let placement = self.placement.map(|flag| match flag {
            PlacementFlag::Auto => PlacementChoice::Auto,
            PlacementFlag::Dense => PlacementChoice::Dense,
            PlacementFlag::Full => PlacementChoice::Full,
        });
        set(&mut config.placement, placement);
        set(&mut config.controller.bound_percentile, self.bound_percentile);
        Ok(config)
    }
}

impl GatewayFlags {
    fn apply(self, config: &mut Config) {
        set(&mut config.gateway.listen, self.gateway_listen);
        set(&mut config.gateway.requests, self.requests);
        set(&mut config.gateway.payload_bytes, self.payload_bytes);
    }
}

impl WorkerFlags {
    /// Sets what the flags say.
    pub(super) fn apply(self, config: &mut Config) {
        let worker = &mut config.worker;
        worker.models = self.models.or(worker.models.take());
        worker.profiles = self.profiles.or(worker.profiles.take());
        worker.instructions = self.instructions.or(worker.instructions.take());
        set(&mut worker.host_pages, self.host_pages);
        set(&mut worker.device_pages, self.device_pages);
        set(&mut worker.slots, self.slots);
        set(&mut worker.threads, self.threads);
        set(&mut worker.compute_cores, self.compute_cores);
    }
}

/// Runs all roles.
///
/// # Errors
/// [`ServerError`].
pub fn serve(args: ServeArgs) -> Result<(), ServerError> {
    let mut config = args.common.config()?;
    args.gateway.apply(&mut config);
    args.worker.apply(&mut config);
    set(&mut config.controller.listen, args.controller_listen);
    // Where its own controller is follows from where that one listens.
    config.gateway.controller = config.controller.listen;
    config.worker.controller = config.controller.listen;
    run(&config, Parts::ALL)
}

/// Runs a controller.
///
/// # Errors
/// [`ServerError`].
pub fn controller(args: ControllerArgs) -> Result<(), ServerError> {
    let mut config = args.common.config()?;
    set(&mut config.controller.listen, args.listen);
    run(&config, Parts::CONTROLLER)
}

/// Runs a gateway.
///
/// # Errors
/// [`ServerError`].
pub fn gateway(args: GatewayArgs) -> Result<(), ServerError> {
    let mut config = args.common.config()?;
    args.gateway.apply(&mut config);
    set(&mut config.gateway.controller, args.controller);
    run(&config, Parts::GATEWAY)
}

/// Runs a worker.
///
/// # Errors
/// [`ServerError`].
pub fn worker(args: WorkerArgs) -> Result<(), ServerError> {
    let mut config = args.common.config()?;
    args.worker.apply(&mut config);
    set(&mut config.worker.listen, args.listen);
    set(&mut config.worker.controller, args.controller);
    run(&config, Parts::WORKER)
}

fn run(config: &Config, parts: Parts) -> Result<(), ServerError> {
    tell!("{}", config.to_toml());
    let server = host::start(config, parts, |model| tell!("measuring {model}"))?;
    print_report(&server.report);
    Ok(server.wait()?)
}

/// What a newcomer wants to know, and what a script waits for: the last line says that all is ready.
fn print_report(report: &ServeReport) {
    tell!("placement   {}", report.placement);
    if let Some(worker) = &report.models {
        tell!("kernels     {}", worker.instructions);
        for (name, pages) in &worker.models {
            tell!("model       {name:<24} {pages:>5} pages");
        }
        if worker.models.is_empty() {
            tell!("model       none: the models folder holds no package (.cwk); `clockwork import` makes one");
        }
        if let Some(reason) = &worker.unlocked {
            tell!("not locked  host pages may be swapped out: {reason}; raise the memlock limit");
        }
        if !worker.buffered.is_empty() {
            tell!("buffered    {} read through the page cache: no O_DIRECT here", worker.buffered.join(", "));
        }
        for (name, disturbed, samples) in &worker.disturbed {
            tell!(
                "disturbed   {name}: something else took the compute core during {disturbed} of {samples} samples of \
                 its profile; `clockwork profile` measures it again when the machine is quiet"
            );
        }
        for (name, why) in &worker.unread {
            tell!("not fetched {name}: {why}");
        }
    }
    let addresses = [("controller", report.controller), ("worker", report.worker), ("gateway", report.gateway)];
    for (role, address) in addresses.iter().filter_map(|(role, address)| address.map(|address| (role, address))) {
        tell!("{role:<11} {address}");
    }
    tell!("ready");
}
