//! The shapes that a node makes from the shapes that it reads.

use super::constant::Constant;
use super::error::Why;
use super::graph::{Graph, Node};
use super::index::{self, Range};
use super::op::{Conv, Gemm, Op, Padding, Pool, Slide};

/// The shapes of all outputs of `node`, none with more elements than a tensor may have.
pub fn infer(graph: &Graph, node: &Node) -> Result<Vec<Vec<usize>>, Why> {
    let shapes = follow(graph, node)?;
    shapes.iter().try_for_each(|dims| index::elements(dims).map(|_| ()))?;
    Ok(shapes)
}

fn follow(graph: &Graph, node: &Node) -> Result<Vec<Vec<usize>>, Why> {
    let dims = |index: usize| Ok(graph.dims(node.input(index).ok_or(Why::MissingInput { index })?));
    let one = |dims: Vec<usize>| Ok(vec![dims]);
    match &node.op {
        Op::Conv(conv, _) => one(convolved(dims(0)?, dims(1)?, conv)?),
        Op::Pool(pool) => one(pooled(dims(0)?, pool)?),
        Op::GlobalPool(_) => one(image(dims(0)?).map(|[n, c, _, _]| vec![n, c, 1, 1])?),
        Op::BatchNorm { .. } | Op::Unary(_) | Op::Softmax { .. } | Op::LayerNorm { .. } | Op::Identity => {
            one(dims(0)?.to_vec())
        }
        Op::Cast { .. } => one(dims(0)?.to_vec()),
        Op::Gemm(gemm, _) => one(product(dims(0)?, dims(1)?, gemm)?),
        Op::MatMul { .. } => one(matmul(dims(0)?, dims(1)?)?),
        Op::Attention { .. } => one(matmul(&matmul(dims(0)?, dims(1)?)?, dims(2)?)?),
        Op::Binary(..) => one(index::broadcast(dims(0)?, dims(1)?)?),
        Op::Reduce { keep, .. } => one(reduced(dims(0)?, &reduced_axes(graph, node)?, *keep)),
        Op::Flatten { axis } => one(flattened(dims(0)?, *axis)?),
        Op::Squeeze { .. } => one(squeezed(graph, node, dims(0)?)?),
        Op::Unsqueeze { .. } => one(unsqueezed(graph, node, dims(0)?)?),
        Op::Reshape { allow_zero } => {
            let target = integers(graph, node, 1)?.ok_or(Why::MissingInput { index: 1 })?;
            one(reshaped(dims(0)?, target, *allow_zero)?)
        }
        Op::Transpose { .. } => {
            let dims = dims(0)?;
            one(permutation(node, dims.len())?.iter().map(|&from| dims[from]).collect())
        }
        Op::Slice { .. } => one(slices(graph, node)?.iter().map(|range| range.count).collect()),
        Op::Concat { axis } => {
            let parts: Vec<&[usize]> = node.inputs.iter().flatten().map(|&id| graph.dims(id)).collect();
            one(joined(&parts, *axis)?)
        }
        Op::Split { axis, .. } => split(graph, node, dims(0)?, *axis),
        Op::Gather { axis } => {
            let (data, indices) = (dims(0)?, dims(1)?);
            let axis = index::axis(*axis, data.len())?;
            one([&data[..axis], indices, &data[axis + 1..]].concat())
        }
        Op::Shape { .. } => one(vec![dims(0)?.len()]),
        Op::ConstantOfShape { .. } => Err(Why::NotConstant { index: 0 }),
        Op::Constant(constant) => one(constant.dims.clone()),
        Op::Range => Err(Why::Form("its bounds must be constants")),
        _ => chosen(graph, node),
    }
}

