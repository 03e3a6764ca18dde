//! What a layer takes on this machine, each algorithm in turn.
//!
//! As in a plan the input was written just before, and the weights are used once and then not until
//! the next run: a sweep over more memory than any cache holds comes before each.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, io};

use kernels::image::InstructionSet;
use kernels::launch::Launch;
use kernels::layout::Packed;
use kernels::operand::{Operand, Space};
use kernels::params::{Activation, Conv, Enter, LANES, Leave, Unary, Winograd, blocks_of};
use runtime::base::limits::CPU_PAGE_BYTES;
use runtime::base::{BatchSize, ShapeId};
use runtime::package::{
    Card, Contents, Labels, Package, PackageError, PackageWriter, Plan, Shape, Target, TensorSpec, TensorType,
};
use sys::cpu::CpuConfig;
use thiserror::Error;

use super::layer::{Algorithm, Layer};
use super::table::Times;
use crate::import::error::Why;
use crate::import::page::{Extent, Key, WeightImage, number};
use crate::solo::{Cut, Solo, SoloError};

/// Elements that a sweep touches: twice what the third cache of a large processor holds for one core.
const SWEEP: u32 = 16 << 20;
/// Time for one layer.
const BUDGET: Duration = Duration::from_millis(500);
/// Fewest counted runs.
const LEAST_RUNS: usize = 7;
/// How long an engine waits for the next launch before it sleeps.
const AWAKE_NS: u64 = 100_000_000;

