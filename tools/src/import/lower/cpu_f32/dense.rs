//! Products of matrices.

use kernels::params::{Activation, Gemm, MatMul};

use super::Lowering;
use super::step::{Step, UNUSED, at};
use super::view::View;
use super::weights::Packing;
use crate::import::error::Why;
use crate::import::graph::{Node, ValueId};
use crate::import::index;
use crate::import::op;
use crate::import::page::number;

impl Lowering<'_> {
    pub(super) fn gemm(&mut self, node: &Node, gemm: &op::Gemm, activation: Activation) -> Result<(), Why> {
        if gemm.trans_a {
            return Err(Why::Attribute { name: "transA", value: "1".to_owned(), why: "only 0 is built" });
        }
        let id = self.input(node, 0)?;
        let dims = self.graph.dims(node.output()).to_vec();
        let n = dims.last().copied().unwrap_or(1);
        let rows = dims.iter().product::<usize>() / n;
        let k = self.graph.dims(id).last().copied().unwrap_or(1);
        let values: Vec<f32> = self.floats(node, 1)?.iter().map(|x| x * gemm.alpha).collect();
        let (columns, inner) = (number(n, "columns")?, number(k, "columns")?);
        let weights = self.weights(&values, Packing::Gemm([inner, columns], gemm.trans_b))?;
        let bias = self.bias(node, 2, n, gemm.beta)?;
        let x = self.matrix(id, rows, k)?;
        let (residual, residual_stride) = match node.input(3) {
            None => (UNUSED, 0),
            Some(id) => {
                let view = self.matrix(id, rows, n)?;
                (at(view.buffer, view.first)?, row_stride(&view)?)
            }
        };
        let y_stride = self.row_distance(node.output());
        let y = self.buffer((rows - 1) * y_stride + n);
        let view = View { strides: vec![y_stride, 1], ..View::row_major(y, &[rows, n]) };
        let view = view.reshaped(&dims).ok_or(Why::Form("its result is no view"))?;
        self.views.insert(node.output(), view);
        self.steps.push(Step::Gemm(Gemm {
            x: at(x.buffer, x.first)?,
            weights,
            bias,
            residual,
            y: at(y, 0)?,
            m: number(rows, "rows")?,
            k: inner,
            n: columns,
            x_stride: row_stride(&x)?,
            residual_stride,
            y_stride: number(y_stride, "elements")?,
            activation,
        }));
        Ok(())
    }

    /// From row to row of a product that is made. Rows whose distance is a multiple of half a page of
    /// 4 KiB share a few sets of the first cache: where only products read them, they lie further apart.
    fn row_distance(&self, id: ValueId) -> usize {
        const CROWDED: usize = 2048 / size_of::<f32>();
        let n = self.graph.dims(id).last().copied().unwrap_or(1);
        let reads = |node: &&Node| node.inputs.contains(&Some(id));
        let as_rows = |node: &Node| {
            let elsewhere = node.inputs.iter().skip(1).any(|&input| input == Some(id));
            matches!(&node.op, op::Op::Gemm(gemm, _) if !gemm.trans_a) && !elsewhere
        };
        let only = self.graph.nodes.iter().filter(reads).all(as_rows) && !self.graph.outputs.contains(&id);
        if only && n.is_multiple_of(CROWDED) { n + kernels::params::LANES as usize } else { n }
    }

    /// The value as a matrix of that size, its rows without gaps, from an aligned element on.
    fn matrix(&mut self, id: ValueId, rows: usize, columns: usize) -> Result<View, Why> {
        let fits = |view: &View| {
            let matrix = view.reshaped(&[rows, columns])?.as_linear()?;
            let dense = columns == 1 || matrix.strides[1] == 1;
            (dense && (rows == 1 || matrix.strides[0] >= columns) && matrix.first % 16 == 0).then_some(matrix)
        };
        if let Some(matrix) = fits(&self.view(id)?) {
            return Ok(matrix);
        }
        let view = self.contiguous(id)?;
        fits(&view).ok_or(Why::Mismatch { left: view.dims, right: vec![rows, columns], wanted: "the same elements" })
    }

    pub(super) fn matmul(&mut self, node: &Node, scale: f32) -> Result<(), Why> {
        let dims = self.graph.dims(node.output()).to_vec();
        let [outer @ .., m, n] = dims.as_slice() else {
            return Err(Why::Shape { found: dims, wanted: "at least two dimensions" });
        };
        if outer.len() > 2 {
            return Err(Why::Shape { found: dims, wanted: "at most four dimensions" });
        }
        let batch = [vec![1; 2 - outer.len()], outer.to_vec()].concat();
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let x = self.linear(a, true)?;
        let w = self.linear(b, false)?;
        let k = x.dims.last().copied().unwrap_or(1);
        let (x_strides, w_strides) = (matrices(&x, &batch)?, matrices(&w, &batch)?);
        let y = self.new_tensor(node.output());
        let y_strides = matrices(&View::row_major(y, &dims), &batch)?;
        let size = |size| number(size, "elements");
        self.steps.push(Step::MatMul(MatMul {
            x: at(x.buffer, 0)?,
            w: at(w.buffer, 0)?,
            y: at(y, 0)?,
            batch: [size(batch[0])?, size(batch[1])?],
            m: size(*m)?,
            k: size(k)?,
            n: size(*n)?,
            x_first: size(x.first)?,
            x_batch: [x_strides[0], x_strides[1]],
            x_row: x_strides[2],
            w_first: size(w.first)?,
            w_batch: [w_strides[0], w_strides[1]],
            w_k: w_strides[2],
            w_n: w_strides[3],
            y_first: 0,
            y_batch: [y_strides[0], y_strides[1]],
            y_row: y_strides[2],
            scale,
        }));
        Ok(())
    }

    /// The value without blocks, its last dimension dense if `dense`; copied only if it must be.
    pub(super) fn linear(&mut self, id: ValueId, dense: bool) -> Result<View, Why> {
        let view = self.view(id)?;
        let ends_dense = |view: &View| view.dims.last().is_none_or(|&d| d == 1) || view.strides.last() == Some(&1);
        match view.as_linear() {
            Some(linear) if !dense || ends_dense(&linear) => Ok(linear),
            _ => self.contiguous(id),
        }
    }
}

fn row_stride(matrix: &View) -> Result<u32, Why> {
    // A single row needs no distance to a next one; kernels want at least its length.
    number(if matrix.dims[0] == 1 { matrix.dims[1] } else { matrix.strides[0] }, "elements")
}

/// Strides over two batch dimensions, rows and columns; 0 where the tensor is broadcast.
pub(super) fn matrices(view: &View, batch: &[usize]) -> Result<[u32; 4], Why> {
    let rank = view.dims.len();
    let mut strides = [0; 4];
    for (slot, i) in strides.iter_mut().rev().zip((0..rank).rev()) {
        let broadcast = i + 2 < rank && view.dims[i] == 1;
        *slot = if broadcast { 0 } else { number(view.strides[i], "elements")? };
    }
    let outer = &view.dims[..rank - 2];
    index::broadcast(outer, batch)?;
    Ok(strides)
}
