//! Convolutions and pools.

use kernels::params::{Activation, Conv, Depthwise, GlobalPool, LANES, Pool, PoolKind, Window};

use super::Lowering;
use super::step::{Step, UNUSED, at};
use super::weights::Packing;
use crate::import::error::Why;
use crate::import::graph::Node;
use crate::import::op::{self, Op};
use crate::import::page::number;
use crate::import::shape;

/// The window of a kernel of that size sliding over an image of that size.
fn window(slide: &op::Slide, image: [usize; 2], kernel: [usize; 2]) -> Result<Window, Why> {
    let pads = shape::padding(slide, image, kernel);
    let size = |n| number(n, "taps, steps or padding");
    Ok(Window {
        kernel_h: size(kernel[0])?,
        kernel_w: size(kernel[1])?,
        stride_h: size(slide.strides[0])?,
        stride_w: size(slide.strides[1])?,
        dilation_h: size(slide.dilations[0])?,
        dilation_w: size(slide.dilations[1])?,
        pad_top: size(pads[0])?,
        pad_left: size(pads[1])?,
    })
}

fn sides(dims: &[usize]) -> Result<[u32; 4], Why> {
    let [n, c, h, w] = shape::image(dims)?;
    Ok([number(n, "items")?, number(c, "channels")?, number(h, "rows")?, number(w, "columns")?])
}

/// An image of at most so many channels is read row by row: in blocks most lanes would be empty.
const FEW_CHANNELS: usize = 4;

