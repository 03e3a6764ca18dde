//! A launch in parts: cut along its outermost dimension, each part a launch of its own.

use super::{
    Attention, Binary, Block, Conv, Copy, Depthwise, Enter, EnterPixels, EnterWhole, Fold, Gather, Gemm, GlobalPool,
    LANES, LayerNorm, Leave, LeaveWhole, MatMul, Pick, Pool, RANK, Reduce, Resample, Softmax, TopK, Unary, Winograd,
    Words,
};
use crate::operand::{ALIGNMENT, Operand, Space};

/// A block that may be cut along its outermost dimension, most often the batch.
///
/// All parts together, in any order, write bit for bit what the whole writes. Each must pass
/// [`Block::check`] again, and its footprint says what it touches.
pub trait Part: Block {
    /// Indices of the outermost dimension; 1 for a block that is not to be cut.
    fn outermost(&self) -> u32 {
        1
    }

    /// The launch of `count` indices from `first` on; both lie within [`Part::outermost`]. None where one of
    /// its operands would not begin at a multiple of [`ALIGNMENT`], or differs by part within the weights.
    fn part(&self, _first: u32, _count: u32) -> Option<Self> {
        None
    }
}

/// The operand so many elements further on.
fn on(operand: Operand, first: u32, stride: &[u32]) -> Option<Operand> {
    let elements = stride.iter().try_fold(u64::from(first), |product, &d| product.checked_mul(d.into()))?;
    if elements == 0 {
        return Some(operand);
    }
    let bytes = u32::try_from(elements.checked_mul(4)?).ok()?;
    let aligned = bytes.is_multiple_of(ALIGNMENT) && operand.space == Space::Workspace as u32;
    aligned.then_some(Operand { offset: operand.offset.checked_add(bytes)?, ..operand })
}

/// The operand of inputs or outputs from place `first` of the batch on.
fn place(operand: Operand, first: u32) -> Operand {
    Operand { page: operand.page + first, ..operand }
}

/// An item of a tensor that is blocked, or row-major if it has no `blocks`.
fn item([channels, hw, blocks]: [u32; 3]) -> [u32; 2] {
    if blocks == 0 { [channels, hw] } else { [blocks * LANES, hw] }
}

impl Part for Enter {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<Enter> {
        let y = on(self.y, first, &item([self.channels, self.hw, self.blocks]))?;
        Some(Enter { x: place(self.x, first), y, n: count, ..*self })
    }
}

impl Part for Leave {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<Leave> {
        let x = on(self.x, first, &item([self.channels, self.hw, self.blocks]))?;
        Some(Leave { x, y: place(self.y, first), n: count, ..*self })
    }
}

impl Part for EnterWhole {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<EnterWhole> {
        Some(EnterWhole { x: place(self.x, first), y: on(self.y, first, &[self.len])?, n: count, ..*self })
    }
}

impl Part for LeaveWhole {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<LeaveWhole> {
        Some(LeaveWhole { x: on(self.x, first, &[self.len])?, y: place(self.y, first), n: count, ..*self })
    }
}

impl Part for EnterPixels {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<EnterPixels> {
        let y = on(self.y, first, &item([self.channels, self.hw, self.blocks]))?;
        Some(EnterPixels { x: place(self.x, first), y, n: count, ..*self })
    }
}

impl Part for Conv {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<Conv> {
        let (in_hw, out_hw) = (self.in_h * self.in_w, self.out_h * self.out_w);
        let x = on(self.x, first, &item([self.in_channels * self.groups, in_hw, self.x_blocks]))?;
        let residual = on(self.residual, first, &[self.residual_blocks * LANES, out_hw])?;
        let y = on(self.y, first, &[self.y_blocks * LANES, out_hw])?;
        Some(Conv { x, residual, y, n: count, ..*self })
    }
}

impl Part for Winograd {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<Winograd> {
        let (in_hw, out_hw) = (self.in_h * self.in_w, self.out_h * self.out_w);
        let x = on(self.x, first, &[self.x_blocks * LANES, in_hw])?;
        let residual = on(self.residual, first, &[self.residual_blocks * LANES, out_hw])?;
        let y = on(self.y, first, &[self.y_blocks * LANES, out_hw])?;
        let mut part = Winograd { x, residual, y, n: count, ..*self };
        part.cut();
        Some(part)
    }
}

impl Part for Depthwise {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<Depthwise> {
        let x = on(self.x, first, &[self.x_blocks * LANES, self.in_h * self.in_w])?;
        let y = on(self.y, first, &[self.y_blocks * LANES, self.out_h * self.out_w])?;
        Some(Depthwise { x, y, n: count, ..*self })
    }
}

