//! `clockwork infer`

use std::path::{Path, PathBuf};

use bench::table::Table;
use clap::Args;
use runtime::base::{Nanos, ShapeId};
use runtime::client::{Client, ConnectError, InferError, LookupError, Request, Timing};
use runtime::host::config::DEFAULT_GATEWAY;
use runtime::wire::ModelEntry;
use serde::Serialize;
use thiserror::Error;

use crate::duration;
use crate::npy::{Array, NpyError};
use crate::print::{say, say_part};
use crate::vision::{self, Card, Said, VisionError};

/// Ask a server for one inference with a deadline
#[derive(Args, Debug)]
pub struct InferArgs {
    /// Name of the model
    model: String,
    /// An input: .npy, or .png or .jpg with a card; several in the model's order
    #[arg(long = "input", value_name = "FILE", required = true)]
    inputs: Vec<PathBuf>,
    /// Where outputs go, .npy, in the model's order
    #[arg(long = "output", value_name = "FILE")]
    outputs: Vec<PathBuf>,
    /// How long the answer may take
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = duration::parse)]
    slo: Nanos,
    /// The gateway
    #[arg(long, value_name = "HOST:PORT", default_value_t = DEFAULT_GATEWAY.to_string())]
    server: String,
    /// How pictures are prepared and answers read: a card (.json) or a package with one (.cwk)
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// How many classes to print
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum Error {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The model is not known.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// No answer in time.
    #[error("{model}: {source}")]
    Infer {
        /// The model.
        model: String,
        /// Why.
        source: InferError,
    },
    /// A tensor can't be read or written.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// A picture can't be prepared, or an answer not read.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// A picture without a card.
    #[error("{path} is a picture: name how it is prepared by --card FILE (the model's card or its package)")]
    NoCard {
        /// The picture.
        path: PathBuf,
    },
    /// A tensor that is no input of the model.
    #[error("{path} holds {found}, input `{tensor}` takes {wanted}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// Name of the input.
        tensor: String,
        /// What the input takes.
        wanted: String,
    },
    /// Another number of files than of tensors.
    #[error("model `{model}` has {wanted} {what}, {found} files were named")]
    Count {
        /// The model.
        model: String,
        /// Inputs or outputs.
        what: &'static str,
        /// How many it has.
        wanted: usize,
        /// How many were named.
        found: usize,
    },
    /// The result can't be printed.
    #[error("can't write the result: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs the command.
///
/// # Errors
/// [`enum@Error`].
pub fn run(args: &InferArgs) -> Result<(), Error> {
    let card = args.card.as_deref().map(Card::read).transpose()?;
    let mut client = Client::connect(&args.server)?;
    let model = client.model(&args.model)?;
    let count = |what, wanted, found| Error::Count { model: args.model.clone(), what, wanted, found };
    if args.outputs.len() > model.outputs.len() {
        return Err(count("outputs", model.outputs.len(), args.outputs.len()));
    }
    let (shape, inputs) = match (args.inputs.as_slice(), &card) {
        ([picture], Some(card)) if !is_npy(picture) => {
            let prepared = vision::prepare(card, &model, picture)?;
            (prepared.shape, vec![prepared.input])
        }
        (files, _) if files.len() != model.inputs.len() => {
            return Err(count("inputs", model.inputs.len(), files.len()));
        }
        (files, _) => tensors(&model, files)?,
    };
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let answer = client
        .infer(Request { model: &model, shape, inputs: &inputs, slo: args.slo })
        .map_err(|source| Error::Infer { model: args.model.clone(), source })?;
    for ((path, spec), data) in args.outputs.iter().zip(&model.outputs).zip(&answer.outputs) {
        let item = &spec.shapes[usize::from(shape.0)];
        let dims = [1].into_iter().chain(item.iter().map(|&dim| dim as usize)).collect();
        Array { kind: spec.kind, dims, data: data.clone() }.write(path)?;
    }
    let said = card.map(|card| vision::interpret(&card, &model, shape, &answer.outputs, args.top)).transpose()?;
    print(args, said.as_ref(), &answer.timing)
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "npy")
}

/// The tensors in `files`, which decide the shape variant. A leading dimension of 1 is the batch.
fn tensors(model: &ModelEntry, files: &[PathBuf]) -> Result<(ShapeId, Vec<Vec<u8>>), Error> {
    let mut arrays = Vec::with_capacity(files.len());
    for path in files {
        if !is_npy(path) {
            return Err(Error::NoCard { path: path.clone() });
        }
        arrays.push(Array::read(path)?);
    }
    let matches = |shape: ShapeId, index: usize, array: &Array| {
        let spec = &model.inputs[index];
        let dims = array.dims.as_slice();
        let item: Vec<usize> = spec.shapes[usize::from(shape.0)].iter().map(|&dim| dim as usize).collect();
        spec.kind == array.kind && (dims == item || dims.split_first() == Some((&1, item.as_slice())))
    };
    let fits = |shape: &ShapeId| arrays.iter().enumerate().all(|(index, array)| matches(*shape, index, array));
    if let Some(shape) = (0..model.shapes).map(ShapeId).find(fits) {
        return Ok((shape, arrays.into_iter().map(|array| array.data).collect()));
    }
    let alone = |index: usize| (0..model.shapes).map(ShapeId).any(|shape| matches(shape, index, &arrays[index]));
    let wrong = (0..arrays.len()).find(|&index| !alone(index)).unwrap_or(0);
    let spec = &model.inputs[wrong];
    Err(Error::Tensor {
        path: files[wrong].clone(),
        found: format!("{} {:?}", arrays[wrong].kind, arrays[wrong].dims),
        tensor: spec.name.clone(),
        wanted: format!("{} {:?}", spec.kind, spec.shapes.iter().map(|dims| dims.to_vec()).collect::<Vec<_>>()),
    })
}

#[derive(Serialize)]
struct Printed<'a> {
    model: &'a str,
    latency_ns: u64,
    slo_ns: u64,
    exec_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<&'a [vision::classify::Class]>,
}

fn print(args: &InferArgs, said: Option<&Said>, timing: &Timing) -> Result<(), Error> {
    let exec = timing.stages.exec.duration();
    if args.json {
        let (text, classes) = match said {
            None => (None, None),
            Some(Said::Text(line)) => (Some(line.text.as_str()), None),
            Some(Said::Classes(classes)) => (None, Some(classes.as_slice())),
        };
        let (latency_ns, slo_ns, exec_ns) = (timing.latency().0, args.slo.0, exec.0);
        let printed = Printed { model: &args.model, latency_ns, slo_ns, exec_ns, text, classes };
        say!("{}", serde_json::to_string(&printed)?);
        return Ok(());
    }
    match said {
        None => {}
        Some(Said::Text(line)) => say!("{}", line.text),
        Some(Said::Classes(classes)) => {
            let mut table = Table::new(&["class", "share"]);
            for class in classes {
                table.row([class.label.clone(), format!("{:.1}%", class.share * 100.0)]);
            }
            say_part!("{table}");
        }
    }
    say!("{}: answered in {} of {} (exec {exec})", args.model, timing.latency(), args.slo);
    Ok(())
}
