//! `clockwork bench kernels`

use std::path::{Path, PathBuf};

use bench::loadgen::input::values;
use bench::table::Table;
use clap::Args;
use kernels::image::InstructionSet;
use runtime::base::{BatchSize, Nanos, ShapeId};
use runtime::package::{Package, PackageError};
use runtime::profile::Percentile;
use runtime::sim::seeded::Seeded;
use serde::Serialize;
use sys::cpu::CpuConfig;
use thiserror::Error;

use crate::onnx_runtime::{Input, OnnxRuntime, OnnxRuntimeError};
use crate::print::remark;
use crate::solo::{Cut, Solo, SoloError, batches_of};

/// How long our engine waits for the next run before it sleeps: longer than between two of its own
/// runs, shorter than the run of the other side that isn't counted.
const AWAKE_NS: u64 = 1_000_000;

/// What of a side's runs is shown.
const RANKS: [Percentile; 3] = [hundredths(5_000), Percentile::P99, hundredths(9_990)];

const fn hundredths(of_a_percent: u16) -> Percentile {
    match Percentile::new(of_a_percent) {
        Some(percentile) => percentile,
        None => panic!("at most 10,000"),
    }
}

/// Pairs of our plans and ONNX Runtime, on one thread of one core, in turn
#[derive(Args, Debug)]
pub struct KernelsArgs {
    /// A package, and the ONNX file that does the same
    #[arg(value_name = "PACKAGE=MODEL.onnx", required = true)]
    models: Vec<String>,
    /// A Python with onnxruntime and numpy
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// The core on which both compute
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// Batch sizes; those that a package lacks are left out
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    batch: Vec<u8>,
    /// Shape variant
    #[arg(long, default_value_t = 0)]
    shape: u8,
    /// Pairs of each model and batch size
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
    /// Runs of one side in a pair, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Instruction set of our side: avx512, avx2 or portable; the best of the machine if not given
    #[arg(long)]
    width: Option<String>,
    /// Print one JSON array
    #[arg(long)]
    pub(super) json: bool,
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum KernelsError {
    /// An argument has not the form that it should.
    #[error("{0} is not PACKAGE=MODEL.onnx")]
    Argument(String),
    /// There is no such instruction set.
    #[error("--width is avx512, avx2 or portable, not {0}")]
    Width(String),
    /// The package can't be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Our side can't be run.
    #[error(transparent)]
    Solo(#[from] SoloError),
    /// Their side can't be run.
    #[error(transparent)]
    OnnxRuntime(#[from] OnnxRuntimeError),
}

/// One model at one batch size.
#[derive(Debug, Serialize)]
struct Comparison {
    model: String,
    batch: u8,
    ours_ns: u64,
    theirs_ns: u64,
    /// Ours by theirs, pair by pair: the median, the lower and the upper quartile.
    ratio: f64,
    quartiles: [f64; 2],
    pairs: usize,
    /// Of all runs that count.
    ours: Spread,
    theirs: Spread,
}

/// How one side's runs differ.
#[derive(Debug, Serialize)]
struct Spread {
    p50_ns: u64,
    p99_ns: u64,
    p99_9_ns: u64,
    /// The last by the first.
    p99_9_by_p50: f64,
    runs: usize,
}

/// All that was compared.
#[derive(Debug, Serialize)]
pub struct Comparisons(Vec<Comparison>);

/// Runs the command.
///
/// # Errors
/// [`KernelsError`].
pub fn run(args: &KernelsArgs) -> Result<Comparisons, KernelsError> {
    let set = match &args.width {
        None => InstructionSet::best(),
        Some(name) => InstructionSet::from_name(name).ok_or_else(|| KernelsError::Width(name.clone()))?,
    };
    let mut rows = Vec::new();
    for text in &args.models {
        let (package, onnx) = text.rsplit_once('=').ok_or_else(|| KernelsError::Argument(text.clone()))?;
        let package = Package::open(Path::new(package))?;
        for &size in &args.batch {
            let planned = |batch: &BatchSize| package.plan(ShapeId(args.shape), *batch).is_some();
            let Some(batch) = BatchSize::new(size).filter(planned) else {
                let known = batches_of(&package, ShapeId(args.shape));
                remark!(
                    "{}, batch {size}: there is no plan; shape variant {} has batches {known} (where that is 1 alone, the \
                     import says why)",
                    package.name,
                    args.shape
                );
                continue;
            };
            match compare(args, set, &package, onnx, batch) {
                Ok(row) => rows.push(row),
                // A graph whose batch is fixed runs with batch 1 only; the others still count.
                Err(KernelsError::OnnxRuntime(error)) if size > 1 => {
                    remark!("{}, batch {size}: {error}", package.name);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Comparisons(rows))
}

fn compare(
    args: &KernelsArgs,
    set: InstructionSet,
    package: &Package,
    onnx: &str,
    batch: BatchSize,
) -> Result<Comparison, KernelsError> {
    let shape = ShapeId(args.shape);
    let config = CpuConfig { compute_cores: vec![args.core], spin_ns: AWAKE_NS, ..CpuConfig::default() };
    let mut solo = Solo::load_on(package, shape, batch, set, &config, Cut::Whole)?;
    let (areas, inputs) = filled(package, shape, batch, &solo);
    solo.write_inputs(&areas)?;
    let mut theirs = OnnxRuntime::start(&args.python, Path::new(onnx), args.core, &inputs)?;
    let (mut pairs, runs) = (Vec::new(), usize::from(args.runs));
    let mut all = [const { Vec::new() }; 2];
    for _ in 0..args.pairs {
        // One run that isn't counted brings the caches back; within theirs, our engine falls asleep.
        solo.run()?;
        let ours = (0..runs).map(|_| solo.run()).collect::<Result<Vec<u64>, SoloError>>()?;
        let theirs = theirs.run(runs)?;
        all[0].extend(&ours);
        all[1].extend(&theirs);
        pairs.push((median(ours), median(theirs)));
    }
    Ok(comparison(package.name.clone(), batch, &pairs, all.map(spread)))
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run are below 2^53")]
fn comparison(model: String, batch: BatchSize, pairs: &[(u64, u64)], [ours, theirs]: [Spread; 2]) -> Comparison {
    let mut ratios: Vec<f64> = pairs.iter().map(|&(ours, theirs)| ours as f64 / theirs.max(1) as f64).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |quarter: usize| ratios[(ratios.len() - 1) * quarter / 4];
    Comparison {
        model,
        batch: batch.get(),
        ours_ns: median(pairs.iter().map(|pair| pair.0).collect()),
        theirs_ns: median(pairs.iter().map(|pair| pair.1).collect()),
        ratio: at(2),
        quartiles: [at(1), at(3)],
        pairs: pairs.len(),
        ours,
        theirs,
    }
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run are below 2^53")]
fn spread(mut samples: Vec<u64>) -> Spread {
    samples.sort_unstable();
    let [p50_ns, p99_ns, p99_9_ns] = RANKS.map(|percentile| samples[percentile.rank(samples.len())]);
    Spread { p50_ns, p99_ns, p99_9_ns, p99_9_by_p50: p99_9_ns as f64 / p50_ns.max(1) as f64, runs: samples.len() }
}

/// The input areas of all places, and the same as whole tensors.
fn filled(package: &Package, shape: ShapeId, batch: BatchSize, solo: &Solo) -> (Vec<u8>, Vec<Input>) {
    let area = &solo.layout().inputs;
    let (bytes, places) = ((area.bytes as usize).max(1), batch.items());
    let mut areas = vec![0; area.bytes as usize * places];
    let mut stream = Seeded::new(1);
    let mut inputs = Vec::new();
    for (spec, field) in package.inputs.iter().zip(&area.fields) {
        let (offset, length) = (field.offset as usize, field.bytes as usize);
        let data = values(spec.kind, length * places, &mut stream);
        for (place, item) in data.chunks_exact(length.max(1)).enumerate() {
            areas[place * bytes + offset..][..length].copy_from_slice(item);
        }
        let item = spec.shapes[usize::from(shape.0)].iter().map(|&dim| dim as usize).collect();
        inputs.push(Input { name: spec.name.clone(), kind: spec.kind, item, places, data });
    }
    (areas, inputs)
}

fn median(mut samples: Vec<u64>) -> u64 {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

impl Comparisons {
    /// As people read it.
    pub fn table(&self) -> String {
        let mut table = Table::new(&["model", "batch", "ours", "ONNX Runtime", "ours / theirs", "quartiles", "pairs"]);
        for row in &self.0 {
            table.row([
                row.model.clone(),
                row.batch.to_string(),
                Nanos(row.ours_ns).to_string(),
                Nanos(row.theirs_ns).to_string(),
                format!("{:.3}", row.ratio),
                format!("{:.3} to {:.3}", row.quartiles[0], row.quartiles[1]),
                row.pairs.to_string(),
            ]);
        }
        let mut spreads = Table::new(&["model", "batch", "side", "p50", "p99", "p99.9", "p99.9 / p50", "runs"]);
        for row in &self.0 {
            for (side, spread) in [("ours", &row.ours), ("ONNX Runtime", &row.theirs)] {
                spreads.row([
                    row.model.clone(),
                    row.batch.to_string(),
                    side.to_owned(),
                    Nanos(spread.p50_ns).to_string(),
                    Nanos(spread.p99_ns).to_string(),
                    Nanos(spread.p99_9_ns).to_string(),
                    format!("{:.3}", spread.p99_9_by_p50),
                    spread.runs.to_string(),
                ]);
            }
        }
        format!("{table}\n{spreads}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_pairs_not_the_ratio_of_medians() {
        let package = "tiny".to_owned();
        // The machine was twice as slow during the last two pairs, for both sides.
        let pairs = [(10, 20), (30, 20), (12, 20), (44, 40), (36, 40)];
        let sides = [pairs.map(|pair| pair.0), pairs.map(|pair| pair.1)];
        let row = comparison(package, BatchSize::ONE, &pairs, sides.map(|side| spread(side.to_vec())));
        assert_eq!((row.ours_ns, row.theirs_ns), (30, 20));
        assert!((row.ratio - 0.9).abs() < 1e-9, "{row:?}");
        assert_eq!(row.quartiles, [0.6, 1.1]);
        assert_eq!(row.pairs, 5);
    }

    #[test]
    fn a_spread_is_of_all_runs() {
        // Of 2,000 runs eleven are slow and one is very slow: p99 lies before them, p99.9 among them.
        let samples = (0..2000)
            .map(|i| {
                if i == 0 {
                    900
                } else if i % 199 == 1 {
                    300
                } else {
                    100
                }
            })
            .collect();
        let found = spread(samples);
        assert_eq!((found.p50_ns, found.p99_ns, found.p99_9_ns, found.runs), (100, 100, 300, 2000));
        assert!((found.p99_9_by_p50 - 3.0).abs() < 1e-9, "{found:?}");
    }
}
