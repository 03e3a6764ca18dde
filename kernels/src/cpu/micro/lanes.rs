//! Loops over contiguous elements, 16 at a time. A remainder goes through the same operations.

#![allow(clippy::needless_range_loop, reason = "iterator adapters would stay calls without the instruction set")]

use super::Simd;
use crate::cpu::LANES;
use crate::cpu::view::{Source, Target};

/// One side of [`zip`].
#[derive(Clone, Copy)]
pub(crate) enum Lanes<'a> {
    /// An element for each.
    Each(Source<'a>),
    /// 16 elements, the same for every 16.
    Again(Source<'a>),
    /// The same for all.
    One(f32),
}

/// 16 elements from `i` on; those beyond the end are `filler`.
#[inline(always)]
fn load<S: Simd>(s: S, x: &Source<'_>, i: usize, filler: f32) -> S::V {
    let left = x.len() - i;
    if left >= LANES {
        // SAFETY: `i + 16` elements lie in the view.
        return unsafe { s.load(x.as_ptr().add(i)) };
    }
    let mut lanes = [filler; LANES];
    for (j, lane) in lanes[..left].iter_mut().enumerate() {
        *lane = x.get(i + j);
    }
    s.load_array(&lanes)
}

/// 16 elements from `i` on, all within the view: what the inner loops call, which are slow if the
/// remainder's case is in them.
#[inline(always)]
fn load_whole<S: Simd>(s: S, x: &Source<'_>, i: usize) -> S::V {
    assert!(i + LANES <= x.len(), "16 elements from {i} of {}", x.len());
    // SAFETY: asserted.
    unsafe { s.load(x.as_ptr().add(i)) }
}

/// Writes 16 elements from `i` on, all within the view.
#[inline(always)]
fn store_whole<S: Simd>(s: S, v: S::V, y: &mut Target<'_>, i: usize) {
    assert!(i + LANES <= y.len(), "16 elements from {i} of {}", y.len());
    // SAFETY: asserted.
    unsafe { s.store(v, y.as_ptr().add(i)) }
}

/// Elements of whole groups of 16 among `len`.
#[inline(always)]
fn whole(len: usize) -> usize {
    len / LANES * LANES
}

/// 16 elements of one side of [`zip`] from `i` on.
#[inline(always)]
fn side<S: Simd>(s: S, x: &Lanes<'_>, i: usize) -> S::V {
    match x {
        Lanes::Each(x) => load(s, x, i, 1.0),
        Lanes::Again(x) => load(s, x, 0, 1.0),
        Lanes::One(x) => s.splat(*x),
    }
}

/// [`side`] where all 16 lie within the view.
#[inline(always)]
fn side_whole<S: Simd>(s: S, x: &Lanes<'_>, i: usize) -> S::V {
    match x {
        Lanes::Each(x) => load_whole(s, x, i),
        Lanes::Again(x) => load_whole(s, x, 0),
        Lanes::One(x) => s.splat(*x),
    }
}

/// Writes 16 elements from `i` on, or those that there are.
#[inline(always)]
fn store<S: Simd>(s: S, v: S::V, y: &mut Target<'_>, i: usize) {
    let left = y.len() - i;
    if left >= LANES {
        // SAFETY: `i + 16` elements lie in the view.
        return unsafe { s.store(v, y.as_ptr().add(i)) };
    }
    for (j, lane) in s.to_array(v)[..left].iter().enumerate() {
        // SAFETY: `i + left` elements lie in the view.
        unsafe { y.as_ptr().add(i + j).write(*lane) };
    }
}

/// `y[i] = f(x[i])`; `x` may be `y`.
#[inline(always)]
pub(crate) fn map<S: Simd>(s: S, x: Source<'_>, y: &mut Target<'_>, f: impl Fn(S::V) -> S::V) {
    assert!(x.len() == y.len(), "{} elements to {}", x.len(), y.len());
    let end = whole(y.len());
    for i in (0..end).step_by(LANES) {
        store_whole(s, f(load_whole(s, &x, i)), y, i);
    }
    if end < y.len() {
        store(s, f(load(s, &x, end, 0.0)), y, end);
    }
}

/// `y[i] = f(a[i], b[i])`; `a` or `b` may be `y`.
#[inline(always)]
pub(crate) fn zip<S: Simd>(s: S, a: Lanes<'_>, b: Lanes<'_>, y: &mut Target<'_>, f: impl Fn(S::V, S::V) -> S::V) {
    for x in [&a, &b] {
        if let Lanes::Each(x) = x {
            assert!(x.len() == y.len(), "{} elements to {}", x.len(), y.len());
        }
    }
    let end = whole(y.len());
    for i in (0..end).step_by(LANES) {
        store_whole(s, f(side_whole(s, &a, i), side_whole(s, &b, i)), y, i);
    }
    if end < y.len() {
        store(s, f(side(s, &a, end), side(s, &b, end)), y, end);
    }
}

/// `y[i] = f(x[i], a[i], b[i])`; `x` may be `y`.
#[inline(always)]
pub(crate) fn zip_three<S: Simd>(
    s: S,
    x: Source<'_>,
    [a, b]: [Source<'_>; 2],
    y: &mut Target<'_>,
    f: impl Fn(S::V, S::V, S::V) -> S::V,
) {
    for x in [&x, &a, &b] {
        assert!(x.len() == y.len(), "{} elements to {}", x.len(), y.len());
    }
    let end = whole(y.len());
    for i in (0..end).step_by(LANES) {
        store_whole(s, f(load_whole(s, &x, i), load_whole(s, &a, i), load_whole(s, &b, i)), y, i);
    }
    if end < y.len() {
        store(s, f(load(s, &x, end, 0.0), load(s, &a, end, 0.0), load(s, &b, end, 0.0)), y, end);
    }
}

/// `y[i] = f(x[i])`, and all of them joined into 16 lanes; `x` may be `y`. Beyond the end `x` is `filler`.
#[inline(always)]
pub(crate) fn map_fold<S: Simd>(
    s: S,
    x: Source<'_>,
    y: &mut Target<'_>,
    [start, filler]: [f32; 2],
    f: impl Fn(S::V) -> S::V,
    join: impl Fn(S::V, S::V) -> S::V,
) -> S::V {
    assert!(x.len() == y.len(), "{} elements to {}", x.len(), y.len());
    let mut sum = s.splat(start);
    let end = whole(y.len());
    for i in (0..end).step_by(LANES) {
        let v = f(load_whole(s, &x, i));
        store_whole(s, v, y, i);
        sum = join(sum, v);
    }
    if end < y.len() {
        let v = f(load(s, &x, end, filler));
        store(s, v, y, end);
        sum = join(sum, v);
    }
    sum
}

/// Chains of [`fold`]: as many as keep an adder busy.
const CHAINS: usize = 4;

/// Takes all elements of `x` into 16 lanes: with `f` into four chains, group `i` of 16 elements into
/// chain `i % 4`, then the chains with `join`. `start` is neutral; beyond the end `x` is `filler`.
#[inline(always)]
pub(crate) fn fold<S: Simd>(
    s: S,
    x: Source<'_>,
    [start, filler]: [f32; 2],
    f: impl Fn(S::V, S::V) -> S::V,
    join: impl Fn(S::V, S::V) -> S::V,
) -> S::V {
    let mut sums = [s.splat(start); CHAINS];
    let (rounds, end) = (x.len() / (CHAINS * LANES), whole(x.len()));
    for round in 0..rounds {
        for chain in 0..CHAINS {
            sums[chain] = f(sums[chain], load_whole(s, &x, (round * CHAINS + chain) * LANES));
        }
    }
    for chain in 0..CHAINS {
        let i = (rounds * CHAINS + chain) * LANES;
        if i < end {
            sums[chain] = f(sums[chain], load_whole(s, &x, i));
        } else if i < x.len() {
            sums[chain] = f(sums[chain], load(s, &x, i, filler));
        }
    }
    let [a, b, c, d] = sums;
    join(join(a, b), join(c, d))
}