/// Of what is spelled out, picked, or runs along an axis.
fn chosen(graph: &Graph, node: &Node) -> Result<Vec<Vec<usize>>, Why> {
    let dims = |index: usize| Ok(graph.dims(node.input(index).ok_or(Why::MissingInput { index })?));
    let one = |dims: Vec<usize>| Ok(vec![dims]);
    match &node.op {
        Op::Words(_) => {
            let all = node.inputs.iter().flatten().map(|&id| graph.dims(id));
            one(all.skip(1).try_fold(dims(0)?.to_vec(), |all, next| index::broadcast(&all, next))?)
        }
        Op::Into { dims: target } => {
            let found = dims(0)?;
            if index::elements(found)? != index::elements(target)? {
                let (left, right) = (found.to_vec(), target.clone());
                return Err(Why::Mismatch { left, right, wanted: "as many elements after as before" });
            }
            one(target.clone())
        }
        Op::Expand => {
            let target = integers(graph, node, 1)?.ok_or(Why::MissingInput { index: 1 })?;
            let target: Vec<usize> = target.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
            one(index::broadcast(dims(0)?, &target)?)
        }
        Op::Pixels { interleaved } => {
            let mut dims = dims(0)?.to_vec();
            if *interleaved {
                dims[1..].rotate_right(1);
            }
            image(&dims).map(|dims| vec![dims.to_vec()])
        }
        Op::Pick(map) => one(map.axes.iter().map(|axis| axis.len()).collect()),
        Op::Resample { axis, taps } => {
            let mut dims = dims(0)?.to_vec();
            dims[*axis] = taps.places();
            one(dims)
        }
        Op::Fold { axes, running, .. } => {
            one(dims(0)?.iter().enumerate().map(|(i, &d)| if !running && axes.contains(&i) { 1 } else { d }).collect())
        }
        Op::TopK { axis, k, .. } => top_k(graph, node, dims(0)?, *axis, *k),
        Op::GatherElements { axis } => one(gathered_elements(dims(0)?, dims(1)?, *axis)?),
        Op::GatherNd { batch_dims } => one(gathered_nd(dims(0)?, dims(1)?, *batch_dims)?),
        _ => Err(Why::Form("it was not spelled out")),
    }
}

fn top_k(graph: &Graph, node: &Node, x: &[usize], axis: i64, k: Option<i64>) -> Result<Vec<Vec<usize>>, Why> {
    let axis = index::axis(axis, x.len())?;
    let k = match k {
        Some(k) => k,
        None => match integers(graph, node, 1)? {
            Some(&[k]) => k,
            _ => return Err(Why::Form("`k` is not one number")),
        },
    };
    let mut dims = x.to_vec();
    let fits = usize::try_from(k).ok().filter(|&k| k >= 1 && k <= x[axis]);
    dims[axis] =
        fits.ok_or(Why::Attribute { name: "k", value: k.to_string(), why: "at least 1, at most the dimension" })?;
    Ok(vec![dims.clone(), dims])
}

fn gathered_elements(data: &[usize], indices: &[usize], axis: i64) -> Result<Vec<usize>, Why> {
    let axis = index::axis(axis, data.len())?;
    let fits = data.len() == indices.len() && (0..data.len()).all(|i| i == axis || indices[i] <= data[i]);
    if !fits {
        let (left, right) = (data.to_vec(), indices.to_vec());
        return Err(Why::Mismatch { left, right, wanted: "indices no larger than the data but along the axis" });
    }
    Ok(indices.to_vec())
}

fn gathered_nd(data: &[usize], indices: &[usize], batch_dims: i64) -> Result<Vec<usize>, Why> {
    let wrong = || {
        let wanted = "indices whose last dimension names dimensions of the data behind common first ones";
        Why::Mismatch { left: data.to_vec(), right: indices.to_vec(), wanted }
    };
    let batch = usize::try_from(batch_dims).map_err(|_| wrong())?;
    let (&picks, outer) = indices.split_last().ok_or_else(wrong)?;
    let fits = batch <= outer.len() && picks >= 1 && batch.saturating_add(picks) <= data.len();
    if !fits || data[..batch] != outer[..batch] {
        return Err(wrong());
    }
    Ok([outer, &data[batch + picks..]].concat())
}

/// The integers behind an input; none if the input is absent.
pub fn integers<'a>(graph: &'a Graph, node: &Node, index: usize) -> Result<Option<&'a [i64]>, Why> {
    let Some(id) = node.input(index) else { return Ok(None) };
    graph.constant(id).and_then(Constant::as_integers).map(Some).ok_or(Why::NotConstant { index })
}

