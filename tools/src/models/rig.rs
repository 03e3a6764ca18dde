//! A model as the importer makes it, run plan by plan.

use kernels::image::InstructionSet;
use runtime::base::{BatchSize, ShapeId};
use runtime::package::Package;
use tempfile::TempDir;

use super::reference::demo;
use crate::import::{Options, import};
use crate::solo::{Cut, Solo};

/// An imported model. Its package ends with the value.
pub struct Rig {
    pub package: Package,
    _folder: TempDir,
}

impl Rig {
    /// Imports a model of the demo, cut at `output`.
    pub fn new(model: &str, shapes: &[String], output: &str, random_weights: Option<u64>) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            model: demo("models").join(model),
            package: folder.path().join("model.cwk"),
            shapes: shapes.to_vec(),
            outputs: vec![output.to_owned()],
            random_weights,
            ..Options::default()
        };
        let report = import(&options, &mut |_, _| {}).unwrap();
        assert!(report.unbatchable.is_none(), "{model} has plans for every batch size");
        Rig { package: Package::open(&options.package).unwrap(), _folder: folder }
    }

    /// The shape variant of an input with these dimensions, batch 1 first.
    pub fn shape(&self, dims: &[usize]) -> ShapeId {
        let same = |shape: &[u32]| shape.iter().map(|&dim| dim as usize).eq(dims[1..].iter().copied());
        let index = self.package.inputs[0].shapes.iter().position(|shape| same(shape));
        ShapeId(u8::try_from(index.expect("a shape of the model")).unwrap())
    }

    /// The plan of a batch size, loaded.
    pub fn plan(&self, shape: ShapeId, batch: BatchSize, set: InstructionSet, threads: usize) -> Running {
        Running { solo: Solo::load(&self.package, shape, batch, set, threads, Cut::Whole).unwrap(), batch }
    }

    /// The plan of batch 1, loaded.
    pub fn single(&self, shape: ShapeId, set: InstructionSet) -> Running {
        self.plan(shape, BatchSize::ALL[0], set, 1)
    }
}

/// A loaded plan.
pub struct Running {
    solo: Solo,
    batch: BatchSize,
}

impl Running {
    /// The answers to as many items as the plan holds.
    pub fn answers(&mut self, items: &[&[f32]]) -> Vec<Vec<f32>> {
        assert_eq!(items.len(), self.batch.items());
        let (inputs, outputs) = (self.solo.layout().inputs.clone(), self.solo.layout().outputs.clone());
        let mut areas = vec![0; inputs.bytes as usize * items.len()];
        let input = &inputs.fields[0];
        for (area, item) in areas.chunks_exact_mut(inputs.bytes as usize).zip(items) {
            area[input.offset as usize..][..input.bytes as usize].copy_from_slice(bytemuck::cast_slice(item));
        }
        self.solo.write_inputs(&areas).unwrap();
        self.solo.run().unwrap();
        let output = &outputs.fields[0];
        let floats = |area: &[u8]| {
            let bytes = &area[output.offset as usize..][..output.bytes as usize];
            bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
        };
        self.solo.read_outputs().unwrap().chunks_exact(outputs.bytes as usize).map(floats).collect()
    }

    /// The answer to one item, from a plan of batch 1.
    pub fn answer(&mut self, item: &[f32]) -> Vec<f32> {
        self.answers(&[item]).remove(0)
    }
}
