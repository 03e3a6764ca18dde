//! Whole models are right: against ONNX Runtime, on every instruction set of the machine, at every
//! batch size, and in what they say of the demo's pictures and lines.

mod reference;
mod rig;

use std::fs;

use kernels::image::InstructionSet;
use runtime::base::BatchSize;
use serde::Deserialize;

use self::reference::{Case, cases, demo, seeded};
use self::rig::Rig;
use crate::vision::{Card, classify, ctc, line, picture};

const SQUEEZENET: &str = "light_squeezenet.onnx";
const RESNET: &str = "light_resnet50.onnx";
const CLASSIFIER: &str = "efficientnet_lite0.onnx";
const READER: &str = "ppocr_v4_rec.onnx";

fn sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| set.is_available())
}

/// The model of some cases, with a shape variant for each shape among them.
fn rig(cases: &[Case]) -> Rig {
    let first = &cases[0];
    let text = |case: &Case| {
        let dims: Vec<String> = case.input.shape.iter().map(usize::to_string).collect();
        format!("{}={}", case.input.name, dims.join("x"))
    };
    let mut shapes: Vec<String> = cases.iter().map(text).collect();
    shapes.sort();
    shapes.dedup();
    Rig::new(&first.model, &shapes, &first.output.name, first.weights_seed)
}

/// Checks all cases of a model with weights of one seed, on every set.
fn agrees(model: &str, weights_seed: Option<u64>) {
    let mut cases = cases(model);
    cases.retain(|case| case.weights_seed == weights_seed);
    let rig = rig(&cases);
    for set in sets() {
        for case in &cases {
            let answer = rig.single(rig.shape(&case.input.shape), set).answer(&case.tensor());
            let off = case.check(&answer, set.name());
            println!("{:<26} {:<8} off by {off:.1e} of the largest", case.case, set.name());
        }
    }
}

/// Checks that each item's answer has the same bits in every batch and at every place tried, on every
/// set, with one compute thread and with two. The last dimension of the input is `width`.
fn batches(model: &str, weights_seed: Option<u64>, width: usize, sizes: &[u8]) {
    let mut cases = cases(model);
    cases.retain(|case| case.weights_seed == weights_seed && case.input.shape[3] == width);
    let rig = rig(&cases);
    let (name, dims) = (&cases[0].input.name, &cases[0].input.shape);
    let most = usize::from(*sizes.iter().max().unwrap());
    let shape = rig.shape(dims);
    let items: Vec<Vec<f32>> = (100u64..).take(most).map(|seed| seeded(seed, name, dims)).collect();
    for set in sets() {
        let mut single = rig.single(shape, set);
        let alone: Vec<Vec<f32>> = items.iter().map(|item| single.answer(item)).collect();
        assert_ne!(alone[0], alone[1], "the items differ");
        for &size in sizes {
            let batch = BatchSize::new(size).unwrap();
            let threads = if size == 4 { 2 } else { 1 };
            // The last items, backwards: each stands at another place than it would by its number.
            let order: Vec<usize> = (0..most).rev().take(batch.items()).collect();
            let given: Vec<&[f32]> = order.iter().map(|&item| items[item].as_slice()).collect();
            let answers = rig.plan(shape, batch, set, threads).answers(&given);
            for (place, (&item, answer)) in order.iter().zip(&answers).enumerate() {
                let same = answer.iter().map(|x| x.to_bits()).eq(alone[item].iter().map(|x| x.to_bits()));
                assert!(same, "{model} {dims:?} on {}: place {place} of batch {size} differs", set.name());
            }
        }
    }
}

#[test]
fn squeezenet_agrees() {
    agrees(SQUEEZENET, Some(1));
    agrees(SQUEEZENET, Some(2));
}

#[test]
fn resnet50_agrees() {
    agrees(RESNET, Some(1));
}

#[test]
fn resnet50_agrees_with_other_weights() {
    agrees(RESNET, Some(2));
}

#[test]
fn the_classifier_agrees() {
    agrees(CLASSIFIER, None);
}

