//! The command line.
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cmd;
mod demo;
mod duration;
mod import;
mod inspect;
#[cfg(test)]
mod models;
mod npy;
mod onnx_runtime;
mod print;
mod solo;
mod vision;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::print::remark;

/// Serves DNN models and keeps its promises about time.
#[derive(Parser, Debug)]
#[command(name = "clockwork", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Import(cmd::import::ImportArgs),
    Run(cmd::run::RunArgs),
    Profile(cmd::profile::ProfileArgs),
    Inspect(cmd::inspect::InspectArgs),
    Serve(cmd::serve::ServeArgs),
    Controller(cmd::serve::ControllerArgs),
    Gateway(cmd::serve::GatewayArgs),
    Worker(cmd::serve::WorkerArgs),
    Sim(cmd::sim::SimArgs),
    Infer(cmd::infer::InferArgs),
    LoadGen(cmd::load_gen::LoadGenArgs),
    Ctl(cmd::ctl::CtlArgs),
    Bench(cmd::bench::BenchArgs),
    Demo(cmd::demo::DemoArgs),
}

fn main() -> ExitCode {
    let done: Result<(), Box<dyn Error>> = match Arguments::parse().command {
        Command::Import(args) => cmd::import::run(args).map_err(Into::into),
        Command::Run(args) => cmd::run::run(&args).map_err(Into::into),
        Command::Profile(args) => cmd::profile::run(args).map_err(Into::into),
        Command::Inspect(args) => cmd::inspect::run(&args).map_err(Into::into),
        Command::Serve(args) => cmd::serve::serve(args).map_err(Into::into),
        Command::Controller(args) => cmd::serve::controller(args).map_err(Into::into),
        Command::Gateway(args) => cmd::serve::gateway(args).map_err(Into::into),
        Command::Worker(args) => cmd::serve::worker(args).map_err(Into::into),
        Command::Sim(args) => cmd::sim::run(&args).map_err(Into::into),
        Command::Infer(args) => cmd::infer::run(&args).map_err(Into::into),
        Command::LoadGen(args) => cmd::load_gen::run(&args).map_err(Into::into),
        Command::Ctl(args) => cmd::ctl::run(&args).map_err(Into::into),
        Command::Bench(args) => cmd::bench::run(&args).map_err(Into::into),
        Command::Demo(args) => cmd::demo::run(args).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            remark!("clockwork: {error}");
            ExitCode::FAILURE
        }
    }
}
