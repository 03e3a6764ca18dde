//! What a layer costs by rule: for machines and imports that measure nothing.

use kernels::params::{LANES, Winograd, blocks_of};

use super::layer::{Algorithm, Layer};

/// Multiply-adds of 16 lanes in a microsecond: what direct convolutions reach on one core with AVX-512, the
/// layers' edges included. These numbers are fitted to 31 measured layers; they are within 15% for most.
const PRODUCTS_PER_US: f64 = 2700.0;
/// The same between the transforms.
const POINT_PRODUCTS_PER_US: f64 = 3270.0;
/// Bytes of weights in a microsecond, as far as products wait for them.
const BYTES_PER_US: f64 = 36_700.0;
/// Nanoseconds in which one patch of one channel block is transformed, on the way in and on the way out, for
/// patches of 2x2 and of 4x4.
const TRANSFORM_NS: [[f64; 2]; 2] = [[74.0, 78.0], [288.0, 161.0]];

/// Expected nanoseconds for one item on one core; none if `algorithm` can't compute it.
pub fn cost(layer: &Layer, algorithm: Algorithm) -> Option<u64> {
    if !layer.allows(algorithm) {
        return None;
    }
    let lanes = f64::from(LANES);
    let (input, output) = (f64::from(layer.in_channels), f64::from(blocks_of(layer.out_channels)));
    let [out_h, out_w] = layer.output.map(f64::from);
    #[expect(clippy::cast_precision_loss, reason = "bytes of weights are far below 2^53")]
    let weights_us = layer.weight_bytes(algorithm) as f64 / BYTES_PER_US;
    let us = match algorithm {
        Algorithm::Direct => out_h * out_w * output * input * 9.0 / PRODUCTS_PER_US,
        Algorithm::Patches(patch) => {
            let block = Winograd::of(&layer.block(), patch)?;
            let [down, across] = block.patches().map(f64::from);
            let patches = down * across;
            let products = patches * f64::from(algorithm.points()) * output * input / POINT_PRODUCTS_PER_US;
            let [enter, leave] = TRANSFORM_NS[usize::from(patch == 4)];
            let blocks_in = (input / lanes).ceil() * f64::from(layer.groups);
            let transforms = patches * (blocks_in * enter + output * leave) / 1000.0;
            products + transforms
        }
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of nanoseconds")]
    Some(((us + weights_us) * 1000.0).ceil() as u64)
}
