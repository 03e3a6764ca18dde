//! What picks elements: by maps known at import, and by indices known at run time.

use kernels::params::{Gather, Pick, RANK};

use super::Lowering;
use super::step::{Step, at};
use super::view::View;
use super::weights::Packing;
use crate::import::constant::Constant;
use crate::import::error::Why;
use crate::import::expand::{Fill, Map};
use crate::import::graph::{Node, ValueId};
use crate::import::index::{self, Range};
use crate::import::page::number;

/// Numbers for six dimensions, those that are missing in front filled with `filler`.
pub fn wide(numbers: &[usize], filler: u32, what: &'static str) -> Result<[u32; RANK], Why> {
    let too_many = Why::TooLarge { what: "dimensions", found: numbers.len(), limit: RANK };
    let front = RANK.checked_sub(numbers.len()).ok_or(too_many)?;
    let mut out = [filler; RANK];
    for (slot, &n) in out[front..].iter_mut().zip(numbers) {
        *slot = number(n, what)?;
    }
    Ok(out)
}

/// The word that a fill is on the device.
#[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
fn word(fill: Fill) -> u32 {
    match fill {
        Fill::Float(x) => x.to_bits(),
        Fill::Whole(n) => (n.clamp(i32::MIN.into(), i32::MAX.into()) as i32).cast_unsigned(),
    }
}