/// `[n, channels, height, width]` of an image.
pub fn image(dims: &[usize]) -> Result<[usize; 4], Why> {
    <[usize; 4]>::try_from(dims).map_err(|_| Why::Shape { found: dims.to_vec(), wanted: "four dimensions" })
}

/// Padding at top, left, bottom and right of a sliding window.
pub fn padding(slide: &Slide, input: [usize; 2], kernel: [usize; 2]) -> [usize; 4] {
    let upper = match slide.pads {
        Padding::Explicit(pads) => return pads,
        Padding::SameUpper => true,
        Padding::SameLower => false,
    };
    let total = |i: usize| {
        let reach = (kernel[i] - 1) * slide.dilations[i] + 1;
        let steps = input[i].div_ceil(slide.strides[i]);
        (steps.saturating_sub(1) * slide.strides[i] + reach).saturating_sub(input[i])
    };
    let (down, across) = (total(0), total(1));
    let first = |total: usize| if upper { total / 2 } else { total.div_ceil(2) };
    [first(down), first(across), down - first(down), across - first(across)]
}

/// Places of a sliding window over an image. With `ceil` a window that begins within the image or the padding before it
/// counts although it ends beyond the padding behind, the first one too unless it ends a whole stride beyond.
pub fn windows(slide: &Slide, input: [usize; 2], kernel: [usize; 2], ceil: bool) -> Result<[usize; 2], Why> {
    let bad = Why::Form("the window is empty, has stride 0, or is larger than the padded image");
    if kernel.contains(&0) || slide.strides.contains(&0) || slide.dilations.contains(&0) {
        return Err(bad);
    }
    let pads = padding(slide, input, kernel);
    let mut out = [0; 2];
    for i in 0..2 {
        let reach = (kernel[i] - 1) * slide.dilations[i] + 1;
        let (padded, stride) = (input[i] + pads[i] + pads[i + 2], slide.strides[i]);
        let Some(room) = padded.checked_sub(reach) else {
            if ceil && padded + stride > reach && input[i] > 0 {
                out[i] = 1;
                continue;
            }
            return Err(bad);
        };
        out[i] = room / stride + 1;
        // A last, partial window counts only if it begins within the image or its leading padding.
        if ceil && room % stride != 0 && out[i] * stride < input[i] + pads[i] {
            out[i] += 1;
        }
    }
    Ok(out)
}

fn convolved(x: &[usize], w: &[usize], conv: &Conv) -> Result<Vec<usize>, Why> {
    let [n, channels, height, width] = image(x)?;
    let [out, of_group, kernel_h, kernel_w] = image(w)?;
    if conv.kernel.is_some_and(|kernel| kernel != [kernel_h, kernel_w]) {
        return Err(Why::Shape { found: w.to_vec(), wanted: "the size that kernel_shape says" });
    }
    if Some(channels) != of_group.checked_mul(conv.groups) || out % conv.groups != 0 {
        let (left, right) = (x.to_vec(), w.to_vec());
        return Err(Why::Mismatch { left, right, wanted: "channels = channels of the weights times groups" });
    }
    let [out_h, out_w] = windows(&conv.slide, [height, width], [kernel_h, kernel_w], false)?;
    Ok(vec![n, out, out_h, out_w])
}

fn pooled(x: &[usize], pool: &Pool) -> Result<Vec<usize>, Why> {
    let [n, channels, height, width] = image(x)?;
    let [out_h, out_w] = windows(&pool.slide, [height, width], pool.kernel, pool.ceil)?;
    Ok(vec![n, channels, out_h, out_w])
}

fn product(a: &[usize], b: &[usize], gemm: &Gemm) -> Result<Vec<usize>, Why> {
    let wrong =
        || Why::Mismatch { left: a.to_vec(), right: b.to_vec(), wanted: "two matrices with one inner dimension" };
    let (&[a0, a1], &[b0, b1]) = (a, b) else { return Err(wrong()) };
    let (m, k) = if gemm.trans_a { (a1, a0) } else { (a0, a1) };
    let (inner, n) = if gemm.trans_b { (b1, b0) } else { (b0, b1) };
    if k == inner { Ok(vec![m, n]) } else { Err(wrong()) }
}

