//! The inner loops of convolutions.
//!
//! An output is one chain of fused multiply-adds, in an order that its layer's shape alone fixes.
//! How many outputs share a register tile decides only what is computed side by side.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::chain::ZEROS;
use super::math::{Clamp, ClampLanes};
use super::{Group, Simd};
use crate::cpu::LANES;
use crate::cpu::view::{Source, Target};
use std::ops::Range;

/// Pixels of the widest register tile.
pub(crate) const MAX_PIXELS: usize = crate::params::MAX_PIXELS as usize;

/// One place of the input that an output pixel reads: its first element in each channel block, or
/// [`Place::OUTSIDE`].
#[derive(Clone, Copy)]
pub(crate) struct Place(u32);

impl Place {
    /// In the padding.
    pub(crate) const OUTSIDE: Place = Place(u32::MAX);

    /// A place of the image, counted row by row.
    #[inline(always)]
    pub(crate) fn new(place: usize) -> Place {
        // An image that passed its check has fewer than 2^32 elements.
        u32::try_from(place * LANES).map_or(Place::OUTSIDE, Place)
    }
}

/// The places that the pixels of one group read.
#[derive(Clone, Copy)]
pub(crate) enum Places<'a> {
    /// All inside: pixel `p` reads, for a tap, `first + p * step + taps[tap]`, in elements.
    Inside {
        /// Element of pixel 0, tap 0.
        first: usize,
        /// Elements from pixel to pixel.
        step: usize,
        /// Elements from tap 0 to each tap.
        taps: &'a [u32],
    },
    /// As inside, but of an image that lies row by row: a channel is `lane` elements behind the one before.
    Rows {
        /// Element of pixel 0, tap 0, channel 0.
        first: usize,
        /// Elements from pixel to pixel.
        step: usize,
        /// Elements from channel to channel.
        lane: usize,
        /// Elements from tap 0 to each tap.
        taps: &'a [u32],
    },
    /// For each tap, [`MAX_PIXELS`] places.
    Listed(&'a [[Place; MAX_PIXELS]]),
}