impl Part for Pool {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<Pool> {
        let x = on(self.x, first, &[self.x_blocks * LANES, self.in_h * self.in_w])?;
        let y = on(self.y, first, &[self.y_blocks * LANES, self.out_h * self.out_w])?;
        Some(Pool { x, y, n: count, ..*self })
    }
}

impl Part for GlobalPool {
    fn outermost(&self) -> u32 {
        self.n
    }

    fn part(&self, first: u32, count: u32) -> Option<GlobalPool> {
        let x = on(self.x, first, &[self.x_blocks * LANES, self.hw])?;
        let y = on(self.y, first, &[self.y_blocks * LANES])?;
        Some(GlobalPool { x, y, n: count, ..*self })
    }
}

impl Part for Gemm {
    fn outermost(&self) -> u32 {
        self.m
    }

    fn part(&self, first: u32, count: u32) -> Option<Gemm> {
        let residual = on(self.residual, first, &[self.residual_stride])?;
        let (x, y) = (on(self.x, first, &[self.x_stride])?, on(self.y, first, &[self.y_stride])?);
        Some(Gemm { x, residual, y, m: count, ..*self })
    }
}

impl Part for Softmax {
    fn outermost(&self) -> u32 {
        self.rows
    }

    fn part(&self, first: u32, count: u32) -> Option<Softmax> {
        let (x, y) = (on(self.x, first, &[self.len])?, on(self.y, first, &[self.len])?);
        Some(Softmax { x, y, rows: count, ..*self })
    }
}

impl Part for LayerNorm {
    fn outermost(&self) -> u32 {
        self.rows
    }

    fn part(&self, first: u32, count: u32) -> Option<LayerNorm> {
        let (x, y) = (on(self.x, first, &[self.len])?, on(self.y, first, &[self.len])?);
        Some(LayerNorm { x, y, rows: count, ..*self })
    }
}

impl Part for Unary {
    fn outermost(&self) -> u32 {
        self.rows
    }

    fn part(&self, first: u32, count: u32) -> Option<Unary> {
        let (x, y) = (on(self.x, first, &[self.x_stride])?, on(self.y, first, &[self.y_stride])?);
        Some(Unary { x, y, rows: count, ..*self })
    }
}

impl Part for Reduce {
    fn outermost(&self) -> u32 {
        self.outer
    }

    fn part(&self, first: u32, count: u32) -> Option<Reduce> {
        let (x, y) = (on(self.x, first, &[self.len, self.inner])?, on(self.y, first, &[self.inner])?);
        Some(Reduce { x, y, outer: count, ..*self })
    }
}

impl Part for Resample {
    fn outermost(&self) -> u32 {
        self.outer
    }

    fn part(&self, first: u32, count: u32) -> Option<Resample> {
        let (x, y) = (on(self.x, first, &[self.x_stride])?, on(self.y, first, &[self.out, self.inner])?);
        Some(Resample { x, y, outer: count, ..*self })
    }
}

/// The first dimension of more than one index.
fn first_dimension(dims: &[u32; RANK]) -> usize {
    dims.iter().position(|&d| d != 1).unwrap_or(RANK - 1)
}

impl Part for Binary {
    fn outermost(&self) -> u32 {
        self.dims[first_dimension(&self.dims)]
    }

    fn part(&self, first: u32, count: u32) -> Option<Binary> {
        let d = first_dimension(&self.dims);
        let mut part = *self;
        part.dims[d] = count;
        part.a = on(self.a, first, &[self.a_strides[d]])?;
        part.b = on(self.b, first, &[self.b_strides[d]])?;
        part.y = on(self.y, first, &[self.y_strides[d]])?;
        Some(part)
    }
}

impl Part for Copy {
    fn outermost(&self) -> u32 {
        let d = first_dimension(&self.dims);
        // Where channels count from index to index, which block holds one depends on more than this dimension.
        if self.from.channels[d] == 0 && self.to.channels[d] == 0 { self.dims[d] } else { 1 }
    }

    fn part(&self, first: u32, count: u32) -> Option<Copy> {
        let d = first_dimension(&self.dims);
        let mut part = *self;
        part.dims[d] = count;
        part.x = on(self.x, first, &[self.from.strides[d]])?;
        part.y = on(self.y, first, &[self.to.strides[d]])?;
        Some(part)
    }
}

impl Part for MatMul {}
impl Part for Attention {}
impl Part for Pick {}
impl Part for Gather {}
impl Part for Words {}
impl Part for TopK {}
impl Part for Fold {}
