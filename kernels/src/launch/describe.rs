//! What a launch does, for people who look at a plan.

use super::{Launch, entry};
use crate::params::{
    Activation, ActivationKind, Attention, Binary, BinaryOp, Conv, Copy, Depthwise, Enter, EnterPixels, EnterWhole,
    Fold, FoldOp, Gather, Gemm, GlobalPool, LayerNorm, Leave, LeaveWhole, MatMul, Pick, Pool, PoolKind, Reduce,
    ReduceKind, Region, Resample, Softmax, TopK, Unary, Whole, Window, Winograd, WordOp, Words,
};

/// One launch in words and numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Shapes, window, and what is fused into it.
    pub what: String,
    /// Floating-point operations of its products: two for each multiplication and addition.
    pub flops: u64,
    /// Independent tiles.
    pub tiles: u32,
    /// What it touches.
    pub regions: Vec<Region>,
}

/// Describes a launch; none if no kernel has its number or its block contradicts itself.
pub fn describe(launch: &Launch) -> Option<Description> {
    let entry = entry(launch.kernel)?;
    if launch.block.len() != entry.block_bytes {
        return None;
    }
    let mut regions = Vec::new();
    let tiles = (entry.inspect)(&launch.block, &mut |region| regions.push(region)).ok()?;
    let (what, flops) = (entry.describe)(&launch.block);
    Some(Description { kernel: entry.name, what, flops, tiles, regions })
}

/// What each kernel's block says of itself. The block passed its check.
pub(super) trait Describe: bytemuck::Pod {
    /// Shapes, window, and what is fused into it.
    fn what(&self) -> String;

    /// Floating-point operations of its products.
    fn flops(&self) -> u64 {
        0
    }
}

/// Twice the product.
fn twice(factors: &[u32]) -> u64 {
    factors.iter().fold(2, |product: u64, &factor| product.saturating_mul(u64::from(factor)))
}

fn joined(dims: &[u32]) -> String {
    dims.iter().map(u32::to_string).collect::<Vec<_>>().join("x")
}

/// The dimensions without leading ones.
fn trimmed(dims: &[u32]) -> String {
    let first = dims.iter().position(|&dim| dim > 1).unwrap_or(dims.len() - 1);
    joined(&dims[first..])
}

fn window(w: &Window) -> String {
    let pair = |h: u32, w: u32| if h == w { h.to_string() } else { format!("{h}x{w}") };
    let mut text = format!("{}x{}", w.kernel_h, w.kernel_w);
    if (w.stride_h, w.stride_w) != (1, 1) {
        text += &format!(" stride {}", pair(w.stride_h, w.stride_w));
    }
    if (w.dilation_h, w.dilation_w) != (1, 1) {
        text += &format!(" dilation {}", pair(w.dilation_h, w.dilation_w));
    }
    text
}

fn fused(activation: &Activation, residual: bool) -> String {
    let mut text = if residual { " + residual".to_owned() } else { String::new() };
    match ActivationKind::from_u32(activation.kind) {
        None | Some(ActivationKind::None) => {}
        Some(kind) => text += &format!(", {kind:?}").to_lowercase(),
    }
    text
}

/// The name of a number's variant, in small letters.
fn named(variant: Option<impl std::fmt::Debug>) -> String {
    variant.map_or_else(|| "?".to_owned(), |variant| format!("{variant:?}").to_lowercase())
}

/// Where what enters goes.
fn entered(blocks: u32) -> &'static str {
    if blocks == 0 { "row-major" } else { "blocked" }
}

impl Describe for Enter {
    fn what(&self) -> String {
        format!("{} to {}", joined(&[self.n, self.channels, self.hw]), entered(self.blocks))
    }
}

impl Describe for Leave {
    fn what(&self) -> String {
        format!("{} to row-major", joined(&[self.n, self.channels, self.hw]))
    }
}