#[test]
fn the_reader_agrees_at_every_width() {
    agrees(READER, None);
}

#[test]
fn squeezenet_is_the_same_in_every_batch() {
    batches(SQUEEZENET, Some(1), 224, &[1, 2, 4, 8, 16]);
}

#[test]
fn resnet50_is_the_same_in_every_batch_tried() {
    batches(RESNET, Some(1), 224, &[2, 8]);
}

#[test]
fn the_classifier_is_the_same_in_every_batch() {
    batches(CLASSIFIER, None, 224, &[1, 2, 4, 8, 16]);
}

#[test]
fn the_reader_is_the_same_in_every_batch_at_its_first_width() {
    batches(READER, None, 320, &[1, 2, 4, 8, 16]);
}

#[test]
fn the_reader_is_the_same_in_every_batch_at_its_second_width() {
    batches(READER, None, 480, &[1, 2, 4, 8, 16]);
}

#[test]
fn the_reader_is_the_same_in_every_batch_at_its_third_width() {
    batches(READER, None, 640, &[1, 2, 4, 8, 16]);
}

#[test]
fn an_import_gives_the_same_bytes_each_time() {
    for (model, weights_seed) in [(SQUEEZENET, Some(2)), (READER, None)] {
        let mut cases = cases(model);
        cases.retain(|case| case.weights_seed == weights_seed);
        let bytes = || {
            let rig = rig(&cases);
            fs::read(&rig.package.path).unwrap()
        };
        assert!(bytes() == bytes(), "{model}");
    }
}

/// A picture or line of the demo and what it really shows.
#[derive(Debug, Deserialize)]
struct Shown {
    file: String,
    kind: String,
    truth: serde_json::Value,
}

fn shown(kind: &str) -> Vec<Shown> {
    let text = fs::read_to_string(demo("inputs/inputs.json")).unwrap();
    let mut shown: Vec<Shown> = serde_json::from_str(&text).unwrap();
    shown.retain(|shown| shown.kind == kind);
    assert!(shown.len() > 5, "there are inputs of kind {kind}");
    shown
}

#[test]
fn the_reader_reads_the_lines_letter_for_letter() {
    let rig = rig(&cases(READER));
    let Card::ReadLine(rules) = Card::read(&demo("cards/ppocr_v4_rec.json")).unwrap() else { panic!("a reader") };
    let mut widths = Vec::new();
    for set in sets() {
        for shown in shown("line") {
            let picture = picture::open(&demo("inputs").join(&shown.file)).unwrap();
            let (shape, line, frame) = line::fitted(&picture, &rules, &rig.package.inputs[0]).unwrap();
            let tensor = frame.floats(&line, rules.planes, rules.normalise);
            let read = ctc::read(&rig.single(shape, set).answer(&tensor), 6625, &rules.dictionary).unwrap();
            assert_eq!(Some(read.text.as_str()), shown.truth.as_str(), "{} on {}", shown.file, set.name());
            widths.push(shape);
        }
    }
    widths.sort_unstable();
    widths.dedup();
    assert_eq!(widths.len(), 3, "the lines need every width");
}

#[test]
fn the_classifier_names_what_the_pictures_show() {
    let rig = rig(&cases(CLASSIFIER));
    let Card::Classify(rules) = Card::read(&demo("cards/efficientnet_lite0.json")).unwrap() else {
        panic!("a classifier")
    };
    for set in sets() {
        for shown in shown("picture") {
            let picture = picture::open(&demo("inputs").join(&shown.file)).unwrap();
            let (shape, square, frame) = picture::fitted(&picture, &rules, &rig.package.inputs[0]).unwrap();
            let tensor = frame.floats(&square, rules.planes, rules.normalise);
            let logits = rig.single(shape, set).answer(&tensor);
            let first = classify::top(&logits, &rules.labels, 1).unwrap().remove(0);
            let right = |class: &serde_json::Value| class["class"].as_u64() == Some(first.class as u64);
            assert!(shown.truth.as_array().unwrap().iter().any(right), "{}: {first:?}", shown.file);
        }
    }
}
