//! What ONNX Runtime answers to what, as `tools/models/reference.py` wrote it down.

use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::Deserialize;

use crate::import::random;
use crate::npy::Array;
use crate::vision::frame::Frame;
use crate::vision::{Card, picture};

/// One entry of the manifest.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub case: String,
    /// File of the model.
    pub model: String,
    /// Seed of the weights, where the model has none of its own.
    pub weights_seed: Option<u64>,
    /// What is fed.
    pub input: Input,
    /// Where the graph is cut.
    pub output: Output,
    /// The sampled answer.
    file: String,
    /// The sample is each so manieth element.
    stride: usize,
    /// max|ref| over all elements.
    max_abs: f32,
}

/// The tensor that is fed.
#[derive(Clone, Debug, Deserialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its shape, batch 1 first.
    pub shape: Vec<usize>,
    /// How it is made.
    #[serde(flatten)]
    rule: Rule,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase")]
enum Rule {
    Seeded { seed: u64 },
    Picture { file: String },
    Line { file: String },
}

/// The tensor that is asked for.
#[derive(Clone, Debug, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    shape: Vec<usize>,
}

/// A file of the demo.
pub fn demo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(path)
}

/// The cases of a model.
pub fn cases(model: &str) -> Vec<Case> {
    let text = fs::read_to_string(demo("reference/manifest.json")).unwrap();
    let mut cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    cases.retain(|case| case.model == model);
    cases
}

/// The `seeded` rule: half tiles of 32x32 pixels of one value each, half noise.
pub fn seeded(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    const TILE: usize = 32;
    let [1, channels, height, width] = *shape else { panic!("one picture, not {shape:?}") };
    let (down, across) = (height.div_ceil(TILE), width.div_ceil(TILE));
    let tiles = random::uniform(seed, &format!("{name}:tiles"), channels * down * across, 1.0);
    let mut tensor = random::uniform(seed, &format!("{name}:noise"), channels * height * width, 1.0);
    for (index, value) in tensor.iter_mut().enumerate() {
        let (channel, row, column) = (index / width / height, index / width % height, index % width);
        *value = 0.5 * tiles[(channel * down + row / TILE) * across + column / TILE] + 0.5 * *value;
    }
    tensor
}

impl Case {
    /// The tensor that is fed.
    pub fn tensor(&self) -> Vec<f32> {
        let reference = |file: &str| -> RgbImage { picture::open(&demo("reference").join(file)).unwrap() };
        let side = |index: usize| u32::try_from(self.input.shape[index]).unwrap();
        let frame = Frame { height: side(2), width: side(3), interleaved: false };
        match (&self.input.rule, &card(&self.input.rule)) {
            (Rule::Picture { file }, Card::Classify(rules)) => {
                frame.floats(&reference(file), rules.planes, rules.normalise)
            }
            (Rule::Line { file }, Card::ReadLine(rules)) => {
                frame.floats(&reference(file), rules.planes, rules.normalise)
            }
            (Rule::Seeded { seed }, _) => seeded(*seed, &self.input.name, &self.input.shape),
            _ => panic!("{}: a rule of another task than its card", self.case),
        }
    }

    /// Checks an answer: max|a-b| <= 1e-3 max|ref|. Returns what is left of it, as a share of max|ref|.
    #[track_caller]
    pub fn check(&self, answer: &[f32], how: &str) -> f32 {
        assert_eq!(answer.len(), self.output.shape.iter().product::<usize>(), "{}", self.case);
        let reference = Array::read(&demo("reference").join(&self.file)).unwrap();
        let reference: Vec<f32> = reference.data.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        assert_eq!(reference.len(), answer.len().div_ceil(self.stride), "{}: the sample is whole", self.case);
        let differences = answer.iter().step_by(self.stride).zip(&reference).map(|(a, b)| (a - b).abs());
        // `max` would pass over a NaN.
        let worst = differences.fold(0.0f32, |most, one| if one > most || one.is_nan() { one } else { most });
        let largest = answer.iter().fold(0.0f32, |most, one| most.max(one.abs()));
        let near = |found: f32| found <= 1e-3 * self.max_abs;
        assert!(near(worst), "{} on {how}: off by {worst} where the largest is {}", self.case, self.max_abs);
        assert!(near((largest - self.max_abs).abs()), "{} on {how}: largest {largest}", self.case);
        worst / self.max_abs
    }
}

fn card(rule: &Rule) -> Card {
    let file = if matches!(rule, Rule::Line { .. }) { "ppocr_v4_rec.json" } else { "efficientnet_lite0.json" };
    Card::read(&demo("cards").join(file)).unwrap()
}
