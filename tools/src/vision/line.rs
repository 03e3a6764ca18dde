//! A line of text as a reader's input.

use image::RgbImage;
use image::imageops;
use runtime::base::ShapeId;
use runtime::package::TensorSpec;

use super::card::ReadLine;
use super::error::VisionError;
use super::picture::{filter, planes};

/// Width of a picture at `height`, rounded up.
fn width_at(picture: &RgbImage, height: u32) -> u32 {
    let (width, own) = picture.dimensions();
    let scaled = (u64::from(height) * u64::from(width)).div_ceil(u64::from(own));
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

/// The line as the reader's input, in the narrowest shape variant that holds it.
///
/// # Errors
/// [`VisionError::Shape`] if the input is not three planes of one height.
pub fn tensor(picture: &RgbImage, rules: &ReadLine, input: &TensorSpec) -> Result<(ShapeId, Vec<f32>), VisionError> {
    let variants = || {
        (0..).map(ShapeId).zip(&input.shapes).filter_map(|(shape, dims)| match dims.as_slice() {
            &[3, height, width] => Some((shape, height, width)),
            _ => None,
        })
    };
    let fits = variants().filter(|&(_, height, width)| width_at(picture, height) <= width);
    let narrowest = fits.min_by_key(|&(_, _, width)| width);
    let Some((shape, height, width)) = narrowest.or_else(|| variants().max_by_key(|&(_, _, width)| width)) else {
        let shapes = input.shapes.iter().map(|dims| dims.to_vec()).collect();
        return Err(VisionError::Shape { tensor: input.name.clone(), shapes, wanted: "3 x height x width".to_owned() });
    };
    let scaled = imageops::resize(picture, width_at(picture, height).clamp(1, width), height, filter(rules.filter));
    Ok((shape, planes(&scaled, rules.planes, rules.normalise, width as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::card::{Dictionary, Filter, Normalise, Planes};
    use runtime::package::{Shape, TensorType};

    fn shape_of(width: u32, height: u32) -> (ShapeId, usize) {
        let shapes = [640, 320, 480].map(|w| Shape::try_from([3, 48, w].as_slice()).unwrap());
        let input = TensorSpec { name: "x".to_owned(), kind: TensorType::F32, shapes: shapes.to_vec() };
        let rules = ReadLine {
            filter: Filter::Triangle,
            planes: Planes::Bgr,
            normalise: Normalise { divide: 255.0, mean: 0.5, scale: 0.5 },
            dictionary: Dictionary(vec![]),
        };
        let (shape, tensor) = tensor(&RgbImage::new(width, height), &rules, &input).unwrap();
        (shape, tensor.len() / 3 / 48)
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