impl Describe for Conv {
    fn what(&self) -> String {
        let groups = if self.groups > 1 { format!(" in {} groups", self.groups) } else { String::new() };
        format!(
            "{} -> {}, {}{groups}{}",
            joined(&[self.n, self.in_channels * self.groups, self.in_h, self.in_w]),
            joined(&[self.out_channels, self.out_h, self.out_w]),
            window(&self.window),
            fused(&self.activation, self.residual_blocks > 0)
        )
    }

    fn flops(&self) -> u64 {
        twice(&[self.n, self.out_channels, self.out_h, self.out_w, self.in_channels, self.window.taps()])
    }
}

impl Describe for Winograd {
    fn what(&self) -> String {
        let groups = if self.groups > 1 { format!(" in {} groups", self.groups) } else { String::new() };
        let [patch, fused] = [self.patch.to_string(), fused(&self.activation, self.residual_blocks > 0)];
        format!(
            "{} -> {}, 3x3 by patches of {patch}x{patch}{groups}{fused}",
            joined(&[self.n, self.in_channels * self.groups, self.in_h, self.in_w]),
            joined(&[self.out_channels, self.out_h, self.out_w]),
        )
    }

    /// Those of the same convolution without patches, so that the two compare.
    fn flops(&self) -> u64 {
        twice(&[self.n, self.out_channels, self.out_h, self.out_w, self.in_channels, 9])
    }
}

impl Describe for Depthwise {
    fn what(&self) -> String {
        format!(
            "{} -> {}, {}{}",
            joined(&[self.n, self.channels, self.in_h, self.in_w]),
            joined(&[self.out_h, self.out_w]),
            window(&self.window),
            fused(&self.activation, false)
        )
    }

    fn flops(&self) -> u64 {
        twice(&[self.n, self.channels, self.out_h, self.out_w, self.window.taps()])
    }
}

impl Describe for Pool {
    fn what(&self) -> String {
        let kind = match PoolKind::from_u32(self.kind) {
            Some(PoolKind::Max) => "max",
            _ => "average",
        };
        format!(
            "{} -> {}, {kind} {}",
            joined(&[self.n, self.channels, self.in_h, self.in_w]),
            joined(&[self.out_h, self.out_w]),
            window(&self.window)
        )
    }
}

impl Describe for GlobalPool {
    fn what(&self) -> String {
        format!("{} of {}", named(PoolKind::from_u32(self.kind)), joined(&[self.n, self.channels, self.hw]))
    }
}

impl Describe for Gemm {
    fn what(&self) -> String {
        let fused = fused(&self.activation, self.residual_stride > 0);
        format!("{} by {}{fused}", joined(&[self.m, self.k]), joined(&[self.k, self.n]))
    }

    fn flops(&self) -> u64 {
        twice(&[self.m, self.k, self.n])
    }
}

impl Describe for MatMul {
    fn what(&self) -> String {
        let [outer, inner] = self.batch;
        format!("{} of {} by {}", outer.saturating_mul(inner), joined(&[self.m, self.k]), joined(&[self.k, self.n]))
    }

    fn flops(&self) -> u64 {
        twice(&[self.batch[0], self.batch[1], self.m, self.k, self.n])
    }
}

impl Describe for Attention {
    fn what(&self) -> String {
        let heads = self.batch[0].saturating_mul(self.batch[1]);
        let mask = if self.masked == 1 { ", mask" } else { "" };
        let (q, k, v) = ([self.queries, self.depth], [self.depth, self.keys], [self.keys, self.width]);
        format!("{heads} of {} by {} by {}{mask}", joined(&q), joined(&k), joined(&v))
    }

    fn flops(&self) -> u64 {
        let [outer, inner] = self.batch;
        let of = |size| twice(&[outer, inner, self.queries, self.keys, size]);
        of(self.depth).saturating_add(of(self.width))
    }
}

impl Describe for Softmax {
    fn what(&self) -> String {
        format!("{} rows of {}", self.rows, self.len)
    }
}

impl Describe for LayerNorm {
    fn what(&self) -> String {
        format!("{} rows of {}", self.rows, self.len)
    }
}

