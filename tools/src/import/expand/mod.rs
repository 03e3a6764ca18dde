//! Operations spelled out with simpler ones, once shapes and types of what they read are known.
//!
//! What stays are the operations that the target has kernels for. Each part is folded, checked and
//! shaped like a node of the model itself.

mod arithmetic;
mod choose;
mod conv;
mod movement;
mod norm;
mod places;
mod pool;
mod reduce;
mod resize;

use std::sync::Arc;

use kernels::params::{Activation, ActivationKind, BinaryOp};

use super::batch;
use super::constant::Constant;
use super::element::Element;
use super::error::Why;
use super::graph::{Graph, Node, ValueId};
use super::op::Op;

/// Where the elements of a tensor come from, dimension by dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// By dimension, by index: the index there, or none for [`Map::fill`].
    pub axes: Vec<Arc<[Option<usize>]>>,
    /// What stands where nothing comes from.
    pub fill: Fill,
}

/// A single element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// A float.
    Float(f32),
    /// A whole number or truth value.
    Whole(i64),
}

/// By place of a result: places of the source, none for outside, and their weights. Each place has as many.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    /// Summands of each place.
    pub count: usize,
    /// Places and weights, one result after the other.
    pub taps: Arc<[(Option<usize>, f32)]>,
    /// What lies outside.
    pub outside: f32,
}

impl Taps {
    /// The weighted sums; shorter ones are filled up with weights of 0.
    pub fn new(sums: &[Vec<(Option<usize>, f32)>], outside: f32) -> Taps {
        let count = sums.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let fill = |sum: &Vec<(Option<usize>, f32)>| {
            let spare = sum.first().map_or(Some(0), |&(place, _)| place);
            let missing = count - sum.len();
            sum.iter().copied().chain(std::iter::repeat_n((spare, 0.0), missing)).collect::<Vec<_>>()
        };
        Taps { count, taps: sums.iter().flat_map(fill).collect(), outside }
    }

    /// Places of the result.
    pub fn places(&self) -> usize {
        self.taps.len() / self.count
    }
}

/// Spells out `node`, whose inputs have shapes. False: it stays as it is.
pub fn expand(graph: &mut Graph, node: &Node, n: usize) -> Result<bool, Why> {
    let mut out = Emitter { graph, node, n };
    match &node.op {
        Op::Unary(activation) => arithmetic::unary(&mut out, *activation),
        Op::Binary(op, _) => arithmetic::binary(&mut out, *op),
        Op::Many(op) => arithmetic::many(&mut out, *op),
        Op::Clip => arithmetic::clip(&mut out),
        Op::Compare { op, swap } => arithmetic::compare(&mut out, *op, *swap),
        Op::Not => arithmetic::not(&mut out),
        Op::Where => arithmetic::choice(&mut out),
        Op::Cast { to } => arithmetic::cast(&mut out, *to),
        Op::CastLike => {
            let (x, to) = (out.input(0)?, out.element(1)?);
            out.finish(Op::Cast { to }, &[x])
        }
        Op::Softmax { axis, .. } | Op::LogSoftmax { axis, .. } if out.dims(0)?.is_empty() => {
            norm::of_one(&mut out, *axis)
        }
        Op::LogSoftmax { axis, flatten } => norm::log_softmax(&mut out, *axis, *flatten),
        Op::LayerNorm { axis, epsilon } => norm::layer(&mut out, *axis, *epsilon),
        Op::InstanceNorm { epsilon } => norm::instance(&mut out, *epsilon),
        Op::BatchNorm { epsilon } => norm::batch(&mut out, *epsilon),
        Op::Lrn { alpha, beta, bias, size } => norm::local(&mut out, [*alpha, *beta, *bias], *size),
        Op::Reduction { kind, axes, keep, none } => reduce::reduction(&mut out, *kind, axes.as_ref(), [*keep, *none]),
        Op::ArgMax { axis, keep, largest, last } => reduce::arg_max(&mut out, *axis, [*keep, *largest, *last]),
        Op::CumSum { exclusive, reverse } => reduce::cum_sum(&mut out, [*exclusive, *reverse]),
        Op::RawConv(raw) => conv::conv(&mut out, raw),
        Op::Conv(conv, activation) => conv::grouped(&mut out, conv, *activation),
        Op::ConvTranspose(transposed) => conv::transposed(&mut out, transposed),
        Op::RawPool(raw) => pool::pool(&mut out, raw),
        Op::GlobalPool(kind) => pool::global(&mut out, *kind),
        Op::Gemm(gemm, activation) => conv::gemm(&mut out, gemm, *activation),
        Op::MatMul { .. } => conv::matmul(&mut out),
        Op::Slice { .. } => movement::slice(&mut out),
        Op::Tile => movement::tile(&mut out),
        Op::Pad { mode, pads, value } => movement::pad(&mut out, *mode, pads.as_ref(), *value),
        Op::Resize(resize) => resize::resize(&mut out, resize),
        Op::Gather { axis } => choose::gather(&mut out, *axis),
        _ => Ok(false),
    }
}

