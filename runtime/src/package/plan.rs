//! What a package says of its model: tensors, shape variants and one plan per (variant, batch size).

use std::fmt;

use arrayvec::ArrayVec;

use crate::base::limits::MAX_RANK;
use crate::base::{BatchSize, ShapeId};

/// Whom a package is made for; fixes layouts, kernel names and the page image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Target {
    /// CPU cores, `f32`, activations in 16-channel blocked NCHW.
    CpuF32 = 1,
    /// CUDA devices, `f32`, activations in NHWC.
    CudaF32 = 2,
    /// CUDA devices, `f16` with `f32` accumulation, activations in NHWC.
    CudaF16 = 3,
}

impl Target {
    /// The target with that number.
    pub const fn from_u16(n: u16) -> Option<Target> {
        Some(match n {
            1 => Target::CpuF32,
            2 => Target::CudaF32,
            3 => Target::CudaF16,
            _ => return None,
        })
    }

    /// Its name on the command line and in status tables.
    pub const fn name(self) -> &'static str {
        match self {
            Target::CpuF32 => "cpu-f32",
            Target::CudaF32 => "cuda-f32",
            Target::CudaF16 => "cuda-f16",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Element type of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TensorType {
    /// 32-bit float.
    F32 = 1,
    /// 16-bit float.
    F16 = 2,
    /// Unsigned byte.
    U8 = 3,
    /// 32-bit signed integer.
    I32 = 4,
    /// 64-bit signed integer.
    I64 = 5,
    /// One byte, 0 or 1.
    Bool = 6,
}

impl TensorType {
    /// The type with that number.
    pub const fn from_u8(n: u8) -> Option<TensorType> {
        Some(match n {
            1 => TensorType::F32,
            2 => TensorType::F16,
            3 => TensorType::U8,
            4 => TensorType::I32,
            5 => TensorType::I64,
            6 => TensorType::Bool,
            _ => return None,
        })
    }

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            TensorType::U8 | TensorType::Bool => 1,
            TensorType::F16 => 2,
            TensorType::F32 | TensorType::I32 => 4,
            TensorType::I64 => 8,
        }
    }

    /// Its name in messages and tables.
    pub const fn name(self) -> &'static str {
        match self {
            TensorType::F32 => "f32",
            TensorType::F16 => "f16",
            TensorType::U8 => "u8",
            TensorType::I32 => "i32",
            TensorType::I64 => "i64",
            TensorType::Bool => "bool",
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Shape of one item: without the batch dimension, row-major.
pub type Shape = ArrayVec<u32, MAX_RANK>;

/// One input or output of a model, as a client sees it. Its batch is a dimension before these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the model.
    pub name: String,
    /// Its element type.
    pub kind: TensorType,
    /// Shape of one item in each shape variant, by [`ShapeId`].
    pub shapes: Vec<Shape>,
}

impl TensorSpec {
    /// Bytes of one item in that shape variant; none if there is no such variant.
    ///
    /// Saturates instead of wrapping, so that a bound checked against it holds for any shape.
    pub fn item_bytes(&self, shape: ShapeId) -> Option<u64> {
        let dims = self.shapes.get(usize::from(shape.0))?;
        let elements = dims.iter().fold(1u64, |product, &dim| product.saturating_mul(u64::from(dim)));
        Some(elements.saturating_mul(self.kind.bytes() as u64))
    }
}

/// One plan: what the device executes for a batch of one size in one shape variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Shape variant.
    pub shape: ShapeId,
    /// Batch size.
    pub batch: BatchSize,
    /// Workspace that it needs, in bytes.
    pub workspace_bytes: u32,
    /// Launches in execution order.
    pub launches: Vec<kernels::launch::Launch>,
}
