//! `clockwork import`

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::import::lower::cpu_f32::Cache;
use crate::import::tune::{Settings, Source};
use crate::import::{self, Options, error::ImportError, normalise::Normalise};
use crate::print::say_part;

/// Compile an ONNX model into a package
///
/// Where a model has batches, two random items are run before the package gets its name, each alone and both
/// together. Where a bit of an output differs, or a shape does not follow the batch, the package has plans for
/// batch 1 only, and what is printed says why.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The ONNX file
    model: PathBuf,
    /// The package to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Shape of an input, as NAME=1x3x48x320; give several for shape variants over one set of weights
    #[arg(long = "shape", value_name = "NAME=DIMS")]
    shapes: Vec<String>,
    /// Cut the graph at this value; may be given several times
    #[arg(long = "outputs", value_name = "NAME")]
    outputs: Vec<String>,
    /// Bind an input as a constant; may be given several times
    #[arg(long = "const", value_name = "NAME=FILE.npy")]
    constants: Vec<String>,
    /// Let an input come as bytes, normalised on the device: (byte - MEAN) / DEVIATION, one number or one for
    /// each channel, comma-separated; with /nhwc behind it the channels of a pixel are neighbours
    #[arg(long, value_name = "NAME=MEAN/DEVIATION")]
    normalise: Vec<Normalise>,
    /// Replace the weights by random ones from this seed
    #[arg(long, value_name = "SEED")]
    random_weights: Option<u64>,
    /// Name of the model [default: that of the file]
    #[arg(long)]
    name: Option<String>,
    /// A JSON object for people and clients: labels, dictionary, pre-processing
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Runs of the model for each load of its weights. Winograd's algorithm makes 3x3 convolutions quicker and
    /// their weights 1.8 or 4 times as large; it is taken where the runs save more time than the load costs.
    /// 0: never
    #[arg(long, value_name = "N", default_value_t = 10)]
    runs_per_load: u64,
    /// Choose algorithms by a built-in rule, the same on every machine, without measuring
    #[arg(long, conflicts_with = "tuning")]
    no_tune: bool,
    /// Table of measured times; what it lacks is measured once and kept [default: a file for this kind of device
    /// in the folder clockwork of XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "FILE.toml")]
    tuning: Option<PathBuf>,
    /// Compute threads of the device that will serve the model: algorithms are timed on as many, by a table of their
    /// own, and batches go through large launches in parts only for one. Outputs are the same on any number
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Most memory for the model's constants and tables, in MiB [default: 4096]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    memory: Option<u32>,
}

/// Runs the command.
pub fn run(args: ImportArgs) -> Result<(), ImportError> {
    let options = Options {
        model: args.model,
        package: args.output,
        shapes: args.shapes,
        outputs: args.outputs,
        constants: args.constants,
        normalise: args.normalise,
        random_weights: args.random_weights,
        name: args.name,
        card: args.card,
        tuning: Settings {
            source: if args.no_tune { Source::Rule } else { Source::Table(args.tuning) },
            runs_per_load: args.runs_per_load,
            threads: args.threads.into(),
            cache: Cache::default(),
        },
        memory: args.memory.map(|mib| (mib as usize) << 20),
    };
    let bar = progress_bar();
    let report = import::import(&options, &mut |share, stage| {
        // Thousandths of a whole, so that the bar moves smoothly.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1000")]
        bar.set_position((share * 1000.0).clamp(0.0, 1000.0).round() as u64);
        bar.set_message(stage.to_owned());
    });
    bar.finish_and_clear();
    say_part!("{}", report?);
    Ok(())
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1000).with_style(style)
}