/// Where the parts of a node go.
pub struct Emitter<'a> {
    graph: &'a mut Graph,
    node: &'a Node,
    n: usize,
}

impl Emitter<'_> {
    fn input(&self, index: usize) -> Result<ValueId, Why> {
        self.node.input(index).ok_or(Why::MissingInput { index })
    }

    /// The shape of an input.
    fn dims(&self, index: usize) -> Result<Vec<usize>, Why> {
        Ok(self.graph.dims(self.input(index)?).to_vec())
    }

    /// The type of an input.
    fn element(&self, index: usize) -> Result<Element, Why> {
        Ok(self.graph.element(self.input(index)?))
    }

    /// The constant behind an input; none if it is absent or not known.
    fn constant_at(&self, index: usize) -> Option<Constant> {
        self.graph.constant_input(self.node, index).cloned()
    }

    /// The integers behind an input that must be known; none if the input is absent.
    fn integers_at(&self, index: usize) -> Result<Option<Vec<i64>>, Why> {
        let integers = super::shape::integers(self.graph, self.node, index)?;
        Ok(integers.map(<[i64]>::to_vec))
    }

    fn constant(&mut self, constant: Constant) -> ValueId {
        let name = self.fresh();
        self.graph.add_constant(name, constant)
    }

    fn number(&mut self, number: f32) -> ValueId {
        self.constant(Constant::floats(vec![], vec![number]))
    }

    fn whole(&mut self, number: i64, element: Element) -> ValueId {
        self.constant(Constant::integers(vec![], vec![number]).with_element(element))
    }

    fn fresh(&self) -> String {
        let name = self.node.outputs.first().map_or("", |&id| self.graph.value(id).name.as_str());
        format!("{name} part {}", self.graph.values.len())
    }

    /// One part; its result is a new value.
    fn emit(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, Why> {
        Ok(self.emit_many(op, inputs, 1)?[0])
    }

    /// One part with several results.
    fn emit_many(&mut self, op: Op, inputs: &[ValueId], count: usize) -> Result<Vec<ValueId>, Why> {
        let outputs: Vec<ValueId> = (0..count)
            .map(|_| {
                let name = self.fresh();
                self.graph.add(name, Vec::new(), None)
            })
            .collect();
        self.put(op, inputs, outputs.clone())?;
        Ok(outputs)
    }

    /// The last part: it makes what the node makes.
    fn finish(&mut self, op: Op, inputs: &[ValueId]) -> Result<bool, Why> {
        self.put(op, inputs, vec![self.node.output()])?;
        Ok(true)
    }

    fn put(&mut self, op: Op, inputs: &[ValueId], outputs: Vec<ValueId>) -> Result<(), Why> {
        let inputs = inputs.iter().map(|&id| Some(id)).collect();
        let (name, operator) = (self.node.name.clone(), self.node.operator.clone());
        batch::step(self.graph, Node { name, operator, op, inputs, outputs }, self.n)
    }

    fn unary(&mut self, kind: ActivationKind, [a, b]: [f32; 2], x: ValueId) -> Result<ValueId, Why> {
        self.emit(Op::Unary(Activation::new(kind, a, b)), &[x])
    }

    fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> Result<ValueId, Why> {
        self.emit(Op::Binary(op, Activation::NONE), &[a, b])
    }

    fn reshaped(&mut self, x: ValueId, dims: Vec<usize>) -> Result<ValueId, Why> {
        self.emit(Op::Into { dims }, &[x])
    }
}
