//! `clockwork import`: a compiler from ONNX to packages.
//!
//! ```text
//! load      ONNX file -> graph without shapes            (onnx, constant, op, graph, random, normalise)
//! batch     graph -> graph for one shape variant and batch size   (shape, element, fold, expand, index)
//! fuse      fewer operations
//! lower/    graph -> launches over one weight image      (page, workspace)
//! prove     the package's batches, run beside their items
//! ```
//! The result follows from model, options, target and tuning table alone: the same input gives the same bytes.

pub mod batch;
pub mod constant;
pub mod element;
pub mod error;
pub mod expand;
pub mod fold;
pub mod fuse;
pub mod graph;
pub mod index;
pub mod load;
pub mod lower;
pub mod normalise;
pub mod onnx;
pub mod op;
pub mod page;
pub mod prove;
pub mod random;
pub mod report;
pub mod shape;
pub mod tune;
pub mod variant;
pub mod workspace;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use runtime::base::limits::{CPU_PAGE_BYTES, IMPORT_MEMORY_BYTES, MAX_AREA_BYTES, MAX_RANK, MAX_TENSORS};
use runtime::base::{BatchSize, ShapeId};
use runtime::package::{
    Card, Complete, Contents, Labels, Package, PackageWriter, Plan, Shape, SlotLayout, Target, TensorSpec,
};
use sys::memory::give_back_freed;

use self::batch::{Beyond, Unbatchable};
use self::constant::Constant;
use self::error::{ImportError, Why};
use self::graph::{Graph, ValueId};
use self::load::Cut;
use self::lower::cpu_f32;
use self::normalise::Normalise;
use self::page::WeightImage;
use self::prove::{Difference, Verdict};
use self::report::{PlanReport, Report};
use self::tune::{Choices, Tuner};
use self::variant::Variants;
use crate::npy::Array;

/// What to import, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The ONNX file.
    pub model: PathBuf,
    /// The package to write.
    pub package: PathBuf,
    /// Shapes of inputs, `NAME=1x3x224x224`; several for one input make shape variants.
    pub shapes: Vec<String>,
    /// Values at which the graph is cut; none: the model's outputs.
    pub outputs: Vec<String>,
    /// Inputs that become constants, `NAME=FILE.npy`.
    pub constants: Vec<String>,
    /// Inputs that come as bytes.
    pub normalise: Vec<Normalise>,
    /// Replaces weights by random ones from this seed.
    pub random_weights: Option<u64>,
    /// The model's name; none: the file's.
    pub name: Option<String>,
    /// A JSON file for people and clients.
    pub card: Option<PathBuf>,
    /// How it is fitted to a device.
    pub tuning: tune::Settings,
    /// Bytes that the model's constants and tables may have; none: [`IMPORT_MEMORY_BYTES`].
    pub memory: Option<usize>,
}

/// Imports a model. `progress` is told the share that is done, and what comes next. Where shapes or numbers depend on
/// the batch, the package has plans for batch 1 only, and the report says why.
///
/// # Errors
/// [`ImportError`], and nothing was written.
pub fn import(options: &Options, progress: &mut dyn FnMut(f64, &str)) -> Result<Report, ImportError> {
    let begin = Instant::now();
    progress(0.0, "reading");
    once("--outputs", &options.outputs, &options.outputs)?;
    let rules: Vec<String> = options.normalise.iter().map(ToString::to_string).collect();
    once("--normalise", &rules, &options.normalise.iter().map(Normalise::input).collect::<Vec<_>>())?;
    let given = Given { card: read_card(options.card.as_deref())?, constants: constants(&options.constants)? };
    let mut known = None;
    // At most twice: a package for batch 1 only has no batch that could differ.
    loop {
        match attempt(options, &given, known, begin, progress)? {
            Attempt::Done(report) => return Ok(*report),
            // From the start, so that the package is the same as if its shapes had said so.
            Attempt::Differs(difference) => known = Some(Unbatchable::Number(difference)),
        }
        give_back_freed();
    }
}

/// What the files beside the model hold.
struct Given {
    card: Card,
    constants: HashMap<String, Constant>,
}

/// What came of one pass over the model.
enum Attempt {
    /// A package whose batches hold, if it has any.
    Done(Box<Report>),
    /// A bit of an item's output depends on the batch. Nothing was written.
    Differs(Difference),
}

