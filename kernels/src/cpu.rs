//! The kernels of target `cpu-f32`. Each `run` is generic over the instruction set and computes one
//! tile; the entries in `image` make the views that it works on.

pub(crate) mod attention;
pub(crate) mod binary;
pub(crate) mod conv;
pub(crate) mod copy;
pub(crate) mod depthwise;
pub(crate) mod fold;
pub(crate) mod gather;
pub(crate) mod gemm;
pub(crate) mod matmul;
pub(crate) mod micro;
pub(crate) mod norm;
pub(crate) mod pick;
pub(crate) mod pixels;
pub(crate) mod planar;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod resample;
pub(crate) mod row;
pub(crate) mod softmax;
pub(crate) mod top_k;
pub(crate) mod transfer;
pub(crate) mod unary;
pub(crate) mod view;
pub(crate) mod whole;
pub(crate) mod window;
pub(crate) mod winograd;
pub(crate) mod words;

/// Lanes of a block, as an index.
pub(crate) const LANES: usize = crate::params::LANES as usize;

/// Scratch that a tile may use, in bytes: the patches of a [`Winograd`](crate::params::Winograd). What products
/// and attention take is less.
pub(crate) const SCRATCH_BYTES: usize = {
    let winograd = at(crate::params::Winograd::SCRATCH_BYTES);
    assert!(at(crate::params::SCRATCH) * size_of::<f32>() <= winograd);
    winograd
};

/// What every kernel function gets beside its block.
pub(crate) struct Tile<'a> {
    /// Where its operands lie.
    pub(crate) memory: view::Memory<'a>,
    /// Which tile, below the block's grid.
    pub(crate) index: usize,
    /// Scratch of the thread, [`SCRATCH_BYTES`], of unspecified content.
    pub(crate) scratch: &'a mut [f32],
}

/// A field of a block as an index. Blocks are `u32`, and every supported machine has 64-bit indices.
pub(crate) const fn at(n: u32) -> usize {
    n as usize
}
