//! Winograd's transforms, and the products between them.
//!
//! The points are 0, 1, -1 and infinity for patches of two, and 0, 5/8, -5/8, 3/2, -3/2 and
//! infinity for patches of four: of pairs that share their sums, one with small errors. What is
//! divided by is in the weights, which are transformed at import.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::chain::{ZEROS, chain};
use super::math::Clamp;
use super::{Group, Simd};
use crate::cpu::LANES;
use crate::cpu::view::{SourceGrid, TargetGrid};
use crate::layout::WINOGRAD_POINTS;

/// The places of the image that one patch sees.
pub(crate) struct Patch<const N: usize> {
    /// Elements from the start of the image, or beyond it for padding.
    places: [[u32; N]; N],
    /// First element and elements from row to row, if all lie in the image.
    inside: Option<[usize; 2]>,
}

impl<const N: usize> Patch<N> {
    /// The `N x N` places from `corner` on; its rows and columns wrap below 0.
    #[inline(always)]
    pub(crate) fn new([top, left]: [usize; 2], [in_h, in_w]: [usize; 2]) -> Patch<N> {
        let within = |first: usize, size: usize| first < size && first + N <= size;
        if within(top, in_h) && within(left, in_w) {
            return Patch { places: [[0; N]; N], inside: Some([(top * in_w + left) * LANES, in_w * LANES]) };
        }
        let mut places = [[u32::MAX; N]; N];
        for i in 0..N {
            for j in 0..N {
                let (y, x) = (top.wrapping_add(i), left.wrapping_add(j));
                if y < in_h && x < in_w {
                    // An image that passed its check has fewer than 2^32 elements.
                    places[i][j] = u32::try_from((y * in_w + x) * LANES).unwrap_or(u32::MAX);
                }
            }
        }
        Patch { places, inside: None }
    }
}

/// `a + b x`
#[inline(always)]
fn plus<S: Simd>(s: S, a: S::V, b: f32, x: S::V) -> S::V {
    s.fma(s.splat(b), x, a)
}

/// The transform of an input along one axis.
#[inline(always)]
fn forward_line<S: Simd, const N: usize>(s: S, d: [S::V; N]) -> [S::V; N] {
    let mut out = d;
    if N == 4 {
        out[0] = s.sub(d[2], d[0]);
        out[1] = s.add(d[1], d[2]);
        out[2] = s.sub(d[2], d[1]);
        out[3] = s.sub(d[3], d[1]);
        return out;
    }
    let [p, q] = WINOGRAD_POINTS;
    let (pp, qq) = (p * p, q * q);
    out[0] = plus(s, plus(s, d[4], -(pp + qq), d[2]), pp * qq, d[0]);
    out[5] = plus(s, plus(s, d[5], -(pp + qq), d[3]), pp * qq, d[1]);
    let (even, odd) = (plus(s, d[4], -qq, d[2]), plus(s, d[3], -qq, d[1]));
    out[1] = plus(s, even, p, odd);
    out[2] = plus(s, even, -p, odd);
    let (even, odd) = (plus(s, d[4], -pp, d[2]), plus(s, d[3], -pp, d[1]));
    out[3] = plus(s, even, q, odd);
    out[4] = plus(s, even, -q, odd);
    out
}

/// The inverse transform along one axis.
#[inline(always)]
fn inverse_line<S: Simd, const N: usize, const O: usize>(s: S, m: [S::V; N]) -> [S::V; O] {
    let mut out = [m[0]; O];
    if N == 4 {
        out[0] = s.add(m[0], s.add(m[1], m[2]));
        out[1] = s.add(s.sub(m[1], m[2]), m[3]);
        return out;
    }
    let [p, q] = WINOGRAD_POINTS;
    let (even_p, odd_p) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    let (even_q, odd_q) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
    out[0] = s.add(m[0], s.add(even_p, even_q));
    out[1] = plus(s, s.mul(s.splat(p), odd_p), q, odd_q);
    out[2] = plus(s, s.mul(s.splat(p * p), even_p), q * q, even_q);
    out[3] = plus(s, plus(s, m[5], p * p * p, odd_p), q * q * q, odd_q);
    out
}

/// Transforms what a patch sees of one channel block of an image: 16 elements at each of `N * N`
/// points, `of_point` elements apart.
#[inline(always)]
pub(crate) fn forward<S: Simd, const N: usize>(s: S, patch: &Patch<N>, x: &[f32], out: &mut [f32], of_point: usize) {
    assert!((N * N - 1) * of_point + LANES <= out.len(), "scratch holds every point");
    let mut half = [[s.splat(0.0); N]; N];
    if let Some([first, row]) = patch.inside {
        assert!(first + (N - 1) * row + N * LANES <= x.len(), "a patch inside the image");
        for j in 0..N {
            let mut d = [s.splat(0.0); N];
            for i in 0..N {
                // SAFETY: asserted: the last row's last place lies in the image.
                d[i] = unsafe { s.load(x.as_ptr().add(first + i * row + j * LANES)) };
            }
            let line = forward_line(s, d);
            for i in 0..N {
                half[i][j] = line[i];
            }
        }
    } else {
        let last = x.len() - LANES;
        for j in 0..N {
            let mut d = [s.splat(0.0); N];
            for i in 0..N {
                let place = patch.places[i][j] as usize;
                let from = if place <= last { x.as_ptr().wrapping_add(place) } else { ZEROS.as_ptr() };
                // SAFETY: 16 elements of the image, compared just now, or of zeros.
                d[i] = unsafe { s.load(from) };
            }
            let line = forward_line(s, d);
            for i in 0..N {
                half[i][j] = line[i];
            }
        }
    }
    for i in 0..N {
        let line = forward_line(s, half[i]);
        for j in 0..N {
            // SAFETY: asserted: scratch holds every point.
            unsafe { s.store(line[j], out.as_mut_ptr().add((i * N + j) * of_point)) };
        }
    }
}

