//! The batch proven by running: what items give together is, bit for bit, what each gives alone.
//!
//! Shapes say that no value mixes the items of a batch; they can't say that no *number* depends on
//! how many there are. So two random items are run, each alone on one compute thread, and both in the
//! smallest batch on as many as the model will have: where a bit changes, the model has no batches.

use std::fmt;
use std::time::{Duration, Instant};

use kernels::image::InstructionSet;
use runtime::base::{BatchSize, ShapeId};
use runtime::package::slot::{Area, Field};
use runtime::package::{Package, PackageError, TensorType};
use sys::cpu::CpuConfig;
use thiserror::Error;

use super::random::uniform;
use crate::solo::{Cut, Solo, SoloError};

/// No shape variant is begun later than this.
const BUDGET: Duration = Duration::from_secs(60);
/// Different items in a batch.
const ITEMS: usize = 2;

/// What was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Shape variants whose batch was run.
    pub variants: usize,
    /// Shape variants that have one; the rest was left out for time.
    pub of: usize,
}

/// What running the batch showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No bit changed; none if there are no batches.
    Holds(Option<Proof>),
    /// Items give something else together than alone.
    Differs(Difference),
}

/// The first output, place and element of a batch whose bits are not those of the item alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The output.
    pub output: String,
    /// Shape variant.
    pub shape: u8,
    /// Items of the batch.
    pub batch: usize,
    /// The item's place in it, from 0.
    pub place: usize,
    /// The element within the item, row-major, from 0.
    pub element: usize,
    /// What it is alone.
    pub alone: String,
    /// What it is in the batch.
    pub together: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { output, shape, batch, place, element, alone, together } = self;
        write!(
            f,
            "output `{output}` depends on the batch: with random inputs its element {element} is {alone} where "
        )?;
        write!(f, "an item runs alone, and {together} at place {place} of a batch of {batch} (shape variant {shape})")
    }
}

