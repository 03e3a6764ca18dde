//! The kernels by number.

use super::{Kernel, KernelId};
use crate::params::{self, Block, BlockError, Region};

/// One kernel of the table, its block's methods without its type.
pub struct KernelEntry {
    /// The number in plans.
    pub id: KernelId,
    /// The name in images.
    pub name: &'static str,
    /// Bytes of the parameter block, without the binding's address.
    pub block_bytes: usize,
    pub(super) inspect: fn(&[u8], &mut dyn FnMut(Region)) -> Result<u32, BlockError>,
}

fn inspect<B: Block>(bytes: &[u8], visit: &mut dyn FnMut(Region)) -> Result<u32, BlockError> {
    let block: B = bytemuck::pod_read_unaligned(bytes);
    block.check()?;
    block.footprint(visit);
    Ok(block.grid())
}

macro_rules! kernels {
    ($($id:literal $name:literal $block:ident;)*) => {
        $(
            // SAFETY: the functions in `cpu/` address memory only through views that are made from
            // the block's own fields as the footprint is; `tests/footprint.rs` holds them to it.
            unsafe impl Kernel for params::$block {
                const ID: KernelId = KernelId($id);
                const NAME: &'static str = $name;
            }
        )*
        /// Every kernel, in the order of its number.
        pub const KERNELS: &[KernelEntry] = &[$(
            KernelEntry {
                id: KernelId($id),
                name: $name,
                block_bytes: size_of::<params::$block>(),
                inspect: inspect::<params::$block>,
            },
        )*];
    };
}

kernels! {
    0 "enter" Enter;
    1 "leave" Leave;
    2 "conv" Conv;
    3 "depthwise" Depthwise;
    4 "pool" Pool;
    5 "global_pool" GlobalPool;
    6 "gemm" Gemm;
    7 "matmul" MatMul;
    8 "softmax" Softmax;
    9 "layer_norm" LayerNorm;
    10 "unary" Unary;
    11 "binary" Binary;
    12 "reduce" Reduce;
    13 "copy" Copy;
}

/// The kernel with that number.
pub fn entry(id: KernelId) -> Option<&'static KernelEntry> {
    KERNELS.get(usize::from(id.0))
}
