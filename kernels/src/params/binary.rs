//! A function of two elements, with broadcast.

use super::matmul::{nested, span, strided};
use super::shape::within;
use super::{Access, Activation, Block, BlockError, RANK, Region, extent};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// Which function of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BinaryOp {
    /// `a + b`
    Add = 0,
    /// `a - b`
    Sub = 1,
    /// `a * b`
    Mul = 2,
    /// `a / b`
    Div = 3,
    /// `min(a, b)`
    Min = 4,
    /// `max(a, b)`
    Max = 5,
    /// `a` to the power `b`
    Pow = 6,
    /// `a` where it is not negative, else `a b`
    PRelu = 7,
}

impl BinaryOp {
    /// All functions, in the order of their numbers.
    pub const ALL: [BinaryOp; 8] = {
        use BinaryOp::*;
        [Add, Sub, Mul, Div, Min, Max, Pow, PRelu]
    };

    /// The function with that number.
    pub fn from_u32(n: u32) -> Option<BinaryOp> {
        BinaryOp::ALL.get(n as usize).copied()
    }
}

/// `y[i] = activation(op(a[i], b[i]))` over up to six dimensions, each side with strides.
///
/// A stride of 0 in `a` or `b` broadcasts. In the last dimension `y` has stride 1, and `a` and `b`
/// have 1 or 0. Blocked images have dimensions `[n][blocks][h][w][16]`: a per-channel vector is
/// then strides `[0, 16, 0, 0, 1]`, a per-image scale `[16 * blocks, 16, 0, 0, 1]`, a scalar zeros.
/// [`Binary::new`] merges dimensions that lie one in the other, which is what makes it quick.
/// `a` or `b` may be exactly `y` where its strides equal those of `y`. An operand in the weights
/// space is one row.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Binary {
    /// Left side: workspace or weights.
    pub a: Operand,
    /// Right side: workspace or weights.
    pub b: Operand,
    /// Result.
    pub y: Operand,
    /// Dimensions, outermost first, padded in front with 1.
    pub dims: [u32; RANK],
    /// First element of `a`, counted from its operand's start.
    pub a_first: u32,
    /// First element of `b`.
    pub b_first: u32,
    /// First element of `y`.
    pub y_first: u32,
    /// Strides of `a`.
    pub a_strides: [u32; RANK],
    /// Strides of `b`.
    pub b_strides: [u32; RANK],
    /// Strides of `y`, each dimension laid within the one before.
    pub y_strides: [u32; RANK],
    /// A [`BinaryOp`] as its number.
    pub op: u32,
    /// Applied last.
    pub activation: Activation,
}

impl Binary {
    /// A block over `dims` (at most [`RANK`], `None` if more or if lengths differ) with the strides
    /// of `a`, `b` and `y`, adjacent dimensions merged where all three sides allow it.
    pub fn new(
        op: BinaryOp,
        [a, b, y]: [Operand; 3],
        dims: &[u32],
        [a_strides, b_strides, y_strides]: [&[u32]; 3],
        activation: Activation,
    ) -> Option<Binary> {
        if [a_strides, b_strides, y_strides].iter().any(|s| s.len() != dims.len()) {
            return None;
        }
        let mut merged: Vec<[u64; 4]> = Vec::with_capacity(dims.len());
        for i in 0..dims.len() {
            let next = [dims[i], a_strides[i], b_strides[i], y_strides[i]].map(u64::from);
            if next[0] == 1 {
                continue;
            }
            match merged.last_mut() {
                Some(last) if (1..4).all(|side| last[side] == next[0] * next[side]) => {
                    *last = [last[0] * next[0], next[1], next[2], next[3]];
                }
                _ => merged.push(next),
            }
        }
        // The last dimension must be dense: where this one is not, one of a single element lies within it.
        if merged.last().is_some_and(|&[_, a, b, y]| a > 1 || b > 1 || y != 1) {
            merged.push([1, 0, 0, 1]);
        }
        if merged.len() > RANK {
            return None;
        }
        let mut out = [[1, 0, 0, 0]; RANK];
        // A single element has stride 1 in `y` like any other last dimension.
        out[RANK - 1] = [1, 0, 0, 1];
        let front = RANK - merged.len();
        for (slot, dim) in out[front..].iter_mut().zip(&merged) {
            for (to, from) in slot.iter_mut().zip(dim) {
                *to = u32::try_from(*from).ok()?;
            }
        }
        let column = |side: usize| out.map(|dim| dim[side]);
        Some(Binary {
            a,
            b,
            y,
            dims: column(0),
            a_first: 0,
            b_first: 0,
            y_first: 0,
            a_strides: column(1),
            b_strides: column(2),
            y_strides: column(3),
            op: op as u32,
            activation,
        })
    }

    /// How a side may be read: in place only where its strides are those of `y`.
    fn access(&self, strides: &[u32; RANK]) -> Access {
        let same = (0..RANK).all(|i| self.dims[i] == 1 || strides[i] == self.y_strides[i]);
        if same { Access::ReadInPlace } else { Access::Read }
    }
}

impl Block for Binary {
    fn check(&self) -> Result<(), BlockError> {
        self.activation.check()?;
        BinaryOp::from_u32(self.op).ok_or(BlockError::Unknown { field: "op", value: self.op })?;
        for &d in &self.dims {
            within("dims", d, 1, u32::MAX)?;
        }
        extent("dims", &self.dims)?;
        within("a_strides[5]", self.a_strides[RANK - 1], 0, 1)?;
        within("b_strides[5]", self.b_strides[RANK - 1], 0, 1)?;
        within("y_strides[5]", self.y_strides[RANK - 1], 1, 1)?;
        for (name, first, strides) in [
            ("a", self.a_first, &self.a_strides),
            ("b", self.b_first, &self.b_strides),
            ("y", self.y_first, &self.y_strides),
        ] {
            if span(name, &self.dims, strides)? + u64::from(first) > super::MAX_ELEMENTS {
                return Err(BlockError::TooLarge { field: name });
            }
        }
        nested("y", &self.dims, &self.y_strides)
    }

    fn grid(&self) -> u32 {
        self.dims[..RANK - 2].iter().product()
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let outer = self.dims.iter().position(|&d| d != 1).unwrap_or(RANK - 1);
        let mut side = |name, operand, first, strides: &[u32; RANK], access| {
            visit(strided(name, operand, first, (&self.dims[outer..], &strides[outer..]), access));
        };
        side("a", self.a, self.a_first, &self.a_strides, self.access(&self.a_strides));
        side("b", self.b, self.b_first, &self.b_strides, self.access(&self.b_strides));
        side("y", self.y, self.y_first, &self.y_strides, Access::Write);
    }
}
