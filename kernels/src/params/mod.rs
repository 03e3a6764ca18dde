//! Parameter blocks: one `#[repr(C)]` `Pod` struct for each kernel, the same for every target.
//!
//! A block holds the operands and the shape of one launch, in `u32` and `f32` fields only, so it
//! has no padding and alignment 4. On the device a kernel gets the address of the
//! [`Binding`](crate::operand::Binding) (`u64`) and then the block: `{ u64 binding; Block block; }`.
//!
//! # Tensors in the workspace
//! - **blocked**: activations of rank 4, `[n][blocks][h][w][16]` `f32`, where `blocks` is
//!   [`blocks_of`]`(channels)`. The lanes of the last block beyond the tensor's channels are
//!   *padding*: their values are unspecified, and no kernel lets them reach a lane that isn't.
//!   A blocked operand may be a *view* of a wider tensor: `offset` names its first block and
//!   `*_blocks` (always those of the whole tensor) gives the distance between items of the batch.
//!   So a concat along channels, or a slice of them, at a multiple of 16 channels is only addressing.
//! - **row-major**: everything else. A blocked `[n][blocks][1][1][16]` is row-major `[n][c]`
//!   with a row stride of `16 * blocks`.
//! - **whole**: whole numbers and truth values of any width are row-major `i32`; truth is 0 or 1.
//!
//! Strides and distances are in elements (`f32`), never in bytes, unless named so.
//! The batch is always the outermost dimension.

mod activation;
mod attention;
mod binary;
mod conv;
mod copy;
mod depthwise;
mod fold;
mod gather;
mod gemm;
mod global_pool;
mod groups;
mod layer_norm;
mod matmul;
mod part;
mod pick;
mod pixels;
mod pool;
mod reduce;
mod resample;
mod shape;
mod softmax;
mod top_k;
mod transfer;
mod unary;
mod whole;
mod window;
mod winograd;
mod words;

pub use activation::{Activation, ActivationKind};
pub use attention::Attention;
pub use binary::{Binary, BinaryOp};
pub use conv::Conv;
pub use copy::{Copy, CopySide};
pub use depthwise::Depthwise;
pub use fold::{Fold, FoldOp};
pub use gather::Gather;
pub use gemm::Gemm;
pub use global_pool::GlobalPool;
pub use groups::Groups;
pub use layer_norm::LayerNorm;
pub use matmul::MatMul;
pub use part::Part;
pub use pick::Pick;
pub use pixels::EnterPixels;
pub use pool::{Pool, PoolKind};
pub use reduce::{Reduce, ReduceKind};
pub use resample::Resample;
pub use shape::{Access, BlockError, MAX_ELEMENTS, Region};
pub use softmax::Softmax;
pub use top_k::TopK;
pub use transfer::{Enter, Leave};
pub use unary::Unary;
pub use whole::{EnterWhole, LeaveWhole, Whole};
pub use window::{MAX_TAPS, Window};
pub use winograd::Winograd;
pub use words::{WordOp, Words};

pub(crate) use conv::MAX_PIXELS;
pub(crate) use shape::{blocked_region, extent, rows_region, vector_region, weights_region};

/// Lanes of one channel block, and columns of one panel of packed weights.
pub const LANES: u32 = 16;

/// Elements of a thread's scratch: two panels of the longest [`MatMul`].
pub(crate) const SCRATCH: u32 = 2 * MatMul::MAX_K * LANES;

/// Dimensions of a strided iteration ([`Binary`], [`Copy`]), at most. Fewer are padded in front with 1.
pub const RANK: usize = 6;

/// Channel blocks that hold `channels`.
pub const fn blocks_of(channels: u32) -> u32 {
    channels.div_ceil(LANES)
}

/// What every parameter block tells about itself, without running anything.
pub trait Block: bytemuck::Pod {
    /// Checks every relation between the block's own fields: dimensions, limits, overflow, known
    /// discriminants. The other two methods may rely on it.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    fn check(&self) -> Result<(), BlockError>;

    /// Independent tiles; at least 1. The block must have passed [`Block::check`].
    fn grid(&self) -> u32;

    /// Names every region that the kernel may touch. The block must have passed [`Block::check`].
    fn footprint(&self, visit: &mut dyn FnMut(Region));
}