/// Up to two output blocks of a convolution, all their pixels.
pub(crate) struct ConvSpan<'a> {
    /// Input channels.
    pub(crate) channels: usize,
    /// The lane of the first one; 0 with [`Places::Rows`].
    pub(crate) first_lane: usize,
    /// A row of weights for each output block.
    pub(crate) weights: [&'a [f32]; 2],
    /// 16 elements for each output block.
    pub(crate) bias: [&'a [f32]; 2],
    /// Added last.
    pub(crate) residual: [Option<Source<'a>>; 2],
    /// The output blocks.
    pub(crate) y: [Target<'a>; 2],
    /// The lanes of each that are read of the residual and written. The others may be other tiles'.
    pub(crate) lanes: [Range<usize>; 2],
    /// Output blocks that there are, 1 or 2.
    pub(crate) blocks: usize,
    /// Whether the last of them has channels in its lower half alone.
    pub(crate) ends_half: bool,
    /// Applied in registers.
    pub(crate) clamp: Clamp,
}

impl ConvSpan<'_> {
    /// Whether the register tile of the blocks from `first` on ends with a half block.
    #[inline(always)]
    fn is_half<S: Simd>(&self, first: usize) -> bool {
        self.ends_half && self.blocks - first <= S::BLOCKS
    }

    /// Pixels of the register tile of the blocks from `first` on when `remaining` are left; may be more.
    #[inline(always)]
    pub(crate) fn width<S: Simd>(&self, s: S, first: usize, remaining: usize) -> usize {
        if self.is_half::<S>(first) { s.half_width(remaining) } else { s.width(remaining) }
    }
}

/// What the pixels of one group read.
#[derive(Clone, Copy)]
pub(crate) struct Reads<'a> {
    /// Channel blocks, `block_len` elements each; with [`Places::Rows`] all channels are one.
    pub(crate) x: &'a [f32],
    /// Elements of one channel block.
    pub(crate) block_len: usize,
    /// The places in each block.
    pub(crate) places: Places<'a>,
}

/// `WHOLE`: all lanes of its output blocks are its own. A type of its own for the other case, since sums wait
/// in memory where a tile has to look. `H`: half blocks behind the whole ones, none or one.
struct ConvGroup<'a, 'b, const WHOLE: bool, const H: usize> {
    span: &'b mut ConvSpan<'a>,
    reads: Reads<'b>,
    first_block: usize,
    first: usize,
    pixels: usize,
}

/// Computes `pixels` pixels from `first` on of block `first_block` (and the next, if the
/// instruction set takes two); returns blocks done. `pixels` is at most what the instruction set
/// takes at once.
#[inline(always)]
pub(crate) fn conv_group<S: Simd>(
    s: S,
    span: &mut ConvSpan<'_>,
    reads: Reads<'_>,
    first_block: usize,
    [first, pixels]: [usize; 2],
) -> usize {
    let blocks = span.blocks - first_block;
    let (whole, half) = (span.lanes.iter().all(|lanes| *lanes == (0..LANES)), span.is_half::<S>(first_block));
    match (whole, half) {
        (true, false) => {
            s.tile(&mut ConvGroup::<true, 0> { span, reads, first_block, first, pixels }, blocks, pixels).0
        }
        (false, false) => {
            s.tile(&mut ConvGroup::<false, 0> { span, reads, first_block, first, pixels }, blocks, pixels).0
        }
        (true, true) => {
            s.half_tile(&mut ConvGroup::<true, 1> { span, reads, first_block, first, pixels }, blocks, pixels);
            blocks
        }
        (false, true) => {
            s.half_tile(&mut ConvGroup::<false, 1> { span, reads, first_block, first, pixels }, blocks, pixels);
            blocks
        }
    }
}

/// The sums of a register tile: of `B` whole blocks, and of `H` halves behind them.
struct Sums<S: Simd, const B: usize, const H: usize, const P: usize> {
    whole: [[S::V; P]; B],
    half: [[S::Half; P]; H],
}

/// Adds `x[p][lane i] * w[b][i]` to the sum of block `b` and pixel `p`, for `i` below `k`, upwards.
///
/// # Safety
/// Those elements of each `x` and `16 k` of each `w` are readable.
#[inline(always)]
unsafe fn chain<S: Simd, const B: usize, const H: usize, const P: usize>(
    s: S,
    sum: &mut Sums<S, B, H, P>,
    x: [*const f32; P],
    w: &[*const f32; 2],
    [k, lane]: [usize; 2],
) {
    for i in 0..k {
        let mut row = [s.splat(0.0); B];
        for b in 0..B {
            // SAFETY: `16 k` elements of each `w` are readable, says the caller.
            row[b] = unsafe { s.load(w[b].add(i * LANES)) };
        }
        let mut half = [s.half(s.splat(0.0)); H];
        for h in 0..H {
            // SAFETY: as above.
            half[h] = s.half(unsafe { s.load(w[B + h].add(i * LANES)) });
        }
        for p in 0..P {
            // SAFETY: these elements of each `x` are readable, says the caller.
            let x = s.splat(unsafe { *x[p].add(i * lane) });
            for b in 0..B {
                sum.whole[b][p] = s.fma(x, row[b], sum.whole[b][p]);
            }
            for h in 0..H {
                sum.half[h][p] = s.fma_half(s.half(x), half[h], sum.half[h][p]);
            }
        }
    }
}

/// What the chains of one group read, checked: of `B` whole blocks, and of `H` halves behind them.
struct Chains<'a, const B: usize, const H: usize> {
    x: *const f32,
    blocks: usize,
    block_len: usize,
    channels: usize,
    first_lane: usize,
    w: [*const f32; 2],
    bias: [&'a [f32]; 2],
}

impl<'a, const B: usize, const H: usize> Chains<'a, B, H> {
    /// Those of the blocks from `first` on.
    #[inline(always)]
    fn of(span: &ConvSpan<'a>, reads: &Reads<'_>, first: usize, taps: usize) -> Chains<'a, B, H> {
        let (channels, first_lane, block_len) = (span.channels, span.first_lane, reads.block_len);
        let blocks = (first_lane + channels).div_ceil(LANES);
        assert!(first_lane < LANES, "a lane");
        assert!(reads.x.len() == blocks * block_len, "whole channel blocks");
        let (mut w, mut bias) = ([ZEROS.as_ptr(); 2], [&ZEROS[..]; 2]);
        for b in 0..B + H {
            let weights = span.weights[first + b];
            assert!(weights.len() == channels * taps * LANES, "a row of weights");
            assert!(span.bias[first + b].len() == LANES, "a bias");
            (w[b], bias[b]) = (weights.as_ptr(), span.bias[first + b]);
        }
        Chains { x: reads.x.as_ptr(), blocks, block_len, channels, first_lane, w, bias }
    }

    /// The beginnings of all chains.
    #[inline(always)]
    fn start<S: Simd, const P: usize>(&self, s: S) -> Sums<S, B, H, P> {
        let zero = s.splat(0.0);
        let mut sum = Sums { whole: [[zero; P]; B], half: [[s.half(zero); P]; H] };
        for b in 0..B {
            // SAFETY: 16 elements, asserted in `of`.
            sum.whole[b] = [unsafe { s.load(self.bias[b].as_ptr()) }; P];
        }
        for h in 0..H {
            // SAFETY: as above.
            sum.half[h] = [s.half(unsafe { s.load(self.bias[B + h].as_ptr()) }); P];
        }
        sum
    }

    /// All pixels inside the image, `step` elements apart, and channels of a block `lane` elements.
    ///
    /// The sums are a variable of this function and leave it once, so that they stay in registers.
    #[inline(always)]
    fn inside<S: Simd, const P: usize>(
        &self,
        s: S,
        first: usize,
        [step, lane]: [usize; 2],
        taps: &[u32],
    ) -> Sums<S, B, H, P> {
        let mut furthest = 0;
        for &tap in taps {
            furthest = tap.max(furthest);
        }
        let lanes = (self.first_lane + self.channels).min(LANES);
        let end = first + furthest as usize + (P - 1) * step + (lanes - 1) * lane + 1;
        assert!(end <= self.block_len, "a group inside the image");
        let (mut sum, mut w) = (self.start::<S, P>(s), self.w);
        let (mut block, mut left) = (self.x.wrapping_add(first + self.first_lane * lane), self.channels);
        let mut room = LANES - self.first_lane;
        for _ in 0..self.blocks {
            let k = left.min(room);
            for &tap in taps {
                let mut x = [ZEROS.as_ptr(); P];
                for p in 0..P {
                    x[p] = block.wrapping_add(tap as usize + p * step);
                }
                // SAFETY: all channels of each place lie in the block (asserted for the furthest), those of
                // the first from `first_lane` on. The rows of weights hold 16 elements for each channel and
                // tap (asserted in `of`), and `k` over all blocks sums to the channels.
                unsafe { chain(s, &mut sum, x, &w, [k, lane]) };
                for b in 0..B + H {
                    w[b] = w[b].wrapping_add(k * LANES);
                }
            }
            // From the first lane of the next block on.
            block = block.wrapping_add(self.block_len - (LANES - room) * lane);
            room = LANES;
            left -= k;
        }
        sum
    }

    /// Pixels anywhere, listed for each tap.
    #[inline(always)]
    fn listed<S: Simd, const P: usize>(&self, s: S, taps: &[[Place; MAX_PIXELS]]) -> Sums<S, B, H, P> {
        let (mut sum, mut w) = (self.start::<S, P>(s), self.w);
        let (mut block, mut left, last) = (self.x, self.channels, self.block_len - LANES);
        let mut lane = self.first_lane;
        for _ in 0..self.blocks {
            let k = left.min(LANES - lane);
            for row in taps {
                let mut x = [ZEROS.as_ptr(); P];
                for p in 0..P {
                    // One comparison finds the padding and makes sure of the rest.
                    let at = row[p].0 as usize;
                    x[p] = if at <= last { block.wrapping_add(at + lane) } else { ZEROS.as_ptr() };
                }
                // SAFETY: 16 elements from each place lie in the block, of which `k` are read from `lane` on,
                // or are the zeros; weights as in `inside`.
                unsafe { chain(s, &mut sum, x, &w, [k, 1]) };
                for b in 0..B + H {
                    w[b] = w[b].wrapping_add(k * LANES);
                }
            }
            block = block.wrapping_add(self.block_len);
            lane = 0;
            left -= k;
        }
        sum
    }
}

