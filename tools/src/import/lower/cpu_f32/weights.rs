//! Constants as weight operands.

use kernels::layout::{self, Packed};
use kernels::operand::Operand;
use kernels::params::{Groups, LANES, blocks_of};

use super::Lowering;
use crate::import::error::Why;
use crate::import::graph::{Node, ValueId};
use crate::import::page::{Extent, Key};

/// How a constant is packed: part of its identity in the image.
#[derive(Clone, Copy, Debug)]
pub enum Packing {
    /// For `Conv`: its groups, taps.
    Conv(Groups, u32),
    /// For `Winograd`: out, in of a group; places of a patch along each side.
    Patches([u32; 2], u32),
    /// For `Depthwise`: channels, taps.
    Depthwise([u32; 2]),
    /// For `Gemm`: k, n; whether the source is `[n][k]`.
    Gemm([u32; 2], bool),
    /// One value a channel.
    Vector,
    /// Row-major.
    Constant,
    /// A blocked image: n, channels, hw.
    Blocked([u32; 3]),
    /// Row-major, in rows of so many elements.
    Rows(u32),
}

impl Packing {
    fn pack(self, values: &[f32]) -> Packed {
        match self {
            Packing::Conv(groups, taps) => layout::conv(values, groups, taps),
            Packing::Patches([out, input], patch) => layout::winograd(values, out, input, patch),
            Packing::Depthwise([channels, taps]) => layout::depthwise(values, channels, taps),
            Packing::Gemm([k, n], transposed) => layout::gemm(values, k, n, transposed),
            Packing::Vector => layout::vector(values),
            Packing::Constant => layout::constant(values),
            Packing::Blocked([n, channels, hw]) => layout::blocked(values, n, channels, hw),
            Packing::Rows(len) => layout::rows(values, len),
        }
    }

    /// What so many values take, packed.
    fn extent(self, values: usize) -> Extent {
        const BLOCK: usize = LANES as usize;
        let blocks = |channels: u32| blocks_of(channels) as usize;
        let (rows, row) = match self {
            Packing::Conv(groups, taps) => (groups.rows() as usize, groups.input as usize * taps as usize * BLOCK),
            // A patch takes a point more for each of the three taps but the first.
            Packing::Patches([out, input], patch) => {
                (blocks(out) * (patch as usize + 2).pow(2), input as usize * BLOCK)
            }
            Packing::Depthwise([channels, taps]) => (blocks(channels), taps as usize * BLOCK),
            Packing::Gemm([k, n], _) => (blocks(n), k as usize * BLOCK),
            Packing::Vector | Packing::Constant => (1, values.next_multiple_of(BLOCK)),
            Packing::Blocked([n, channels, hw]) => (1, n as usize * blocks(channels) * hw as usize * BLOCK),
            Packing::Rows(len) => (values / len as usize, len as usize),
        };
        Extent { rows, row }
    }

    fn key(self, values: &[f32]) -> Key {
        let mut hasher = blake3::Hasher::new();
        // The packing's text names its kind and numbers; values follow it unambiguously after a 0.
        hasher.update(format!("{self:?}\0").as_bytes());
        hasher.update(bytemuck::cast_slice(values));
        *hasher.finalize().as_bytes()
    }
}

impl Lowering<'_> {
    /// Where these values lie in the image, packed that way.
    ///
    /// # Errors
    /// If no page holds a row of them, or the memory granted does not hold them.
    pub(super) fn weights(&mut self, values: &[f32], packing: Packing) -> Result<Operand, Why> {
        let extent = packing.extent(values.len());
        self.graph.check_room(extent.bytes())?;
        self.image.place(packing.key(values), extent, || packing.pack(values))
    }

    /// The floats of the constant behind an input.
    pub(super) fn floats(&self, node: &Node, index: usize) -> Result<&[f32], Why> {
        let id: ValueId = self.input(node, index)?;
        self.graph.constant(id).and_then(|constant| constant.as_floats()).ok_or(Why::NotConstant { index })
    }

    /// A bias of `channels` values: that of input `index`, or zeros.
    pub(super) fn bias(&mut self, node: &Node, index: usize, channels: usize, factor: f32) -> Result<Operand, Why> {
        let values = match node.input(index) {
            None => vec![0.0; channels],
            Some(_) => match self.floats(node, index)? {
                [only] => vec![only * factor; channels],
                values if values.len() == channels => values.iter().map(|x| x * factor).collect(),
                values => {
                    return Err(Why::Shape { found: vec![values.len()], wanted: "one value a channel" });
                }
            },
        };
        self.weights(&values, Packing::Vector)
    }
}
