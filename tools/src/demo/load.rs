//! A mixed open-loop load with deadlines: first what the server can do, then more than that.

use bench::arrivals::Spacing;
use bench::capacity::median;
use bench::loadgen::{Load, Row, Run, Sample, Workload, brief, input, run};
use bench::summary::Durations;
use bench::table::Table;
use runtime::base::{Nanos, ShapeId};
use runtime::client::{Client, Control, Ending, Request};
use runtime::profile::DurationWindow;
use runtime::wire::message::Topic;
use serde::Deserialize;

use super::answers::Answered;
use super::error::DemoError;
use super::models::EXTRA;
use super::{Address, model};
use crate::print::{say, say_part};

/// Requests that show how long the model without pictures takes.
const TRIALS: usize = 5;
/// Deadline of these.
const LOOSE: Nanos = Nanos::seconds(5);
/// Offered work as shares of one device's time, with what is said of it.
const LOADS: [(f64, &str); 2] =
    [(0.6, "three models at 0.6 of what one core can do"), (1.8, "the same at 1.8: overload")];

/// Shows both loads.
///
/// # Errors
/// [`DemoError`].
pub fn show(mut client: Client, address: Address, answered: &[Answered], length: Nanos) -> Result<(), DemoError> {
    let mut models = answered.to_vec();
    models.push(extra(&mut client)?);
    for (share, said) in LOADS {
        say!("\nOpen-loop Poisson load for {length}: {said}\n");
        let workloads = workloads(&models, share);
        let mut predicted = Predicted::new(workloads.len());
        let spec = Run { length, seed: 7, requests: None };
        let (back, tallies) = run(client, &workloads, &spec, &mut |sample| predicted.add(&sample))?;
        client = back;
        let of = |(workload, tally)| Row::new(workload, length, tally);
        let rows: Vec<Row> = workloads.iter().zip(&tallies).map(of).collect();
        say!("{}", brief(&rows));
        say_part!("{}", predicted.table(&workloads));
    }
    let predictions = predictions(address)?;
    say!(
        "\nThe controller's own predictions, median error: start of an exec {}, its duration {}",
        predictions.start_error_ns,
        predictions.duration_error_ns
    );
    Ok(())
}

/// The model that only takes part in the load, with its exec times.
fn extra(client: &mut Client) -> Result<Answered, DemoError> {
    let entry = model(client, EXTRA.name)?;
    let shape = ShapeId(0);
    let payloads = input::payloads(&entry, shape, TRIALS, 1)?;
    let mut execs = Vec::with_capacity(TRIALS);
    for payload in &payloads {
        let bytes = entry.inputs.first().and_then(|spec| spec.item_bytes(shape)).unwrap_or(0);
        let input = usize::try_from(bytes).ok().and_then(|bytes| payload.get(..bytes)).unwrap_or_default();
        let request = Request { model: &entry, shape, inputs: &[input], slo: LOOSE };
        let answer =
            client.infer(request).map_err(|source| DemoError::Infer { file: EXTRA.name.to_owned(), source })?;
        execs.push(answer.timing.stages.exec.duration());
    }
    Ok(Answered { entry, shape, payloads: payloads.iter().map(|payload| payload.to_vec()).collect(), execs })
}

/// Each model gets the same share of the device's time, and a deadline in which the longest exec of
/// another and its own fit.
#[expect(clippy::cast_precision_loss, reason = "durations of an exec are below 2^53 ns")]
fn workloads(models: &[Answered], share: f64) -> Vec<Workload> {
    let exec = |model: &Answered| median(&model.execs).unwrap_or(Nanos::millis(1));
    let longest = models.iter().map(exec).max().unwrap_or(Nanos::ZERO);
    let each = share / models.len() as f64;
    let workload = |model: &Answered| {
        let own = exec(model);
        Workload {
            name: model.entry.name.to_string(),
            model: model.entry.model,
            shape: model.shape,
            slo: own.three_halves() + longest.three_halves() + Nanos::millis(5),
            load: Load::Open { spacing: Spacing::Poisson, per_second: each * 1e9 / own.0.max(1) as f64 },
            payloads: model.payloads.iter().map(|payload| payload.as_slice().into()).collect(),
        }
    };
    models.iter().map(workload).collect()
}

/// How well each exec was predicted from those before it, by workload.
struct Predicted {
    windows: Vec<DurationWindow>,
    errors: Vec<Durations>,
}

impl Predicted {
    fn new(workloads: usize) -> Predicted {
        let windows = (0..workloads).map(|_| DurationWindow::default()).collect();
        Predicted { windows, errors: vec![Durations::new(); workloads] }
    }

    fn add(&mut self, sample: &Sample) {
        if !matches!(sample.ending, Ending::Ok | Ending::Late(_)) {
            return;
        }
        let exec = sample.timing.stages.exec.duration();
        let window = &mut self.windows[sample.workload];
        if let Some(expected) = window.expected() {
            self.errors[sample.workload].record(Nanos(exec.0.abs_diff(expected.0)));
        }
        window.record(exec);
    }

    fn table(&self, workloads: &[Workload]) -> String {
        let mut table = Table::new(&["model", "exec expected", "off by, p50", "off by, p99", "largest"]);
        for ((workload, window), errors) in workloads.iter().zip(&self.windows).zip(&self.errors) {
            let (expected, of) = (window.expected().unwrap_or_default(), errors.percentiles());
            let cells = [expected, Nanos(of.p50), Nanos(of.p99), Nanos(of.max)].map(|time| time.to_string());
            table.row([workload.name.clone()].into_iter().chain(cells));
        }
        format!("{table}(expected: the median of the last 101 execs; a batch takes longer than one item)\n")
    }
}

/// What the controller says of its predictions.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Predictions {
    start_error_ns: Nanos,
    duration_error_ns: Nanos,
}

fn predictions(address: Address) -> Result<Predictions, DemoError> {
    let text = Control::connect(&address.controller.to_string())?.query(Topic::Status)?;
    serde_json::from_str(&text)
        .map_err(|source| DemoError::Inputs { path: format!("status of {}", address.controller).into(), source })
}
