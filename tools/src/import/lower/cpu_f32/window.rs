//! Convolutions and pools.

use blake3::Hash;
use bytemuck::Zeroable;
use kernels::params::{Activation, Conv, Depthwise, GlobalPool, LANES, Pool, PoolKind, Window, Winograd};

use super::Lowering;
use super::step::{Step, UNUSED, at};
use super::weights::Packing;
use crate::import::error::{ImportError, Why};
use crate::import::graph::{Graph, Node};
use crate::import::op::{self, Op};
use crate::import::page::number;
use crate::import::shape;
use crate::import::tune::{Algorithm, Layer, digest};

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

/// The block of a convolution that is not depthwise, without operands, each image a tensor of its own.
fn dense_block(graph: &Graph, node: &Node, conv: &op::Conv) -> Result<Conv, Why> {
    let input = |index| node.input(index).ok_or(Why::MissingInput { index });
    let [_, of_group, kernel_h, kernel_w] = shape::image(graph.dims(input(1)?))?;
    let [n, channels, in_h, in_w] = sides(graph.dims(input(0)?))?;
    let [_, out_channels, out_h, out_w] = sides(graph.dims(node.output()))?;
    let window = window(&conv.slide, [in_h as usize, in_w as usize], [kernel_h, kernel_w])?;
    Ok(Conv {
        n,
        in_channels: number(of_group, "channels")?,
        out_channels,
        groups: number(conv.groups, "groups")?,
        in_h,
        in_w,
        out_h,
        out_w,
        window,
        x_blocks: kernels::params::blocks_of(channels),
        y_blocks: kernels::params::blocks_of(out_channels),
        ..Conv::zeroed()
    })
}

/// The convolutions of a graph for which there is a choice, with what identifies their weights.
pub fn layers(graph: &Graph) -> Result<Vec<(Layer, Hash)>, ImportError> {
    let mut found = Vec::new();
    for node in &graph.nodes {
        let (Op::Conv(conv, _), Some(weights)) = (&node.op, graph.constant_input(node, 1)) else { continue };
        let block = dense_block(graph, node, conv).map_err(|why| ImportError::at(node, why))?;
        let layer = Layer::of(&block);
        let windows = Winograd::of(&block, 2).is_some();
        if let (true, Some(values)) = (windows && layer.allows(Algorithm::Patches(2)), weights.as_floats()) {
            found.push((layer, digest(&layer, values)));
        }
    }
    Ok(found)
}

impl Lowering<'_> {
    pub(super) fn conv(&mut self, node: &Node, conv: &op::Conv, activation: Activation) -> Result<(), Why> {
        let x = self.input(node, 0)?;
        let [_, channels, ..] = shape::image(self.graph.dims(x))?;
        let [out, ..] = shape::image(self.graph.dims(self.input(node, 1)?))?;
        if conv.groups > 1 && conv.groups == channels && out == channels {
            return self.depthwise(node, conv, activation);
        }
        self.dense_conv(node, conv, activation)
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
        let shape = dense_block(self.graph, node, conv)?;
        let values = self.floats(node, 1)?.to_vec();
        let reads_rows = self.reads_rows(node);
        let choice = Winograd::of(&shape, 2).filter(|_| !reads_rows);
        let patch = choice.and_then(|_| self.choices.patch(&Layer::of(&shape), &values));
        let packing = match patch {
            None => Packing::Conv(shape.grouping(), shape.window.taps()),
            Some(patch) => Packing::Patches([shape.out_channels, shape.in_channels], patch),
        };
        let weights = self.weights(&values, packing)?;
        let bias = self.bias(node, 2, shape.out_channels as usize, 1.0)?;
        let x = self.input(node, 0)?;
        let rows = self.view(x)?.as_linear().filter(|view| view.is_contiguous() && reads_rows);
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
        let block = Conv {
            x,
            weights,
            bias,
            residual,
            y: at(y_buffer, y.first)?,
            x_blocks,
            residual_blocks,
            y_blocks: number(y.whole, "channel blocks")?,
            activation,
            ..shape
        };
        self.steps.push(match patch.and_then(|patch| Winograd::of(&block, patch)) {
            None => Step::Conv(block),
            Some(block) => Step::Winograd(block),
        });
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
