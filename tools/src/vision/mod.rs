//! What a client does to a picture before a model, and to the model's output after: all of it from
//! the package's card, none of it in the server.

pub mod card;
pub mod classify;
pub mod ctc;
pub mod error;
pub mod frame;
pub mod line;
pub mod picture;

pub use card::Card;
pub use error::VisionError;

use std::path::Path;

use runtime::base::ShapeId;
use runtime::package::TensorType;
use runtime::wire::ModelEntry;

/// A picture as a model's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The shape variant that it was made for.
    pub shape: ShapeId,
    /// Elements of the one input, little-endian.
    pub input: Vec<u8>,
}

/// What a model said of a picture, in words.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The likeliest classes with their shares, likeliest first.
    Classes(Vec<classify::Class>),
    /// The text of a line.
    Text(ctc::Line),
}

/// Reads the picture at `path` and makes it the input of `model`.
///
/// # Errors
/// [`VisionError`].
pub fn prepare(card: &Card, model: &ModelEntry, path: &Path) -> Result<Prepared, VisionError> {
    let (Some(input), 1) = (model.inputs.first(), model.inputs.len()) else {
        return Err(VisionError::Inputs { model: model.name.to_string(), inputs: model.inputs.len() });
    };
    let picture = picture::open(path)?;
    let ((shape, picture, frame), planes, normalise) = match card {
        Card::Classify(rules) => (picture::fitted(&picture, rules, input)?, rules.planes, rules.normalise),
        Card::ReadLine(rules) => (line::fitted(&picture, rules, input)?, rules.planes, rules.normalise),
    };
    let input = match input.kind {
        TensorType::F32 => frame.floats(&picture, planes, normalise).into_iter().flat_map(f32::to_le_bytes).collect(),
        TensorType::U8 => frame.bytes(&picture, planes, normalise),
        kind => return Err(VisionError::ElementType { model: model.name.to_string(), kind }),
    };
    Ok(Prepared { shape, input })
}

/// What the first output of `model` means: the `top` likeliest classes, or a line's text.
///
/// # Errors
/// [`VisionError`] if the output does not fit the card.
pub fn interpret(
    card: &Card,
    model: &ModelEntry,
    shape: ShapeId,
    outputs: &[Vec<u8>],
    top: usize,
) -> Result<Said, VisionError> {
    let (Some(spec), Some(bytes)) = (model.outputs.first(), outputs.first()) else {
        return Err(VisionError::NoOutput { model: model.name.to_string() });
    };
    if spec.kind != TensorType::F32 {
        return Err(VisionError::ElementType { model: model.name.to_string(), kind: spec.kind });
    }
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(match card {
        Card::Classify(rules) => Said::Classes(classify::top(&values, &rules.labels, top)?),
        Card::ReadLine(rules) => {
            let classes = spec.shapes.get(usize::from(shape.0)).and_then(|dims| dims.last()).copied().unwrap_or(0);
            Said::Text(ctc::read(&values, classes as usize, &rules.dictionary)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::imageops;
    use std::fs;
    use std::path::PathBuf;

    fn demo(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(path)
    }

    fn card(name: &str) -> Card {
        Card::read(&demo("cards").join(name)).unwrap()
    }

    /// Largest and mean difference of two pictures' bytes.
    fn difference(one: &image::RgbImage, other: &image::RgbImage) -> (u8, f64) {
        assert_eq!(one.dimensions(), other.dimensions());
        let differences = one.as_raw().iter().zip(other.as_raw()).map(|(a, b)| a.abs_diff(*b));
        let count = u32::try_from(one.as_raw().len()).unwrap();
        (differences.clone().max().unwrap(), differences.map(f64::from).sum::<f64>() / f64::from(count))
    }

    #[test]
    fn pictures_are_resized_as_the_reference_did() {
        let Card::Classify(rules) = card("efficientnet_lite0.json") else { panic!("a classifier") };
        for name in ["cat", "goldfish"] {
            let picture = picture::open(&demo(&format!("inputs/{name}.png"))).unwrap();
            let square = picture::centre(&picture, rules.crop);
            let ours = imageops::resize(&square, 224, 224, picture::filter(rules.filter));
            let reference = picture::open(&demo(&format!("reference/picture-{name}.png"))).unwrap();
            let (most, mean) = difference(&ours, &reference);
            assert!(most <= 2 && mean < 0.3, "{name}: at most {most}, {mean} on average");
        }
    }

    #[test]
    fn lines_are_scaled_as_the_reference_did() {
        let Card::ReadLine(rules) = card("ppocr_v4_rec.json") else { panic!("a reader") };
        for name in ["title", "promise"] {
            let picture = picture::open(&demo(&format!("inputs/line-{name}.png"))).unwrap();
            let reference = picture::open(&demo(&format!("reference/line-{name}.png"))).unwrap();
            let ours = imageops::resize(&picture, reference.width(), 48, picture::filter(rules.filter));
            let (most, mean) = difference(&ours, &reference);
            assert!(most <= 2 && mean < 0.3, "{name}: at most {most}, {mean} on average");
        }
    }

    #[test]
    fn cards_name_the_classes_of_their_models() {
        let text = |path| fs::read_to_string(demo(path)).unwrap();
        let Card::Classify(classify) = card("efficientnet_lite0.json") else { panic!("a classifier") };
        assert_eq!(classify.labels, text("inputs/imagenet_labels.txt").lines().collect::<Vec<_>>());
        let Card::ReadLine(read) = card("ppocr_v4_rec.json") else { panic!("a reader") };
        let mut keys: Vec<char> = text("models/ppocr_v4_keys.txt").lines().flat_map(str::chars).collect();
        keys.push(' ');
        assert_eq!(read.dictionary.0, keys);
        assert_eq!(keys.len() + 1, 6625);
    }
}
