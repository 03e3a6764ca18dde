//! Scaled dot-product attention, all in one.

use super::matmul::{nested, span, strided};
use super::shape::within;
use super::{Access, Block, BlockError, MAX_ELEMENTS, Region, SCRATCH, blocks_of, extent};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// `y[b0][b1] = softmax(scale * q[b0][b1] k[b0][b1] + mask[b0][b1]) v[b0][b1]`, where `q` is
/// `[queries][depth]`, `k` is `[depth][keys]`, `mask` is `[queries][keys]`, `v` is `[keys][width]` and
/// the softmax goes along the keys.
///
/// Every side has its own strides, so heads and transposes need no copies; `q`, `mask`, `v` and `y`
/// have unit stride in their last dimension. A stride of 0 in what is read broadcasts. A score is one
/// accumulator chain, `depth` upwards; an output is one, `keys` upwards, over shares that have been
/// divided by their sum.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Attention {
    /// Queries, in the workspace like all operands.
    pub q: Operand,
    /// Keys.
    pub k: Operand,
    /// Values.
    pub v: Operand,
    /// Added to the scores; not used if `masked` is 0.
    pub mask: Operand,
    /// Result.
    pub y: Operand,
    /// Sizes of the two batch dimensions, outer (the batch) and inner (the heads).
    pub batch: [u32; 2],
    /// Rows of `q` and `y`.
    pub queries: u32,
    /// Columns of `k`, rows of `v`.
    pub keys: u32,
    /// Columns of `q`, rows of `k`.
    pub depth: u32,
    /// Columns of `v` and `y`.
    pub width: u32,
    /// First element of `q`, counted from its operand's start.
    pub q_first: u32,
    /// Batch strides of `q`.
    pub q_batch: [u32; 2],
    /// Row stride of `q`.
    pub q_row: u32,
    /// First element of `k`.
    pub k_first: u32,
    /// Batch strides of `k`.
    pub k_batch: [u32; 2],
    /// Stride of `k` along the depth.
    pub k_depth: u32,
    /// Stride of `k` from key to key.
    pub k_key: u32,
    /// First element of `v`.
    pub v_first: u32,
    /// Batch strides of `v`.
    pub v_batch: [u32; 2],
    /// Row stride of `v`.
    pub v_row: u32,
    /// First element of `mask`.
    pub mask_first: u32,
    /// Batch strides of `mask`.
    pub mask_batch: [u32; 2],
    /// Row stride of `mask`.
    pub mask_row: u32,
    /// Whether there is a mask: 0 or 1.
    pub masked: u32,
    /// First element of `y`.
    pub y_first: u32,
    /// Batch strides of `y`.
    pub y_batch: [u32; 2],
    /// Row stride of `y`.
    pub y_row: u32,
    /// Factor of the products of queries and keys.
    pub scale: f32,
}

/// What is read: name, operand, first element, dimensions, strides.
type Side = (&'static str, Operand, u32, [u32; 4], [u32; 4]);

impl Attention {
    /// Queries whose scores are in scratch at once.
    pub const ROWS: u32 = 24;

    /// Whether keys and values of one head, and the scores of some queries, fit the scratch of a thread.
    pub const fn fits(keys: u32, depth: u32, width: u32) -> bool {
        let (keys, panels) = (keys as u64, (blocks_of(keys) * super::LANES) as u64);
        let columns = (blocks_of(width) * super::LANES) as u64;
        panels * depth as u64 + columns * keys + panels * Attention::ROWS as u64 <= SCRATCH as u64
    }

    fn sides(&self) -> [Side; 4] {
        let [outer, inner] = self.batch;
        let side = |name, operand, first, batch: [u32; 2], dims: [u32; 2], strides: [u32; 2]| {
            (name, operand, first, [outer, inner, dims[0], dims[1]], [batch[0], batch[1], strides[0], strides[1]])
        };
        let &Attention { queries, keys, depth, width, .. } = self;
        [
            side("q", self.q, self.q_first, self.q_batch, [queries, depth], [self.q_row, 1]),
            side("k", self.k, self.k_first, self.k_batch, [depth, keys], [self.k_depth, self.k_key]),
            side("v", self.v, self.v_first, self.v_batch, [keys, width], [self.v_row, 1]),
            side("mask", self.mask, self.mask_first, self.mask_batch, [queries, keys], [self.mask_row, 1]),
        ]
    }

    fn y_shape(&self) -> ([u32; 4], [u32; 4]) {
        let dims = [self.batch[0], self.batch[1], self.queries, self.width];
        (dims, [self.y_batch[0], self.y_batch[1], self.y_row, 1])
    }
}

impl Block for Attention {
    fn check(&self) -> Result<(), BlockError> {
        for (name, size) in [
            ("batch[0]", self.batch[0]),
            ("batch[1]", self.batch[1]),
            ("queries", self.queries),
            ("keys", self.keys),
            ("depth", self.depth),
            ("width", self.width),
        ] {
            within(name, size, 1, SCRATCH)?;
        }
        within("masked", self.masked, 0, 1)?;
        extent("batch", &self.batch)?;
        if !Attention::fits(self.keys, self.depth, self.width) {
            return Err(BlockError::TooLarge { field: "keys" });
        }
        for (name, _, first, dims, strides) in self.sides() {
            if span(name, &dims, &strides)? + u64::from(first) > MAX_ELEMENTS {
                return Err(BlockError::TooLarge { field: name });
            }
        }
        let (dims, strides) = self.y_shape();
        if span("y", &dims, &strides)? + u64::from(self.y_first) > MAX_ELEMENTS {
            return Err(BlockError::TooLarge { field: "y" });
        }
        // Rows of one head may lie between rows of another: only the order of dimensions differs.
        nested("y", &dims, &strides)
            .or_else(|_| nested("y", &[dims[0], dims[2], dims[1], dims[3]], &[strides[0], strides[2], strides[1], 1]))
    }

    fn grid(&self) -> u32 {
        self.batch[0] * self.batch[1]
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let count = if self.masked == 1 { 4 } else { 3 };
        for (name, operand, first, dims, strides) in self.sides().into_iter().take(count) {
            visit(strided(name, operand, first, (&dims, &strides), Access::Read));
        }
        let (dims, strides) = self.y_shape();
        visit(strided("y", self.y, self.y_first, (&dims, &strides), Access::Write));
    }
}
