//! What a client does to a picture before a model, and to the model's output after: all of it from
//! the package's card, none of it in the server.

pub mod card;
pub mod classify;
pub mod ctc;
pub mod error;
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
    if input.kind != TensorType::F32 {
        return Err(VisionError::ElementType { model: model.name.to_string(), kind: input.kind });
    }
    let picture = picture::open(path)?;
    let (shape, tensor) = match card {
        Card::Classify(rules) => picture::tensor(&picture, rules, input)?,
        Card::ReadLine(rules) => line::tensor(&picture, rules, input)?,
    };
    let input = tensor.into_iter().flat_map(f32::to_le_bytes).collect();
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
