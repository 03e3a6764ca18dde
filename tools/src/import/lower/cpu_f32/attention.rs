//! Attention in one launch.

use kernels::params::Attention;

use super::Lowering;
use super::dense::matrices;
use super::step::{Step, UNUSED, at};
use super::view::View;
use crate::import::error::Why;
use crate::import::graph::Node;
use crate::import::page::number;

impl Lowering<'_> {
    /// The result lies token by token, the heads of each side by side: so it is read by what follows
    /// an attention, and a transpose there is only a view.
    pub(super) fn attention(&mut self, node: &Node, scale: f32) -> Result<(), Why> {
        let dims = self.graph.dims(node.output()).to_vec();
        let [outer @ .., queries, width] = dims.as_slice() else {
            return Err(Why::Shape { found: dims, wanted: "at least two dimensions" });
        };
        let &[items, heads] = [outer, &[1, 1][outer.len().min(2)..]].concat().as_slice() else {
            return Err(Why::Shape { found: dims, wanted: "at most four dimensions" });
        };
        let batch = [items, heads];
        let q = self.linear(self.input(node, 0)?, true)?;
        let k = self.linear(self.input(node, 1)?, false)?;
        let v = self.linear(self.input(node, 2)?, true)?;
        let [depth, keys] = [0, 1].map(|i| k.dims[k.dims.len() - 2 + i]);
        let (q_strides, k_strides, v_strides) = (strides(&q, batch)?, strides(&k, batch)?, strides(&v, batch)?);
        let size = |size| number(size, "elements");
        let (mask, mask_first, mask_strides) = match node.input(3) {
            None => (UNUSED, 0, [0; 4]),
            Some(id) => {
                let mask = self.linear(id, true)?;
                let whole = mask.broadcast(&[outer, &[*queries, keys]].concat());
                (at(mask.buffer, 0)?, size(mask.first)?, strides(&whole, batch)?)
            }
        };
        let y = View::row_major(self.buffer(dims.iter().product()), &[items, *queries, heads, *width]);
        let y = y.transposed(&[0, 2, 1, 3]);
        let y_strides = strides(&y, batch)?;
        let shown = y.reshaped(&dims).ok_or(Why::Form("its result is no view"))?;
        self.steps.push(Step::Attention(Attention {
            q: at(q.buffer, 0)?,
            k: at(k.buffer, 0)?,
            v: at(v.buffer, 0)?,
            mask,
            y: at(y.buffer, 0)?,
            batch: [size(items)?, size(heads)?],
            queries: size(*queries)?,
            keys: size(keys)?,
            depth: size(depth)?,
            width: size(*width)?,
            q_first: size(q.first)?,
            q_batch: [q_strides[0], q_strides[1]],
            q_row: q_strides[2],
            k_first: size(k.first)?,
            k_batch: [k_strides[0], k_strides[1]],
            k_depth: k_strides[2],
            k_key: k_strides[3],
            v_first: size(v.first)?,
            v_batch: [v_strides[0], v_strides[1]],
            v_row: v_strides[2],
            mask_first,
            mask_batch: [mask_strides[0], mask_strides[1]],
            mask_row: mask_strides[2],
            masked: node.input(3).is_some().into(),
            y_first: 0,
            y_batch: [y_strides[0], y_strides[1]],
            y_row: y_strides[2],
            scale,
        }));
        self.views.insert(node.output(), shown);
        Ok(())
    }
}

/// Strides over items, heads, rows and columns.
fn strides(view: &View, batch: [usize; 2]) -> Result<[u32; 4], Why> {
    let outer = view.dims.len() - 2;
    if outer != 1 {
        return matrices(view, &batch);
    }
    // Without heads the only dimension in front is the batch.
    let mut with_heads = view.clone();
    with_heads.dims.insert(1, 1);
    with_heads.strides.insert(1, 0);
    matrices(&with_heads, &batch)
}
