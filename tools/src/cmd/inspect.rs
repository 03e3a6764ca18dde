//! `clockwork inspect`

use std::path::PathBuf;
use std::time::Duration;

use bench::table::Table;
use clap::Args;
use kernels::launch::Description;
use kernels::operand::Space;
use runtime::base::{BatchSize, Nanos, ShapeId};
use runtime::package::{Package, PackageError, Plan};
use serde_json::{Value, json};
use thiserror::Error;

use crate::inspect::{Line, Times, Waste, Workspace, launches, picture};
use crate::print::{say, say_part};
use crate::solo::SoloError;

/// Time in which launches are measured.
const MEASURE_BUDGET: Duration = Duration::from_secs(2);

/// Shows what a package holds and what each launch of a plan does and costs, and which nodes of the file it computes.
/// A launch that a batch goes through in parts is one line: what one part is like, and what all take.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// The package
    package: PathBuf,
    /// Shape variant
    #[arg(long, default_value_t = 0)]
    shape: u8,
    /// Batch size: 1, 2, 4, 8 or 16
    #[arg(long, default_value_t = 1)]
    batch: u8,
    /// Compute threads of the device that measures
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Do not run the plan
    #[arg(long)]
    no_measure: bool,
    /// Draw the workspace over time into this file
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum InspectError {
    /// The package can't be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The plan can't be run.
    #[error(transparent)]
    Solo(#[from] SoloError),
    /// No such plan.
    #[error("the package has no plan for shape variant {shape}, batch {batch}; it has {known}")]
    NoPlan {
        /// Shape variant.
        shape: u8,
        /// Batch size.
        batch: u8,
        /// Those that there are.
        known: String,
    },
    /// The picture can't be written.
    #[error("{}: cannot write the picture: {source}", .path.display())]
    Picture {
        /// Where to.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// One plan as it is shown.
struct Seen {
    launches: Vec<Description>,
    /// The launches as text shows them.
    lines: Vec<Line>,
    space: Workspace,
    waste: Waste,
    times: Option<Times>,
    /// By launch: the nodes of the file that it computes; empty if the package does not say.
    computes: Vec<String>,
}

/// Runs the command.
pub fn run(args: &InspectArgs) -> Result<(), InspectError> {
    let package = Package::open(&args.package)?;
    let shape = ShapeId(args.shape);
    let batch = BatchSize::new(args.batch);
    let Some((batch, plan)) = batch.and_then(|batch| Some((batch, package.plan(shape, batch)?))) else {
        return Err(no_plan(&package, args));
    };
    let all: Vec<Description> = package.plans.iter().flat_map(launches).collect();
    let described = launches(plan);
    let computes: Vec<String> = package.computes(shape, batch).map(str::to_owned).collect();
    let seen = Seen {
        lines: Line::of(&described, &computes),
        computes,
        space: Workspace::of(&described),
        launches: described,
        waste: Waste::of(all.iter(), package.pages.len(), package.page_bytes),
        times: match args.no_measure {
            true => None,
            false => Some(Times::measure(&package, shape, batch, args.threads, MEASURE_BUDGET)?),
        },
    };
    if let Some(path) = &args.svg {
        let title = format!("{}, shape {shape}, batch {batch}: workspace over time", package.name, shape = shape.0);
        let drawn = picture(&title, &seen.launches, &seen.space, plan.workspace_bytes);
        std::fs::write(path, drawn).map_err(|source| InspectError::Picture { path: path.clone(), source })?;
    }
    match args.json {
        true => say!("{}", as_json(&package, plan, &seen)),
        false => say_part!("{}", as_text(&package, plan, &seen)),
    }
    Ok(())
}

fn no_plan(package: &Package, args: &InspectArgs) -> InspectError {
    let known: Vec<String> =
        package.plans.iter().map(|plan| format!("({}, {})", plan.shape.0, plan.batch.get())).collect();
    InspectError::NoPlan { shape: args.shape, batch: args.batch, known: known.join(" ") }
}

/// Where the operands of a launch lie: `w3+1024` is page 3 of the weights at byte 1024.
fn places(launch: &Description) -> String {
    let place = |region: &kernels::params::Region| {
        let at = region.operand;
        match Space::from_u32(at.space) {
            Some(Space::Weights) => format!("{}=w{}+{}", region.name, at.page, at.offset),
            Some(Space::Input) => format!("{}=in{}+{}", region.name, at.page, at.offset),
            Some(Space::Output) => format!("{}=out{}+{}", region.name, at.page, at.offset),
            Some(Space::Workspace) => format!("{}={}", region.name, at.offset),
            None => format!("{}=?", region.name),
        }
    };
    // `enter` and `leave` name one region for each place of the batch; the first says enough.
    let mut names: Vec<&str> = Vec::new();
    let once = launch.regions.iter().filter(|region| {
        let new = !names.contains(&region.name);
        names.push(region.name);
        new
    });
    once.map(place).collect::<Vec<_>>().join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "bytes, operations and nanoseconds of a plan are below 2^53")]
fn as_text(package: &Package, plan: &Plan, seen: &Seen) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    let mut text = format!("{} (model {}), target {}\n", package.name, package.id, package.target);
    for (role, tensors) in [("input", &package.inputs), ("output", &package.outputs)] {
        for tensor in tensors {
            let shapes: Vec<String> = tensor.shapes.iter().map(|dims| format!("{dims:?}")).collect();
            text += &format!("{role:<8} {} {} {}\n", tensor.name, tensor.kind, shapes.join(" or "));
        }
    }
    text += &format!(
        "pages    {} of {:.0} MiB, {:.1}% unused\n",
        package.pages.len(),
        mib(u64::from(package.page_bytes)),
        share(seen.waste.unused, seen.waste.bytes)
    );
    text += &format!(
        "plan     shape {}, batch {}: {} launches, {:.1} MFLOP, workspace {:.2} MiB of which {:.2} MiB are alive at most\n",
        plan.shape.0,
        plan.batch,
        seen.launches.len(),
        seen.launches.iter().map(|launch| launch.flops).sum::<u64>() as f64 / 1e6,
        mib(u64::from(plan.workspace_bytes)),
        mib(seen.space.most_alive),
    );
    if let Some(times) = &seen.times {
        let total: u64 = times.launches_ns.iter().sum();
        text += &format!(
            "measured {} in all, medians of {} runs; the core's peak is {:.1} GFLOP/s\n",
            Nanos(total),
            times.runs,
            times.peak_flops / 1e9
        );
    }
    text += &format!("\n{}", table(seen));
    if !seen.computes.is_empty() {
        text += &format!("\n{}", computed(seen));
    }
    text
}

/// What each line's launches compute, by nodes of the file: a table of its own, since names are long.
fn computed(seen: &Seen) -> Table {
    let mut table = Table::new(&["launch", "kernel", "computes"]);
    for line in &seen.lines {
        let first = line.launches[0];
        table.row([first.to_string(), seen.launches[first].kernel.to_owned(), seen.computes[first].clone()]);
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "operations and nanoseconds of a launch are below 2^53")]
fn table(seen: &Seen) -> Table {
    let mut headers = vec!["launch", "kernel", "parts", "what"];
    headers.extend(if seen.times.is_some() { &["time", "share", "GFLOP/s", "of peak"][..] } else { &["MFLOP"] });
    headers.push("operands");
    let mut table = Table::new(&headers);
    let total = seen.times.as_ref().map_or(1, |times| times.launches_ns.iter().sum::<u64>().max(1));
    for line in &seen.lines {
        let first = line.launches[0];
        let launch = &seen.launches[first];
        let flops = line.sum(|index| seen.launches[index].flops);
        let parts = line.launches.len();
        let mut row = vec![first.to_string(), launch.kernel.to_owned(), parts.to_string(), launch.what.clone()];
        match &seen.times {
            None => row.push(format!("{:.2}", flops as f64 / 1e6)),
            Some(times) => {
                let ns = line.sum(|index| times.launches_ns[index]);
                let per_second = flops as f64 / (ns.max(1) as f64 / 1e9);
                let products = |text: String| if flops == 0 { "-".to_owned() } else { text };
                row.push(Nanos(ns).to_string());
                row.push(format!("{:.1}%", ns as f64 * 100.0 / total as f64));
                row.push(products(format!("{:.1}", per_second / 1e9)));
                row.push(products(format!("{:.0}%", per_second * 100.0 / times.peak_flops)));
            }
        }
        row.push(places(launch));
        table.row(row);
    }
    table
}

fn as_json(package: &Package, plan: &Plan, seen: &Seen) -> Value {
    let rows = seen.launches.iter().enumerate().map(|(index, launch)| {
        let regions = launch.regions.iter().map(|region| {
            let at = region.operand;
            json!({
                "name": region.name, "space": format!("{:?}", Space::from_u32(at.space)).to_lowercase(),
                "page": at.page, "offset": at.offset, "rows": region.rows, "row_bytes": region.row_bytes,
                "access": format!("{:?}", region.access).to_lowercase(),
            })
        });
        json!({
            "kernel": launch.kernel, "what": launch.what, "flops": launch.flops, "tiles": launch.tiles,
            "computes": seen.computes.get(index),
            "time_ns": seen.times.as_ref().map(|times| times.launches_ns[index]),
            "operands": regions.collect::<Vec<_>>(),
        })
    });
    json!({
        "name": package.name,
        "model": package.id.to_string(),
        "target": package.target.name(),
        "pages": package.pages.len(),
        "page_bytes": package.page_bytes,
        "unused_bytes": seen.waste.unused,
        "shape": plan.shape.0,
        "batch": plan.batch.get(),
        "workspace_bytes": plan.workspace_bytes,
        "most_alive_bytes": seen.space.most_alive,
        "peak_flops_per_second": seen.times.as_ref().map(|times| times.peak_flops),
        "runs": seen.times.as_ref().map(|times| times.runs),
        "launches": rows.collect::<Vec<_>>(),
    })
}
