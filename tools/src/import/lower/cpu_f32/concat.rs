//! Concatenations: in place where the parts can be made where they belong, else by copies.

use std::collections::{HashMap, HashSet};

use kernels::params::LANES;

use super::Lowering;
use super::view::{BufferId, View, blocks_of};
use crate::import::error::Why;
use crate::import::graph::{Graph, Node, ValueId};
use crate::import::index;
use crate::import::op::Op;
use crate::import::shape;

/// Where a value is made: within the concatenation of which it is a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// The concatenation's result.
    pub whole: ValueId,
    /// The value's first channel there, a multiple of 16.
    pub channel: usize,
}

/// The values of a graph that can be made within a concatenation along the channels of images,
/// concatenations within a larger one among them.
pub fn homes(graph: &Graph) -> HashMap<ValueId, Home> {
    // Those that are blocked images for certain, so that there is something to make at home.
    let mut images: HashSet<ValueId> = HashSet::new();
    let mut homes = HashMap::new();
    for node in &graph.nodes {
        if matches!(node.op, Op::Conv(..) | Op::Pool(_) | Op::GlobalPool(_)) {
            images.insert(node.output());
        }
        let dims = graph.dims(node.output());
        let along_channels =
            matches!(node.op, Op::Concat { axis } if index::axis(axis, dims.len()).is_ok_and(|a| a == 1));
        if dims.len() != 4 || !along_channels {
            continue;
        }
        let mut channel = 0;
        for part in node.inputs.iter().flatten() {
            let free = images.contains(part) && !homes.contains_key(part) && !graph.outputs.contains(part);
            if free && channel % LANES as usize == 0 {
                homes.insert(*part, Home { whole: node.output(), channel });
            }
            channel += graph.dims(*part)[1];
        }
        if node.inputs.iter().flatten().any(|part| images.contains(part)) {
            images.insert(node.output());
        }
    }
    homes
}

impl Lowering<'_> {
    /// The view of a part with that home; the whole gets its buffer with its first part.
    pub(super) fn image_at_home(&mut self, mut home: Home, dims: [usize; 4]) -> Result<View, Why> {
        while let Some(outer) = self.homes.get(&home.whole) {
            home = Home { whole: outer.whole, channel: outer.channel + home.channel };
        }
        let whole = self.whole_image(home.whole)?;
        let blocks = blocks_of(whole.dims[1]);
        Ok(View::blocked(whole.buffer, dims, blocks, home.channel))
    }

    fn whole_image(&mut self, id: ValueId) -> Result<View, Why> {
        if let Some(view) = self.views.get(&id) {
            return Ok(view.clone());
        }
        let dims = shape::image(self.graph.dims(id))?;
        let view = match self.homes.get(&id).copied() {
            Some(home) => self.image_at_home(home, dims)?,
            None => {
                let [n, c, h, w] = dims;
                let blocks = blocks_of(c);
                let buffer: BufferId = self.buffer(n * blocks * h * w * LANES as usize);
                View::blocked(buffer, dims, blocks, 0)
            }
        };
        self.views.insert(id, view.clone());
        Ok(view)
    }

    pub(super) fn concat(&mut self, node: &Node, axis: i64) -> Result<(), Why> {
        let dims = self.graph.dims(node.output()).to_vec();
        let axis = index::axis(axis, dims.len())?;
        let parts: Vec<ValueId> = node.inputs.iter().copied().flatten().collect();
        let as_images = dims.len() == 4
            && parts.iter().any(|id| self.views.get(id).is_some_and(|view| view.as_blocked().is_some()));
        let whole = if as_images {
            self.whole_image(node.output())?
        } else {
            let buffer = self.new_tensor(node.output());
            View::row_major(buffer, &dims)
        };
        let mut first = 0;
        for id in parts {
            let count = self.graph.dims(id)[axis];
            // A part that is there twice is made at its first place only.
            let home = Home { whole: node.output(), channel: first };
            let in_place = axis == 1 && self.homes.get(&id) == Some(&home);
            if !in_place {
                let mut ranges: Vec<index::Range> =
                    dims.iter().map(|&count| index::Range { first: 0, count, step: 1 }).collect();
                ranges[axis] = index::Range { first, count, step: 1 };
                let to = whole.sliced(&ranges).ok_or(Why::Form("a part of it is no view"))?;
                let mut from = self.view(id)?;
                if from.buffer == whole.buffer {
                    // It lies at another place of the whole, and no kernel reads the tensor that it writes.
                    from = self.copied_to_tensor(&from)?;
                }
                self.copy(&from, &to)?;
            }
            first += count;
        }
        Ok(())
    }
}
