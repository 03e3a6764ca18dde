//! `clockwork bench`

use bench::counts::Reader;
use bench::loadgen::{AfterRefusal, Load, LoadError, Workload, input};
use bench::predict::predict;
use bench::sweep::{Measured, Sweep, sweep};
use clap::{Args, Subcommand};
use runtime::base::{Nanos, ShapeId};
use runtime::client::Client;
use runtime::host::config::DEFAULT_GATEWAY;
use serde::Serialize;
use thiserror::Error;

use super::bench_kernels::{self, KernelsArgs, KernelsError};
use crate::duration;
use crate::print::{remark, say, say_part};

/// Different inputs that are sent in turn.
const INPUTS: usize = 4;

/// Measure a running server, or the kernels
#[derive(Args, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Subcommand, Debug)]
enum Experiment {
    /// Does it keep its promise under load? Poisson arrivals from far below capacity to far above
    Sweep(SweepArgs),
    /// How predictable is it? One request at a time
    Predict(PredictArgs),
    /// How fast are the kernels? Needs no server: pairs of a plan and ONNX Runtime on one core, in turn
    Kernels(KernelsArgs),
}

#[derive(Args, Debug)]
struct CommonArgs {
    /// Name of the model
    model: String,
    /// Which of its shape variants
    #[arg(long, default_value_t = 0)]
    shape: u8,
    /// The gateway
    #[arg(long, value_name = "HOST:PORT", default_value_t = DEFAULT_GATEWAY.to_string())]
    server: String,
    /// Seed of arrivals and inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The compute core: the fixed work that shows what else the machine did runs there, and its
    /// interrupts are counted
    #[arg(long, value_name = "CORE")]
    probe_core: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct SweepArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Offered rates as shares of capacity
    #[arg(long, value_delimiter = ',', default_value = "0.2,0.4,0.6,0.8,1.0,1.5,3.0")]
    shares: Vec<f64>,
    /// Time at each rate
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration::parse)]
    length: Nanos,
    /// Time in which capacity is measured, once a repeat
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    capacity_length: Nanos,
    /// How often all rates are gone through
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// The deadline [default: twice the median batch-1 time]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    slo: Option<Nanos>,
}

#[derive(Args, Debug)]
struct PredictArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// How many requests
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    /// The deadline of each
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    slo: Nanos,
    /// The process that computes, if several here could be it: its counts stand beside the worst
    #[arg(long, value_name = "PROCESS")]
    pid: Option<u32>,
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The load can't be generated.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernels can't be measured.
    #[error(transparent)]
    Kernels(#[from] KernelsError),
    /// The result can't be printed.
    #[error("can't write the result: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs the command.
///
/// # Errors
/// [`enum@Error`].
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    match &args.experiment {
        Experiment::Sweep(args) => run_sweep(args),
        Experiment::Predict(args) => run_predict(args),
        Experiment::Kernels(args) => {
            let comparisons = bench_kernels::run(args)?;
            print(&comparisons, args.json, || comparisons.table())
        }
    }
}

fn run_sweep(args: &SweepArgs) -> Result<(), Error> {
    let (client, workload) = connect(&args.common, Nanos::ZERO)?;
    let spec = Sweep {
        shares: args.shares.clone(),
        length: args.length,
        capacity_length: args.capacity_length,
        repeats: args.repeats,
        slo: args.slo,
        seed: args.common.seed,
        probe_core: args.common.probe_core,
    };
    let mut told = |point: &Measured| {
        let Measured { repeat, share, row, reference_per_second, .. } = point;
        remark!(
            "repeat {}, {share:.1}x: {:.1}% in time, {:.1}/s (reference {reference_per_second:.1}/s)",
            repeat + 1,
            row.ok_share * 100.0,
            row.goodput_per_second
        );
    };
    let report = sweep(client, &workload, &spec, &mut told)?;
    print(&report, args.common.json, || report.table())
}

fn run_predict(args: &PredictArgs) -> Result<(), Error> {
    let (client, workload) = connect(&args.common, args.slo)?;
    let (_, prediction) = predict(client, &workload, args.requests, Reader::new(args.pid, args.common.probe_core))?;
    print(&prediction, args.common.json, || prediction.table())
}

fn connect(args: &CommonArgs, slo: Nanos) -> Result<(Client, Workload), LoadError> {
    let mut client = Client::connect(&args.server)?;
    let entry = client.model(&args.model)?;
    let shape = ShapeId(args.shape);
    let payloads = input::payloads(&entry, shape, INPUTS, args.seed)?;
    let load = Load::Closed { clients: 1, after_refusal: AfterRefusal::SendAtOnce };
    let workload = Workload { name: args.model.clone(), model: entry.model, shape, slo, load, payloads };
    Ok((client, workload))
}

fn print(report: &impl Serialize, json: bool, table: impl FnOnce() -> String) -> Result<(), Error> {
    if json {
        say!("{}", serde_json::to_string_pretty(report)?);
    } else {
        say_part!("{}", table());
    }
    Ok(())
}