/// Makes the package; for batch 1 only where it is `known` why there can't be more.
fn attempt(
    options: &Options,
    given: &Given,
    known: Option<Unbatchable>,
    begin: Instant,
    progress: &mut dyn FnMut(f64, &str),
) -> Result<Attempt, ImportError> {
    let memory = options.memory.unwrap_or(IMPORT_MEMORY_BYTES);
    let cut = Cut { outputs: options.outputs.clone(), bound: given.constants.clone(), memory };
    let mut model = load::load(&options.model, &cut)?;
    if let Some(seed) = options.random_weights {
        random::randomise(&mut model.graph, seed);
    }
    options.normalise.iter().try_for_each(|rule| rule.apply(&mut model))?;
    let variants = variant::resolve(&model, &options.shapes)?;
    let mut image = scratch_image(&options.package)?;
    let mut tuner = Tuner::new(&options.tuning);
    let compiled = compile(&model.graph, &variants, known, &mut tuner, &mut image, progress)?;
    check_types(&model, &compiled.outputs)?;
    // Nothing below looks at it, and the proof needs room for the weights.
    drop(model);
    give_back_freed();
    progress(0.85, "writing");
    let file = options.model.file_stem().unwrap_or_default().to_string_lossy();
    let contents = Contents {
        name: options.name.clone().unwrap_or_else(|| file.into_owned()),
        target: Target::CpuF32,
        page_bytes: page::number(CPU_PAGE_BYTES, "bytes of a page").map_err(|why| ImportError::TooMuch { why })?,
        inputs: compiled.inputs,
        outputs: compiled.outputs,
        plans: compiled.plans,
        labels: compiled.labels,
        card: given.card.clone(),
        page_count: page::number(image.pages(), "pages").map_err(|why| ImportError::TooMuch { why })?,
    };
    let plans = contents.plans.iter().map(PlanReport::of).collect();
    let name = contents.name.clone();
    let complete = write(&options.package, contents, &image)?;
    let mut proving = |share| progress(0.9 + 0.1 * share, "proving that batches give the bits of single items");
    let proof = match prove::prove(&Package::open(complete.path())?, options.tuning.threads, &mut proving)? {
        Verdict::Holds(proof) => proof,
        Verdict::Differs(difference) => return Ok(Attempt::Differs(difference)),
    };
    let written = complete.publish()?;
    progress(1.0, "done");
    Ok(Attempt::Done(Box::new(Report {
        name,
        written,
        tensors: image.tensors(),
        pages: image.pages(),
        page_bytes: CPU_PAGE_BYTES,
        waste: image.waste(),
        plans,
        choices: compiled.choices,
        proof,
        unbatchable: compiled.unbatchable,
        beyond: compiled.beyond,
        took: begin.elapsed(),
        memory: report::most_memory(),
    })))
}

/// Writes the package, as yet without its name.
fn write(package: &Path, contents: Contents, image: &WeightImage) -> Result<Complete, ImportError> {
    let mut writer = PackageWriter::create(package, contents)?;
    let mut bytes = vec![0; CPU_PAGE_BYTES];
    for page in 0..image.pages() {
        let scratch = |source| ImportError::Scratch { package: package.to_owned(), source };
        image.read_page(page, &mut bytes).map_err(scratch)?;
        writer.push_page(&bytes)?;
    }
    Ok(writer.complete()?)
}

/// A package's weights before they are written, beside it, in a file without a name.
fn scratch_image(package: &Path) -> Result<WeightImage, ImportError> {
    let folder = package.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match tempfile::tempfile_in(folder) {
        Ok(file) => Ok(WeightImage::new(CPU_PAGE_BYTES, file)),
        Err(source) => Err(ImportError::Scratch { package: package.to_owned(), source }),
    }
}

fn read_card(path: Option<&Path>) -> Result<Card, ImportError> {
    let Some(path) = path else { return Ok(Card::default()) };
    let bytes = fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    Card::new(bytes).map_err(|fault| ImportError::Card { path: path.to_owned(), fault })
}

/// A compiled model, its weights apart.
#[derive(Debug)]
pub struct Compiled {
    /// Input tensors.
    pub inputs: Vec<TensorSpec>,
    /// Output tensors.
    pub outputs: Vec<TensorSpec>,
    /// Plans, ascending by shape variant, then batch size.
    pub plans: Vec<Plan>,
    /// Which nodes each of their launches computes.
    pub labels: Labels,
    /// The algorithms of its convolutions.
    pub choices: Choices,
    /// Why there are plans for batch 1 only, if there are.
    pub unbatchable: Option<Unbatchable>,
    /// Batches that are too large, by shape variant.
    pub beyond: Vec<Beyond>,
}