impl Describe for Unary {
    fn what(&self) -> String {
        format!("{} rows of {}{}", self.rows, self.len, fused(&self.activation, false))
    }
}

impl Describe for Binary {
    fn what(&self) -> String {
        let op = named(BinaryOp::from_u32(self.op));
        format!("{op} {}{}", trimmed(&self.dims), fused(&self.activation, false))
    }
}

impl Describe for Reduce {
    fn what(&self) -> String {
        let kind = named(ReduceKind::from_u32(self.kind));
        format!("{kind} of {} in {}", self.len, joined(&[self.outer, self.len, self.inner]))
    }
}

impl Describe for Copy {
    fn what(&self) -> String {
        trimmed(&self.dims)
    }
}

impl Describe for EnterWhole {
    fn what(&self) -> String {
        format!("{} of {} to i32", joined(&[self.n, self.len]), named(Whole::from_u32(self.element)))
    }
}

impl Describe for EnterPixels {
    fn what(&self) -> String {
        let order = if self.interleaved == 1 { "pixels" } else { "planes" };
        format!("{} {order} of bytes to {}", joined(&[self.n, self.channels, self.hw]), entered(self.blocks))
    }
}

impl Describe for LeaveWhole {
    fn what(&self) -> String {
        format!("{} of i32 to {}", joined(&[self.n, self.len]), named(Whole::from_u32(self.element)))
    }
}

impl Describe for Pick {
    fn what(&self) -> String {
        format!("{} of {}", trimmed(&self.dims), self.x_len)
    }
}

impl Describe for Gather {
    fn what(&self) -> String {
        format!("{} of {}", trimmed(&self.dims), joined(&[self.x_rows, self.x_row]))
    }
}

impl Describe for Resample {
    fn what(&self) -> String {
        let [from, to] = [self.len, self.out].map(|len| joined(&[self.outer, len, self.inner]));
        format!("{from} -> {to}, {} taps", self.taps)
    }
}

impl Describe for Words {
    fn what(&self) -> String {
        format!("{} {}", named(WordOp::from_u32(self.op)), trimmed(&self.dims))
    }
}

impl Describe for TopK {
    fn what(&self) -> String {
        format!("{} of {} in {}", self.k, self.len, joined(&[self.outer, self.len, self.inner]))
    }
}

impl Describe for Fold {
    fn what(&self) -> String {
        let op = named(FoldOp::from_u32(self.op));
        format!("{op} of {} in {}", self.len, joined(&[self.outer, self.len, self.inner]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operand::{Operand, Space};
    use crate::params::Activation;
    use bytemuck::Zeroable;

    #[test]
    fn a_convolution_says_what_it_is_and_what_it_costs() {
        let at = |offset| Operand::contiguous(Space::Workspace, 0, offset);
        let conv = Conv {
            x: at(0),
            weights: Operand::contiguous(Space::Weights, 0, 0),
            bias: Operand::contiguous(Space::Weights, 0, 4096),
            y: at(1 << 20),
            n: 2,
            in_channels: 16,
            out_channels: 32,
            groups: 1,
            in_h: 8,
            in_w: 8,
            out_h: 4,
            out_w: 4,
            window: Window::square(3, 2, 1),
            x_blocks: 1,
            y_blocks: 2,
            activation: Activation { kind: ActivationKind::Relu as u32, ..Activation::zeroed() },
            ..Conv::zeroed()
        };
        let said = describe(&Launch::of(&conv)).expect("a sound block");
        assert_eq!((said.kernel, said.what.as_str()), ("conv", "2x16x8x8 -> 32x4x4, 3x3 stride 2, relu"));
        assert_eq!((said.flops, said.tiles, said.regions.len()), (2 * 2 * 32 * 16 * 16 * 9, 2, 4));
        let mut broken = Launch::of(&conv);
        broken.block = broken.block[1..].into();
        assert_eq!(describe(&broken), None);
    }
}
