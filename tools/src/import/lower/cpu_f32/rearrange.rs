//! What only moves elements: mostly it doesn't, and a view says where they lie.

use kernels::params::LANES;

use super::Lowering;
use super::view::{View, blocks_of};
use crate::import::error::Why;
use crate::import::graph::{Node, ValueId};
use crate::import::index::{self, Range};
use crate::import::shape;

fn whole(dims: &[usize]) -> Vec<Range> {
    dims.iter().map(|&count| Range { first: 0, count, step: 1 }).collect()
}

impl Lowering<'_> {
    pub(super) fn reshape(&mut self, node: &Node) -> Result<(), Why> {
        let view = self.view(self.input(node, 0)?)?;
        let dims = self.graph.dims(node.output()).to_vec();
        self.see_as(node.output(), &view, &dims)
    }

    /// Shows `view` as a value of shape `dims`, copied only if elements have to move.
    pub(super) fn see_as(&mut self, id: ValueId, view: &View, dims: &[usize]) -> Result<(), Why> {
        let seen = match view.reshaped(dims) {
            Some(seen) => Some(seen),
            None => self.shuffled(view, dims)?,
        };
        let view = match seen {
            Some(seen) => seen,
            None => {
                let wanted = "as many elements after a Reshape as before";
                let copy = self.copied_to_tensor(view)?;
                copy.reshaped(dims).ok_or(Why::Mismatch { left: copy.dims, right: dims.to_vec(), wanted })?
            }
        };
        self.views.insert(id, view);
        Ok(())
    }

    /// A copy as a blocked image, if only the channels of one have been put in another order.
    fn shuffled(&mut self, view: &View, dims: &[usize]) -> Result<Option<View>, Why> {
        let &[n, c, h, w] = dims else { return Ok(None) };
        let rank = view.dims.len();
        let same_places = rank > 2 && view.dims[0] == n && view.dims[rank - 2..] == [h, w];
        if !same_places || view.as_linear().is_some() {
            return Ok(None);
        }
        let blocks = blocks_of(c);
        let image = View::blocked(self.buffer(n * blocks * h * w * LANES as usize), [n, c, h, w], blocks, 0);
        let Some(parts) = image.reshaped(&view.dims) else { return Ok(None) };
        self.copy(view, &parts)?;
        Ok(Some(image))
    }

    pub(super) fn transpose(&mut self, node: &Node) -> Result<(), Why> {
        let view = self.view(self.input(node, 0)?)?;
        let order = shape::permutation(node, view.dims.len())?;
        self.views.insert(node.output(), view.transposed(&order));
        Ok(())
    }

    pub(super) fn slice(&mut self, node: &Node) -> Result<(), Why> {
        let ranges = shape::slices(self.graph, node)?;
        let view = self.view(self.input(node, 0)?)?;
        self.views.insert(node.output(), part(&view, &ranges)?);
        Ok(())
    }

    pub(super) fn split(&mut self, node: &Node, axis: i64) -> Result<(), Why> {
        let view = self.view(self.input(node, 0)?)?;
        let axis = index::axis(axis, view.dims.len())?;
        let mut first = 0;
        for &output in &node.outputs {
            let mut ranges = whole(&view.dims);
            let count = self.graph.dims(output)[axis];
            ranges[axis] = Range { first, count, step: 1 };
            first += count;
            self.views.insert(output, part(&view, &ranges)?);
        }
        Ok(())
    }
}

fn part(view: &View, ranges: &[Range]) -> Result<View, Why> {
    view.sliced(ranges).ok_or(Why::Attribute { name: "steps", value: "negative".to_owned(), why: "only from 1 up" })
}