/// Why the batch can't be run.
#[derive(Debug, Error)]
pub enum ProofError {
    /// The package can't be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A plan can't be run.
    #[error("the batch can't be proven by running it: {0}")]
    Solo(#[from] SoloError),
}

/// Runs the smallest batch of each shape variant, on `threads` compute threads, beside its items alone. `progress` is
/// told the share that is done.
///
/// # Errors
/// [`ProofError`]: a plan can't be run.
pub fn prove(package: &Package, threads: usize, progress: &mut dyn FnMut(f64)) -> Result<Verdict, ProofError> {
    let variants = (0u8..).map(ShapeId).take(package.shape_variants());
    let batched: Vec<(ShapeId, BatchSize)> =
        variants.filter_map(|shape| Some((shape, smallest_batch(package, shape)?))).collect();
    let begin = Instant::now();
    let mut proof = Proof { variants: 0, of: batched.len() };
    for &(shape, batch) in &batched {
        if proof.variants > 0 && begin.elapsed() > BUDGET {
            break;
        }
        #[expect(clippy::cast_precision_loss, reason = "shown to people")]
        progress(proof.variants as f64 / batched.len() as f64);
        if let Some(difference) = variant(package, shape, batch, threads)? {
            return Ok(Verdict::Differs(difference));
        }
        proof.variants += 1;
    }
    Ok(Verdict::Holds((proof.of > 0).then_some(proof)))
}

fn smallest_batch(package: &Package, shape: ShapeId) -> Option<BatchSize> {
    BatchSize::ALL[1..].iter().copied().find(|&batch| package.plan(shape, batch).is_some())
}

/// How items of a shape variant differ in that batch from what they give alone, if they do.
fn variant(
    package: &Package,
    shape: ShapeId,
    batch: BatchSize,
    threads: usize,
) -> Result<Option<Difference>, ProofError> {
    let mut alone = load(package, shape, BatchSize::ONE, 1)?;
    let layout = alone.layout().clone();
    let kinds: Vec<TensorType> = package.inputs.iter().map(|input| input.kind).collect();
    let items: Vec<Vec<u8>> = (1u64..).take(ITEMS).map(|seed| item(seed, &kinds, &layout.inputs)).collect();
    let mut wanted = Vec::with_capacity(ITEMS);
    for item in &items {
        wanted.push(outputs(&mut alone, item)?);
    }
    // Its weights need not lie in memory twice.
    drop(alone);
    let order = (0..batch.items()).map(|place| place % ITEMS);
    let areas: Vec<u8> = order.clone().flat_map(|item| items[item].iter().copied()).collect();
    let together = outputs(&mut load(package, shape, batch, threads)?, &areas)?;
    let area = layout.outputs.bytes as usize;
    for (place, item) in order.enumerate() {
        let found = &together[place * area..][..area];
        for (output, field) in package.outputs.iter().zip(&layout.outputs.fields) {
            let [alone, together] = [wanted[item].as_slice(), found].map(|area| of_field(area, *field));
            let Some(element) = first_difference(alone, together, output.kind) else { continue };
            return Ok(Some(Difference {
                output: output.name.clone(),
                shape: shape.0,
                batch: batch.items(),
                place,
                element,
                alone: shown(alone, element, output.kind),
                together: shown(together, element, output.kind),
            }));
        }
    }
    Ok(None)
}

fn load(package: &Package, shape: ShapeId, batch: BatchSize, threads: usize) -> Result<Solo, SoloError> {
    // A model that fits no device of the usual size is proven all the same.
    let config = CpuConfig { compute_threads: threads, device_memory_bytes: usize::MAX, ..CpuConfig::default() };
    Solo::load_on(package, shape, batch, InstructionSet::best(), &config, Cut::Whole)
}

fn outputs(solo: &mut Solo, areas: &[u8]) -> Result<Vec<u8>, SoloError> {
    solo.write_inputs(areas)?;
    solo.run()?;
    solo.read_outputs()
}

/// A random item. Whole numbers are 0 and 1, which are flags, kinds and masks as well as indices; bytes are any.
fn item(seed: u64, kinds: &[TensorType], area: &Area) -> Vec<u8> {
    let mut bytes = vec![0; area.bytes as usize];
    for (index, (kind, field)) in kinds.iter().zip(&area.fields).enumerate() {
        let numbers = uniform(seed, &format!("item {index}"), field.bytes as usize / kind.bytes(), 1.0);
        let slots = bytes[field.offset as usize..][..field.bytes as usize].chunks_exact_mut(kind.bytes());
        for (slot, number) in slots.zip(numbers) {
            let one = u8::from(number >= 0.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to below 256")]
            match kind {
                TensorType::F32 => slot.copy_from_slice(&number.to_le_bytes()),
                TensorType::U8 => slot[0] = ((number + 1.0) * 128.0) as u8,
                // Little-endian: the lowest byte comes first. No input of this target is a float of 16 bits.
                TensorType::Bool | TensorType::I32 | TensorType::I64 | TensorType::F16 => slot[0] = one,
            }
        }
    }
    bytes
}

fn of_field(area: &[u8], field: Field) -> &[u8] {
    &area[field.offset as usize..][..field.bytes as usize]
}

fn first_difference(alone: &[u8], together: &[u8], kind: TensorType) -> Option<usize> {
    let mut pairs = alone.chunks_exact(kind.bytes()).zip(together.chunks_exact(kind.bytes()));
    pairs.position(|(alone, together)| alone != together)
}

/// One element as text; floats with the digits that tell them apart.
fn shown(bytes: &[u8], element: usize, kind: TensorType) -> String {
    let bytes = &bytes[element * kind.bytes()..][..kind.bytes()];
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let [low, high] = bytemuck::cast::<[u8; 8], [u32; 2]>(word);
    match kind {
        TensorType::F32 if f32::from_bits(low).is_nan() => format!("NaN ({low:#010x})"),
        TensorType::F32 => format!("{:?}", f32::from_bits(low)),
        TensorType::I32 => low.cast_signed().to_string(),
        TensorType::I64 => (u64::from(high) << 32 | u64::from(low)).cast_signed().to_string(),
        TensorType::U8 | TensorType::Bool | TensorType::F16 => low.to_string(),
    }
}