/// The constants of each NAME=FILE.
fn constants(texts: &[String]) -> Result<HashMap<String, Constant>, ImportError> {
    let named = |text: &String| match text.rsplit_once('=') {
        Some((name, file)) => Ok((name.to_owned(), file.to_owned())),
        None => Err(ImportError::ConstSyntax { text: text.clone() }),
    };
    let pairs = texts.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    once("--const", texts, &pairs.iter().map(|(name, _)| name).collect::<Vec<_>>())?;
    let read = |(name, file): (String, String)| {
        let array = Array::read(Path::new(&file))?;
        let constant = Constant::from_array(&array);
        let constant = constant.map_err(|why| ImportError::Constant { name: name.clone(), why })?;
        Ok((name, constant))
    };
    pairs.into_iter().map(read).collect()
}

/// Refuses two of the `texts` that `option` was given if they mean the same, which `keys` tell.
fn once<K: PartialEq>(option: &'static str, texts: &[String], keys: &[K]) -> Result<(), ImportError> {
    let earlier = |second: usize| keys[..second].iter().position(|key| *key == keys[second]);
    match (0..keys.len()).find_map(|second| Some((earlier(second)?, second))) {
        Some((first, second)) => {
            Err(ImportError::Twice { option, first: texts[first].clone(), second: texts[second].clone() })
        }
        None => Ok(()),
    }
}

/// Refuses outputs whose type is not the one that the file states.
fn check_types(model: &load::Model, outputs: &[TensorSpec]) -> Result<(), ImportError> {
    for (spec, stated) in outputs.iter().zip(&model.types) {
        if let Some(stated) = stated
            && stated.tensor_type() != spec.kind
        {
            let wanted = "another type follows from its operations";
            let why = Why::Type { found: stated.number(), wanted };
            return Err(ImportError::Tensor { role: "output", name: spec.name.clone(), why });
        }
    }
    Ok(())
}

/// Compiles a graph without shapes for each of `variants`; for batch 1 only where it is `known` why there can't be more.
pub fn compile(
    template: &Graph,
    variants: &Variants,
    known: Option<Unbatchable>,
    tuner: &mut Tuner,
    image: &mut WeightImage,
    progress: &mut dyn FnMut(f64, &str),
) -> Result<Compiled, ImportError> {
    // What each costs is counted with what those before it cost, since all are kept.
    let mut template = template.clone();
    let mut singles: Vec<Graph> = Vec::with_capacity(variants.shapes.len());
    for shapes in &variants.shapes {
        singles.push(batch::shaped(&template, shapes, 1)?);
        template.spent = singles.last().map_or(template.spent, |single| single.spent);
    }
    let unbatchable = known.or_else(|| unbatchable(&template, variants, &singles));
    let whole = unbatchable.as_ref().is_some_and(|why| *why == Unbatchable::NoBatch);
    let inputs = specs(&singles, "input", whole, |graph| &graph.inputs)?;
    let outputs = specs(&singles, "output", whole, |graph| &graph.outputs)?;
    let batches = if unbatchable.is_some() { &BatchSize::ALL[..1] } else { &BatchSize::ALL };
    let choices = choose(&singles, tuner, progress)?;
    let total = variants.shapes.len() * batches.len();
    let (mut plans, mut labels) = (Vec::with_capacity(total), Vec::with_capacity(total));
    let mut beyond = Vec::new();
    for (shape, shapes) in (0u8..).map(ShapeId).zip(&variants.shapes) {
        let no_room = || beyond_a_slot(&inputs, &outputs, shape);
        let slot = SlotLayout::new(&inputs, &outputs, shape).ok_or_else(no_room)?;
        for &batch in batches {
            progress(0.5 + 0.35 * share(plans.len(), total), "compiling");
            let mut lower = || {
                let mut graph = batch::shaped(&template, &of_batch(shapes, batch.items()), batch.items())?;
                let origins = fuse::fuse(&mut graph);
                graph.forget_unused();
                cpu_f32::lower(&graph, &origins, &slot, whole, &choices, &tuner.device(), image)
            };
            let cpu_f32::Lowered { launches, computes, workspace_bytes } = match lower() {
                Ok(lowered) => lowered,
                // A larger batch needs more still; those before it are plans all the same.
                Err(error) if batch != BatchSize::ONE && error.is_too_large() => {
                    beyond.push(Beyond { shape, batch, why: error.to_string() });
                    break;
                }
                Err(error) => return Err(error),
            };
            labels.push(computes);
            plans.push(Plan { shape, batch, workspace_bytes, launches });
        }
    }
    Ok(Compiled { inputs, outputs, plans, labels: Labels::new(&labels), choices, unbatchable, beyond })
}

