//! Functions of two or three words: whole numbers, truth values, comparisons, choice, casts.

use super::matmul::{span, strided};
use super::shape::within;
use super::{Access, Block, BlockError, RANK, Region, extent, rows_region};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

macro_rules! word_ops {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Which function of words. Sums and products wrap around; truth is 0 or 1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum WordOp { $($(#[$doc])* $name = $number,)* }

        impl WordOp {
            /// All functions, in the order of their numbers.
            pub const ALL: &[WordOp] = &[$(WordOp::$name,)*];

            /// The function with that number.
            pub fn from_u32(n: u32) -> Option<WordOp> {
                WordOp::ALL.get(n as usize).copied()
            }
        }
    };
}

word_ops! {
    /// `a + b` of `i32`
    Add = 0,
    /// `a - b` of `i32`
    Sub = 1,
    /// `a b` of `i32`
    Mul = 2,
    /// `a / b` of `i32`, towards zero; 0 where `b` is 0.
    Div = 3,
    /// The smaller `i32`.
    Min = 4,
    /// The larger `i32`.
    Max = 5,
    /// `a` to the power `b` of `i32`; 0 where `b` is negative.
    Pow = 6,
    /// Whether both are not 0.
    And = 7,
    /// Whether one is not 0.
    Or = 8,
    /// Whether exactly one is not 0.
    Xor = 9,
    /// `a == b` of `i32`
    Equal = 10,
    /// `a < b` of `i32`
    Less = 11,
    /// `a <= b` of `i32`
    LessOrEqual = 12,
    /// `a == b` of `f32`
    EqualFloat = 13,
    /// `a < b` of `f32`
    LessFloat = 14,
    /// `a <= b` of `f32`
    LessOrEqualFloat = 15,
    /// `a` where `c` is not 0, else `b`.
    Select = 16,
    /// The `f32` `a` as `i32`, towards zero, ends kept.
    FloatToWhole = 17,
    /// The `i32` `a` as `f32`.
    WholeToFloat = 18,
    /// Whether the `f32` `a` is not 0.
    FloatToTruth = 19,
}

/// `y[i] = op(a[i], b[i], c[i])` over up to six dimensions, `y` row-major and contiguous.
///
/// A stride of 0 broadcasts. A side that the function does not use repeats another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Words {
    /// First side.
    pub a: Operand,
    /// Second side.
    pub b: Operand,
    /// Third side.
    pub c: Operand,
    /// Result.
    pub y: Operand,
    /// Dimensions, outermost first, padded in front with 1.
    pub dims: [u32; RANK],
    /// First element of `a`, `b` and `c`, counted from the operand's start.
    pub firsts: [u32; 3],
    /// Strides of `a`.
    pub a_strides: [u32; RANK],
    /// Strides of `b`.
    pub b_strides: [u32; RANK],
    /// Strides of `c`.
    pub c_strides: [u32; RANK],
    /// A [`WordOp`] as its number.
    pub op: u32,
}

impl Words {
    fn sides(&self) -> [(&'static str, Operand, u32, &[u32; RANK]); 3] {
        [
            ("a", self.a, self.firsts[0], &self.a_strides),
            ("b", self.b, self.firsts[1], &self.b_strides),
            ("c", self.c, self.firsts[2], &self.c_strides),
        ]
    }
}

impl Block for Words {
    fn check(&self) -> Result<(), BlockError> {
        WordOp::from_u32(self.op).ok_or(BlockError::Unknown { field: "op", value: self.op })?;
        for &d in &self.dims {
            within("dims", d, 1, u32::MAX)?;
        }
        extent("y", &self.dims)?;
        for (name, _, first, strides) in self.sides() {
            if span(name, &self.dims, strides)? + u64::from(first) > super::MAX_ELEMENTS {
                return Err(BlockError::TooLarge { field: name });
            }
        }
        Ok(())
    }

    fn grid(&self) -> u32 {
        self.dims[..RANK - 2].iter().product()
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        for (name, operand, first, strides) in self.sides() {
            visit(strided(name, operand, first, (&self.dims, strides), Access::Read));
        }
        let len: u32 = self.dims.iter().product();
        visit(rows_region("y", self.y, [1, len, len], Access::Write));
    }
}
