//! Any rearrangement: one tile.

use super::micro::Simd;
use super::view::{Memory, Source};
use super::{LANES, Tile, at};
use crate::operand::Operand;
use crate::params::{Copy, CopySide, RANK};

/// The last dimension, which the innermost loop walks.
const LAST: usize = RANK - 1;

/// Where an index lies on one side: element and channel, kept apart until both are known.
#[derive(Clone, Copy)]
struct Cursor {
    element: usize,
    channel: usize,
}

impl Cursor {
    #[inline(always)]
    fn start(side: &CopySide) -> Cursor {
        Cursor { element: at(side.first), channel: at(side.first_channel) }
    }

    /// `i` steps along dimension `d`.
    #[inline(always)]
    fn step(self, side: &CopySide, d: usize, i: usize) -> Cursor {
        Cursor { element: self.element + i * at(side.strides[d]), channel: self.channel + i * at(side.channels[d]) }
    }

    #[inline(always)]
    fn element(self, side: &CopySide) -> usize {
        self.element + self.channel / LANES * at(side.block_stride) + self.channel % LANES
    }
}

/// One element beyond the last that the indices reach.
fn end(side: &CopySide, dims: &[u32; RANK]) -> usize {
    let last = (0..RANK).fold(Cursor::start(side), |c, d| c.step(side, d, at(dims[d]) - 1));
    // The last lane of an earlier block may lie behind the last channel's own lane.
    let lanes = if last.channel >= LANES { LANES - 1 } else { last.channel };
    last.element + last.channel / LANES * at(side.block_stride) + lanes + 1
}

/// The range of one side: its first element, and all up to its end.
fn source<'a>(memory: &Memory<'a>, operand: &Operand, side: &CopySide, dims: &[u32; RANK]) -> Source<'a> {
    let first = at(side.first);
    memory.source(operand, first, end(side, dims) - first)
}

/// Which dimension the innermost loop walks: the last that moves no channel on either side, so that
/// its elements lie at a fixed distance; of two such that follow one another as one, both.
struct Inner {
    dims: [usize; RANK],
    d: usize,
    count: usize,
}

impl Inner {
    fn of(c: &Copy) -> Inner {
        let mut dims = c.dims.map(at);
        let moves = |d: usize| c.from.channels[d] > 0 || c.to.channels[d] > 0;
        let Some(d) = (0..RANK).rev().find(|&d| dims[d] > 1 && !moves(d)) else {
            let count = std::mem::replace(&mut dims[LAST], 1);
            return Inner { dims, d: LAST, count };
        };
        let mut count = std::mem::replace(&mut dims[d], 1);
        for outer in (0..d).rev() {
            let follows = |side: &CopySide| at(side.strides[outer]) == at(side.strides[d]) * count;
            if moves(outer) || !follows(&c.from) || !follows(&c.to) {
                break;
            }
            count *= std::mem::replace(&mut dims[outer], 1);
        }
        Inner { dims, d, count }
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(_: S, c: &Copy, tile: Tile<'_>) {
    let x = source(&tile.memory, &c.x, &c.from, &c.dims);
    let first = at(c.to.first);
    let mut y = tile.memory.target(&c.y, first, end(&c.to, &c.dims) - first);
    let Inner { dims, d: inner, count } = Inner::of(c);
    let steady = c.from.channels[inner] == 0 && c.to.channels[inner] == 0;
    for mut index in 0..dims.iter().product() {
        let (mut from, mut to) = (Cursor::start(&c.from), Cursor::start(&c.to));
        for d in (0..RANK).rev().filter(|&d| dims[d] > 1) {
            let i = index % dims[d];
            index /= dims[d];
            from = from.step(&c.from, d, i);
            to = to.step(&c.to, d, i);
        }
        if steady {
            let (from, to) = (from.element(&c.from) - at(c.from.first), to.element(&c.to) - first);
            let (from_step, to_step) = (at(c.from.strides[inner]), at(c.to.strides[inner]));
            for i in 0..count {
                y.set(to + i * to_step, x.get(from + i * from_step));
            }
            continue;
        }
        for i in 0..count {
            let from = from.step(&c.from, inner, i).element(&c.from) - at(c.from.first);
            y.set(to.step(&c.to, inner, i).element(&c.to) - first, x.get(from));
        }
    }
}
