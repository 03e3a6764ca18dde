//! Functions of words, and what runs along an axis.

use kernels::params::{Fold, FoldOp, LANES, Resample, TopK, WordOp, Words};

use super::Lowering;
use super::choose::wide;
use super::step::{Step, at};
use super::view::{View, blocks_of};
use super::weights::Packing;
use crate::import::error::Why;
use crate::import::expand::Taps;
use crate::import::graph::{Node, ValueId};
use crate::import::index;
use crate::import::page::number;
use crate::import::shape;

impl Lowering<'_> {
    pub(super) fn words(&mut self, node: &Node, op: WordOp) -> Result<(), Why> {
        let dims = self.graph.dims(node.output()).to_vec();
        let ids: Vec<ValueId> =
            (0..3).map(|i| self.input(node, i).or_else(|_| self.input(node, 0))).collect::<Result<_, _>>()?;
        let mut sides = Vec::with_capacity(3);
        for id in ids {
            sides.push(self.word_side(id, &dims)?);
        }
        let y = self.new_tensor(node.output());
        let [a, b, c] = [0, 1, 2].map(|i: usize| sides[i].clone());
        let operand = |view: &View| at(view.buffer, 0);
        self.steps.push(Step::Words(Words {
            a: operand(&a)?,
            b: operand(&b)?,
            c: operand(&c)?,
            y: at(y, 0)?,
            dims: wide(&dims, 1, "elements")?,
            firsts: [number(a.first, "elements")?, number(b.first, "elements")?, number(c.first, "elements")?],
            a_strides: wide(&a.strides, 0, "elements")?,
            b_strides: wide(&b.strides, 0, "elements")?,
            c_strides: wide(&c.strides, 0, "elements")?,
            op: op as u32,
        }));
        Ok(())
    }

    /// A value, broadcast to `dims`.
    fn word_side(&mut self, id: ValueId, dims: &[usize]) -> Result<View, Why> {
        let view = match self.view(id)?.as_linear() {
            Some(linear) => linear,
            None => self.contiguous(id)?,
        };
        Ok(view.broadcast(dims))
    }

    pub(super) fn broadcast(&mut self, node: &Node) -> Result<(), Why> {
        let id = self.input(node, 0)?;
        let view = self.word_side(id, self.graph.dims(node.output()))?;
        self.views.insert(node.output(), view);
        Ok(())
    }

    pub(super) fn top_k(&mut self, node: &Node, axis: i64, [largest, last]: [bool; 2]) -> Result<(), Why> {
        let id = self.input(node, 0)?;
        let x = self.contiguous(id)?;
        let axis = index::axis(axis, x.dims.len())?;
        let k = self.graph.dims(node.output())[axis];
        let values = self.new_tensor(node.output());
        let indices = match node.outputs.get(1) {
            Some(&id) => self.new_tensor(id),
            None => self.buffer(self.graph.dims(node.output()).iter().product()),
        };
        let size = |dims: &[usize]| number(dims.iter().product(), "elements");
        self.steps.push(Step::TopK(TopK {
            x: at(x.buffer, x.first)?,
            values: at(values, 0)?,
            indices: at(indices, 0)?,
            outer: size(&x.dims[..axis])?,
            len: size(&x.dims[axis..=axis])?,
            inner: size(&x.dims[axis + 1..])?,
            k: number(k, "elements")?,
            largest: largest.into(),
            last: last.into(),
            whole: self.graph.element(id).is_whole().into(),
        }));
        Ok(())
    }

    pub(super) fn fold(&mut self, node: &Node, op: FoldOp, axes: &[usize], flags: [bool; 3]) -> Result<(), Why> {
        let id = self.input(node, 0)?;
        let (x, [outer, len, inner]) = self.along(id, axes)?;
        let y = self.new_tensor(node.output());
        let [running, exclusive, reverse] = flags.map(u32::from);
        self.steps.push(Step::Fold(Fold {
            x: at(x.buffer, x.first)?,
            y: at(y, 0)?,
            outer,
            len,
            inner,
            op: op as u32,
            running,
            exclusive,
            reverse,
        }));
        Ok(())
    }

    /// Along height and width of a blocked image where it lies, else along any dimension of a tensor.
    pub(super) fn resample(&mut self, node: &Node, axis: usize, taps: &Taps) -> Result<(), Why> {
        let id = self.input(node, 0)?;
        let size = |n: usize| number(n, "elements");
        let mut table = Vec::with_capacity(taps.taps.len() * 2);
        for entry in taps.taps.chunks_exact(taps.count) {
            for (place, _) in entry {
                table.push(f32::from_bits(place.map_or(Ok(u32::MAX), size)?));
            }
            table.extend(entry.iter().map(|(_, weight)| weight));
        }
        let table = self.weights(&table, Packing::Constant)?;
        let view = self.view(id)?;
        let (len, out, count, fill) = (view.dims[axis], taps.places(), size(taps.count)?, taps.outside);
        let blocked = view.as_blocked().filter(|image| axis >= 2 && image.whole == blocks_of(image.dims[1]));
        let (x, y, [outer, inner]) = match blocked {
            Some(image) => {
                let [n, _, h, w] = image.dims;
                let (buffer, y) = self.new_image(node.output())?;
                let lanes = LANES as usize;
                let around = if axis == 2 { [n * image.whole, w * lanes] } else { [n * image.whole * h, lanes] };
                // A home within a concatenation has gaps between items, which this kernel has not.
                if n > 1 && y.whole != blocks_of(shape::image(self.graph.dims(node.output()))?[1]) {
                    return Err(Why::Form("its result lies within another tensor"));
                }
                (at(view.buffer, image.first)?, at(buffer, y.first)?, around)
            }
            None => {
                let x = self.contiguous(id)?;
                let around = [x.dims[..axis].iter().product(), x.dims[axis + 1..].iter().product()];
                (at(x.buffer, x.first)?, at(self.new_tensor(node.output()), 0)?, around)
            }
        };
        self.steps.push(Step::Resample(Resample {
            x,
            table,
            y,
            outer: size(outer)?,
            len: size(len)?,
            out: size(out)?,
            inner: size(inner)?,
            taps: count,
            x_stride: size(len * inner)?,
            fill,
        }));
        Ok(())
    }
}
