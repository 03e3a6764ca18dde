//! What a package says of its model: tensors, shape variants and one plan per (variant, batch size).

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

/// Shape of one item: without the batch dimension, row-major.
pub type Shape = ArrayVec<u32, MAX_RANK>;

/// One input or output of a model, as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the model.
    pub name: String,
    /// Its element type.
    pub kind: TensorType,
    /// Shape of one item in each shape variant, by [`ShapeId`].
    pub shapes: Vec<Shape>,
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
