//! Accumulator chains: the inner loops of convolutions and products.
//!
//! An output is one chain of fused multiply-adds, in an order that its layer's shape alone fixes.
//! How many outputs share a register tile decides only what is computed side by side.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::math::Clamp;
use super::{Group, Simd};
use crate::cpu::LANES;
use crate::cpu::view::{Source, Target};

/// Read instead of a place outside the image.
pub(super) static ZEROS: [f32; LANES] = [0.0; LANES];

/// Pixels of the widest register tile.
pub(crate) const MAX_PIXELS: usize = 12;

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
    /// For each tap, [`MAX_PIXELS`] places.
    Listed(&'a [[Place; MAX_PIXELS]]),
}

impl Places<'_> {
    /// Taps.
    #[inline(always)]
    fn taps(&self) -> usize {
        match self {
            Places::Inside { taps, .. } => taps.len(),
            Places::Listed(taps) => taps.len(),
        }
    }

    /// Where `P` pixels read in the channel block `x` for one tap: 16 elements each.
    #[inline(always)]
    fn of_tap<const P: usize>(&self, x: &[f32], tap: usize) -> [*const f32; P] {
        let mut places = [ZEROS.as_ptr(); P];
        match *self {
            Places::Inside { first, step, taps } => {
                let first = first + taps[tap] as usize;
                assert!(first + (P - 1) * step + LANES <= x.len(), "a group inside the image");
                for (p, place) in places.iter_mut().enumerate() {
                    *place = x.as_ptr().wrapping_add(first + p * step);
                }
            }
            Places::Listed(taps) => {
                let row = &taps[tap];
                let last = x.len() - LANES;
                for (p, place) in places.iter_mut().enumerate() {
                    // One comparison finds the padding and makes sure of the rest.
                    let at = row[p].0 as usize;
                    if at <= last {
                        *place = x.as_ptr().wrapping_add(at);
                    }
                }
            }
        }
        places
    }
}

/// `sum[b][p] += x[p][i] * w[b][i]` for `i` upwards.
///
/// # Safety
/// `k` elements of each `x` and `16 k` of each `w` are readable.
#[inline(always)]
pub(super) unsafe fn chain<S: Simd, const B: usize, const P: usize>(
    s: S,
    sum: &mut [[S::V; P]; B],
    x: [*const f32; P],
    w: [*const f32; B],
    k: usize,
) {
    // A copy of its own stays in registers, also where the caller's sums have a place in memory.
    let mut own = *sum;
    for i in 0..k {
        let mut row = [s.splat(0.0); B];
        for b in 0..B {
            // SAFETY: `16 k` elements of each `w` are readable, says the caller.
            row[b] = unsafe { s.load(w[b].add(i * LANES)) };
        }
        for p in 0..P {
            // SAFETY: `k` elements of each `x` are readable, says the caller.
            let x = s.splat(unsafe { *x[p].add(i) });
            for b in 0..B {
                own[b][p] = s.fma(x, row[b], own[b][p]);
            }
        }
    }
    *sum = own;
}

/// Up to two output blocks of a convolution, all their pixels.
pub(crate) struct ConvSpan<'a> {
    /// The channel blocks that the outputs read, `block_len` elements each.
    pub(crate) x: &'a [f32],
    /// Elements of one channel block.
    pub(crate) block_len: usize,
    /// Input channels.
    pub(crate) channels: usize,
    /// A row of weights for each output block.
    pub(crate) weights: [&'a [f32]; 2],
    /// 16 elements for each output block.
    pub(crate) bias: [&'a [f32]; 2],
    /// Added last.
    pub(crate) residual: [Option<Source<'a>>; 2],
    /// The output blocks.
    pub(crate) y: [Target<'a>; 2],
    /// Output blocks that there are, 1 or 2.
    pub(crate) blocks: usize,
    /// Applied in registers.
    pub(crate) clamp: Clamp,
}

struct ConvGroup<'a, 'b> {
    span: &'b mut ConvSpan<'a>,
    places: Places<'b>,
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
    places: Places<'_>,
    first_block: usize,
    [first, pixels]: [usize; 2],
) -> usize {
    let blocks = span.blocks - first_block;
    let mut group = ConvGroup { span, places, first_block, first, pixels };
    s.tile(&mut group, blocks, pixels).0
}

impl<S: Simd> Group<S> for ConvGroup<'_, '_> {
    #[inline(always)]
    fn run<const B: usize, const P: usize>(&mut self, s: S) {
        let span = &mut *self.span;
        let taps = self.places.taps();
        let mut sum = [[s.splat(0.0); P]; B];
        let mut w = [ZEROS.as_ptr(); B];
        for b in 0..B {
            let (bias, weights) = (span.bias[self.first_block + b], span.weights[self.first_block + b]);
            assert!(weights.len() == span.channels * taps * LANES && bias.len() == LANES, "a row of weights, a bias");
            // SAFETY: asserted.
            sum[b] = [unsafe { s.load(bias.as_ptr()) }; P];
            w[b] = weights.as_ptr();
        }
        let mut left = span.channels;
        for x in span.x.chunks_exact(span.block_len) {
            let k = left.min(LANES);
            for tap in 0..taps {
                let x = self.places.of_tap::<P>(x, tap);
                // SAFETY: `of_tap` gives 16 elements each. The rows of weights hold 16 elements for
                // each channel and tap (asserted), and `k` over all blocks sums to the channels.
                unsafe { if k == LANES { chain(s, &mut sum, x, w, LANES) } else { chain(s, &mut sum, x, w, k) } }
                for w in &mut w {
                    *w = w.wrapping_add(k * LANES);
                }
            }
            left -= k;
        }
        let clamp = span.clamp.lanes(s);
        for b in 0..B {
            let y = &mut span.y[self.first_block + b];
            assert!((self.first + self.pixels) * LANES <= y.len(), "pixels within the output");
            let residual = match &span.residual[self.first_block + b] {
                Some(r) => {
                    assert!((self.first + self.pixels) * LANES <= r.len(), "pixels within the residual");
                    Some(r.as_ptr())
                }
                None => None,
            };
            // Without an early end the loop is unrolled, and the sums need no place in memory.
            for p in 0..P {
                if p < self.pixels {
                    let at = (self.first + p) * LANES;
                    let mut out = sum[b][p];
                    if let Some(r) = residual {
                        // SAFETY: asserted.
                        out = s.add(out, unsafe { s.load(r.add(at)) });
                    }
                    // SAFETY: asserted above.
                    unsafe { s.store(clamp.apply(s, out), y.as_ptr().add(at)) };
                }
            }
        }
    }
}