/// A patch of `rows` by `columns` places from its products and the bias.
#[inline(always)]
pub(crate) fn inverse<S: Simd, const N: usize, const O: usize>(
    s: S,
    [products, bias]: [&[f32]; 2],
    of_point: usize,
    residual: Option<SourceGrid<'_>>,
    clamp: &Clamp,
    [rows, columns]: [usize; 2],
    y: &mut TargetGrid<'_>,
) {
    assert!((N * N - 1) * of_point + LANES <= products.len() && bias.len() == LANES, "every point, a bias");
    let mut half = [[s.splat(0.0); N]; O];
    for j in 0..N {
        let mut m = [s.splat(0.0); N];
        for i in 0..N {
            // SAFETY: asserted: there are products for every point.
            m[i] = unsafe { s.load(products.as_ptr().add((i * N + j) * of_point)) };
        }
        let line = inverse_line::<S, N, O>(s, m);
        for i in 0..O {
            half[i][j] = line[i];
        }
    }
    // SAFETY: asserted.
    let bias = unsafe { s.load(bias.as_ptr()) };
    let clamp = clamp.lanes(s);
    for i in 0..O {
        if i >= rows {
            break;
        }
        let line = inverse_line::<S, N, O>(s, half[i]);
        let mut to = y.row(i);
        assert!(columns * LANES <= to.len(), "a row of the patch");
        let from = match &residual {
            Some(grid) => {
                let row = grid.row(i);
                assert!(columns * LANES <= row.len(), "a row of the residual");
                Some(row.as_ptr())
            }
            None => None,
        };
        for j in 0..O {
            if j < columns {
                let mut sum = s.add(line[j], bias);
                if let Some(from) = from {
                    // SAFETY: asserted; read before the same place is written.
                    sum = s.add(sum, unsafe { s.load(from.add(j * LANES)) });
                }
                // SAFETY: asserted.
                unsafe { s.store(clamp.apply(s, sum), to.as_ptr().add(j * LANES)) };
            }
        }
    }
}

/// Products over channels at one point.
pub(crate) struct Products<'a> {
    /// `[block][patch][16]`.
    pub(crate) x: &'a [f32],
    /// Input channels.
    pub(crate) channels: usize,
    /// A row of weights for each output block.
    pub(crate) weights: [&'a [f32]; 2],
    /// Elements from block to block, in `x` and `y`.
    pub(crate) step: usize,
    /// `[block][patch][16]`.
    pub(crate) y: &'a mut [f32],
}

struct ProductGroup<'a, 'b> {
    work: &'b mut Products<'a>,
    block: usize,
    first: usize,
}

/// Multiplies for `blocks` output blocks (1 or 2) and so many patches.
#[inline(always)]
pub(crate) fn products<S: Simd>(s: S, work: &mut Products<'_>, blocks: usize, patches: usize) {
    let mut block = 0;
    while block < blocks {
        let (mut done, mut first) = (0, 0);
        while first < patches {
            let mut group = ProductGroup { work, block, first };
            let (did, pixels) = s.tile(&mut group, blocks - block, patches - first);
            done = did;
            first += pixels;
        }
        block += done;
    }
}

impl<S: Simd> Group<S> for ProductGroup<'_, '_> {
    #[inline(always)]
    fn run<const B: usize, const P: usize>(&mut self, s: S) {
        let work = &mut *self.work;
        let mut w = [ZEROS.as_ptr(); B];
        for b in 0..B {
            let row = work.weights[self.block + b];
            assert!(row.len() == work.channels * LANES, "a row of weights");
            w[b] = row.as_ptr();
        }
        let blocks = work.channels.div_ceil(LANES);
        let first = self.first * LANES;
        assert!(first + P * LANES <= work.step && blocks * work.step <= work.x.len(), "patches of every block");
        assert!((self.block + B) * work.step <= work.y.len(), "room for every product");
        let mut sum = [[s.splat(0.0); P]; B];
        let mut from = work.x.as_ptr().wrapping_add(first);
        let mut left = work.channels;
        while left > 0 {
            let k = left.min(LANES);
            let mut x = [from; P];
            for p in 0..P {
                x[p] = from.wrapping_add(p * LANES);
            }
            // SAFETY: 16 elements of each patch, and as many rows of 16 weights as channels, asserted.
            unsafe { if k == LANES { chain(s, &mut sum, x, w, LANES) } else { chain(s, &mut sum, x, w, k) } }
            for w in &mut w {
                *w = w.wrapping_add(k * LANES);
            }
            from = from.wrapping_add(work.step);
            left -= k;
        }
        for b in 0..B {
            for p in 0..P {
                // SAFETY: asserted.
                unsafe {
                    s.store(sum[b][p], work.y.as_mut_ptr().add((self.block + b) * work.step + first + p * LANES))
                };
            }
        }
    }
}
