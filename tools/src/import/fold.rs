//! Computing at import what depends on constants and shapes alone.

use kernels::params::BinaryOp;

use super::constant::{Constant, Data};
use super::error::Why;
use super::graph::{Graph, Node};
use super::index;
use super::onnx::tensor_proto::DataType;
use super::op::Op;
use super::shape;

/// The first output of `node`, if it is known at import. Shapes of the inputs must be known.
pub fn evaluate(graph: &Graph, node: &Node) -> Result<Option<Constant>, Why> {
    match &node.op {
        Op::Constant(constant) => return Ok(Some(constant.clone())),
        Op::Shape { start, end } => return Ok(Some(shape_of(graph, node, *start, *end)?)),
        _ => {}
    }
    let all: Option<Vec<&Constant>> = node.inputs.iter().flatten().map(|&id| graph.constant(id)).collect();
    let Some(all) = all.filter(|all| !all.is_empty()) else { return Ok(None) };
    let first = all[0];
    Ok(match &node.op {
        Op::ConstantOfShape { value } => Some(filled(first, value)?),
        Op::Identity => Some(first.clone()),
        Op::Cast { to } => Some(cast(first, *to)?),
        Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } => {
            Some(first.reshaped(shape_from(graph, node)?))
        }
        Op::Transpose { .. } => {
            let strides = index::strides(&first.dims);
            let order = shape::permutation(node, first.dims.len())?;
            let strides: Vec<isize> = order.iter().map(|&from| strides[from].cast_signed()).collect();
            let dims = shape_from(graph, node)?;
            Some(first.gathered(dims.clone(), index::walk(&dims, &strides, 0)))
        }
        Op::Slice { .. } => {
            let ranges = shape::slices(graph, node)?;
            let strides = index::strides(&first.dims);
            let begin = ranges.iter().zip(&strides).map(|(range, stride)| range.first * stride).sum();
            let steps: Vec<isize> = ranges.iter().zip(&strides).map(|(r, &s)| r.step * s.cast_signed()).collect();
            let dims: Vec<usize> = ranges.iter().map(|range| range.count).collect();
            Some(first.gathered(dims.clone(), index::walk(&dims, &steps, begin)))
        }
        Op::Gather { axis } => Some(gather(first, all.get(1).copied(), *axis, shape_from(graph, node)?)?),
        Op::Concat { axis } => Some(concat(&all, *axis, shape_from(graph, node)?)?),
        Op::Binary(op, _) => binary(*op, first, all.get(1).copied(), shape_from(graph, node)?)?,
        _ => None,
    })
}

fn shape_from(graph: &Graph, node: &Node) -> Result<Vec<usize>, Why> {
    Ok(shape::infer(graph, node)?.swap_remove(0))
}

fn shape_of(graph: &Graph, node: &Node, start: i64, end: Option<i64>) -> Result<Constant, Why> {
    let dims = graph.dims(node.input(0).ok_or(Why::MissingInput { index: 0 })?);
    let range = index::range(dims.len(), start, end.unwrap_or(i64::MAX), 1)?;
    let part = &dims[range.first..range.first + range.count];
    Ok(Constant::integers(vec![part.len()], part.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect()))
}

/// Elements that a constant made at import may have.
const MAX_FILLED: usize = 1 << 28;

fn filled(dims: &Constant, value: &Constant) -> Result<Constant, Why> {
    let dims = dims.as_integers().ok_or(Why::NotConstant { index: 0 })?;
    let dims: Vec<usize> = dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
    let count = index::elements(&dims)?;
    if count > MAX_FILLED {
        return Err(Why::TooLarge { what: "elements", found: count, limit: MAX_FILLED });
    }
    match &value.data {
        Data::F32(value) if value.len() == 1 => Ok(Constant::floats(dims, vec![value[0]; count])),
        Data::I64(value) if value.len() == 1 => Ok(Constant::integers(dims, vec![value[0]; count])),
        _ => Err(Why::Form("its value is not one element")),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "this is what a cast means")]
fn cast(from: &Constant, to: i32) -> Result<Constant, Why> {
    let dims = from.dims.clone();
    Ok(match (DataType::try_from(to).unwrap_or_default(), &from.data) {
        (DataType::Float, Data::F32(_)) | (DataType::Int64 | DataType::Int32, Data::I64(_)) => from.clone(),
        (DataType::Float, Data::I64(data)) => Constant::floats(dims, data.iter().map(|&n| n as f32).collect()),
        (DataType::Int64 | DataType::Int32, Data::F32(data)) => {
            Constant::integers(dims, data.iter().map(|&x| x as i64).collect())
        }
        _ => return Err(Why::Type { found: to, wanted: "a cast to float, int32 or int64" }),
    })
}

fn gather(data: &Constant, indices: Option<&Constant>, axis: i64, dims: Vec<usize>) -> Result<Constant, Why> {
    let axis = index::axis(axis, data.dims.len())?;
    let size = data.dims[axis];
    let indices = indices.and_then(Constant::as_integers).ok_or(Why::NotConstant { index: 1 })?;
    let indices: Vec<usize> = indices.iter().map(|&i| index::axis(i, size)).collect::<Result<_, _>>()?;
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
    let mixed = Why::Form("it joins floats with integers");
    if parts.iter().all(|part| part.as_floats().is_some()) {
        let row = |o: usize| parts.iter().filter_map(move |p| Some(&p.as_floats()?[o * rows(p)..(o + 1) * rows(p)]));
        return Ok(Constant::floats(dims, (0..outer).flat_map(row).flatten().copied().collect()));
    }
    if parts.iter().all(|part| part.as_integers().is_some()) {
        let row = |o: usize| parts.iter().filter_map(move |p| Some(&p.as_integers()?[o * rows(p)..(o + 1) * rows(p)]));
        return Ok(Constant::integers(dims, (0..outer).flat_map(row).flatten().copied().collect()));
    }
    Err(mixed)
}

fn binary(op: BinaryOp, a: &Constant, b: Option<&Constant>, dims: Vec<usize>) -> Result<Option<Constant>, Why> {
    let b = b.ok_or(Why::MissingInput { index: 1 })?;
    let strides = [a, b].map(|side| index::broadcast_strides(&side.dims, &dims));
    let pairs = || index::walk(&dims, &strides[0], 0).zip(index::walk(&dims, &strides[1], 0));
    Ok(match (&a.data, &b.data) {
        (Data::F32(x), Data::F32(y)) => {
            let data = pairs().map(|(i, j)| floats(op, x[i], y[j])).collect();
            Some(Constant::floats(dims.clone(), data))
        }
        (Data::I64(x), Data::I64(y)) => {
            let data: Option<Vec<i64>> = pairs().map(|(i, j)| integers(op, x[i], y[j])).collect();
            data.map(|data| Constant::integers(dims.clone(), data))
        }
        _ => return Err(Why::Form("it mixes floats with integers")),
    })
}

fn floats(op: BinaryOp, a: f32, b: f32) -> f32 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Min => a.min(b),
        BinaryOp::Max => a.max(b),
        BinaryOp::Pow => a.powf(b),
    }
}

fn integers(op: BinaryOp, a: i64, b: i64) -> Option<i64> {
    match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => a.checked_div(b),
        BinaryOp::Min => Some(a.min(b)),
        BinaryOp::Max => Some(a.max(b)),
        BinaryOp::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    }
}