impl Lowering<'_> {
    pub(super) fn conv(&mut self, node: &Node, conv: &op::Conv, activation: Activation) -> Result<(), Why> {
        let x = self.input(node, 0)?;
        let [_, channels, ..] = shape::image(self.graph.dims(x))?;
        let [out, of_group, ..] = shape::image(self.graph.dims(self.input(node, 1)?))?;
        let lanes = LANES as usize;
        match conv.groups {
            1 => self.dense_conv(node, conv, activation),
            groups if groups == channels && out == channels => self.depthwise(node, conv, activation),
            groups if of_group % lanes == 0 && out / groups % lanes == 0 => self.dense_conv(node, conv, activation),
            groups => Err(Why::Attribute {
                name: "group",
                value: groups.to_string(),
                why: "1, as many as channels in and out, or groups of multiples of 16 channels",
            }),
        }
    }

    /// Whether the node is a convolution that reads a row-major image of so few channels as it lies.
    pub(super) fn reads_rows(&self, node: &Node) -> bool {
        let (Op::Conv(conv, _), Some(x), Some(weights)) = (&node.op, node.input(0), node.input(1)) else {
            return false;
        };
        let (Ok([_, channels, ..]), Ok([_, _, kernel_h, kernel_w])) =
            (shape::image(self.graph.dims(x)), shape::image(self.graph.dims(weights)))
        else {
            return false;
        };
        let Ok([_, _, _, out_w]) = shape::image(self.graph.dims(node.output())) else { return false };
        // The width of a strip and a register tile beyond it, rounded up.
        let [stride, dilation] = [conv.slide.strides[1], conv.slide.dilations[1]];
        let strip = kernel_h * channels * (out_w * stride + kernel_w * dilation) + LANES as usize * stride;
        conv.groups == 1 && channels <= FEW_CHANNELS && strip <= Conv::MAX_STRIP as usize
    }

    fn dense_conv(&mut self, node: &Node, conv: &op::Conv, activation: Activation) -> Result<(), Why> {
        let (x, weights) = (self.input(node, 0)?, self.input(node, 1)?);
        let [out, of_group, kernel_h, kernel_w] = shape::image(self.graph.dims(weights))?;
        let [n, _, in_h, in_w] = sides(self.graph.dims(x))?;
        let [_, out_channels, out_h, out_w] = sides(self.graph.dims(node.output()))?;
        let window = window(&conv.slide, [in_h as usize, in_w as usize], [kernel_h, kernel_w])?;
        let in_channels = number(of_group, "channels")?;
        let values = self.floats(node, 1)?.to_vec();
        let weights = self.weights(&values, Packing::Conv([out_channels, in_channels, window.taps()]))?;
        let bias = self.bias(node, 2, out, 1.0)?;
        let rows = self.view(x)?.as_linear().filter(|view| view.is_contiguous() && self.reads_rows(node));
        let (x, x_blocks) = match rows {
            Some(rows) => (at(rows.buffer, rows.first)?, 0),
            None => {
                let (buffer, image) = self.blocked(x)?;
                (at(buffer, image.first)?, number(image.whole, "channel blocks")?)
            }
        };
        let (residual, residual_blocks) = match node.input(3) {
            None => (UNUSED, 0),
            Some(id) => {
                let (buffer, image) = self.blocked(id)?;
                (at(buffer, image.first)?, number(image.whole, "channel blocks")?)
            }
        };
        let (y_buffer, y) = self.new_image(node.output())?;
        self.steps.push(Step::Conv(Conv {
            x,
            weights,
            bias,
            residual,
            y: at(y_buffer, y.first)?,
            n,
            in_channels,
            out_channels,
            groups: number(conv.groups, "groups")?,
            in_h,
            in_w,
            out_h,
            out_w,
            window,
            x_blocks,
            residual_blocks,
            y_blocks: number(y.whole, "channel blocks")?,
            activation,
        }));
        Ok(())
    }

    fn depthwise(&mut self, node: &Node, conv: &op::Conv, activation: Activation) -> Result<(), Why> {
        let (x, weights) = (self.input(node, 0)?, self.input(node, 1)?);
        let [out, _, kernel_h, kernel_w] = shape::image(self.graph.dims(weights))?;
        let [n, channels, in_h, in_w] = sides(self.graph.dims(x))?;
        let [_, _, out_h, out_w] = sides(self.graph.dims(node.output()))?;
        let window = window(&conv.slide, [in_h as usize, in_w as usize], [kernel_h, kernel_w])?;
        let values = self.floats(node, 1)?.to_vec();
        let weights = self.weights(&values, Packing::Depthwise([channels, window.taps()]))?;
        let bias = self.bias(node, 2, out, 1.0)?;
        let (x_buffer, x) = self.blocked(x)?;
        let (y_buffer, y) = self.new_image(node.output())?;
        self.steps.push(Step::Depthwise(Depthwise {
            x: at(x_buffer, x.first)?,
            weights,
            bias,
            y: at(y_buffer, y.first)?,
            n,
            channels,
            in_h,
            in_w,
            out_h,
            out_w,
            window,
            x_blocks: number(x.whole, "channel blocks")?,
            y_blocks: number(y.whole, "channel blocks")?,
            activation,
        }));
        Ok(())
    }

    pub(super) fn pool(&mut self, node: &Node, pool: &op::Pool) -> Result<(), Why> {
        let x = self.input(node, 0)?;
        let [n, channels, in_h, in_w] = sides(self.graph.dims(x))?;
        let [_, _, out_h, out_w] = sides(self.graph.dims(node.output()))?;
        if out_h == 1 && out_w == 1 && covers(pool, [in_h, in_w]) {
            return self.global_pool(node, pool.kind);
        }
        if node.outputs.len() > 1 {
            return Err(Why::Form("only its first output is built"));
        }
        let window = window(&pool.slide, [in_h as usize, in_w as usize], pool.kernel)?;
        let (x_buffer, x) = self.blocked(x)?;
        let (y_buffer, y) = self.new_image(node.output())?;
        self.steps.push(Step::Pool(Pool {
            x: at(x_buffer, x.first)?,
            y: at(y_buffer, y.first)?,
            n,
            channels,
            in_h,
            in_w,
            out_h,
            out_w,
            window,
            x_blocks: number(x.whole, "channel blocks")?,
            y_blocks: number(y.whole, "channel blocks")?,
            kind: pool.kind as u32,
        }));
        Ok(())
    }

    pub(super) fn global_pool(&mut self, node: &Node, kind: PoolKind) -> Result<(), Why> {
        let x = self.input(node, 0)?;
        let [n, channels, h, w] = sides(self.graph.dims(x))?;
        let (x_buffer, x) = self.blocked(x)?;
        let (y_buffer, y) = self.new_image(node.output())?;
        // Over the whole image there is no padding to count.
        let kind = if kind == PoolKind::Max { PoolKind::Max } else { PoolKind::Average };
        self.steps.push(Step::GlobalPool(GlobalPool {
            x: at(x_buffer, x.first)?,
            y: at(y_buffer, y.first)?,
            n,
            channels,
            hw: h * w,
            x_blocks: number(x.whole, "channel blocks")?,
            y_blocks: number(y.whole, "channel blocks")?,
            kind: kind as u32,
        }));
        Ok(())
    }
}

/// Whether the window is the whole image, without padding or holes.
fn covers(pool: &op::Pool, image: [u32; 2]) -> bool {
    let whole = pool.kernel == image.map(|side| side as usize);
    whole && pool.slide.pads == op::Padding::Explicit([0; 4]) && pool.slide.dilations == [1, 1]
}
