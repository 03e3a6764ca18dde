//! A picture as the square that a classifier looks at.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{ImageError, RgbImage};
use runtime::base::ShapeId;
use runtime::package::TensorSpec;

use super::card::{Classify, Filter, Normalise, Planes};
use super::error::VisionError;

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

/// The planes of a picture one behind the other, each row of `stride` numbers, zeros to the right.
pub fn planes(picture: &RgbImage, order: Planes, normalise: Normalise, stride: usize) -> Vec<f32> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    assert!(width <= stride, "a row of {width} pixels does not fit {stride}");
    let channels = match order {
        Planes::Rgb => [0, 1, 2],
        Planes::Bgr => [2, 1, 0],
    };
    let mut tensor = vec![0.0; 3 * height * stride];
    for (plane, channel) in tensor.chunks_exact_mut(height * stride).zip(channels) {
        let rows = plane.chunks_exact_mut(stride).zip(picture.as_raw().chunks_exact(3 * width));
        for (row, pixels) in rows {
            for (number, pixel) in row.iter_mut().zip(pixels.chunks_exact(3)) {
                *number = normalise.of(pixel[channel]);
            }
        }
    }
    tensor
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

/// The picture as a classifier's input, in its first shape variant.
///
/// # Errors
/// [`VisionError::Shape`] if the input is no square picture of three planes.
pub fn tensor(picture: &RgbImage, rules: &Classify, input: &TensorSpec) -> Result<(ShapeId, Vec<f32>), VisionError> {
    let side = match input.shapes.first().map(|dims| dims.as_slice()) {
        Some(&[3, height, width]) if height == width => height,
        _ => {
            let shapes = input.shapes.iter().map(|dims| dims.to_vec()).collect();
            return Err(VisionError::Shape {
                tensor: input.name.clone(),
                shapes,
                wanted: "3 x side x side".to_owned(),
            });
        }
    };
    let square = imageops::resize(&centre(picture, rules.crop), side, side, filter(rules.filter));
    Ok((ShapeId(0), planes(&square, rules.planes, rules.normalise, side as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_ordered_normalised_and_filled_with_zeros() {
        let picture = RgbImage::from_raw(1, 2, vec![0, 127, 255, 1, 2, 3]).unwrap();
        let normalise = Normalise { divide: 1.0, mean: 127.0, scale: 128.0 };
        let bgr = planes(&picture, Planes::Bgr, normalise, 2);
        assert_eq!(bgr.len(), 12);
        assert_eq!((bgr[0], bgr[1], bgr[4], bgr[8]), (1.0, 0.0, 0.0, -127.0 / 128.0));
        assert_eq!(planes(&picture, Planes::Rgb, normalise, 2)[8..], [1.0, 0.0, -124.0 / 128.0, 0.0]);
    }

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