impl<S: Simd, const WHOLE: bool, const H: usize> Group<S> for ConvGroup<'_, '_, WHOLE, H> {
    #[inline(always)]
    fn run<const B: usize, const P: usize>(&mut self, s: S) {
        let reads = self.reads;
        // Distances that the compiler knows need no address of their own for each pixel.
        match reads.places {
            Places::Inside { first, step: LANES, taps } => self.inside::<S, B, P>(s, first, [LANES, 1], taps),
            Places::Inside { first, step, taps } => self.inside::<S, B, P>(s, first, [step, 1], taps),
            Places::Rows { .. } if !WHOLE => unreachable!("few channels are one group"),
            Places::Rows { first, step: 1, lane, taps } => self.inside::<S, B, P>(s, first, [1, lane], taps),
            Places::Rows { first, step: 2, lane, taps } => self.inside::<S, B, P>(s, first, [2, lane], taps),
            Places::Rows { first, step, lane, taps } => self.inside::<S, B, P>(s, first, [step, lane], taps),
            Places::Listed(taps) => {
                let chains = Chains::<B, H>::of(self.span, &reads, self.first_block, taps.len());
                let sum = chains.listed::<S, P>(s, taps);
                self.write::<S, B, P>(s, sum);
            }
        }
    }
}

impl<const WHOLE: bool, const H: usize> ConvGroup<'_, '_, WHOLE, H> {
    #[inline(always)]
    fn inside<S: Simd, const B: usize, const P: usize>(
        &mut self,
        s: S,
        first: usize,
        distance: [usize; 2],
        taps: &[u32],
    ) {
        let chains = Chains::<B, H>::of(self.span, &self.reads, self.first_block, taps.len());
        let sum = chains.inside::<S, P>(s, first, distance, taps);
        self.write::<S, B, P>(s, sum);
    }

