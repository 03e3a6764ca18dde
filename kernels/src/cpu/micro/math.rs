//! Functions of 16 lanes, built from [`Simd`]'s operations.

use super::Simd;
use crate::params::{Activation, ActivationKind};

#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut sum = s.splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(c));
    }
    sum
}

/// `exp(x)`: `2^n` times a polynomial on `[-ln 2 / 2, ln 2 / 2]`, within 2 units in the last place.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // Beyond these the result is 0 or infinite anyway.
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, the first with few bits so that its product is exact.
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let p =
        polynomial(s, r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5, 1.0, 1.0]);
    // Two factors, since 2^n alone leaves the range of normal numbers before the result does.
    let half = s.round(s.mul(n, s.splat(0.5)));
    s.mul(s.mul(p, s.exp2(half)), s.exp2(s.sub(n, half)))
}

/// `1 / (1 + exp(-x))`
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

#[inline(always)]
fn abs<S: Simd>(s: S, x: S::V) -> S::V {
    s.max(s.sub(s.splat(0.0), x), x)
}

/// `tanh(x)`: a polynomial near zero, where the formula with `exp` would cancel.
#[inline(always)]
fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let square = s.mul(x, x);
    let near = polynomial(s, square, [-5.704_989e-3, 2.063_909e-2, -5.373_972e-2, 1.333_144_2e-1, -3.333_328e-1]);
    let near = s.fma(s.mul(near, square), x, x);
    let e = exp(s, s.add(x, x));
    let far = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(e, s.splat(1.0))));
    s.select_less(abs(s, x), s.splat(0.625), near, far)
}

/// `erf(x)`, within 4e-7: a quotient of polynomials up to 4, where it becomes 1.
#[inline(always)]
fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.min(s.splat(4.0), s.max(s.splat(-4.0), x));
    let square = s.mul(x, x);
    let top = polynomial(
        s,
        square,
        [-2.726_142_3e-10, 2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906e-4, -2.954_6e-3, -1.609_603_3e-2],
    );
    let bottom =
        polynomial(s, square, [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2]);
    s.div(s.mul(x, top), bottom)
}

/// A function of one element, lane by lane: for what is rare or has no short polynomial.
#[inline(always)]
fn each<S: Simd>(s: S, x: S::V, f: impl Fn(f32) -> f32) -> S::V {
    s.load_array(&s.to_array(x).map(f))
}

/// `x tanh(ln(1 + e^x))`, which is a quotient of polynomials in `e^x`.
#[inline(always)]
fn mish<S: Simd>(s: S, x: S::V) -> S::V {
    // Beyond 40 the quotient is 1, and its square would overflow.
    let e = exp(s, s.min(s.splat(40.0), x));
    let n = s.mul(e, s.add(e, s.splat(2.0)));
    s.mul(x, s.div(n, s.add(n, s.splat(2.0))))
}

/// The approximation of `x (1 + erf(x / sqrt 2)) / 2` by `tanh`, written without a difference.
#[inline(always)]
fn gelu_tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let twice = 2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    let cubic = s.fma(s.mul(s.mul(x, x), s.splat(0.044_715)), x, x);
    s.mul(x, sigmoid(s, s.mul(cubic, s.splat(twice))))
}

/// `clip(a x + b, 0, 1)`
#[inline(always)]
fn hard_sigmoid<S: Simd>(s: S, x: S::V, a: S::V, b: S::V) -> S::V {
    s.min(s.splat(1.0), s.max(s.splat(0.0), s.fma(x, a, b)))
}

