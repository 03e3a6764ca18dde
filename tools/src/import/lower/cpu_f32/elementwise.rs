//! Functions of one and of two elements.

use kernels::operand::Operand;
use kernels::params::{Activation, Binary, BinaryOp, LANES, Unary};

use super::Lowering;
use super::step::{Step, at};
use super::view::{Blocked, BufferId, blocks_of};
use super::weights::Packing;
use crate::import::constant::Constant;
use crate::import::error::Why;
use crate::import::graph::{Node, ValueId};
use crate::import::index;
use crate::import::page::number;
use crate::import::shape;

/// One side of a function of two: operand, first element and strides.
struct Side {
    operand: Operand,
    first: u32,
    strides: Vec<u32>,
}

const LANE: usize = LANES as usize;

impl Lowering<'_> {
    pub(super) fn unary(&mut self, node: &Node, activation: Activation) -> Result<(), Why> {
        let id = self.input(node, 0)?;
        let size = |n| number(n, "elements");
        let view = self.view(id)?;
        let block = match view.as_blocked() {
            Some(x) => {
                let [n, c, h, w] = x.dims;
                let (y_buffer, y) = self.new_image(node.output())?;
                let place = h * w * LANE;
                Unary {
                    x: at(view.buffer, x.first)?,
                    y: at(y_buffer, y.first)?,
                    rows: size(n)?,
                    len: size(blocks_of(c) * place)?,
                    x_stride: size(x.whole * place)?,
                    y_stride: size(y.whole * place)?,
                    activation,
                }
            }
            _ => {
                let x = self.contiguous(id)?;
                let rows = x.dims.first().copied().unwrap_or(1);
                let len = size(x.dims.iter().product::<usize>() / rows)?;
                let y = self.new_tensor(node.output());
                let (x, y) = (at(x.buffer, x.first)?, at(y, 0)?);
                Unary { x, y, rows: size(rows)?, len, x_stride: len, y_stride: len, activation }
            }
        };
        self.steps.push(Step::Unary(block));
        Ok(())
    }

    pub(super) fn binary(&mut self, node: &Node, op: BinaryOp, activation: Activation) -> Result<(), Why> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let dims = self.graph.dims(node.output()).to_vec();
        let is_image = |id| {
            let full = self.graph.dims(id) == dims.as_slice();
            full && self.views.get(&id).is_some_and(|view| view.as_blocked().is_some())
        };
        if dims.len() == 4 && (is_image(a) || is_image(b)) {
            return self.binary_images(node, op, activation);
        }
        let (a, b) = (self.tensor_side(a, &dims)?, self.tensor_side(b, &dims)?);
        let y = self.new_tensor(node.output());
        let strides = index::strides(&dims);
        let y = Side { operand: at(y, 0)?, first: 0, strides: numbers(&strides)? };
        self.push_binary(op, [a, b, y], &dims, activation)
    }

    fn binary_images(&mut self, node: &Node, op: BinaryOp, activation: Activation) -> Result<(), Why> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let dims = shape::image(self.graph.dims(node.output()))?;
        let (a, b) = (self.image_side(a, dims)?, self.image_side(b, dims)?);
        let (buffer, y) = self.new_image(node.output())?;
        let y = Side { operand: at(buffer, y.first)?, first: 0, strides: image_strides(dims, y.whole, dims)? };
        let [n, c, h, w] = dims;
        self.push_binary(op, [a, b, y], &[n, blocks_of(c), h, w, LANE], activation)
    }

    fn push_binary(
        &mut self,
        op: BinaryOp,
        [a, b, y]: [Side; 3],
        dims: &[usize],
        activation: Activation,
    ) -> Result<(), Why> {
        let operands = [a.operand, b.operand, y.operand];
        let strides = [a.strides.as_slice(), b.strides.as_slice(), y.strides.as_slice()];
        let binary = Binary::new(op, operands, &numbers(dims)?, strides, activation)
            .ok_or_else(|| Why::Shape { found: dims.to_vec(), wanted: "a broadcast over at most six dimensions" })?;
        self.steps.push(Step::Binary(Binary { a_first: a.first, b_first: b.first, y_first: y.first, ..binary }));
        Ok(())
    }

    fn tensor_side(&mut self, id: ValueId, dims: &[usize]) -> Result<Side, Why> {
        let (operand, first, own, strides) = match self.graph.constant(id).cloned() {
            Some(constant) => {
                let operand = self.weights(float_values(&constant)?, Packing::Constant)?;
                let strides = index::strides(&constant.dims);
                (operand, 0, constant.dims, strides)
            }
            None => {
                let view = self.linear(id, true)?;
                (at(view.buffer, 0)?, number(view.first, "elements")?, view.dims, view.strides)
            }
        };
        let front = dims.len() - own.len();
        let stride = |i: usize| if i < front || own[i - front] == 1 { 0 } else { strides[i - front] };
        Ok(Side { operand, first, strides: numbers(&(0..dims.len()).map(stride).collect::<Vec<_>>())? })
    }

    /// The value as a blocked image, dimensions of 1 put in front of what it has.
    fn widened(&mut self, id: ValueId) -> Result<(BufferId, Blocked), Why> {
        let view = self.view(id)?;
        if view.dims.len() >= 4 {
            return self.blocked(id);
        }
        let dims = [&[1; 4][view.dims.len()..], &view.dims].concat();
        let image = view.reshaped(&dims).ok_or(Why::Form("one of its sides is no image"))?;
        let image = if image.as_blocked().is_some() { image } else { self.copied_to_image(&image)? };
        let blocked = image.as_blocked().ok_or(Why::Form("its copy is no blocked image"))?;
        Ok((image.buffer, blocked))
    }

    fn image_side(&mut self, id: ValueId, dims: [usize; 4]) -> Result<Side, Why> {
        let Some(constant) = self.graph.constant(id).cloned() else {
            let (buffer, x) = self.widened(id)?;
            return Ok(Side {
                operand: at(buffer, x.first)?,
                first: 0,
                strides: image_strides(x.dims, x.whole, dims)?,
            });
        };
        let values = float_values(&constant)?;
        if values.len() == 1 {
            let operand = self.weights(values, Packing::Constant)?;
            return Ok(Side { operand, first: 0, strides: vec![0; 5] });
        }
        let own = shape::image(&[vec![1; 4 - constant.dims.len()], constant.dims.clone()].concat())?;
        let [n, c, h, w] = own;
        let packing = Packing::Blocked([number(n, "items")?, number(c, "channels")?, number(h * w, "elements")?]);
        let operand = self.weights(values, packing)?;
        Ok(Side { operand, first: 0, strides: image_strides(own, blocks_of(c), dims)? })
    }
}

fn float_values(constant: &Constant) -> Result<&[f32], Why> {
    constant.as_floats().ok_or(Why::Form("it mixes floats with integers"))
}

fn numbers(from: &[usize]) -> Result<Vec<u32>, Why> {
    from.iter().map(|&n| number(n, "elements")).collect()
}

/// Strides over `[n][blocks][h][w][16]` of a blocked image that is broadcast to `to`.
fn image_strides(from: [usize; 4], whole: usize, to: [usize; 4]) -> Result<Vec<u32>, Why> {
    let [n, c, h, w] = from;
    let place = h * w * LANE;
    let one_channel = c == 1 && to[1] > 1;
    let along = |dim: usize, stride: usize| if dim == 1 { 0 } else { stride };
    let blocks = if one_channel { 0 } else { place };
    let lane = usize::from(!one_channel);
    numbers(&[along(n, whole * place), blocks, along(h, w * LANE), along(w, LANE), lane])
}
