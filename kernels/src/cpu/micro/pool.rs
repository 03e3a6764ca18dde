//! One pixel of a pool.

use super::Simd;
use crate::cpu::LANES;
use crate::cpu::view::Target;

/// The maximum over a rectangle of places of the channel block `x` (`in_w` wide), or with `scale`
/// the scaled sum. `rows` and `columns` are first, number and distance.
#[inline(always)]
pub(crate) fn pool_pixel<S: Simd>(
    s: S,
    x: &[f32],
    in_w: usize,
    [rows, columns]: [[usize; 3]; 2],
    scale: Option<f32>,
    mut y: Target<'_>,
) {
    let last = (rows[0] + (rows[1] - 1) * rows[2]) * in_w + columns[0] + (columns[1] - 1) * columns[2];
    assert!(rows[1] > 0 && columns[1] > 0 && (last + 1) * LANES <= x.len() && y.len() == LANES, "places of the image");
    let mut pooled = s.splat(if scale.is_some() { 0.0 } else { f32::NEG_INFINITY });
    for i in 0..rows[1] {
        let row = (rows[0] + i * rows[2]) * in_w + columns[0];
        for j in 0..columns[1] {
            // SAFETY: no place lies behind the last one, which is inside.
            let v = unsafe { s.load(x.as_ptr().add((row + j * columns[2]) * LANES)) };
            pooled = if scale.is_some() { s.add(pooled, v) } else { s.max(pooled, v) };
        }
    }
    if let Some(scale) = scale {
        pooled = s.mul(pooled, s.splat(scale));
    }
    // SAFETY: `y` has 16 elements.
    unsafe { s.store(pooled, y.as_ptr()) };
}
