//! A picture as the square that a classifier looks at.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{ImageError, RgbImage};
use runtime::base::ShapeId;
use runtime::package::TensorSpec;

use super::card::{Classify, Filter};
use super::error::VisionError;
use super::frame::Frame;

/// Longest side of a picture that is taken.
const MAX_SIDE: u32 = 16_384;

/// The picture at `path` as RGB bytes.
///
/// # Errors
/// [`VisionError`] if it can't be read, is none, or is too large.
pub fn open(path: &Path) -> Result<RgbImage, VisionError> {
    let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format);
    let mut reader = reader.map_err(|source| VisionError::Read { path: path.to_owned(), source })?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    reader.limits(limits);
    let decoded = reader.decode().map_err(|source| match source {
        ImageError::Limits(_) => VisionError::TooLarge { path: path.to_owned(), limit: MAX_SIDE },
        source => VisionError::Picture { path: path.to_owned(), source },
    })?;
    let picture = decoded.into_rgb8();
    let (width, height) = picture.dimensions();
    if width == 0 || height == 0 {
        return Err(VisionError::Size { path: path.to_owned(), width, height, limit: MAX_SIDE });
    }
    Ok(picture)
}

/// The filter of the crate that resizes.
pub fn filter(filter: Filter) -> FilterType {
    match filter {
        Filter::Triangle => FilterType::Triangle,
        Filter::CatmullRom => FilterType::CatmullRom,
    }
}

/// The central square of a picture: side `crop` times the shorter side, rounded to the nearest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sides are below MAX_SIDE, so an f32 holds them exactly"
)]
pub fn centre(picture: &RgbImage, crop: f32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let shorter = width.min(height);
    let side = ((shorter as f32 * crop + 0.5).floor() as u32).clamp(1, shorter);
    imageops::crop_imm(picture, (width - side) / 2, (height - side) / 2, side, side).to_image()
}

/// The picture as large as a classifier's input in its first shape variant, and how it lies there.
///
/// # Errors
/// [`VisionError::Shape`] if the input is no square picture.
pub fn fitted(
    picture: &RgbImage,
    rules: &Classify,
    input: &TensorSpec,
) -> Result<(ShapeId, RgbImage, Frame), VisionError> {
    let frame = input.shapes.first().and_then(|dims| Frame::of(dims)).filter(|frame| frame.height == frame.width);
    let frame = frame.ok_or_else(|| VisionError::shape(input, "3 x side x side or side x side x 3"))?;
    let square = imageops::resize(&centre(picture, rules.crop), frame.width, frame.height, filter(rules.filter));
    Ok((ShapeId(0), square, frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_beyond_the_limit_is_called_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.png");
        RgbImage::new(MAX_SIDE + 1, 1).save(&path).unwrap();
        assert!(matches!(open(&path), Err(VisionError::TooLarge { .. })));
        std::fs::write(&path, b"no picture").unwrap();
        assert!(matches!(open(&path), Err(VisionError::Picture { .. })));
    }

    #[test]
    fn the_centre_is_taken_as_the_models_were_trained() {
        let picture = RgbImage::new(385, 256);
        assert_eq!(centre(&picture, 0.875).dimensions(), (224, 224));
        assert_eq!(centre(&RgbImage::new(1, 1), 0.875).dimensions(), (1, 1));
    }
}
