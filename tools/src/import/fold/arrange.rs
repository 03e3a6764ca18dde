//! What moves elements of constants.

use super::super::constant::{Constant, Data};
use super::super::error::Why;
use super::super::expand::{Fill, Map};
use super::super::graph::{Graph, Node};
use super::super::index;
use super::super::op::Op;
use super::super::shape;
use super::shape_from;

/// The result of an operation that only moves elements; none if it is no such one.
pub fn arrange(graph: &Graph, node: &Node, all: &[&Constant]) -> Result<Option<Constant>, Why> {
    let first = all[0];
    Ok(match &node.op {
        Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } | Op::Into { .. } => {
            Some(first.reshaped(shape_from(graph, node)?))
        }
        Op::Transpose { .. } => {
            let strides = index::strides(&first.dims);
            let order = shape::permutation(node, first.dims.len())?;
            let strides: Vec<isize> = order.iter().map(|&from| strides[from].cast_signed()).collect();
            let dims = shape_from(graph, node)?;
            Some(first.gathered(dims.clone(), index::walk(&dims, &strides, 0)))
        }
        Op::Slice { .. } => Some(sliced(first, &shape::slices(graph, node)?)),
        Op::Expand => {
            let dims = shape_from(graph, node)?;
            let strides = index::broadcast_strides(&first.dims, &dims);
            Some(first.gathered(dims.clone(), index::walk(&dims, &strides, 0)))
        }
        Op::Pick(map) => picked(first, map),
        Op::Gather { axis } => Some(gather(first, all.get(1).copied(), *axis, shape_from(graph, node)?)?),
        Op::Concat { axis } => Some(concat(all, *axis, shape_from(graph, node)?)?),
        _ => None,
    })
}

fn sliced(x: &Constant, ranges: &[index::Range]) -> Constant {
    let strides = index::strides(&x.dims);
    let begin = ranges.iter().zip(&strides).map(|(range, stride)| range.first * stride).sum();
    let steps: Vec<isize> = ranges.iter().zip(&strides).map(|(r, &s)| r.step * s.cast_signed()).collect();
    let dims: Vec<usize> = ranges.iter().map(|range| range.count).collect();
    x.gathered(dims.clone(), index::walk(&dims, &steps, begin))
}

/// All parts along an axis.
pub fn split(graph: &Graph, node: &Node, x: &Constant) -> Result<Vec<Constant>, Why> {
    let Op::Split { axis, .. } = node.op else { unreachable!("asked of Split only") };
    let axis = index::axis(axis, x.dims.len())?;
    let mut first = 0;
    let parts = shape::infer(graph, node)?.into_iter().map(|dims| {
        let mut ranges: Vec<index::Range> =
            x.dims.iter().map(|&count| index::Range { first: 0, count, step: 1 }).collect();
        ranges[axis] = index::Range { first, count: dims[axis], step: 1 };
        first += dims[axis];
        sliced(x, &ranges)
    });
    Ok(parts.collect())
}

fn picked(x: &Constant, map: &Map) -> Option<Constant> {
    let dims: Vec<usize> = map.axes.iter().map(|axis| axis.len()).collect();
    let (own, strides) = (index::strides(&dims), index::strides(&x.dims));
    let count: usize = dims.iter().product();
    let places = (0..count).map(|flat| {
        let place = |d: usize| Some(map.axes[d][flat / own[d] % dims[d]]? * strides[d]);
        (0..dims.len()).map(place).sum::<Option<usize>>()
    });
    Some(match (&x.data, map.fill) {
        (Data::F32(data), Fill::Float(fill)) => {
            Constant::floats(dims.clone(), places.map(|place| place.map_or(fill, |i| data[i])).collect())
        }
        (Data::I64(data), Fill::Whole(fill)) => {
            let data = places.map(|place| place.map_or(fill, |i| data[i])).collect();
            Constant::integers(dims.clone(), data).with_element(x.element)
        }
        _ => return None,
    })
}

fn gather(data: &Constant, indices: Option<&Constant>, axis: i64, dims: Vec<usize>) -> Result<Constant, Why> {
    let axis = index::axis(axis, data.dims.len())?;
    let size = data.dims[axis];
    let indices = indices.and_then(Constant::as_integers).ok_or(Why::NotConstant { index: 1 })?;
    let indices: Vec<usize> = indices.iter().map(|&i| index::place(i, size)).collect::<Result<_, _>>()?;
    let inner: usize = data.dims[axis + 1..].iter().product();
    let outer: usize = data.dims[..axis].iter().product();
    let flat =
        (0..outer).flat_map(|o| indices.iter().flat_map(move |&i| (0..inner).map(move |n| (o * size + i) * inner + n)));
    Ok(data.gathered(dims, flat))
}

fn concat(parts: &[&Constant], axis: i64, dims: Vec<usize>) -> Result<Constant, Why> {
    let axis = index::axis(axis, dims.len())?;
    let outer: usize = dims[..axis].iter().product();
    let rows = |part: &Constant| part.dims[axis..].iter().product::<usize>();
    if parts.iter().all(|part| part.as_floats().is_some()) {
        let row = |o: usize| parts.iter().filter_map(move |p| Some(&p.as_floats()?[o * rows(p)..(o + 1) * rows(p)]));
        return Ok(Constant::floats(dims, (0..outer).flat_map(row).flatten().copied().collect()));
    }
    if parts.iter().all(|part| part.as_integers().is_some()) {
        let row = |o: usize| parts.iter().filter_map(move |p| Some(&p.as_integers()?[o * rows(p)..(o + 1) * rows(p)]));
        let joined = Constant::integers(dims, (0..outer).flat_map(row).flatten().copied().collect());
        return Ok(joined.with_element(parts[0].element));
    }
    Err(Why::Form("it joins floats with integers"))
}