fn matmul(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Why> {
    let wrong =
        || Why::Mismatch { left: a.to_vec(), right: b.to_vec(), wanted: "two matrices with one inner dimension" };
    let (&[ref outer_a @ .., m, k], &[ref outer_b @ .., inner, n]) = (a, b) else { return Err(wrong()) };
    if k != inner {
        return Err(wrong());
    }
    let mut dims = index::broadcast(outer_a, outer_b)?;
    dims.extend([m, n]);
    Ok(dims)
}

/// Which dimensions a reduction removes, ascending.
pub fn reduced_axes(graph: &Graph, node: &Node) -> Result<Vec<usize>, Why> {
    let rank = node.input(0).map_or(0, |id| graph.dims(id).len());
    let Op::Reduce { axes, .. } = &node.op else { unreachable!("asked of reductions only") };
    let given = match axes {
        Some(axes) => Some(axes.as_slice()),
        None => integers(graph, node, 1)?,
    };
    match given {
        Some(axes) if !axes.is_empty() => index::axes(axes, rank),
        _ => Ok((0..rank).collect()),
    }
}

fn reduced(dims: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let kept = dims.iter().enumerate().filter_map(|(i, &dim)| match axes.contains(&i) {
        false => Some(dim),
        true => keep.then_some(1),
    });
    kept.collect()
}

fn flattened(dims: &[usize], axis: i64) -> Result<Vec<usize>, Why> {
    let at = if axis == i64::try_from(dims.len()).unwrap_or(-1) { dims.len() } else { index::axis(axis, dims.len())? };
    Ok(vec![dims[..at].iter().product(), dims[at..].iter().product()])
}

fn given_axes(graph: &Graph, node: &Node, attribute: Option<&Vec<i64>>) -> Result<Option<Vec<i64>>, Why> {
    match attribute {
        Some(axes) => Ok(Some(axes.clone())),
        None => Ok(integers(graph, node, 1)?.map(<[i64]>::to_vec)),
    }
}

fn squeezed(graph: &Graph, node: &Node, dims: &[usize]) -> Result<Vec<usize>, Why> {
    let Op::Squeeze { axes } = &node.op else { unreachable!("asked of Squeeze only") };
    let axes = match given_axes(graph, node, axes.as_ref())? {
        Some(axes) => index::axes(&axes, dims.len())?,
        None => (0..dims.len()).filter(|&i| dims[i] == 1).collect(),
    };
    if axes.iter().any(|&axis| dims[axis] != 1) {
        return Err(Why::Shape { found: dims.to_vec(), wanted: "1 in the dimensions that are removed" });
    }
    Ok(reduced(dims, &axes, false))
}

fn unsqueezed(graph: &Graph, node: &Node, dims: &[usize]) -> Result<Vec<usize>, Why> {
    let Op::Unsqueeze { axes } = &node.op else { unreachable!("asked of Unsqueeze only") };
    let axes = given_axes(graph, node, axes.as_ref())?.ok_or(Why::MissingInput { index: 1 })?;
    let rank = dims.len() + axes.len();
    let given = axes.len();
    let axes = index::axes(&axes, rank)?;
    if axes.len() != given {
        return Err(Why::Form("`axes` names a dimension twice"));
    }
    let mut rest = dims.iter();
    Ok((0..rank).map(|i| if axes.contains(&i) { 1 } else { rest.next().copied().unwrap_or(1) }).collect())
}

/// The shape that `target` means for `dims`: 0 copies a dimension, -1 takes what is left.
pub fn reshaped(dims: &[usize], target: &[i64], allow_zero: bool) -> Result<Vec<usize>, Why> {
    let total: usize = dims.iter().product();
    let wrong = Why::Mismatch {
        left: dims.to_vec(),
        right: target.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect(),
        wanted: "as many elements after a Reshape as before",
    };
    let mut open = None;
    let mut out = Vec::with_capacity(target.len());
    for (i, &n) in target.iter().enumerate() {
        out.push(match n {
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            0 if !allow_zero && i < dims.len() => dims[i],
            _ => usize::try_from(n).unwrap_or(0),
        });
    }
    let known = index::elements(&out)?;
    if let Some(i) = open
        && known > 0
    {
        out[i] = total / known;
    }
    if out.iter().product::<usize>() == total { Ok(out) } else { Err(wrong) }
}

/// Where each dimension of a transposition comes from.
pub fn permutation(node: &Node, rank: usize) -> Result<Vec<usize>, Why> {
    let Op::Transpose { perm } = &node.op else { unreachable!("asked of Transpose only") };
    let Some(perm) = perm else { return Ok((0..rank).rev().collect()) };
    let order: Vec<usize> = perm.iter().map(|&axis| index::axis(axis, rank)).collect::<Result<_, _>>()?;
    if index::axes(perm, rank)?.len() != rank || order.len() != rank {
        return Err(Why::Attribute { name: "perm", value: format!("{perm:?}"), why: "each dimension once" });
    }
    Ok(order)
}

/// What a slice takes of each dimension.
pub fn slices(graph: &Graph, node: &Node) -> Result<Vec<Range>, Why> {
    let dims = graph.dims(node.input(0).ok_or(Why::MissingInput { index: 0 })?);
    let Op::Slice { bounds } = &node.op else { unreachable!("asked of Slice only") };
    let list = |index| integers(graph, node, index).map(|list| list.map(<[i64]>::to_vec));
    let (starts, ends, axes, steps) = match bounds {
        Some(bounds) => (bounds.starts.clone(), bounds.ends.clone(), bounds.axes.clone(), None),
        None => {
            let missing = |index| move || Why::MissingInput { index };
            (list(1)?.ok_or_else(missing(1))?, list(2)?.ok_or_else(missing(2))?, list(3)?, list(4)?)
        }
    };
    let axes = axes.unwrap_or_else(|| (0i64..).take(starts.len()).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(Why::Form("starts, ends, axes and steps have different lengths"));
    }
    let mut sliced = vec![false; dims.len()];
    let mut ranges: Vec<Range> = dims.iter().map(|&dim| Range { first: 0, count: dim, step: 1 }).collect();
    for i in 0..starts.len() {
        let axis = index::axis(axes[i], dims.len())?;
        if std::mem::replace(&mut sliced[axis], true) {
            return Err(Why::Form("`axes` names a dimension twice"));
        }
        ranges[axis] = index::range(dims[axis], starts[i], ends[i], steps[i])?;
    }
    Ok(ranges)
}

fn joined(parts: &[&[usize]], axis: i64) -> Result<Vec<usize>, Why> {
    let first = *parts.first().ok_or(Why::MissingInput { index: 0 })?;
    let axis = index::axis(axis, first.len())?;
    let mut dims = first.to_vec();
    for part in &parts[1..] {
        let same = part.len() == first.len() && (0..first.len()).all(|i| i == axis || part[i] == first[i]);
        if !same {
            let (left, right) = (first.to_vec(), part.to_vec());
            return Err(Why::Mismatch { left, right, wanted: "equal dimensions but the joined one" });
        }
        dims[axis] += part[axis];
    }
    Ok(dims)
}

fn split(graph: &Graph, node: &Node, dims: &[usize], axis: i64) -> Result<Vec<Vec<usize>>, Why> {
    let Op::Split { sizes, .. } = &node.op else { unreachable!("asked of Split only") };
    let axis = index::axis(axis, dims.len())?;
    let count = node.outputs.len();
    let sizes: Vec<usize> = match given_axes(graph, node, sizes.as_ref())? {
        Some(sizes) => sizes.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect(),
        None => {
            let each = dims[axis].div_ceil(count);
            (0..count).map(|i| each.min(dims[axis].saturating_sub(i * each))).collect()
        }
    };
    if sizes.len() != count || sizes.iter().try_fold(0, |sum: usize, &size| sum.checked_add(size)) != Some(dims[axis]) {
        return Err(Why::Shape { found: sizes, wanted: "one size for each output, together the dimension" });
    }
    Ok(sizes
        .iter()
        .map(|&size| {
            let mut part = dims.to_vec();
            part[axis] = size;
            part
        })
        .collect())
}
