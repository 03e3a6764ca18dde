//! A function of each element: a tile is one row.

use super::micro::math::{Apply, with_activation};
use super::micro::{Simd, map};
use super::view::{Source, Target};
use super::{Tile, at};
use crate::params::{Activation, Unary};

/// The loop of one row.
struct Map<'a, 'b, S> {
    s: S,
    x: Source<'a>,
    y: &'a mut Target<'b>,
}

impl<S: Simd> Apply<S> for Map<'_, '_, S> {
    #[inline(always)]
    fn with(self, f: impl Fn(S::V) -> S::V) {
        map(self.s, self.x, self.y, f);
    }
}

/// `y[i] = activation(y[i])`
#[inline(always)]
pub(crate) fn activate<S: Simd>(s: S, activation: &Activation, y: &mut Target<'_>) {
    let x = y.itself();
    with_activation(s, activation, Map { s, x, y });
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, u: &Unary, tile: Tile<'_>) {
    let (row, len) = (tile.index, at(u.len));
    let x = tile.memory.source(&u.x, row * at(u.x_stride), len);
    let mut y = tile.memory.target(&u.y, row * at(u.y_stride), len);
    with_activation(s, &u.activation, Map { s, x, y: &mut y });
}
