//! Why a picture is no input, or an output no answer.

use std::io;
use std::path::PathBuf;

use runtime::package::{PackageError, TensorSpec, TensorType};
use thiserror::Error;

/// Why a picture is no input, or an output no answer.
#[derive(Debug, Error)]
pub enum VisionError {
    /// A file can't be read.
    #[error("{path}: can't read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no PNG or JPEG picture.
    #[error("{path}: not a picture (PNG or JPEG): {source}")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: image::ImageError,
    },
    /// A picture larger than is taken.
    #[error("{path}: too large: sides from 1 to {limit} are taken")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest side.
        limit: u32,
    },
    /// A picture without pixels.
    #[error("{path}: a picture of {width}x{height}; sides from 1 to {limit} are taken")]
    Size {
        /// The file.
        path: PathBuf,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// The largest side.
        limit: u32,
    },
    /// A package that can't be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A card that says nothing of pictures.
    #[error("{path}: its card says nothing that can be used for pictures: {source}")]
    Card {
        /// The card's file, or its package.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A model that takes something else than one tensor.
    #[error("model `{model}` takes {inputs} inputs; a picture is one: give each as .npy")]
    Inputs {
        /// The model.
        model: String,
        /// How many it takes.
        inputs: usize,
    },
    /// A model whose elements are of another type than pictures or answers.
    #[error("model `{model}` has elements of type {kind}; pictures are given as f32 or u8, answers read as f32")]
    ElementType {
        /// The model.
        model: String,
        /// The type.
        kind: TensorType,
    },
    /// The model's input is no picture of the card's kind.
    #[error("input `{tensor}` has shapes {shapes:?}, the card makes pictures of {wanted}")]
    Shape {
        /// The input.
        tensor: String,
        /// Its shapes.
        shapes: Vec<Vec<u32>>,
        /// What the card makes.
        wanted: &'static str,
    },
    /// A model without outputs.
    #[error("model `{model}` has no output")]
    NoOutput {
        /// The model.
        model: String,
    },
    /// Another number of classes than names for them.
    #[error("the output has {found} classes, the card names {wanted}")]
    Classes {
        /// Classes of the output.
        found: usize,
        /// Names in the card.
        wanted: usize,
    },
}

impl VisionError {
    /// An input that is none for pictures.
    pub fn shape(input: &TensorSpec, wanted: &'static str) -> VisionError {
        let shapes = input.shapes.iter().map(|dims| dims.to_vec()).collect();
        VisionError::Shape { tensor: input.name.clone(), shapes, wanted }
    }
}
