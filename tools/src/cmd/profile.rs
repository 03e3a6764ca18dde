//! `clockwork profile`

use std::io::IsTerminal;
use std::path::PathBuf;

use bench::table::Table;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use runtime::base::Nanos;
use runtime::host::profiles::Step;
use runtime::host::{self, ConfigError, Renewal, Renewed, ServeError};
use runtime::profile::{DurationWindow, Percentile, Profile, SizedSample};
use serde::Serialize;
use thiserror::Error;

use super::serve::{CommonArgs, WorkerFlags};
use crate::print::{say, say_part};

/// Measure how long models take on this machine, and keep that for the server's promises
#[derive(Args, Debug)]
pub struct ProfileArgs {
    /// A package; all of the models folder if not given
    #[arg(conflicts_with = "models")]
    package: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    worker: WorkerFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing can be measured.
    #[error(transparent)]
    Measure(#[from] ServeError),
    /// The result can't be printed.
    #[error("can't write the result: {0}")]
    Json(#[from] serde_json::Error),
}

/// One line of the result. Times are nanoseconds; none where nothing was measured.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    model: String,
    /// `infer`, `load` or `fetch`.
    action: &'static str,
    /// Shape variant, of an infer.
    shape: Option<u8>,
    /// Batch size, of an infer.
    batch: Option<u8>,
    /// Weight pages, of a transfer.
    pages: Option<u32>,
    before: Times,
    now: Times,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Times {
    expected_ns: Option<u64>,
    bound_ns: Option<u64>,
    samples: usize,
    /// Samples that saw the compute core taken away.
    disturbed: u32,
}

#[derive(Debug, Serialize)]
struct Report {
    placement: String,
    rows: Vec<Row>,
    /// Models that the first of an architecture stands for.
    alike: Vec<Vec<String>>,
    /// Packages whose weights can't be read, and why.
    unread: Vec<Unread>,
}

#[derive(Debug, Serialize)]
struct Unread {
    model: String,
    why: String,
}

/// Runs the command.
///
/// # Errors
/// [`enum@Error`].
pub fn run(args: ProfileArgs) -> Result<(), Error> {
    let mut config = args.common.config()?;
    args.worker.apply(&mut config);
    let bar = progress_bar();
    let renewal = host::renew(&config, args.package.as_deref(), |step| show(&bar, step));
    bar.finish_and_clear();
    let report = Report::new(renewal?);
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say_part!("{}", report.text());
    }
    Ok(())
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}");
    ProgressBar::new(1).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, step: Step<'_>) {
    bar.set_length(step.total as u64);
    bar.set_position(step.done as u64);
    bar.set_message(match step.plan {
        None => format!("{}: weights", step.package),
        Some(plan) => format!("{}: batch {}", step.package, plan.batch.get()),
    });
}

impl Report {
    fn new(renewal: Renewal) -> Report {
        let Renewal { placement, architectures } = renewal;
        let rows = architectures.iter().flat_map(rows).collect();
        let mut report = Report { placement, rows, alike: Vec::new(), unread: Vec::new() };
        for Renewed { models, profiled } in architectures {
            if let (Some(why), Some(model)) = (profiled.unread, models.first()) {
                report.unread.push(Unread { model: model.clone(), why: why.to_string() });
            }
            if models.len() > 1 {
                report.alike.push(models);
            }
        }
        report
    }

    /// As people read it.
    fn text(&self) -> String {
        let head = ["model", "what", "expected", "expected before", "bound", "bound before", "samples", "disturbed"];
        let mut table = Table::new(&head);
        for row in &self.rows {
            let time = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), |ns| Nanos(ns).to_string());
            table.row([
                row.model.clone(),
                row.what(),
                time(row.now.expected_ns),
                time(row.before.expected_ns),
                time(row.now.bound_ns),
                time(row.before.bound_ns),
                row.now.samples.to_string(),
                row.now.disturbed.to_string(),
            ]);
        }
        let mut text = format!("{}\n\n{table}", self.placement);
        for models in &self.alike {
            text.push_str(&format!("\nthe same plans: {}\n", models.join(", ")));
        }
        for Unread { model, why } in &self.unread {
            text.push_str(&format!("\n{model}: FETCH and LOAD not measured: {why}\n"));
        }
        let (disturbed, samples) = self.disturbed();
        if disturbed > 0 {
            text.push_str(&format!(
                "\nmeasured on a disturbed core: something else took it during {disturbed} of {samples} samples, \
                 and all of them count; measure again when the machine is quiet\n"
            ));
        }
        text
    }

    fn disturbed(&self) -> (u32, usize) {
        let infers = || self.rows.iter().filter(|row| row.action == "infer");
        (infers().map(|row| row.now.disturbed).sum(), infers().map(|row| row.now.samples).sum())
    }
}

impl Row {
    fn what(&self) -> String {
        match (self.shape, self.batch, self.pages) {
            (Some(0), Some(batch), _) => format!("batch {batch}"),
            (Some(shape), Some(batch), _) => format!("shape {shape}, batch {batch}"),
            (_, _, pages) => format!("{} {} pages", self.action, pages.unwrap_or(0)),
        }
    }
}

fn rows(renewed: &Renewed) -> Vec<Row> {
    let model = renewed.models.first().cloned().unwrap_or_default();
    let now = &renewed.profiled.profile;
    let before = renewed.profiled.before.as_ref();
    let mut rows = Vec::new();
    for plan in &now.plans {
        let key = (plan.shape, plan.batch);
        let of = |profile: &Profile| {
            let same = profile.plans.iter().find(|plan| (plan.shape, plan.batch) == key);
            same.map(|plan| Times::of(&plan.durations, plan.disturbed)).unwrap_or_default()
        };
        rows.push(Row {
            model: model.clone(),
            action: "infer",
            shape: Some(plan.shape),
            batch: Some(plan.batch),
            pages: None,
            before: before.map(of).unwrap_or_default(),
            now: of(now),
        });
    }
    let sized = |samples: &[SizedSample]| {
        let durations: Vec<Nanos> = samples.iter().map(|sample| sample.duration).collect();
        Times::of(&durations, 0)
    };
    for (action, of) in [("fetch", (|p| &p.fetches) as fn(&Profile) -> &Vec<SizedSample>), ("load", |p| &p.loads)] {
        let (now, before) = (of(now), before.map(|before| sized(of(before))).unwrap_or_default());
        rows.push(Row {
            model: model.clone(),
            action,
            shape: None,
            batch: None,
            pages: now.first().map(|sample| sample.pages),
            before,
            now: sized(now),
        });
    }
    rows
}

impl Times {
    fn of(durations: &[Nanos], disturbed: u32) -> Times {
        let mut window = DurationWindow::default();
        durations.iter().for_each(|&duration| window.record(duration));
        let ns = |time: Option<Nanos>| time.map(|time| time.0);
        Times {
            expected_ns: ns(window.expected()),
            bound_ns: ns(window.bound(Percentile::P99)),
            samples: durations.len(),
            disturbed,
        }
    }
}
