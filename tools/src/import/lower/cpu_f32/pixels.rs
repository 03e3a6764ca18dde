//! Inputs that enter as pictures of bytes.

use kernels::operand::{Operand, Space};
use kernels::params::EnterPixels;

use super::weights::Packing;
use super::{Lowering, Step, at};
use crate::import::error::Why;
use crate::import::graph::{Node, ValueId};
use crate::import::op::Op;
use crate::import::page::number;

impl<'a> Lowering<'a> {
    /// The node by which an input enters as a picture of bytes, if it does.
    pub(super) fn pixels_of(&self, input: ValueId) -> Option<&'a Node> {
        let pixels = |node: &&Node| matches!(node.op, Op::Pixels { .. }) && node.input(0) == Some(input);
        self.graph.nodes.iter().find(pixels)
    }

    /// Copies the input of `node` into the workspace as what its table says of each byte.
    pub(super) fn enter_pixels(&mut self, node: &Node, offset: u32) -> Result<(), Why> {
        let Op::Pixels { interleaved } = node.op else { return Err(Why::Form("it takes no bytes")) };
        if self.whole {
            return Err(Why::Form("the model has no batch, and only items of a batch are normalised"));
        }
        let table = self.floats(node, 1)?.to_vec();
        let (table, id) = (self.weights(&table, Packing::Constant)?, node.output());
        let dims = self.graph.dims(id).to_vec();
        let (y, blocks) = if self.enters_as_rows(id) {
            (at(self.new_tensor(id), 0)?, 0)
        } else {
            let (buffer, image) = self.new_image(id)?;
            (at(buffer, image.first)?, number(image.whole, "channel blocks")?)
        };
        self.steps.push(Step::EnterPixels(EnterPixels {
            x: Operand { space: Space::Input as u32, page: 0, offset, rows_per_page: 1 },
            table,
            y,
            n: number(dims[0], "items")?,
            channels: number(dims[1], "channels")?,
            hw: number(dims[2] * dims[3], "elements")?,
            interleaved: interleaved.into(),
            blocks,
        }));
        Ok(())
    }
}
