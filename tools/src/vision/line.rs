//! A line of text as a reader's input.

use image::RgbImage;
use image::imageops;
use runtime::base::ShapeId;
use runtime::package::TensorSpec;

use super::card::ReadLine;
use super::error::VisionError;
use super::frame::Frame;
use super::picture::filter;

/// Width of a picture at `height`, rounded up.
fn width_at(picture: &RgbImage, height: u32) -> u32 {
    let (width, own) = picture.dimensions();
    let scaled = (u64::from(height) * u64::from(width)).div_ceil(u64::from(own));
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

/// The line as large as the reader's input in the narrowest shape variant that holds it, and how it lies
/// there.
///
/// # Errors
/// [`VisionError::Shape`] if the input is no picture in any variant.
pub fn fitted(
    picture: &RgbImage,
    rules: &ReadLine,
    input: &TensorSpec,
) -> Result<(ShapeId, RgbImage, Frame), VisionError> {
    let variants = || {
        let all = (0..).map(ShapeId).zip(&input.shapes);
        all.filter_map(|(shape, dims)| Frame::of(dims).map(|frame| (shape, frame)))
    };
    let fits = variants().filter(|(_, frame)| width_at(picture, frame.height) <= frame.width);
    let narrowest = fits.min_by_key(|(_, frame)| frame.width);
    let widest = || variants().max_by_key(|(_, frame)| frame.width);
    let found = narrowest.or_else(widest);
    let (shape, frame) = found.ok_or_else(|| VisionError::shape(input, "3 x height x width or height x width x 3"))?;
    let width = width_at(picture, frame.height).clamp(1, frame.width);
    Ok((shape, imageops::resize(picture, width, frame.height, filter(rules.filter)), frame))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::card::{Dictionary, Filter, Normalise, Planes};
    use runtime::package::{Shape, TensorType};

    fn shape_of(width: u32, height: u32) -> (ShapeId, u32) {
        let shapes = [640, 320, 480].map(|w| Shape::try_from([3, 48, w].as_slice()).unwrap());
        let input = TensorSpec { name: "x".to_owned(), kind: TensorType::F32, shapes: shapes.to_vec() };
        let rules = ReadLine {
            filter: Filter::Triangle,
            planes: Planes::Bgr,
            normalise: Normalise { divide: 255.0, mean: 0.5, scale: 0.5 },
            dictionary: Dictionary(vec![]),
        };
        let (shape, _, frame) = fitted(&RgbImage::new(width, height), &rules, &input).unwrap();
        (shape, frame.width)
    }

    #[test]
    fn a_line_takes_the_narrowest_input_that_holds_it() {
        assert_eq!(shape_of(215, 50), (ShapeId(1), 320));
        assert_eq!(shape_of(288, 41), (ShapeId(2), 480));
        assert_eq!(shape_of(320, 48), (ShapeId(1), 320));
        assert_eq!(shape_of(321, 48), (ShapeId(2), 480));
        assert_eq!(shape_of(5_000, 48), (ShapeId(0), 640));
    }
}
