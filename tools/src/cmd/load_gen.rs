//! `clockwork load-gen`

use std::str::FromStr;

use bench::arrivals::Spacing;
use bench::loadgen::{self, AfterRefusal, Load, LoadError, Row, Run, Workload, input};
use clap::Args;
use runtime::base::{Nanos, ShapeId};
use runtime::client::Client;
use runtime::host::config::DEFAULT_GATEWAY;
use thiserror::Error;

use crate::duration;
use crate::print::{say, say_part};

/// Different inputs that a workload sends in turn.
const INPUTS: usize = 4;

/// Put a load with deadlines on a server
#[derive(Args, Debug)]
pub struct LoadGenArgs {
    /// MODEL,slo=50ms,rate=120[,spacing=poisson|fixed][,shape=N], or MODEL,slo=50ms,clients=4[,shape=N]
    #[arg(value_name = "WORKLOAD", required = true)]
    workloads: Vec<Spec>,
    /// How long requests are sent
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    length: Nanos,
    /// Ends the run after so many requests, if sooner
    #[arg(long)]
    requests: Option<u64>,
    /// Seed of arrivals and inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Closed-loop clients send again at once after a refusal instead of waiting for its deadline
    #[arg(long)]
    resend_at_once: bool,
    /// The gateway
    #[arg(long, value_name = "HOST:PORT", default_value_t = DEFAULT_GATEWAY.to_string())]
    server: String,
    /// Print a JSON list of rows
    #[arg(long)]
    json: bool,
}

/// A workload as the command line names it.
#[derive(Clone, Debug, PartialEq)]
struct Spec {
    model: String,
    slo: Nanos,
    load: Load,
    shape: u8,
}

/// A text that names no workload.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// A part that means nothing.
    #[error("`{part}` means nothing here; write MODEL,slo=50ms,rate=120 or MODEL,slo=50ms,clients=4")]
    Part {
        /// The part.
        part: String,
    },
    /// Neither a rate nor clients, or both.
    #[error("`{text}` needs either rate=PER_SECOND or clients=N")]
    Load {
        /// The whole text.
        text: String,
    },
    /// No deadline.
    #[error("`{text}` needs slo=DURATION")]
    NoSlo {
        /// The whole text.
        text: String,
    },
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Spec, SpecError> {
        let (model, rest) = text.split_once(',').ok_or_else(|| SpecError::NoSlo { text: text.to_owned() })?;
        let (mut slo, mut rate, mut clients, mut spacing, mut shape) = (None, None, None, Spacing::Poisson, 0);
        for part in rest.split(',') {
            let wrong = || SpecError::Part { part: part.to_owned() };
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            match key {
                "slo" => slo = Some(duration::parse(value).map_err(|_| wrong())?),
                "rate" => rate = Some(value.parse::<f64>().ok().filter(|rate| *rate > 0.0).ok_or_else(wrong)?),
                "clients" => clients = Some(value.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(wrong)?),
                "shape" => shape = value.parse().map_err(|_| wrong())?,
                "spacing" if value == "poisson" => spacing = Spacing::Poisson,
                "spacing" if value == "fixed" => spacing = Spacing::Fixed,
                _ => return Err(wrong()),
            }
        }
        let load = match (rate, clients) {
            (Some(per_second), None) => Load::Open { spacing, per_second },
            (None, Some(clients)) => Load::Closed { clients, after_refusal: AfterRefusal::WaitForDeadline },
            _ => return Err(SpecError::Load { text: text.to_owned() }),
        };
        let slo = slo.ok_or_else(|| SpecError::NoSlo { text: text.to_owned() })?;
        Ok(Spec { model: model.to_owned(), slo, load, shape })
    }
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The load can't be generated.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The result can't be printed.
    #[error("can't write the result: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs the command.
///
/// # Errors
/// [`enum@Error`].
pub fn run(args: &LoadGenArgs) -> Result<(), Error> {
    let mut client = Client::connect(&args.server).map_err(LoadError::from)?;
    let mut workloads = Vec::with_capacity(args.workloads.len());
    for spec in &args.workloads {
        workloads.push(workload(&mut client, spec, args)?);
    }
    let spec = Run { length: args.length, seed: args.seed, requests: args.requests };
    let (_, tallies) = loadgen::run(client, &workloads, &spec, &mut |_| {})?;
    let rows: Vec<Row> =
        workloads.iter().zip(&tallies).map(|(workload, tally)| Row::new(workload, args.length, tally)).collect();
    if args.json {
        say!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        say_part!("{}", loadgen::table(&rows));
    }
    Ok(())
}

fn workload(client: &mut Client, spec: &Spec, args: &LoadGenArgs) -> Result<Workload, LoadError> {
    let entry = client.model(&spec.model)?;
    let shape = ShapeId(spec.shape);
    let payloads = input::payloads(&entry, shape, INPUTS, args.seed)?;
    let load = match spec.load {
        Load::Closed { clients, .. } if args.resend_at_once => {
            Load::Closed { clients, after_refusal: AfterRefusal::SendAtOnce }
        }
        load => load,
    };
    Ok(Workload { name: spec.model.clone(), model: entry.model, shape, slo: spec.slo, load, payloads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_a_model_a_deadline_and_a_rate_or_clients() {
        let open: Spec = "resnet50,slo=50ms,rate=12.5,spacing=fixed,shape=2".parse().unwrap();
        assert_eq!(open.load, Load::Open { spacing: Spacing::Fixed, per_second: 12.5 });
        assert_eq!((open.model.as_str(), open.slo, open.shape), ("resnet50", Nanos::millis(50), 2));
        let closed: Spec = "m,clients=4,slo=1s".parse().unwrap();
        assert!(matches!(closed.load, Load::Closed { clients: 4, .. }));
        for wrong in ["m", "m,slo=1s", "m,rate=5", "m,slo=1s,rate=0", "m,slo=1s,rate=1,clients=1", "m,slo=1,rate=1"] {
            assert!(wrong.parse::<Spec>().is_err(), "{wrong}");
        }
    }
}