    /// Writes all blocks. Block by block, since a loop over the sums gives them a place in memory.
    #[inline(always)]
    fn write<S: Simd, const B: usize, const P: usize>(&mut self, s: S, sum: Sums<S, B, H, P>) {
        let clamp = self.span.clamp.lanes(s);
        if B > 0 {
            self.write_one::<S, P>(s, &clamp, 0, sum.whole[0]);
        }
        if B > 1 {
            self.write_one::<S, P>(s, &clamp, 1, sum.whole[1]);
        }
        if H > 0 {
            let mut wide = [s.splat(0.0); P];
            for p in 0..P {
                wide[p] = s.widen(sum.half[0][p]);
            }
            self.write_one::<S, P>(s, &clamp, B, wide);
        }
    }

    #[inline(always)]
    fn write_one<S: Simd, const P: usize>(&mut self, s: S, clamp: &ClampLanes<S>, b: usize, sum: [S::V; P]) {
        if WHOLE {
            self.write_block::<S, P>(s, clamp, b, sum);
        } else {
            self.write_lanes::<S, P>(s, clamp, b, sum);
        }
    }

    /// Adds the residual to the sums of one block, clamps them, and writes those that are pixels.
    #[inline(always)]
    fn write_block<S: Simd, const P: usize>(&mut self, s: S, clamp: &ClampLanes<S>, b: usize, mut sum: [S::V; P]) {
        let (b, first, pixels) = (self.first_block + b, self.first * LANES, self.pixels);
        if let Some(residual) = &self.span.residual[b] {
            assert!(first + pixels * LANES <= residual.len(), "pixels within the residual");
            for p in 0..P {
                if p < pixels {
                    // SAFETY: asserted.
                    sum[p] = s.add(sum[p], unsafe { s.load(residual.as_ptr().add(first + p * LANES)) });
                }
            }
        }
        let y = &mut self.span.y[b];
        assert!(first + pixels * LANES <= y.len(), "pixels within the output");
        for p in 0..P {
            if p < pixels {
                // SAFETY: asserted.
                unsafe { s.store(clamp.apply(s, sum[p]), y.as_ptr().add(first + p * LANES)) };
            }
        }
    }

    /// As [`Self::write_block`], where other lanes of the block may be another tile's.
    #[inline(always)]
    fn write_lanes<S: Simd, const P: usize>(&mut self, s: S, clamp: &ClampLanes<S>, b: usize, sum: [S::V; P]) {
        let (b, first, pixels) = (self.first_block + b, self.first * LANES, self.pixels);
        let lanes = self.span.lanes[b].clone();
        let y = &mut self.span.y[b];
        assert!(first + pixels * LANES <= y.len(), "pixels within the output");
        // To the end of the tile, since sums that a variable picks have a place in memory.
        for p in 0..P {
            if p < pixels {
                let (mut value, at) = (sum[p], first + p * LANES);
                if let Some(residual) = &self.span.residual[b] {
                    assert!(at + LANES <= residual.len(), "a pixel within the residual");
                    // SAFETY: asserted.
                    value = s.add(value, unsafe { s.load_lanes(residual.as_ptr().add(at), lanes.clone()) });
                }
                // SAFETY: asserted.
                unsafe { s.store_lanes(clamp.apply(s, value), y.as_ptr().add(at), lanes.clone()) };
            }
        }
    }
}
