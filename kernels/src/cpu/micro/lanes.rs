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

/// 16 elements of one side of [`zip`] from `i` on.
#[inline(always)]
fn side<S: Simd>(s: S, x: &Lanes<'_>, i: usize) -> S::V {
    match x {
        Lanes::Each(x) => load(s, x, i, 1.0),
        Lanes::Again(x) => load(s, x, 0, 1.0),
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
    for i in (0..y.len()).step_by(LANES) {
        store(s, f(load(s, &x, i, 0.0)), y, i);
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
    for i in (0..y.len()).step_by(LANES) {
        let v = f(side(s, &a, i), side(s, &b, i));
        store(s, v, y, i);
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
    for i in (0..y.len()).step_by(LANES) {
        store(s, f(load(s, &x, i, 0.0), load(s, &a, i, 0.0), load(s, &b, i, 0.0)), y, i);
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
    for i in (0..y.len()).step_by(LANES) {
        let v = f(load(s, &x, i, filler));
        store(s, v, y, i);
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
    let whole = x.len() / (CHAINS * LANES) * (CHAINS * LANES);
    for i in (0..whole).step_by(CHAINS * LANES) {
        for chain in 0..CHAINS {
            sums[chain] = f(sums[chain], load(s, &x, i + chain * LANES, filler));
        }
    }
    for chain in 0..CHAINS {
        let i = whole + chain * LANES;
        if i < x.len() {
            sums[chain] = f(sums[chain], load(s, &x, i, filler));
        }
    }
    let [a, b, c, d] = sums;
    join(join(a, b), join(c, d))
}
