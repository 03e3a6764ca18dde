//! Lanes from one place in a block to another.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::Simd;
use crate::cpu::LANES;
use crate::cpu::view::{Source, Target};
use std::ops::Range;

/// Places that are done side by side.
const PLACES: usize = 8;

/// For each of 16 lanes the lane that it comes from, or [`ELSEWHERE`].
pub(crate) type Origins = [u8; LANES];

/// Of a lane that does not come from the block.
pub(crate) const ELSEWHERE: u8 = 16;

/// What comes from one channel block.
#[derive(Clone, Copy)]
pub(crate) struct Drawn {
    /// The block's element at the first place.
    pub(crate) first: usize,
    /// The first and last of the lanes that are read.
    pub(crate) reach: [usize; 2],
    /// Where they go.
    pub(crate) origins: Origins,
}

impl Drawn {
    /// Nothing yet.
    pub(crate) const NONE: Drawn = Drawn { first: 0, reach: [LANES, 0], origins: [ELSEWHERE; LANES] };
}

/// `y[first + 16 p + lane]`, for `lanes` of every place `p` below `places`, from `drawn`, each lane from one of them.
#[inline(always)]
pub(crate) fn draw<S: Simd>(
    s: S,
    x: &Source<'_>,
    drawn: &[Drawn],
    y: &mut Target<'_>,
    (first, lanes): (usize, Range<usize>),
    places: usize,
) {
    let end = |first: usize, lane: usize| first + places * LANES - LANES + lane;
    assert!(places > 0 && lanes.end <= LANES && end(first, lanes.end) <= y.len(), "lanes within the output");
    for from in drawn {
        assert!(from.reach[1] < LANES && end(from.first, from.reach[1] + 1) <= x.len(), "lanes within the input");
    }
    let mut place = 0;
    while place < places {
        let to = y.as_ptr().wrapping_add(first + place * LANES);
        let from = x.as_ptr().wrapping_add(place * LANES);
        // SAFETY: the lanes of the last place lie in both views, as asserted, and so do those of each before.
        unsafe {
            if places - place >= PLACES {
                draw_places::<S, PLACES>(s, from, drawn, to, lanes.clone());
                place += PLACES;
            } else {
                draw_places::<S, 1>(s, from, drawn, to, lanes.clone());
                place += 1;
            }
        }
    }
}

/// `P` places.
///
/// # Safety
/// The lanes of each are readable from `x` on, and writable from `y` on.
#[inline(always)]
unsafe fn draw_places<S: Simd, const P: usize>(s: S, x: *const f32, drawn: &[Drawn], y: *mut f32, lanes: Range<usize>) {
    let mut sum = [s.splat(0.0); P];
    for from in drawn {
        let (x, reach, pick) = (x.wrapping_add(from.first), from.reach[0]..from.reach[1] + 1, s.pick(&from.origins));
        for p in 0..P {
            // SAFETY: readable, says the caller.
            let block = unsafe { s.load_lanes(x.wrapping_add(p * LANES), reach.clone()) };
            sum[p] = s.merge(sum[p], block, pick);
        }
    }
    let whole = lanes == (0..LANES);
    for p in 0..P {
        let y = y.wrapping_add(p * LANES);
        // SAFETY: writable, says the caller.
        unsafe { if whole { s.store(sum[p], y) } else { s.store_lanes(sum[p], y, lanes.clone()) } };
    }
}