/// Calls `apply` once with the function that `activation` names, so that a loop holds no choice.
#[inline(always)]
pub(crate) fn with_activation<S: Simd>(s: S, activation: &Activation, apply: impl Apply<S>) {
    use ActivationKind::*;
    let (a, b) = (s.splat(activation.a), s.splat(activation.b));
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let Some(kind) = ActivationKind::from_u32(activation.kind) else {
        unreachable!("a checked block names an activation")
    };
    // A closure of a generic kernel is compiled into its loop only if it says so.
    macro_rules! with {
        ($x:ident => $y:expr) => {
            apply.with(
                #[inline(always)]
                |$x| $y,
            )
        };
    }
    match kind {
        None => with!(x => x),
        Relu => with!(x => s.max(zero, x)),
        Clip => with!(x => s.min(b, s.max(a, x))),
        HardSigmoid => with!(x => hard_sigmoid(s, x, a, b)),
        HardSwish => with!(x => s.mul(x, hard_sigmoid(s, x, a, b))),
        Sigmoid => with!(x => sigmoid(s, x)),
        Swish => with!(x => s.mul(x, sigmoid(s, s.mul(a, x)))),
        LeakyRelu => with!(x => s.select_less(x, zero, s.mul(a, x), x)),
        Tanh => with!(x => tanh(s, x)),
        Gelu => with!(x => {
            let e = erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
            s.mul(s.mul(s.splat(0.5), x), s.add(one, e))
        }),
        Erf => with!(x => erf(s, x)),
        Exp => with!(x => exp(s, x)),
        Sqrt => with!(x => s.sqrt(x)),
        Reciprocal => with!(x => s.div(one, x)),
        Abs => with!(x => abs(s, x)),
        Affine => with!(x => s.fma(a, x, b)),
        Log => with!(x => each(s, x, f32::ln)),
        Ceil => with!(x => each(s, x, f32::ceil)),
        Floor => with!(x => each(s, x, f32::floor)),
        Sign => with!(x => each(s, x, |x| if x == 0.0 { 0.0 } else { x.signum() })),
        Elu => with!(x => {
            let below = each(s, x, f32::exp_m1);
            s.select_less(x, zero, s.mul(a, below), x)
        }),
        Softplus => with!(x => each(s, x, |x| x.max(0.0) + (-x.abs()).exp().ln_1p())),
        Mish => with!(x => mish(s, x)),
        GeluTanh => with!(x => gelu_tanh(s, x)),
        Round => with!(x => each(s, x, f32::round_ties_even)),
    }
}

/// A loop that is given the function of one element.
pub(crate) trait Apply<S: Simd> {
    /// Runs the loop with `f`.
    fn with(self, f: impl Fn(S::V) -> S::V);
}

/// The part of an activation that is applied to accumulators in registers, and the rest, which
/// takes a second pass over what was stored.
pub(crate) struct Clamp {
    /// Lower bound.
    pub(crate) low: f32,
    /// Upper bound.
    pub(crate) high: f32,
    /// Factor and summand of a hard sigmoid by which the value is multiplied.
    gate: Option<[f32; 2]>,
    /// What remains to be applied to the stored values.
    pub(crate) rest: Option<Activation>,
}

/// [`Clamp`] in registers.
#[derive(Clone, Copy)]
pub(crate) struct ClampLanes<S: Simd> {
    low: S::V,
    high: S::V,
    gate: Option<[S::V; 2]>,
}

impl Clamp {
    /// Splits `activation`.
    pub(crate) fn of(activation: &Activation) -> Clamp {
        let all = Clamp { low: f32::NEG_INFINITY, high: f32::INFINITY, gate: Option::None, rest: Option::None };
        let (a, b) = (activation.a, activation.b);
        match ActivationKind::from_u32(activation.kind) {
            Some(ActivationKind::None) => all,
            Some(ActivationKind::Relu) => Clamp { low: 0.0, ..all },
            Some(ActivationKind::Clip) => Clamp { low: a, high: b, ..all },
            Some(ActivationKind::HardSwish) => Clamp { gate: Some([a, b]), ..all },
            _ => Clamp { rest: Some(*activation), ..all },
        }
    }

    /// In registers.
    #[inline(always)]
    pub(crate) fn lanes<S: Simd>(&self, s: S) -> ClampLanes<S> {
        #[expect(clippy::manual_map, reason = "a closure may stay a call without the instruction set")]
        let gate = match self.gate {
            Some([a, b]) => Some([s.splat(a), s.splat(b)]),
            Option::None => Option::None,
        };
        ClampLanes { low: s.splat(self.low), high: s.splat(self.high), gate }
    }
}

impl<S: Simd> ClampLanes<S> {
    /// Applied to 16 lanes.
    #[inline(always)]
    pub(crate) fn apply(&self, s: S, x: S::V) -> S::V {
        let x = s.min(self.high, s.max(self.low, x));
        match self.gate {
            Some([a, b]) => s.mul(x, hard_sigmoid(s, x, a, b)),
            Option::None => x,
        }
    }
}
