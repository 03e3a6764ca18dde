//! How the numbers of a picture lie in a model's input.

use image::RgbImage;

use super::card::{Normalise, Planes};

/// Channels of a picture.
const CHANNELS: usize = 3;

/// The room for a picture in an input; what the picture leaves free at the right is neutral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Rows.
    pub height: u32,
    /// Pixels of a row.
    pub width: u32,
    /// The channels of a pixel are neighbours, instead of each channel being a plane.
    pub interleaved: bool,
}

impl Frame {
    /// The frame that an item of those dimensions is, if it is one for pictures.
    pub fn of(dims: &[u32]) -> Option<Frame> {
        match *dims {
            [3, height, width] => Some(Frame { height, width, interleaved: false }),
            [height, width, 3] => Some(Frame { height, width, interleaved: true }),
            _ => None,
        }
    }

    /// The picture as the numbers that a model takes, 0 to the right of it.
    ///
    /// # Panics
    /// If the picture is larger than the frame.
    pub fn floats(self, picture: &RgbImage, order: Planes, normalise: Normalise) -> Vec<f32> {
        self.filled(picture, order, 0.0, |byte| normalise.of(byte))
    }

    /// The picture as bytes, for a model that normalises by itself; to the right of it what becomes
    /// nearest to 0.
    ///
    /// # Panics
    /// If the picture is larger than the frame.
    pub fn bytes(self, picture: &RgbImage, order: Planes, normalise: Normalise) -> Vec<u8> {
        let far_from_zero = |byte: &u8| normalise.of(*byte).abs();
        let neutral = (0..=u8::MAX).min_by(|a, b| far_from_zero(a).total_cmp(&far_from_zero(b)));
        self.filled(picture, order, neutral.unwrap_or(0), |byte| byte)
    }

    fn filled<T: Copy>(self, picture: &RgbImage, order: Planes, outside: T, of: impl Fn(u8) -> T) -> Vec<T> {
        let [height, width, own] = [self.height, self.width, picture.width()].map(|side| side as usize);
        assert!(picture.height() <= self.height && own <= width, "{:?} does not fit {self:?}", picture.dimensions());
        let channels = match order {
            Planes::Rgb => [0, 1, 2],
            Planes::Bgr => [2, 1, 0],
        };
        let mut filled = vec![outside; CHANNELS * height * width];
        for (y, row) in picture.as_raw().chunks_exact(CHANNELS * own).enumerate() {
            for (x, pixel) in row.chunks_exact(CHANNELS).enumerate() {
                for (plane, channel) in channels.into_iter().enumerate() {
                    let place = y * width + x;
                    let at = if self.interleaved { place * CHANNELS + plane } else { plane * height * width + place };
                    filled[at] = of(pixel[channel]);
                }
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMALISE: Normalise = Normalise { divide: 1.0, mean: 127.0, scale: 128.0 };

    fn picture() -> RgbImage {
        RgbImage::from_raw(1, 2, vec![0, 127, 255, 1, 2, 3]).unwrap()
    }

    #[test]
    fn planes_are_ordered_normalised_and_filled_with_zeros() {
        let frame = Frame::of(&[3, 2, 2]).unwrap();
        let bgr = frame.floats(&picture(), Planes::Bgr, NORMALISE);
        assert_eq!(bgr.len(), 12);
        assert_eq!((bgr[0], bgr[1], bgr[4], bgr[8]), (1.0, 0.0, 0.0, -127.0 / 128.0));
        let rgb = frame.floats(&picture(), Planes::Rgb, NORMALISE);
        assert_eq!(rgb[8..], [1.0, 0.0, -124.0 / 128.0, 0.0]);
    }

    #[test]
    fn bytes_stay_bytes_and_lie_as_the_model_wants() {
        let planes = Frame::of(&[3, 2, 2]).unwrap().bytes(&picture(), Planes::Rgb, NORMALISE);
        assert_eq!(planes, [0, 127, 1, 127, 127, 127, 2, 127, 255, 127, 3, 127]);
        let pixels = Frame::of(&[2, 1, 3]).unwrap().bytes(&picture(), Planes::Bgr, NORMALISE);
        assert_eq!(pixels, [255, 127, 0, 3, 2, 1]);
        assert_eq!(Frame::of(&[4, 2, 2]), None);
    }
}
