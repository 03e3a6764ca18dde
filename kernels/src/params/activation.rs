//! Functions of one element: the last step of many kernels, and all of [`Unary`](super::Unary).

use super::BlockError;
use bytemuck::{Pod, Zeroable};

/// A function of one element, with its scalars. The scalars belong to the architecture.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Activation {
    /// An [`ActivationKind`] as its number.
    pub kind: u32,
    /// First scalar; what it means is the kind's matter.
    pub a: f32,
    /// Second scalar.
    pub b: f32,
}

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ActivationKind {
    /// `x`
    None = 0,
    /// `max(x, 0)`
    Relu = 1,
    /// `min(max(x, a), b)`; ReLU6 is `Clip` with 0 and 6.
    Clip = 2,
    /// `clip(a x + b, 0, 1)`
    HardSigmoid = 3,
    /// `x clip(a x + b, 0, 1)`; ONNX's `HardSwish` has 1/6 and 1/2.
    HardSwish = 4,
    /// `1 / (1 + exp(-x))`
    Sigmoid = 5,
    /// `x / (1 + exp(-a x))`; SiLU has `a = 1`.
    Swish = 6,
    /// `x` where positive, else `a x`.
    LeakyRelu = 7,
    /// `tanh(x)`
    Tanh = 8,
    /// `x (1 + erf(x / sqrt 2)) / 2`
    Gelu = 9,
    /// `erf(x)`
    Erf = 10,
    /// `exp(x)`
    Exp = 11,
    /// `sqrt(x)`
    Sqrt = 12,
    /// `1 / x`
    Reciprocal = 13,
    /// `|x|`
    Abs = 14,
    /// `a x + b`
    Affine = 15,
    /// The natural logarithm.
    Log = 16,
    /// The integer from `x` upwards.
    Ceil = 17,
    /// The integer from `x` downwards.
    Floor = 18,
    /// -1, 0 or 1.
    Sign = 19,
    /// `x` where positive, else `a (exp(x) - 1)`.
    Elu = 20,
    /// `ln(1 + exp(x))`
    Softplus = 21,
    /// `x tanh(softplus(x))`
    Mish = 22,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`
    GeluTanh = 23,
    /// The nearest integer, the even one between two.
    Round = 24,
}

impl ActivationKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [ActivationKind; 25] = {
        use ActivationKind::*;
        [
            None,
            Relu,
            Clip,
            HardSigmoid,
            HardSwish,
            Sigmoid,
            Swish,
            LeakyRelu,
            Tanh,
            Gelu,
            Erf,
            Exp,
            Sqrt,
            Reciprocal,
            Abs,
            Affine,
            Log,
            Ceil,
            Floor,
            Sign,
            Elu,
            Softplus,
            Mish,
            GeluTanh,
            Round,
        ]
    };

    /// The kind with that number.
    pub fn from_u32(n: u32) -> Option<ActivationKind> {
        ActivationKind::ALL.get(n as usize).copied()
    }
}

impl Activation {
    /// The identity.
    pub const NONE: Activation = Activation::new(ActivationKind::None, 0.0, 0.0);
    /// `max(x, 0)`.
    pub const RELU: Activation = Activation::new(ActivationKind::Relu, 0.0, 0.0);
    /// `min(max(x, 0), 6)`.
    pub const RELU6: Activation = Activation::new(ActivationKind::Clip, 0.0, 6.0);
    /// ONNX's `HardSwish`.
    pub const HARD_SWISH: Activation = Activation::new(ActivationKind::HardSwish, 1.0 / 6.0, 0.5);

    /// A function and its scalars; a kind without scalars ignores them.
    pub const fn new(kind: ActivationKind, a: f32, b: f32) -> Activation {
        Activation { kind: kind as u32, a, b }
    }

    /// Refuses an unknown kind, and an empty or unordered `Clip`.
    pub(crate) fn check(&self) -> Result<(), BlockError> {
        match ActivationKind::from_u32(self.kind) {
            None => Err(BlockError::Unknown { field: "activation.kind", value: self.kind }),
            Some(ActivationKind::Clip) if self.a > self.b || self.a.is_nan() || self.b.is_nan() => {
                Err(BlockError::Unknown { field: "activation.a", value: self.a.to_bits() })
            }
            Some(_) => Ok(()),
        }
    }
}
