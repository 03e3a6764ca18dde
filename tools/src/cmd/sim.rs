//! `clockwork sim`

use std::time::Instant;

use clap::{Args, ValueEnum};
use runtime::base::limits::MAX_MODELS;
use runtime::base::{BatchSize, Nanos};
use runtime::sim::device::ExecTimes;
use runtime::sim::workload::zipf;
use runtime::sim::{Broken, Load, LossConfig, ModelConfig, Pace, Report, SimConfig, SimError, World};
use thiserror::Error;

use crate::print::{say, say_part};

/// How requests are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spacing {
    /// Exponential gaps: independent users
    Poisson,
    /// Equal gaps
    Fixed,
    /// Clients that send again as soon as they are answered; --rate is their number
    Closed,
}

/// Simulates a whole cluster over simulated time, with the scheduler, gateway and worker logic of
/// production, from one seed
#[derive(Args, Debug)]
pub struct SimArgs {
    /// Everything that is drawn comes from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Workers
    #[arg(long, default_value_t = 1)]
    workers: u16,
    /// Devices of each worker
    #[arg(long, default_value_t = 1)]
    devices: u8,
    /// Gateways
    #[arg(long, default_value_t = 1)]
    gateways: u16,
    /// Models, all of one architecture
    #[arg(long, default_value_t = 1)]
    models: usize,
    /// Requests per second over all models
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// How requests are spaced
    #[arg(long, value_enum, default_value_t = Spacing::Poisson)]
    arrivals: Spacing,
    /// Popularity of models falls as rank to the power of minus this
    #[arg(long, default_value_t = 0.9)]
    zipf: f64,
    /// How long a request may take, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20.0)]
    slo: f64,
    /// How long the load lasts, in simulated seconds
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Exec times of the plans for 1, 2, 4, 8 and 16 items, in milliseconds; fewer for fewer plans
    #[arg(long, value_name = "MS,...", value_delimiter = ',', default_values_t = [10.0, 16.0, 28.0, 52.0, 100.0])]
    batch_times: Vec<f64>,
    /// Weight pages of each model
    #[arg(long, default_value_t = 3)]
    pages: u32,
    /// Host pages of each worker
    #[arg(long, default_value_t = 4_096)]
    host_pages: u32,
    /// Weight pages of each device
    #[arg(long, default_value_t = 512)]
    device_pages: u32,
    /// Probability that an operation of a lane or of the disk fails
    #[arg(long, default_value_t = 0.0)]
    fault_rate: f64,
    /// Mean time between two losses of a worker, in milliseconds; 0 for none
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    loss_every: f64,
    /// Share of the requests that their clients withdraw
    #[arg(long, default_value_t = 0.0)]
    withdrawn: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum SimCommandError {
    /// A setting is beyond its limits.
    #[error(transparent)]
    Setting(#[from] SimError),
    /// A number that is none, or below zero, or a share above 1.
    #[error("--{name} {value}: wanted {least} to {most}")]
    Number {
        /// Which argument.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The least.
        least: f64,
        /// The most.
        most: f64,
    },
    /// Too many exec times.
    #[error("--batch-times has {0} times: wanted 1 to {most}", most = BatchSize::ALL.len())]
    BatchTimes(usize),
    /// An invariant did not hold.
    #[error(transparent)]
    Broken(#[from] Box<Broken>),
    /// The report can't be written as JSON.
    #[error("can't write the report: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs the command.
///
/// # Errors
/// A setting that can't be run, or an invariant that did not hold.
pub fn run(args: &SimArgs) -> Result<(), SimCommandError> {
    let report = simulate(config(args)?)?;
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        say_part!("{}", report.table());
    }
    Ok(())
}

fn simulate(config: SimConfig) -> Result<Report, SimCommandError> {
    let begun = Instant::now();
    let mut report = World::new(config)?.run()?;
    report.wall_s = begun.elapsed().as_secs_f64();
    Ok(report)
}

fn number(name: &'static str, value: f64, least: f64, most: f64) -> Result<f64, SimCommandError> {
    if (least..=most).contains(&value) { Ok(value) } else { Err(SimCommandError::Number { name, value, least, most }) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within 0 and 10^9 ms")]
fn milliseconds(name: &'static str, value: f64) -> Result<Nanos, SimCommandError> {
    Ok(Nanos((number(name, value, 0.0, 1e9)? * 1e6) as u64))
}

fn exec_times(times: &[f64]) -> Result<ExecTimes, SimCommandError> {
    if times.is_empty() || times.len() > BatchSize::ALL.len() {
        return Err(SimCommandError::BatchTimes(times.len()));
    }
    let mut exec = ExecTimes::default();
    for (place, &time) in exec.iter_mut().zip(times) {
        *place = Some(milliseconds("batch-times", time)?);
    }
    Ok(exec)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clients of a model are checked to fit")]
fn pace(args: &SimArgs, rate: f64) -> Pace {
    match args.arrivals {
        Spacing::Poisson => Pace::Poisson(rate),
        Spacing::Fixed => Pace::Fixed(rate),
        Spacing::Closed => Pace::Closed { clients: rate.ceil() as u16, think: Nanos::ZERO },
    }
}

#[expect(clippy::cast_precision_loss, reason = "what a float can't hold exactly is beyond the limit")]
fn config(args: &SimArgs) -> Result<SimConfig, SimCommandError> {
    let most = if args.arrivals == Spacing::Closed { 10_000.0 } else { 1e8 };
    let rate = number("rate", args.rate, 0.0, most)?;
    let withdrawn = number("withdrawn", args.withdrawn, 0.0, 1.0)?;
    let faults = number("fault-rate", args.fault_rate, 0.0, 1.0)?;
    let (slo, length) = (milliseconds("slo", args.slo)?, milliseconds("seconds", args.seconds * 1e3)?);
    let one = milliseconds("batch-times", args.batch_times.first().copied().unwrap_or(0.0))?;
    let base = SimConfig::single(one, Pace::Poisson(0.0), slo, length);
    // Before anything is made for each of them.
    number("models", args.models as f64, 1.0, MAX_MODELS as f64)?;
    let shares = zipf(args.models, number("zipf", args.zipf, 0.0, 10.0)?);
    let model = |share: &f64| ModelConfig {
        pages: args.pages,
        load: Load { pace: pace(args, rate * share), slo, withdrawn },
        ..base.models[0].clone()
    };
    let mut config = SimConfig {
        seed: args.seed,
        workers: args.workers,
        devices: args.devices,
        gateways: args.gateways,
        architectures: vec![exec_times(&args.batch_times)?],
        models: shares.iter().map(model).collect(),
        host_pages: args.host_pages,
        device_pages: args.device_pages,
        losses: LossConfig { every: milliseconds("loss-every", args.loss_every)?, ..base.losses },
        ..base
    };
    config.device_faults.weights = faults;
    config.device_faults.input = faults;
    config.device_faults.exec = faults;
    config.device_faults.output = faults;
    config.disk.fault_rate = faults;
    Ok(config)
}

#[cfg(test)]
#[path = "sim_tests.rs"]
mod tests;