/// Why an item's tensors have no room in a slot.
fn beyond_a_slot(inputs: &[TensorSpec], outputs: &[TensorSpec], shape: ShapeId) -> ImportError {
    let bytes = |tensors: &[TensorSpec]| {
        let sum = tensors.iter().filter_map(|tensor| tensor.item_bytes(shape)).fold(0, u64::saturating_add);
        usize::try_from(sum).unwrap_or(usize::MAX)
    };
    let (what, found, limit) = match (inputs.len(), outputs.len(), bytes(inputs), bytes(outputs)) {
        (count, ..) if count > MAX_TENSORS => ("inputs", count, MAX_TENSORS),
        (_, count, ..) if count > MAX_TENSORS => ("outputs", count, MAX_TENSORS),
        (.., given, made) if given > made => ("bytes of an item's inputs", given, MAX_AREA_BYTES as usize),
        (.., made) => ("bytes of an item's outputs", made, MAX_AREA_BYTES as usize),
    };
    ImportError::Limit { what, found, limit }
}

/// The algorithms of the convolutions of a model's shape variants.
fn choose(singles: &[Graph], tuner: &mut Tuner, progress: &mut dyn FnMut(f64, &str)) -> Result<Choices, ImportError> {
    let mut layers = Vec::new();
    for graph in singles {
        // One after the other: each has weights of its own once it is fused.
        let mut graph = graph.clone();
        fuse::fuse(&mut graph);
        layers.extend(cpu_f32::layers(&graph)?);
    }
    give_back_freed();
    Ok(tuner.choose(&layers, &mut |share, what| progress(0.1 + 0.4 * share, what))?)
}

/// Shapes whose dimension 0 is `n` where they have a batch; of batch 1 they are as given.
fn of_batch(shapes: &[Vec<usize>], n: usize) -> Vec<Vec<usize>> {
    let batch = |dims: &Vec<usize>| if n == 1 { dims.clone() } else { [&[n], &dims[1..]].concat() };
    shapes.iter().map(batch).collect()
}

/// Why there can be no batches.
fn unbatchable(template: &Graph, variants: &Variants, singles: &[Graph]) -> Option<Unbatchable> {
    let begins_with_batch = |graph: &Graph, id: ValueId| graph.dims(id).first() == Some(&1);
    let batched = |graph: &Graph| graph.outputs.iter().all(|&id| begins_with_batch(graph, id));
    if !variants.batched || !singles.iter().all(batched) {
        return Some(Unbatchable::NoBatch);
    }
    // Each size by itself: a fixed dimension may be what one of them happens to be.
    let sizes = BatchSize::ALL[1..].iter().map(|batch| batch.items());
    let pairs = singles.iter().zip(&variants.shapes).flat_map(|pair| sizes.clone().map(move |n| (pair, n)));
    pairs.into_iter().find_map(|((one, shapes), n)| match batch::shaped(template, &of_batch(shapes, n), n) {
        Ok(many) => batch::check(one, &many, n).err(),
        // What is only too large says nothing of smaller batches.
        Err(error) if error.is_too_large() => None,
        Err(error) => Some(Unbatchable::Refused { batch: n, why: error.to_string() }),
    })
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn share(done: usize, total: usize) -> f64 {
    done as f64 / total as f64
}

/// The tensors of a role, with the shape of one item in each variant: all dimensions if it is `whole`,
/// else those behind the batch.
fn specs(
    variants: &[Graph],
    role: &'static str,
    whole: bool,
    of: impl Fn(&Graph) -> &Vec<ValueId>,
) -> Result<Vec<TensorSpec>, ImportError> {
    let mut specs: Vec<TensorSpec> = Vec::new();
    for graph in variants {
        for (index, &id) in of(graph).iter().enumerate() {
            let value = graph.value(id);
            let wrong = |why| ImportError::Tensor { role, name: value.name.clone(), why };
            let item = if whole { value.dims.as_slice() } else { &value.dims[1..] };
            if item.contains(&0) {
                return Err(wrong(Why::Shape { found: item.to_vec(), wanted: "no dimension of 0" }));
            }
            let dims: Option<Vec<u32>> = item.iter().map(|&dim| u32::try_from(dim).ok()).collect();
            let shape = dims.and_then(|dims| Shape::try_from(dims.as_slice()).ok());
            let too_many = Why::TooLarge { what: "dimensions", found: item.len(), limit: MAX_RANK };
            let shape = shape.ok_or(too_many).map_err(wrong)?;
            match specs.get_mut(index) {
                Some(spec) => spec.shapes.push(shape),
                None => {
                    let kind = value.element.tensor_type();
                    specs.push(TensorSpec { name: value.name.clone(), kind, shapes: vec![shape] });
                }
            }
        }
    }
    Ok(specs)
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;