/// Why a layer can't be measured.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// Its weights or images are too large.
    #[error(transparent)]
    Layer(#[from] Why),
    /// The package of the measurement can't be written or read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It can't be run.
    #[error(transparent)]
    Solo(#[from] SoloError),
    /// There is no room for its package.
    #[error("{folder}: can't keep a layer in a temporary file: {source}")]
    Scratch {
        /// Where it should be.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl MeasureError {
    fn scratch(source: io::Error) -> MeasureError {
        MeasureError::Scratch { folder: env::temp_dir(), source }
    }
}

/// Median times of `layer`, one item on so many compute threads.
///
/// # Errors
/// [`MeasureError`].
pub fn measure(layer: &Layer, threads: usize) -> Result<Times, MeasureError> {
    let algorithms: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(|&one| layer.allows(one)).collect();
    let folder = tempfile::tempdir().map_err(MeasureError::scratch)?;
    let path = folder.path().join("layer.cwk");
    write(layer, &algorithms, &path)?;
    let package = Package::open(&path)?;
    let config = CpuConfig { compute_threads: threads, spin_ns: AWAKE_NS, ..CpuConfig::default() };
    let set = InstructionSet::best();
    let mut solo = Solo::load_on(&package, ShapeId(0), BatchSize::ONE, set, &config, Cut::EachLaunch)?;
    let mut samples: Vec<Vec<u64>> = vec![Vec::new(); algorithms.len()];
    solo.run()?;
    let begin = Instant::now();
    while samples[0].len() < LEAST_RUNS || begin.elapsed() < BUDGET {
        solo.run_parts(|launch, elapsed| {
            if let (Some(known), 2) = (samples.get_mut(launch / STEPS), launch % STEPS) {
                known.push(elapsed);
            }
        })?;
    }
    let mut median = |algorithm| {
        let index = algorithms.iter().position(|&one| one == algorithm)?;
        samples[index].sort_unstable();
        Some(samples[index][samples[index].len() / 2])
    };
    let direct = median(Algorithm::Direct).unwrap_or(u64::MAX);
    Ok(Times { direct, patches_2: median(Algorithm::Patches(2)), patches_4: median(Algorithm::Patches(4)) })
}

/// Launches for each algorithm: the sweep, the input, the layer.
const STEPS: usize = 3;

/// Writes a package whose one plan runs the layer by each algorithm.
fn write(layer: &Layer, algorithms: &[Algorithm], path: &std::path::Path) -> Result<(), MeasureError> {
    let mut image = WeightImage::new(CPU_PAGE_BYTES, tempfile::tempfile().map_err(MeasureError::scratch)?);
    let block = layer.block();
    let (in_hw, out_hw) = (block.in_h * block.in_w, block.out_h * block.out_w);
    let channels = block.in_channels * block.groups;
    let bytes = |blocks: u32, hw: u32| number(blocks as usize * hw as usize * LANES as usize * 4, "bytes of an image");
    let (x_bytes, y_bytes) = (bytes(block.x_blocks, in_hw)?, bytes(block.y_blocks, out_hw)?);
    let at = |offset| Operand::contiguous(Space::Workspace, 0, offset);
    let [x, y, sweep] = [at(0), at(x_bytes), at(x_bytes + y_bytes)];
    let slot = |space: Space| Operand { space: space as u32, page: 0, offset: 0, rows_per_page: 1 };
    let mut launches = Vec::new();
    for (key, &algorithm) in (0u8..).zip(algorithms) {
        let (activation, len) = (Activation::RELU, SWEEP);
        launches.push(Launch::of(&Unary {
            x: sweep,
            y: sweep,
            rows: 1,
            len,
            x_stride: len,
            y_stride: len,
            activation,
        }));
        launches.push(Launch::of(&Enter {
            x: slot(Space::Input),
            y: x,
            n: 1,
            channels,
            hw: in_hw,
            blocks: block.x_blocks,
        }));
        let bias = zeros(&mut image, [u8::MAX; 32], 1, blocks_of(block.out_channels) * LANES)?;
        let block = Conv { x, y, bias, activation, ..block };
        launches.push(candidate(&mut image, &block, algorithm, [key; 32])?);
    }
    launches.push(Launch::of(&Leave {
        x: y,
        y: slot(Space::Output),
        n: 1,
        channels: block.out_channels,
        hw: out_hw,
        blocks: block.y_blocks,
    }));
    let workspace_bytes = x_bytes + y_bytes + SWEEP * 4;
    let plan = Plan { shape: ShapeId(0), batch: BatchSize::ONE, workspace_bytes, launches };
    let contents = Contents {
        name: layer.to_string(),
        target: Target::CpuF32,
        page_bytes: number(CPU_PAGE_BYTES, "bytes of a page")?,
        inputs: tensor("x", &[channels, block.in_h, block.in_w]),
        outputs: tensor("y", &[block.out_channels, block.out_h, block.out_w]),
        plans: vec![plan],
        labels: Labels::default(),
        card: Card::default(),
        page_count: number(image.pages(), "pages")?,
    };
    let mut writer = PackageWriter::create(path, contents)?;
    let mut bytes = vec![0; CPU_PAGE_BYTES];
    for page in 0..image.pages() {
        image.read_page(page, &mut bytes).map_err(MeasureError::scratch)?;
        writer.push_page(&bytes)?;
    }
    writer.finish()?;
    Ok(())
}

fn tensor(name: &str, dims: &[u32]) -> Vec<TensorSpec> {
    let shapes = Shape::try_from(dims).into_iter().collect();
    vec![TensorSpec { name: name.to_owned(), kind: TensorType::F32, shapes }]
}

/// Zeros in the image: how long products take does not depend on their values.
fn zeros(image: &mut WeightImage, key: Key, rows: u32, row: u32) -> Result<Operand, Why> {
    let extent = Extent { rows: rows as usize, row: row as usize };
    image.place(key, extent, || Packed { rows, row_bytes: row * 4, data: vec![0.0; extent.rows * extent.row] })
}

/// The launch of one algorithm, its weights in the image.
fn candidate(image: &mut WeightImage, block: &Conv, algorithm: Algorithm, key: Key) -> Result<Launch, MeasureError> {
    let blocks = blocks_of(block.out_channels);
    let by_patches = match algorithm {
        Algorithm::Direct => None,
        Algorithm::Patches(patch) => Winograd::of(block, patch),
    };
    Ok(match by_patches {
        None => {
            let weights = zeros(image, key, block.grouping().rows(), block.weights_row())?;
            Launch::of(&Conv { weights, ..*block })
        }
        Some(winograd) => {
            let rows = blocks * winograd.side() * winograd.side();
            let weights = zeros(image, key, rows, winograd.weights_row())?;
            Launch::of(&Winograd { weights, ..winograd })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_of_a_layer_is_run_and_timed() {
        let layer = Layer { in_channels: 32, out_channels: 48, groups: 1, input: [9, 9], output: [9, 9], pads: [1, 1] };
        for threads in [1, 2] {
            let times = measure(&layer, threads).unwrap();
            assert!(times.direct > 0 && times.patches_2 > Some(0) && times.patches_4 > Some(0), "{times:?}");
        }
        assert!(matches!(measure(&layer, 0), Err(MeasureError::Solo(_))));
    }
}
