//! What is compiled once for each instruction set.
//!
//! [`Simd`] is a token: a value of it exists only where its instructions may run, so its methods
//! are safe. Everything generic over it is `inline(always)`, down to the entry that enables the
//! instruction set; a call that stays a call would be compiled without it.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

mod avx2;
mod avx512;
mod chain;
mod conv;
mod draw;
mod gemm;
mod lanes;
pub(crate) mod math;
mod peak;
mod portable;
mod row;
mod winograd;

use std::ops::Range;

pub(crate) use avx2::Avx2;
pub(crate) use avx512::Avx512;
pub(crate) use conv::{ConvSpan, MAX_PIXELS, Place, Places, Reads, conv_group};
pub(crate) use draw::{Drawn, ELSEWHERE, Origins, draw};
pub(crate) use gemm::{GemmSpan, gemm_group, pack_turned};
pub(crate) use lanes::{Lanes, fold, map, map_fold, zip, zip_three};
pub(crate) use peak::{FLOPS as ROUND_FLOPS, multiply_adds};
pub(crate) use portable::Portable;
pub(crate) use row::{Fold, Lines, Maximum, Reach, Scaled, Weighted, fold_lines};
pub(crate) use winograd::{Patch, Products, forward, inverse, products};

/// One instruction set, working on 16 lanes of `f32`.
pub(crate) trait Simd: Copy {
    /// 16 lanes.
    type V: Copy;

    /// The lower 8 of 16 lanes.
    type Half: Copy;

    /// Where lanes of a block go.
    type Pick: Copy;

    /// Output blocks of the widest register tile.
    const BLOCKS: usize;

    /// Whether the factors of nine taps find room in registers beside a tile of [`Simd::line_width`].
    const FACTORS: bool;

    /// Every lane `x`.
    fn splat(self, x: f32) -> Self::V;

    /// 16 elements from `from` on.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn load(self, from: *const f32) -> Self::V;

    /// Writes 16 elements from `to` on.
    ///
    /// # Safety
    /// They are writable.
    unsafe fn store(self, v: Self::V, to: *mut f32);

    /// The elements from `from` on that are `lanes` of 16, and 0 for the others, which are not read.
    ///
    /// # Safety
    /// Those are readable; `lanes` lies within 16.
    unsafe fn load_lanes(self, from: *const f32, lanes: Range<usize>) -> Self::V;

    /// Writes the elements from `to` on that are `lanes` of 16, no others.
    ///
    /// # Safety
    /// Those are writable; `lanes` lies within 16.
    unsafe fn store_lanes(self, v: Self::V, to: *mut f32, lanes: Range<usize>);

    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b + c`, rounded once where the instruction set can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// As [`Simd::fma`], of halves.
    fn fma_half(self, a: Self::Half, b: Self::Half, c: Self::Half) -> Self::Half;
    /// The lower half.
    fn half(self, v: Self::V) -> Self::Half;
    /// A half, and 0 in the upper lanes.
    fn widen(self, v: Self::Half) -> Self::V;
    /// The smaller; `b` if either is not a number.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger; `b` if either is not a number.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The nearest integer, for magnitudes below 2^22.
    fn round(self, a: Self::V) -> Self::V;
    /// Two to the power of each lane, an integer in -126..=127.
    fn exp2(self, a: Self::V) -> Self::V;
    /// `x` where `a < b`, else `y`.
    fn select_less(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;

    /// [`Origins`] as [`Simd::merge`] takes them.
    fn pick(self, origins: &Origins) -> Self::Pick;

    /// Lanes of `from` where `pick` says which, the others those of `into`.
    fn merge(self, into: Self::V, from: Self::V, pick: Self::Pick) -> Self::V;

    /// Pixels of the register tile that is used when `remaining` are left; may be more.
    fn width(self, remaining: usize) -> usize;

    /// Runs `group` with the register tile of [`Simd::width`] pixels by some of `blocks` output
    /// blocks, and returns how many blocks and pixels it did.
    fn tile<G: Group<Self>>(self, group: &mut G, blocks: usize, remaining: usize) -> (usize, usize);

    /// Pixels of the register tile of one block for a line of `pixels`, the last of which are computed anew where
    /// fewer than a tile are left.
    fn line_width(self, pixels: usize) -> usize;

    /// As [`Simd::width`], for [`Simd::half_tile`].
    fn half_width(self, remaining: usize) -> usize;

    /// As [`Simd::tile`], for all of at most [`Simd::BLOCKS`] blocks, the last of which is a half. `group` is told
    /// how many whole ones there are, and returned is how many pixels it did.
    fn half_tile<G: Group<Self>>(self, group: &mut G, blocks: usize, remaining: usize) -> usize;

    /// The 16 lanes as an array.
    #[inline(always)]
    fn to_array(self, v: Self::V) -> [f32; 16] {
        let mut out = [0.0; 16];
        // SAFETY: the array has 16 elements.
        unsafe { self.store(v, out.as_mut_ptr()) };
        out
    }

    /// The sum of the lanes: lane `i` and lane `i + 8`, then `i` and `i + 4`, and so on.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let lanes = self.to_array(v);
        let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
        for i in 0..8 {
            eight[i] = lanes[i] + lanes[i + 8];
        }
        for i in 0..4 {
            four[i] = eight[i] + eight[i + 4];
        }
        (four[0] + four[2]) + (four[1] + four[3])
    }

    /// The largest of the lanes.
    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        let lanes = self.to_array(v);
        let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
        for i in 0..8 {
            eight[i] = larger(lanes[i], lanes[i + 8]);
        }
        for i in 0..4 {
            four[i] = larger(eight[i], eight[i + 4]);
        }
        larger(larger(four[0], four[2]), larger(four[1], four[3]))
    }

    /// Lane `j` of row `i` becomes lane `i` of row `j`.
    #[inline(always)]
    fn transpose(self, rows: [Self::V; 16]) -> [Self::V; 16] {
        let mut turned = [[0.0; 16]; 16];
        for i in 0..16 {
            let row = self.to_array(rows[i]);
            for j in 0..16 {
                turned[j][i] = row[j];
            }
        }
        let mut out = rows;
        for j in 0..16 {
            out[j] = self.load_array(&turned[j]);
        }
        out
    }

    /// An array as 16 lanes.
    #[inline(always)]
    fn load_array(self, v: &[f32; 16]) -> Self::V {
        // SAFETY: the array has 16 elements.
        unsafe { self.load(v.as_ptr()) }
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Work on `B` output blocks by `P` pixels whose accumulators stay in registers.
pub(crate) trait Group<S: Simd> {
    /// Does the first `B` blocks by `P` pixels of what remains. There may be fewer than `P`.
    fn run<const B: usize, const P: usize>(&mut self, s: S);
}
