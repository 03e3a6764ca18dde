//! The card of a package: what to do to a picture, and what the numbers that come back mean.

use std::fs;
use std::path::Path;

use runtime::package::Package;
use serde::Deserialize;

use super::error::VisionError;

/// What a model is for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Card {
    /// Says what a picture shows.
    Classify(Classify),
    /// Reads a line of text.
    ReadLine(ReadLine),
}

/// How a resize weighs pixels; widened when shrinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Bilinear.
    Triangle,
    /// Bicubic, a = -0.5.
    CatmullRom,
}

/// Order of the three planes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planes {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// From a byte of a pixel to the number that the model takes: `(x / divide - mean) / scale`, in f32.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalise {
    /// First divisor.
    pub divide: f32,
    /// Subtracted then.
    pub mean: f32,
    /// Second divisor.
    pub scale: f32,
}

impl Normalise {
    /// The number of one byte.
    pub fn of(&self, byte: u8) -> f32 {
        (f32::from(byte) / self.divide - self.mean) / self.scale
    }
}

/// A picture becomes a square: its central part, resized.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classify {
    /// Side of the central square as a share of the shorter side.
    pub crop: f32,
    /// How it is resized.
    pub filter: Filter,
    /// Order of planes.
    pub planes: Planes,
    /// From bytes to numbers.
    pub normalise: Normalise,
    /// Names of the classes.
    pub labels: Vec<String>,
}

/// A line is scaled to the model's height and filled up to the right, at the narrowest width that
/// holds it; a longer one is squeezed into the widest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadLine {
    /// How it is resized.
    pub filter: Filter,
    /// Order of planes.
    pub planes: Planes,
    /// From bytes to numbers.
    pub normalise: Normalise,
    /// Characters by class, from class 1 on; class 0 is blank.
    pub dictionary: Dictionary,
}

/// Characters by class, from class 1 on, written as one string.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Dictionary(pub Vec<char>);

impl From<String> for Dictionary {
    fn from(text: String) -> Dictionary {
        Dictionary(text.chars().collect())
    }
}

impl Card {
    /// The card in a file: JSON text, or a package (`.cwk`) that carries one.
    ///
    /// # Errors
    /// [`VisionError`].
    pub fn read(path: &Path) -> Result<Card, VisionError> {
        let is_package = path.extension().is_some_and(|extension| extension == "cwk");
        let text = if is_package {
            Package::open(path)?.card.as_str().to_owned()
        } else {
            fs::read_to_string(path).map_err(|source| VisionError::Read { path: path.to_owned(), source })?
        };
        Card::parse(&text, path)
    }

    /// The card that `text`, from `path`, is.
    ///
    /// # Errors
    /// [`VisionError::Card`].
    pub fn parse(text: &str, path: &Path) -> Result<Card, VisionError> {
        serde_json::from_str(text).map_err(|source| VisionError::Card { path: path.to_owned(), source })
    }
}
