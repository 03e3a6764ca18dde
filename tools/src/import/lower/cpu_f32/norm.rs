//! Softmax, layer normalisation and reductions.

use kernels::params::{LayerNorm, Reduce, ReduceKind, Softmax};

use super::Lowering;
use super::step::{Step, at};
use super::view::View;
use super::weights::Packing;
use crate::import::error::Why;
use crate::import::graph::{Node, ValueId};
use crate::import::index;
use crate::import::page::number;
use crate::import::shape;

impl Lowering<'_> {
    pub(super) fn softmax(&mut self, node: &Node, axis: i64, flatten: bool) -> Result<(), Why> {
        let id = self.input(node, 0)?;
        let dims = self.graph.dims(id).to_vec();
        let axis = index::axis(axis, dims.len())?;
        if flatten || dims[axis + 1..].iter().all(|&dim| dim == 1) {
            let len: usize = dims[axis..].iter().product();
            let x = self.contiguous(id)?;
            let y = self.new_tensor(node.output());
            return self.push_softmax(&x, &View::row_major(y, &dims), len);
        }
        // Along an inner axis: with that axis last, and the result seen in the old order.
        let order: Vec<usize> = (0..dims.len()).filter(|&i| i != axis).chain([axis]).collect();
        let x = self.view(id)?.transposed(&order);
        let x = self.copied_to_tensor(&x)?;
        let y = View::row_major(self.buffer(dims.iter().product()), &x.dims);
        self.push_softmax(&x, &y, dims[axis])?;
        let back: Vec<usize> = (0..dims.len()).map(|i| order.iter().position(|&o| o == i).unwrap_or(i)).collect();
        self.views.insert(node.output(), y.transposed(&back));
        Ok(())
    }

    fn push_softmax(&mut self, x: &View, y: &View, len: usize) -> Result<(), Why> {
        let rows = number(x.dims.iter().product::<usize>() / len, "rows")?;
        let (x, y) = (at(x.buffer, x.first)?, at(y.buffer, y.first)?);
        self.steps.push(Step::Softmax(Softmax { x, y, rows, len: number(len, "elements")? }));
        Ok(())
    }

    pub(super) fn layer_norm(&mut self, node: &Node, axis: i64, epsilon: f32) -> Result<(), Why> {
        let id = self.input(node, 0)?;
        let dims = self.graph.dims(id).to_vec();
        if index::axis(axis, dims.len())? + 1 != dims.len() {
            return Err(Why::Attribute { name: "axis", value: axis.to_string(), why: "the last dimension" });
        }
        let len = dims[dims.len() - 1];
        let gamma = self.floats(node, 1)?.to_vec();
        let beta = if node.input(2).is_some() { self.floats(node, 2)?.to_vec() } else { vec![0.0; len] };
        if gamma.len() != len || beta.len() != len {
            return Err(Why::Shape { found: vec![gamma.len(), beta.len()], wanted: "one value an element of a row" });
        }
        let (gamma, beta) = (self.weights(&gamma, Packing::Vector)?, self.weights(&beta, Packing::Vector)?);
        let x = self.contiguous(id)?;
        let y = self.new_tensor(node.output());
        let rows = number(dims.iter().product::<usize>() / len, "rows")?;
        let (x, y) = (at(x.buffer, x.first)?, at(y, 0)?);
        let len = number(len, "elements")?;
        self.steps.push(Step::LayerNorm(LayerNorm { x, gamma, beta, y, rows, len, epsilon }));
        Ok(())
    }

    pub(super) fn reduce(&mut self, node: &Node, kind: ReduceKind, _keep: bool) -> Result<(), Why> {
        let id = self.input(node, 0)?;
        let axes = shape::reduced_axes(self.graph, node)?;
        let (x, [outer, len, inner]) = self.along(id, &axes)?;
        let y = self.new_tensor(node.output());
        self.steps.push(Step::Reduce(Reduce {
            x: at(x.buffer, x.first)?,
            y: at(y, 0)?,
            outer,
            len,
            inner,
            kind: kind as u32,
        }));
        Ok(())
    }

    /// A value whose `axes` lie together, and the product of its dimensions before, in and behind them.
    pub(super) fn along(&mut self, id: ValueId, axes: &[usize]) -> Result<(View, [u32; 3]), Why> {
        let rank = self.graph.dims(id).len();
        let adjacent = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let (x, first) = if adjacent {
            (self.contiguous(id)?, axes.first().copied().unwrap_or(0))
        } else {
            // Axes that lie apart go last.
            let order: Vec<usize> = (0..rank).filter(|i| !axes.contains(i)).chain(axes.to_vec()).collect();
            let x = self.view(id)?.transposed(&order);
            (self.copied_to_tensor(&x)?, rank - axes.len())
        };
        let size = |dims: &[usize]| number(dims.iter().product(), "elements");
        let (outer, rest) = x.dims.split_at(first);
        let (len, inner) = rest.split_at(axes.len());
        let sizes = [size(outer)?, size(len)?, size(inner)?];
        Ok((x, sizes))
    }
}
