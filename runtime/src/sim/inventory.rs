//! The models of a run, as each machine wants to know them.

use arrayvec::ArrayVec;

use super::config::{ModelConfig, SimConfig};
use super::device::{DeviceFaults, DeviceModel};
use super::disk::{DiskConfig, DiskModel};
use super::seeded::{Part, Seeded};
use crate::base::limits::MAX_SHAPES;
use crate::base::{BatchSize, ModelId, Nanos, ShapeId};
use crate::gateway::CatalogModel;
use crate::package::plan::Shape;
use crate::package::{Target, TensorSpec, TensorType};
use crate::profile::{Architecture, DeviceKind, PlanSamples, Profile, SizedSample};
use crate::scheduler::{ModelSpec, ShapeSpec};
use crate::worker::config::{SlotClass, SlotClasses};
use crate::worker::{ArchitectureId, ModelInfo, PlanSet};

/// What every device of a run is.
pub(super) const KIND: DeviceKind = DeviceKind(1);
/// What every package of a run is made for.
pub(super) const TARGET: Target = Target::CpuF32;
/// The only shape variant.
pub(super) const SHAPE: ShapeId = ShapeId(0);
/// Samples of each plan that the profile holds.
const SAMPLES: usize = 120;

/// The id of model number `number`: scattered, as digests are.
pub(super) fn model_id(number: usize) -> ModelId {
    ModelId(Seeded::new(number as u64).next_u64())
}

fn spread(bytes: u32) -> [u32; MAX_SHAPES] {
    let mut by_shape = [0; MAX_SHAPES];
    by_shape[usize::from(SHAPE.0)] = bytes;
    by_shape
}

/// A model as the worker's machines know it.
pub(super) fn info(config: &SimConfig, number: usize) -> ModelInfo {
    let model = &config.models[number];
    let mut plans = PlanSet::EMPTY;
    for size in BatchSize::ALL {
        if config.architectures[usize::from(model.architecture)][size.ordinal()].is_some() {
            plans.insert(SHAPE, size);
        }
    }
    ModelInfo {
        id: model_id(number),
        architecture: ArchitectureId(model.architecture),
        pages: model.pages,
        bytes: u64::from(model.pages) * u64::from(config.page_bytes),
        class: 0,
        plans,
        input_bytes: spread(model.input_bytes),
        output_bytes: spread(model.output_bytes),
    }
}

/// The slots of each device: one class, large enough for every model.
pub(super) fn slots(config: &SimConfig) -> SlotClasses {
    let most = |bytes: fn(&ModelConfig) -> u32| config.models.iter().map(bytes).max().unwrap_or(0);
    let mut classes = SlotClasses::default();
    classes[0] = SlotClass {
        count: config.slots,
        input_bytes: most(|model| model.input_bytes),
        output_bytes: most(|model| model.output_bytes),
    };
    classes
}

/// A model as gateways know it.
pub(super) fn catalog(config: &SimConfig, number: usize) -> CatalogModel {
    let model = &config.models[number];
    let tensor = |name: &str, bytes: u32| TensorSpec {
        name: name.to_owned(),
        kind: TensorType::F32,
        shapes: vec![shape(bytes)],
    };
    CatalogModel {
        model: model_id(number),
        name: format!("m{number}"),
        inputs: vec![tensor("input", model.input_bytes)],
        outputs: vec![tensor("output", model.output_bytes)],
    }
}

/// A flat tensor of `f32`.
pub(super) fn shape(bytes: u32) -> Shape {
    let mut shape = Shape::new();
    shape.push(bytes / 4);
    shape
}

/// A model as the scheduler knows it, with what was measured of it before the run.
pub(super) fn spec(config: &SimConfig, number: usize) -> ModelSpec {
    let model = &config.models[number];
    let mut shapes = ArrayVec::new();
    shapes.push(ShapeSpec { input_bytes: model.input_bytes, output_bytes: model.output_bytes });
    ModelSpec {
        model: model_id(number),
        architecture: architecture(model.architecture),
        target: TARGET,
        pages: model.pages,
        shapes,
        profiles: vec![profile(config, model)],
    }
}

fn architecture(number: u16) -> Architecture {
    Architecture(u64::from(number) + 1)
}

/// Measures a model on an undisturbed device and disk of the run's kind.
fn profile(config: &SimConfig, model: &ModelConfig) -> Profile {
    let stream = Seeded::part(config.seed, Part::Profile, u64::from(model.architecture));
    let exec = config.architectures.clone();
    let mut device = DeviceModel::new(config.device, exec, DeviceFaults::default(), stream.clone());
    let disk_config = DiskConfig { fault_rate: 0.0, checksum_rate: 0.0, ..config.disk };
    let mut disk = DiskModel::new(disk_config, config.page_bytes, stream);
    let times = &config.architectures[usize::from(model.architecture)];
    let plans = BatchSize::ALL.into_iter().filter(|size| times[size.ordinal()].is_some()).map(|batch| PlanSamples {
        shape: SHAPE.0,
        batch: batch.get(),
        durations: (0..SAMPLES).map(|_| device.exec(ArchitectureId(model.architecture), batch)).collect(),
        disturbed: 0,
    });
    let plans = plans.collect();
    let sized = |duration| SizedSample { pages: model.pages, duration };
    let sum = |each: &mut dyn FnMut() -> Nanos| (0..model.pages).fold(Nanos::ZERO, |sum, _| sum + each());
    let loads = (0..SAMPLES).map(|_| sized(sum(&mut || device.copy(config.page_bytes)) + device.copy(0))).collect();
    let latency = config.disk.latency;
    let fetches = (0..SAMPLES).map(|_| sized(latency + sum(&mut || disk.transfer(config.page_bytes)))).collect();
    Profile { architecture: architecture(model.architecture), device_kind: KIND, plans, loads, fetches }
}
