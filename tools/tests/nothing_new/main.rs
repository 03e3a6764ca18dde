//! Nothing new on the path: once warm, an INFER neither allocates, nor frees, nor faults on any
//! thread that it passes, from the client's socket through the roles to the compute threads and back.

#[path = "../whole/model.rs"]
#[allow(dead_code, reason = "what is answered is checked elsewhere")]
mod model;
#[allow(dead_code, reason = "the tests write the simplest of models")]
#[path = "../../src/import/onnx.rs"]
mod onnx;
mod serving;

use std::path::Path;

use runtime::host::Parts;
use serving::Serving;

/// Every thread that an INFER passes counts its allocations.
#[global_allocator]
static ALLOCATOR: sys::thread::CountingAllocator = sys::thread::CountingAllocator;

/// The roles of one process, as `serve` starts them.
const ONE: &[Parts] = &[Parts::ALL];
/// Each role with a thread, a ring and sockets of its own.
const THREE: &[Parts] = &[Parts::CONTROLLER, Parts::GATEWAY, Parts::WORKER];

fn demo(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/models").join(name)
}

fn tiny(folder: &Path, seed: u32) -> std::path::PathBuf {
    let path = folder.join(format!("tiny-{seed}.onnx"));
    model::write(&path, seed);
    path
}

#[test]
fn two_small_models_in_one_process() {
    let serving = Serving::new(|folder| vec![(tiny(folder, 1), vec![]), (tiny(folder, 2), vec![])]);
    serving.with(ONE, |load| load.assert_nothing_new(600, 2));
}

#[test]
fn two_small_models_with_a_thread_for_each_role() {
    let serving = Serving::new(|folder| vec![(tiny(folder, 1), vec![]), (tiny(folder, 2), vec![])]);
    serving.with(THREE, |load| load.assert_nothing_new(600, 2));
}

#[test]
fn a_whole_convolutional_network() {
    let random = vec!["--random-weights", "7"];
    let serving = Serving::new(|_| vec![(demo("light_squeezenet.onnx"), random)]);
    serving.with(ONE, |load| load.assert_nothing_new(250, 1));
}

#[test]
fn text_lines_of_several_widths() {
    let widths = vec!["--shape", "x=1x3x48x64", "--shape", "x=1x3x48x128"];
    let serving = Serving::new(|_| vec![(demo("ppocr_v4_rec.onnx"), widths)]);
    serving.with(ONE, |load| load.assert_nothing_new(250, 1));
}

/// Any models: `CLOCKWORK_MODELS="a.onnx; b.onnx --shape x=1x3x48x320"`, one after the other.
#[test]
#[ignore = "of the models that CLOCKWORK_MODELS names"]
fn the_models_that_are_named() {
    let named = std::env::var("CLOCKWORK_MODELS").expect("CLOCKWORK_MODELS names models");
    for model in named.split(';').filter(|model| !model.trim().is_empty()) {
        let mut words = model.split_whitespace();
        let path = words.next().expect("it is not empty").into();
        let serving = Serving::new(|_| vec![(path, words.collect())]);
        serving.with(ONE, |load| load.assert_nothing_new(24, 1));
    }
}