impl Lowering<'_> {
    /// The value as a linear view, copied if it is blocked.
    fn strided(&mut self, id: ValueId) -> Result<View, Why> {
        match self.view(id)?.as_linear() {
            Some(linear) => Ok(linear),
            None => self.contiguous(id),
        }
    }

    pub(super) fn pick(&mut self, node: &Node, map: &Map) -> Result<(), Why> {
        let x = self.strided(self.input(node, 0)?)?;
        let dims: Vec<usize> = map.axes.iter().map(|axis| axis.len()).collect();
        let entry = |(place, stride): (&Option<usize>, usize)| match place {
            Some(place) => number(place * stride, "elements"),
            None => Ok(Pick::NOTHING),
        };
        let mut tables = vec![0; RANK.saturating_sub(dims.len())];
        for (axis, &stride) in map.axes.iter().zip(&x.strides) {
            for place in axis.iter() {
                tables.push(entry((place, stride))?);
            }
        }
        let reach = x.dims.iter().zip(&x.strides).map(|(dim, stride)| (dim - 1) * stride).sum::<usize>() + 1;
        let tables: Vec<f32> = tables.into_iter().map(f32::from_bits).collect();
        let tables = self.weights(&tables, Packing::Constant)?;
        let y = self.new_tensor(node.output());
        self.steps.push(Step::Pick(Pick {
            x: at(x.buffer, 0)?,
            tables,
            y: at(y, 0)?,
            dims: wide(&dims, 1, "elements")?,
            x_first: number(x.first, "elements")?,
            x_len: number(reach, "elements")?,
            fill: word(map.fill),
        }));
        Ok(())
    }

    /// One known index is a slice; others pick at run time.
    pub(super) fn gather(&mut self, node: &Node, axis: i64) -> Result<(), Why> {
        let data = self.input(node, 0)?;
        let dims = self.graph.dims(data).to_vec();
        let axis = index::axis(axis, dims.len())?;
        let known = self.graph.constant_input(node, 1).and_then(Constant::as_integers);
        if let (Some(&[picked]), None) = (known, self.graph.constant(data)) {
            let view = self.view(data)?;
            let mut ranges: Vec<Range> = dims.iter().map(|&count| Range { first: 0, count, step: 1 }).collect();
            ranges[axis] = Range { first: index::place(picked, dims[axis])?, count: 1, step: 1 };
            let result = self.graph.dims(node.output()).to_vec();
            let part = view.sliced(&ranges).ok_or(Why::Form("its result is no view"))?;
            return self.see_as(node.output(), &part, &result);
        }
        let index = self.contiguous(self.input(node, 1)?)?;
        let count: usize = index.dims.iter().product();
        let (outer, inner): (usize, usize) = (dims[..axis].iter().product(), dims[axis + 1..].iter().product());
        let index_strides = [0, 1, 0];
        self.push_gather(
            node,
            index,
            Gathering {
                dims: vec![outer, count, inner],
                x_strides: vec![dims[axis] * inner, 0, 1],
                index_strides: index_strides.to_vec(),
                picks: vec![(dims[axis], inner)],
                row: if axis == 0 { inner } else { 0 },
            },
        )
    }

    pub(super) fn gather_elements(&mut self, node: &Node, axis: i64) -> Result<(), Why> {
        let dims = self.graph.dims(self.input(node, 0)?).to_vec();
        let axis = index::axis(axis, dims.len())?;
        let index = self.contiguous(self.input(node, 1)?)?;
        let strides = index::strides(&dims);
        let mut x_strides = strides.clone();
        x_strides[axis] = 0;
        let (result, index_strides) = (index.dims.clone(), index::strides(&index.dims));
        let picks = vec![(dims[axis], strides[axis])];
        self.push_gather(node, index, Gathering { dims: result, x_strides, index_strides, picks, row: 0 })
    }

    pub(super) fn gather_nd(&mut self, node: &Node, batch: usize) -> Result<(), Why> {
        let dims = self.graph.dims(self.input(node, 0)?).to_vec();
        let index = self.contiguous(self.input(node, 1)?)?;
        let Some((&count, outer)) = index.dims.split_last() else { return Err(Why::Form("its indices are a scalar")) };
        let strides = index::strides(&dims);
        let inner: usize = dims[batch + count..].iter().product();
        let (common, rest): (usize, usize) = (outer[..batch].iter().product(), outer[batch..].iter().product());
        let item: usize = dims[batch..].iter().product();
        let picks = (batch..batch + count).map(|d| (dims[d], strides[d])).collect();
        let (x_strides, index_strides) = (vec![item, 0, 1], vec![rest * count, count, 0]);
        let dims = vec![common, rest, inner];
        self.push_gather(node, index, Gathering { dims, x_strides, index_strides, picks, row: 0 })
    }

    fn push_gather(&mut self, node: &Node, index: View, of: Gathering) -> Result<(), Why> {
        let data = self.input(node, 0)?;
        let len: usize = self.graph.dims(data).iter().product();
        let (x, row) = match self.graph.constant(data).filter(|_| of.row > 0).map(Constant::words) {
            // A table may be longer than a page: its rows lie in many.
            Some(words) => (self.weights(&words, Packing::Rows(number(of.row, "elements")?))?, of.row),
            None => {
                let x = self.contiguous(data)?;
                (at(x.buffer, x.first)?, len)
            }
        };
        let y = self.new_tensor(node.output());
        let (mut sizes, mut steps) = ([1; RANK], [0; RANK]);
        for (i, &(size, step)) in of.picks.iter().enumerate().take(RANK) {
            (sizes[i], steps[i]) = (number(size, "elements")?, number(step, "elements")?);
        }
        self.steps.push(Step::Gather(Gather {
            x,
            index: at(index.buffer, index.first)?,
            y: at(y, 0)?,
            dims: wide(&of.dims, 1, "elements")?,
            x_rows: number(len / row, "rows")?,
            x_row: number(row, "elements")?,
            x_strides: wide(&of.x_strides, 0, "elements")?,
            index_first: 0,
            index_strides: wide(&of.index_strides, 0, "elements")?,
            picks: number(of.picks.len(), "indices")?,
            index_step: 1,
            sizes,
            steps,
        }));
        Ok(())
    }
}

/// How a gather finds its elements.
struct Gathering {
    dims: Vec<usize>,
    x_strides: Vec<usize>,
    index_strides: Vec<usize>,
    /// By index: places to choose from, and their distance.
    picks: Vec<(usize, usize)>,
    /// Elements of a row of constant data, if whole rows are picked; else 0.
    row: usize,
}
