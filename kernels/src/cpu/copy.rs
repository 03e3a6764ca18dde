//! Any rearrangement: one tile.

use super::micro::{Drawn, ELSEWHERE, Simd, draw};
use super::view::{Memory, Source, Target};
use super::{LANES, Tile, at};
use crate::operand::Operand;
use crate::params::{Copy, CopySide, RANK};
use std::ops::Range;

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

    /// Its element without its lane, counted from the side's first, and the lane.
    #[inline(always)]
    fn block(self, side: &CopySide) -> [usize; 2] {
        let lane = self.channel % LANES;
        [self.element(side) - lane - at(side.first), lane]
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

    /// Whether its elements lie at a fixed distance on both sides.
    #[inline(always)]
    fn is_steady(&self, c: &Copy) -> bool {
        c.from.channels[self.d] == 0 && c.to.channels[self.d] == 0
    }

    /// Where the run at `index` of the other dimensions begins on both sides; `index` becomes the next one's.
    #[inline(always)]
    fn next(&self, c: &Copy, index: &mut [usize; RANK]) -> (Cursor, Cursor) {
        let (mut from, mut to) = (Cursor::start(&c.from), Cursor::start(&c.to));
        let mut carry = 1;
        for d in (0..RANK).rev().filter(|&d| self.dims[d] > 1) {
            from = from.step(&c.from, d, index[d]);
            to = to.step(&c.to, d, index[d]);
            index[d] += carry;
            carry = usize::from(index[d] == self.dims[d]);
            index[d] *= 1 - carry;
        }
        (from, to)
    }
}

/// Where a run begins: element of a block at its first place, and lane.
#[derive(Clone, Copy, Default)]
struct Run {
    from: [usize; 2],
    to: [usize; 2],
}

/// Indices beside the innermost ones that are found before any of their elements moves.
const LISTED: usize = 256;

/// Places whose lanes are moved before those of the next places: what is read again for other lanes then comes
/// from a near cache.
const AT_ONCE: usize = 256;

/// Runs that a block's lanes are moved together for; fewer are moved one by one.
const FEWEST_LANES: usize = 3;

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, c: &Copy, tile: Tile<'_>) {
    let x = source(&tile.memory, &c.x, &c.from, &c.dims);
    let first = at(c.to.first);
    let mut y = tile.memory.target(&c.y, first, end(&c.to, &c.dims) - first);
    let inner = Inner::of(c);
    let runs = inner.dims.iter().product();
    let mut index = [0; RANK];
    if !inner.is_steady(c) {
        for _ in 0..runs {
            let (from, to) = inner.next(c, &mut index);
            for i in 0..inner.count {
                let from = from.step(&c.from, inner.d, i).element(&c.from) - at(c.from.first);
                y.set(to.step(&c.to, inner.d, i).element(&c.to) - first, x.get(from));
            }
        }
        return;
    }
    let mut listed = [Run::default(); LISTED];
    for first_run in (0..runs).step_by(LISTED) {
        let listed = &mut listed[..LISTED.min(runs - first_run)];
        for run in &mut *listed {
            let (from, to) = inner.next(c, &mut index);
            *run = Run { from: from.block(&c.from), to: to.block(&c.to) };
        }
        let steps = [at(c.from.strides[inner.d]), at(c.to.strides[inner.d])];
        let at_once = if steps == [LANES; 2] { AT_ONCE } else { inner.count };
        for first in (0..inner.count).step_by(at_once) {
            steady(s, &x, &mut y, listed, (first..inner.count.min(first + at_once), steps));
        }
    }
}

/// The elements `which` of runs whose elements lie `steps` apart in `x` and in `y`.
#[inline(always)]
fn steady<S: Simd>(
    s: S,
    x: &Source<'_>,
    y: &mut Target<'_>,
    mut runs: &[Run],
    (which, [from_step, to_step]): (Range<usize>, [usize; 2]),
) {
    while let Some(first) = runs.first() {
        let together = runs.iter().enumerate().take_while(|(i, run)| {
            let [to, lane] = run.to;
            [to, lane] == [first.to[0], first.to[1] + i] && lane < LANES
        });
        let together = if [from_step, to_step] == [LANES; 2] { together.count() } else { 1 };
        if together < FEWEST_LANES {
            let ([from, to], count) = ([first.from, first.to].map(|[base, lane]| base + lane), which.len());
            let from = [from + which.start * from_step, from_step];
            y.set_steps([to + which.start * to_step, to_step], x, from, count);
            runs = &runs[1..];
        } else {
            lanes(s, x, y, &runs[..together], which.clone());
            runs = &runs[together..];
        }
    }
}

/// The places `which` of neighbouring lanes of one block of `y`.
#[inline(always)]
fn lanes<S: Simd>(s: S, x: &Source<'_>, y: &mut Target<'_>, runs: &[Run], which: Range<usize>) {
    let mut drawn = [Drawn::NONE; LANES];
    let mut blocks = 0;
    for run in runs {
        let [block, lane] = run.from;
        let first = block + which.start * LANES;
        let known = drawn[..blocks].iter().position(|before| before.first == first);
        let from = &mut drawn[known.unwrap_or(blocks)];
        blocks += usize::from(known.is_none());
        from.first = first;
        from.reach = [from.reach[0].min(lane), from.reach[1].max(lane)];
        // A lane is below 16.
        from.origins[run.to[1]] = u8::try_from(lane).unwrap_or(ELSEWHERE);
    }
    let [to, first_lane] = runs[0].to;
    let to = (to + which.start * LANES, first_lane..first_lane + runs.len());
    draw(s, x, &drawn[..blocks], y, to, which.len());
}
