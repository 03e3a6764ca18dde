//! Any bytes are a model that is imported, or that is refused by name: no panic, no hang, no more memory
//! than the limit. What is imported must pass the check that stands before each launch.
#![no_main]
#![allow(dead_code, missing_docs)]

#[path = "../../src/import/mod.rs"]
mod import;
#[path = "../../src/npy.rs"]
mod npy;
#[path = "../../src/solo.rs"]
mod solo;
#[path = "../change.rs"]
mod change;

use std::collections::HashMap;

use kernels::launch::{CheckedPlan, Spaces};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use prost::Message;
use runtime::package::SlotLayout;

use crate::import::load::{self, Cut};
use crate::import::onnx::ModelProto;
use crate::import::page::WeightImage;
use crate::import::tune::{Settings, Tuner};
use crate::import::{compile, variant};

/// What constants and tables may have here.
const MEMORY: usize = 64 << 20;
/// Bytes of a page here.
const PAGE_BYTES: usize = 2 << 20;

fuzz_target!(|bytes: &[u8]| {
    import(bytes);
});

/// None: refused.
fn import(bytes: &[u8]) -> Option<()> {
    let cut = Cut { outputs: Vec::new(), bound: HashMap::new(), memory: MEMORY };
    let model = load::from_bytes(std::path::Path::new("model.onnx"), bytes.to_vec(), &cut).ok()?;
    let variants = variant::resolve(&model, &[]).ok()?;
    let file = tempfile::tempfile_in("/dev/shm").expect("a temporary file can be made");
    let mut image = WeightImage::new(PAGE_BYTES, file);
    let mut tuner = Tuner::new(&Settings::default());
    let compiled = compile(&model.graph, &variants, None, &mut tuner, &mut image, &mut |_, _| {}).ok()?;
    for plan in &compiled.plans {
        let layout = SlotLayout::new(&compiled.inputs, &compiled.outputs, plan.shape)?;
        let spaces = Spaces {
            weight_pages: u32::try_from(image.pages()).expect("few pages"),
            page_bytes: u32::try_from(PAGE_BYTES).expect("a small page"),
            input_bytes: layout.inputs.bytes,
            output_bytes: layout.outputs.bytes,
            workspace_bytes: plan.workspace_bytes,
            batch: u32::from(plan.batch.get()),
        };
        if let Err(error) = CheckedPlan::new(&plan.launches, spaces) {
            panic!("a plan was made that no device would run: {error}");
        }
    }
    Some(())
}

// Mostly what a model says is changed, not how it is written down: the bytes are those of a message again.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut change = change::Random::new(seed);
    let model = (change.below(8) != 0).then(|| ModelProto::decode(&data[..size]).ok()).flatten();
    let Some(mut model) = model else { return fuzzer_mutate(data, size, max_size) };
    for _ in 0..=change.below(3) {
        change.alter(&mut model);
    }
    let bytes = model.encode_to_vec();
    if bytes.len() > max_size.min(data.len()) {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
});
