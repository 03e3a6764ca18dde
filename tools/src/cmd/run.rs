//! `clockwork run`

use std::path::PathBuf;

use clap::Args;
use kernels::image::InstructionSet;
use runtime::base::{BatchSize, ShapeId};
use runtime::package::slot::Area;
use runtime::package::{Package, PackageError, TensorSpec};
use serde::Serialize;
use thiserror::Error;

use crate::npy::{Array, NpyError};
use crate::print::say;
use crate::solo::{Cut, Solo, SoloError};

/// Runs a package once or many times, without a server
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The package
    package: PathBuf,
    /// Input tensor, NAME=FILE.npy: one item, or a whole batch; zeros where none is given
    #[arg(long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// Where an output tensor goes, NAME=FILE.npy, batch first
    #[arg(long = "output", value_name = "NAME=FILE")]
    outputs: Vec<String>,
    /// Batch size: 1, 2, 4, 8 or 16; a single item is put into every place
    #[arg(long, default_value_t = 1)]
    batch: u8,
    /// How often to run; the first run is not counted if there are more
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// Compute threads of the device
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Instruction set of the kernels: avx512, avx2 or portable [default: the best of the machine]
    #[arg(long)]
    instructions: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum RunError {
    /// The package can't be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The plan can't be run.
    #[error(transparent)]
    Solo(#[from] SoloError),
    /// A tensor's file can't be read or written.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// No such batch size.
    #[error("there are no plans for batch {0}: wanted 1, 2, 4, 8 or 16")]
    Batch(u8),
    /// No such instruction set.
    #[error("no instruction set is named {0:?}; known are avx512, avx2 and portable")]
    Instructions(String),
    /// An argument is not NAME=FILE.
    #[error("`{0}` is not NAME=FILE")]
    Argument(String),
    /// No such tensor.
    #[error("the model has no {role} `{name}`; it has: {known}")]
    UnknownTensor {
        /// "input" or "output".
        role: &'static str,
        /// The name.
        name: String,
        /// The names that it has.
        known: String,
    },
    /// A tensor is named twice.
    #[error("{role} `{name}` is named twice")]
    Twice {
        /// "input" or "output".
        role: &'static str,
        /// The name.
        name: String,
    },
    /// The tensor's type differs.
    #[error("input `{name}` has type {found}, the model wants {wanted}")]
    Type {
        /// The input.
        name: String,
        /// Type in the file.
        found: &'static str,
        /// Type of the model.
        wanted: &'static str,
    },
    /// The tensor has no shape of the model, or another batch.
    #[error("input `{name}` has shape {found:?}; the model wants one item of {wanted:?}, or {batch} of them")]
    Shape {
        /// The input.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shapes of the model, one for each variant.
        wanted: Vec<Vec<u32>>,
        /// Batch size.
        batch: u8,
    },
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Timing {
    model: String,
    id: String,
    shape: u8,
    batch: u8,
    threads: usize,
    instructions: &'static str,
    runs: usize,
    median_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Result<(), RunError> {
    let package = Package::open(&args.package)?;
    let batch = BatchSize::new(args.batch).ok_or(RunError::Batch(args.batch))?;
    let set = instruction_set(args.instructions.as_deref())?;
    let given = read_inputs(&package, &args.inputs)?;
    let targets = named(&args.outputs, "output", &package.outputs)?;
    let shape = pick_shape(&package, &given, batch)?;
    let mut solo = Solo::load(&package, shape, batch, set, args.threads, Cut::Whole)?;
    solo.write_inputs(&fill_areas(&solo.layout().inputs, &given, batch))?;
    let mut times = Vec::with_capacity(args.repeat as usize);
    for _ in 0..args.repeat {
        times.push(solo.run()?);
    }
    let areas = solo.read_outputs()?;
    for (index, path) in targets {
        let array = gather(&package.outputs[index], shape, &areas, &solo.layout().outputs, index, batch);
        array.write(&path)?;
    }
    print(&timing(&package, args, shape, set, times), args.json);
    Ok(())
}

fn instruction_set(name: Option<&str>) -> Result<InstructionSet, RunError> {
    let Some(name) = name else { return Ok(InstructionSet::best()) };
    InstructionSet::from_name(name).ok_or_else(|| RunError::Instructions(name.to_owned()))
}

/// The tensor's index and the file of each NAME=FILE.
fn named(texts: &[String], role: &'static str, specs: &[TensorSpec]) -> Result<Vec<(usize, PathBuf)>, RunError> {
    let mut pairs: Vec<(usize, PathBuf)> = Vec::with_capacity(texts.len());
    for text in texts {
        let (name, file) = text.rsplit_once('=').ok_or_else(|| RunError::Argument(text.clone()))?;
        let known = || specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ");
        let unknown = || RunError::UnknownTensor { role, name: name.to_owned(), known: known() };
        let index = specs.iter().position(|spec| spec.name == name).ok_or_else(unknown)?;
        if pairs.iter().any(|(other, _)| *other == index) {
            return Err(RunError::Twice { role, name: name.to_owned() });
        }
        pairs.push((index, PathBuf::from(file)));
    }
    Ok(pairs)
}

/// By input: what was given for it.
fn read_inputs(package: &Package, texts: &[String]) -> Result<Vec<Option<Array>>, RunError> {
    let mut arrays = vec![None; package.inputs.len()];
    for (index, path) in named(texts, "input", &package.inputs)? {
        let array = Array::read(&path)?;
        let spec = &package.inputs[index];
        if array.kind != spec.kind {
            let (found, wanted) = (array.kind.name(), spec.kind.name());
            return Err(RunError::Type { name: spec.name.clone(), found, wanted });
        }
        arrays[index] = Some(array);
    }
    Ok(arrays)
}

/// The shape variant that all given inputs have.
fn pick_shape(package: &Package, given: &[Option<Array>], batch: BatchSize) -> Result<ShapeId, RunError> {
    let fits = |array: &Array, item: &[u32]| {
        let item: Vec<usize> = item.iter().map(|&dim| dim as usize).collect();
        let batched = |n: usize| array.dims.split_first() == Some((&n, item.as_slice()));
        array.dims == item || batched(1) || batched(batch.items())
    };
    let all_fit = |shape: usize| {
        given
            .iter()
            .zip(&package.inputs)
            .all(|(array, spec)| array.as_ref().is_none_or(|array| fits(array, &spec.shapes[shape])))
    };
    if let Some(shape) = (0u8..).take(package.shape_variants()).find(|&shape| all_fit(usize::from(shape))) {
        return Ok(ShapeId(shape));
    }
    let (array, spec) = given
        .iter()
        .zip(&package.inputs)
        .find_map(|(array, spec)| array.as_ref().map(|array| (array, spec)))
        .unwrap_or_else(|| unreachable!("without inputs the first variant fits"));
    Err(RunError::Shape {
        name: spec.name.clone(),
        found: array.dims.clone(),
        wanted: spec.shapes.iter().map(|shape| shape.to_vec()).collect(),
        batch: batch.get(),
    })
}

/// The input areas of all places; a single item goes into each of them.
fn fill_areas(area: &Area, given: &[Option<Array>], batch: BatchSize) -> Vec<u8> {
    let mut areas = vec![0; area.bytes as usize * batch.items()];
    for (place, bytes) in areas.chunks_exact_mut((area.bytes as usize).max(1)).enumerate() {
        for (array, field) in given.iter().zip(&area.fields) {
            let Some(array) = array else { continue };
            let (offset, length) = (field.offset as usize, field.bytes as usize);
            let from = if array.data.len() == length { 0 } else { place * length };
            bytes[offset..offset + length].copy_from_slice(&array.data[from..from + length]);
        }
    }
    areas
}

/// One output tensor of all places.
fn gather(spec: &TensorSpec, shape: ShapeId, areas: &[u8], area: &Area, index: usize, batch: BatchSize) -> Array {
    let field = area.fields[index];
    let item = &spec.shapes[usize::from(shape.0)];
    let dims = std::iter::once(batch.items()).chain(item.iter().map(|&dim| dim as usize)).collect();
    let of_place = |area: &[u8]| area[field.offset as usize..][..field.bytes as usize].to_vec();
    let data = areas.chunks_exact((area.bytes as usize).max(1)).flat_map(of_place).collect();
    Array { kind: spec.kind, dims, data }
}

fn timing(package: &Package, args: &RunArgs, shape: ShapeId, set: InstructionSet, mut times: Vec<u64>) -> Timing {
    if times.len() > 1 {
        times.remove(0);
    }
    times.sort_unstable();
    let at = |percent: usize| times[((times.len() - 1) * percent).div_ceil(100)];
    Timing {
        model: package.name.clone(),
        id: package.id.to_string(),
        shape: shape.0,
        batch: args.batch,
        threads: args.threads,
        instructions: set.name(),
        runs: times.len(),
        median_ns: at(50),
        p99_ns: at(99),
        max_ns: at(100),
    }
}

fn print(timing: &Timing, json: bool) {
    if json {
        say!("{}", serde_json::to_string(timing).unwrap_or_default());
        return;
    }
    let Timing { model, id, shape, batch, threads, instructions, runs, .. } = timing;
    say!("{model} (model {id}), shape {shape}, batch {batch}, {threads} {instructions} thread(s), {runs} run(s)");
    for (name, time) in [("median", timing.median_ns), ("p99", timing.p99_ns), ("max", timing.max_ns)] {
        say!("  {name:<6}  {:>10}", runtime::base::Nanos(time).to_string());
    }
}
