//! `clockwork demo`

use std::path::PathBuf;

use clap::Args;
use runtime::base::Nanos;

use crate::demo::{self, DemoError, Places};
use crate::duration;

/// Trained models read and classify pictures, then hold their deadlines under load
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// How long each load lasts
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    length: Nanos,
    /// Folder with the demo's models, inputs and cards
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/demo"))]
    assets: PathBuf,
    /// Folder in which packages and profiles are kept
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir().join("clockwork-demo"))]
    cache: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// [`DemoError`].
pub fn run(args: DemoArgs) -> Result<(), DemoError> {
    demo::run(&Places { assets: args.assets, cache: args.cache }, args.length)
}
