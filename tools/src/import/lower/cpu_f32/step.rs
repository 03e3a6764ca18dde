//! One launch under construction: operands in the workspace still name buffers.

use kernels::launch::{Kernel, Launch};
use kernels::operand::{Operand, Space};
use kernels::params::{
    Attention, Binary, Conv, Copy, Depthwise, Enter, EnterPixels, EnterWhole, Fold, Gather, Gemm, GlobalPool,
    LayerNorm, Leave, LeaveWhole, MatMul, Part, Pick, Pool, Reduce, Region, Resample, Softmax, TopK, Unary, Winograd,
    Words,
};

use super::view::BufferId;
use crate::import::error::Why;
use crate::import::page::number;

macro_rules! steps {
    ($($block:ident { $($operand:ident),* };)*) => {
        /// A parameter block whose workspace operands have a buffer's number as their page and an
        /// offset within that buffer.
        #[derive(Clone, Debug)]
        pub enum Step {
            $(#[doc = concat!("The block of `", stringify!($block), "`.")] $block($block),)*
        }

        impl Step {
            /// All operands.
            pub fn operands(&mut self) -> Vec<&mut Operand> {
                match self {
                    $(Step::$block(block) => vec![$(&mut block.$operand),*],)*
                }
            }

            /// What it touches.
            pub fn regions(&self) -> Result<Vec<Region>, Why> {
                match self {
                    $(Step::$block(block) => regions(block),)*
                }
            }

            /// One of so many equal parts, which together do the same; none if it is not to be cut so.
            pub fn part(&self, part: u32, parts: u32) -> Option<Step> {
                match self {
                    $(Step::$block(block) => {
                        let count = block.outermost() / parts;
                        let whole = count > 0 && block.outermost().is_multiple_of(parts);
                        block.part(part * count, count).filter(|_| whole).map(Step::$block)
                    })*
                }
            }

            /// The launch, once operands are final.
            pub fn launch(&self) -> Result<Launch, Why> {
                match self {
                    $(Step::$block(block) => Ok(Launch::of(checked(block)?)),)*
                }
            }
        }
    };
}

steps! {
    Enter { x, y };
    Leave { x, y };
    Conv { x, weights, bias, residual, y };
    Winograd { x, weights, bias, residual, y };
    Depthwise { x, weights, bias, y };
    Pool { x, y };
    GlobalPool { x, y };
    Gemm { x, weights, bias, residual, y };
    MatMul { x, w, y };
    Attention { q, k, v, mask, y };
    Softmax { x, y };
    LayerNorm { x, gamma, beta, y };
    Unary { x, y };
    Binary { a, b, y };
    Reduce { x, y };
    Copy { x, y };
    EnterWhole { x, y };
    EnterPixels { x, table, y };
    LeaveWhole { x, y };
    Pick { x, tables, y };
    Gather { x, index, y };
    Resample { x, table, y };
    Words { a, b, c, y };
    TopK { x, values, indices };
    Fold { x, y };
}

fn checked<K: Kernel>(block: &K) -> Result<&K, Why> {
    block.check().map_err(|source| Why::Kernel { kernel: K::NAME, source })?;
    Ok(block)
}

fn regions<K: Kernel>(block: &K) -> Result<Vec<Region>, Why> {
    let mut regions = Vec::new();
    checked(block)?.footprint(&mut |region| regions.push(region));
    Ok(regions)
}

/// An operand at element `first` of a buffer.
pub fn at(buffer: BufferId, first: usize) -> Result<Operand, Why> {
    let (page, offset) = (number(buffer.0, "buffers")?, number(first * 4, "bytes")?);
    Ok(Operand::contiguous(Space::Workspace, page, offset))
}

/// The operand of a side that the block does not use: it names no buffer.
pub const UNUSED: Operand = Operand::contiguous(Space::Weights, 0, 0);

/// The buffer that an operand names, if it lies in the workspace.
pub fn buffer_of(operand: &Operand) -> Option<BufferId> {
    (operand.space == Space::Workspace as u32).then_some(BufferId(operand.page as usize))
}
