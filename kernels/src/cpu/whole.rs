//! Whole numbers and truth values into the workspace and out of it: a tile is one item.

use super::micro::Simd;
use super::{Tile, at};
use crate::params::{EnterWhole, LeaveWhole, Whole};

/// The nearest `i32`.
#[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
fn narrowed(n: i64) -> i32 {
    n.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// One tile of [`EnterWhole`].
#[inline(always)]
pub(crate) fn enter<S: Simd>(_: S, e: &EnterWhole, tile: Tile<'_>) {
    let (item, len) = (tile.index, at(e.len));
    let Some(element) = Whole::from_u32(e.element) else { unreachable!("a checked block names its type") };
    let x = tile.memory.bytes_of_row(&e.x, item, len * at(element.bytes()));
    let mut y = tile.memory.target(&e.y, item * len, len);
    let y: &mut [i32] = bytemuck::cast_slice_mut(y.as_mut());
    match element {
        Whole::I32 => {
            for (y, x) in y.iter_mut().zip(x.as_chunks().0) {
                *y = i32::from_le_bytes(*x);
            }
        }
        Whole::I64 => {
            for (y, x) in y.iter_mut().zip(x.as_chunks().0) {
                *y = narrowed(i64::from_le_bytes(*x));
            }
        }
        Whole::U8 => {
            for (y, x) in y.iter_mut().zip(x) {
                *y = i32::from(*x);
            }
        }
        Whole::Bool => {
            for (y, x) in y.iter_mut().zip(x) {
                *y = i32::from(*x != 0);
            }
        }
    }
}

/// One tile of [`LeaveWhole`].
#[inline(always)]
pub(crate) fn leave<S: Simd>(_: S, l: &LeaveWhole, tile: Tile<'_>) {
    let (item, len) = (tile.index, at(l.len));
    let Some(element) = Whole::from_u32(l.element) else { unreachable!("a checked block names its type") };
    let x: &[i32] = bytemuck::cast_slice(tile.memory.slice(&l.x, item * len, len));
    let mut y = tile.memory.target_bytes_of_row(&l.y, item, len * at(element.bytes()));
    let y = y.as_mut();
    match element {
        Whole::I32 => {
            for (y, x) in y.as_chunks_mut().0.iter_mut().zip(x) {
                *y = x.to_le_bytes();
            }
        }
        Whole::I64 => {
            for (y, x) in y.as_chunks_mut().0.iter_mut().zip(x) {
                *y = i64::from(*x).to_le_bytes();
            }
        }
        Whole::U8 => {
            for (y, x) in y.iter_mut().zip(x) {
                *y = u8::try_from((*x).clamp(0, 255)).unwrap_or(0);
            }
        }
        Whole::Bool => {
            for (y, x) in y.iter_mut().zip(x) {
                *y = u8::from(*x != 0);
            }
        }
    }
}
