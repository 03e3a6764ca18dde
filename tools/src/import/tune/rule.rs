//! What a layer costs by rule: for machines and imports that measure nothing.

use kernels::params::{LANES, Winograd, blocks_of};

use super::layer::{Algorithm, Layer};

/// Multiply-adds of 16 lanes in a microsecond: what direct convolutions reach on one core with AVX-512.
const PRODUCTS_PER_US: f64 = 3500.0;
/// The same between the transforms, where sums are shorter.
const POINT_PRODUCTS_PER_US: f64 = 3200.0;
/// Bytes of weights that arrive in a microsecond from memory.
const BYTES_PER_US: f64 = 16_000.0;
/// Nanoseconds in which one patch of one channel block is transformed, on the way in and on the way out.
const TRANSFORM_NS: [[f64; 2]; 2] = [[30.0, 25.0], [90.0, 75.0]];

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
        Algorithm::Direct => {
            let products = out_h * out_w * output * input * 9.0 / PRODUCTS_PER_US;
            products.max(weights_us)
        }
        Algorithm::Patches(patch) => {
            let block = Winograd::of(&layer.block(), patch)?;
            let [down, across] = block.patches().map(f64::from);
            let patches = down * across;
            let products = patches * f64::from(algorithm.points()) * output * input / POINT_PRODUCTS_PER_US;
            let [enter, leave] = TRANSFORM_NS[usize::from(patch == 4)];
            let blocks_in = (input / lanes).ceil() * f64::from(layer.groups);
            let transforms = patches * (blocks_in * enter + output * leave) / 1000.0;
            products.max(weights_us) + transforms
        }
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of nanoseconds")]
    Some((us * 1000.0).ceil() as u64)
}
