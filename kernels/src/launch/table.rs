//! The kernels by number.

use super::describe::Describe;
use super::{Kernel, KernelId};
use crate::params::{self, Block, BlockError, Region};

/// Checks the bytes of a block, names its regions, returns its grid.
type Inspect = fn(&[u8], &mut dyn FnMut(Region)) -> Result<u32, BlockError>;

/// One kernel of the table, its block's methods without its type.
pub struct KernelEntry {
    /// The number in plans.
    pub id: KernelId,
    /// The name in images.
    pub name: &'static str,
    /// Bytes of the parameter block, without the binding's address.
    pub block_bytes: usize,
    pub(super) inspect: Inspect,
    pub(super) describe: fn(&[u8]) -> (String, u64),
}

fn inspect<B: Block>(bytes: &[u8], visit: &mut dyn FnMut(Region)) -> Result<u32, BlockError> {
    let block: B = bytemuck::pod_read_unaligned(bytes);
    block.check()?;
    block.footprint(visit);
    Ok(block.grid())
}

/// What the block in these bytes does, and its floating-point operations.
fn describe<B: Describe>(bytes: &[u8]) -> (String, u64) {
    let block: B = bytemuck::pod_read_unaligned(bytes);
    (block.what(), block.flops())
}

macro_rules! table {
    ($($id:literal $name:ident $block:ident $($function:ident)::+;)*) => {
        $(
            // SAFETY: the functions in `cpu/` address memory only through views that are made from
            // the block's own fields as the footprint is; the tests hold them to it.
            unsafe impl Kernel for params::$block {
                const ID: KernelId = KernelId($id);
                const NAME: &'static str = stringify!($name);
            }
        )*
        /// Every kernel, in the order of its number.
        pub const KERNELS: &[KernelEntry] = &[$(
            KernelEntry {
                id: KernelId($id),
                name: stringify!($name),
                block_bytes: size_of::<params::$block>(),
                inspect: inspect::<params::$block>,
                describe: describe::<params::$block>,
            },
        )*];
    };
}

/// Hands every kernel to `$then`: number in plans, name in images, parameter block, CPU function.
macro_rules! for_each_kernel {
    ($then:ident) => {
        $then! {
            0 enter Enter transfer::enter;
            1 leave Leave transfer::leave;
            2 conv Conv conv::run;
            3 depthwise Depthwise depthwise::run;
            4 pool Pool pool::run;
            5 global_pool GlobalPool pool::run_global;
            6 gemm Gemm gemm::run;
            7 matmul MatMul matmul::run;
            8 softmax Softmax softmax::run;
            9 layer_norm LayerNorm norm::run;
            10 unary Unary unary::run;
            11 binary Binary binary::run;
            12 reduce Reduce reduce::run;
            13 copy Copy copy::run;
            14 enter_whole EnterWhole whole::enter;
            15 leave_whole LeaveWhole whole::leave;
            16 pick Pick pick::run;
            17 gather Gather gather::run;
            18 resample Resample resample::run;
            19 words Words words::run;
            20 top_k TopK top_k::run;
            21 fold Fold fold::run;
            22 enter_pixels EnterPixels pixels::enter;
            23 attention Attention attention::run;
        }
    };
}
pub(crate) use for_each_kernel;

for_each_kernel!(table);

/// The kernel with that number.
pub fn entry(id: KernelId) -> Option<&'static KernelEntry> {
    KERNELS.get(usize::from(id.0))
}
