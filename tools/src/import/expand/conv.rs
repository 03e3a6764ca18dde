//! Convolutions of any form as dense or depthwise ones over images; products of matrices.

use kernels::params::{Activation, ActivationKind, BinaryOp, Groups};

use super::super::constant::Constant;
use super::super::error::Why;
use super::super::graph::ValueId;
use super::super::index;
use super::super::op::{Conv, Gemm, Op, Padding, Raw, RawPadding, Slide, Transposed};
use super::super::page::number;
use super::super::shape;
use super::{Emitter, Fill, Map, movement};

/// A window over images: kernel size and where it goes; one spatial dimension becomes the width.
pub struct Planar {
    /// Kernel size.
    pub kernel: [usize; 2],
    /// Where it goes.
    pub slide: Slide,
}

/// One number for each of `rank` dimensions, as two; a missing first one is `default`.
fn pair(name: &'static str, given: Option<&Vec<usize>>, rank: usize, default: usize) -> Result<[usize; 2], Why> {
    match given.map(Vec::as_slice) {
        None => Ok([default; 2]),
        Some(&[across]) if rank == 1 => Ok([default, across]),
        Some(&[down, across]) if rank == 2 => Ok([down, across]),
        Some(other) => {
            let value = format!("{other:?}");
            Err(Why::Attribute { name, value, why: "one number for each of one or two dimensions" })
        }
    }
}

/// The window of `raw` over one or two dimensions.
pub fn planar(raw: &Raw, rank: usize, weights: Option<&[usize]>) -> Result<Planar, Why> {
    let kernel = match (&raw.kernel, weights) {
        (Some(kernel), Some(weights)) if kernel != weights => {
            return Err(Why::Shape { found: weights.to_vec(), wanted: "the size that kernel_shape says" });
        }
        (Some(kernel), _) => kernel.clone(),
        (None, weights) => weights.unwrap_or_default().to_vec(),
    };
    let pads = match &raw.pads {
        RawPadding::Explicit(None) => Padding::Explicit([0; 4]),
        RawPadding::Explicit(Some(pads)) => match (rank, pads.as_slice()) {
            (1, &[left, right]) => Padding::Explicit([0, left, 0, right]),
            (2, &[top, left, bottom, right]) => Padding::Explicit([top, left, bottom, right]),
            _ => {
                let (value, why) = (format!("{pads:?}"), "two numbers for each of one or two dimensions");
                return Err(Why::Attribute { name: "pads", value, why });
            }
        },
        RawPadding::SameUpper => Padding::SameUpper,
        RawPadding::SameLower => Padding::SameLower,
    };
    let strides = pair("strides", raw.strides.as_ref(), rank, 1)?;
    let dilations = pair("dilations", raw.dilations.as_ref(), rank, 1)?;
    let kernel = pair("kernel_shape", Some(&kernel), rank, 1)?;
    if [strides, dilations, kernel].as_flattened().contains(&0) {
        return Err(Why::Form("the window is empty or has stride or dilation 0"));
    }
    Ok(Planar { kernel, slide: Slide { strides, dilations, pads } })
}

/// The spatial dimensions of an input, of which there are one or two.
pub fn spatial(dims: &[usize]) -> Result<usize, Why> {
    match dims.len() {
        3 => Ok(1),
        4 => Ok(2),
        _ => Err(Why::Shape { found: dims.to_vec(), wanted: "items, channels and one or two dimensions of places" }),
    }
}

/// The value as an image: a single spatial dimension is its width.
pub fn as_image(out: &mut Emitter, x: ValueId) -> Result<ValueId, Why> {
    match *out.graph.dims(x) {
        [n, c, w] => out.reshaped(x, vec![n, c, 1, w]),
        _ => Ok(x),
    }
}

/// The last part: an image back in the shape that the model has.
pub fn finish_as(out: &mut Emitter, rank: usize, op: Op, inputs: &[ValueId]) -> Result<bool, Why> {
    if rank == 2 {
        return out.finish(op, inputs);
    }
    let image = out.emit(op, inputs)?;
    let [n, c, h, w] = shape::image(out.graph.dims(image))?;
    out.finish(Op::Into { dims: vec![n, c, h * w] }, &[image])
}

/// A convolution over one or two dimensions.
pub fn conv(out: &mut Emitter, raw: &Raw) -> Result<bool, Why> {
    let (x, weights) = (out.input(0)?, out.input(1)?);
    let rank = spatial(out.graph.dims(x))?;
    let size = out.graph.dims(weights).to_vec();
    if size.len() != rank + 2 {
        return Err(Why::Mismatch { left: out.dims(0)?, right: size, wanted: "weights of as many dimensions" });
    }
    let Planar { kernel, slide } = planar(raw, rank, Some(&size[2..]))?;
    let image = as_image(out, x)?;
    let weights = as_image(out, weights)?;
    let mut inputs = vec![image, weights];
    inputs.extend(out.node.input(2));
    let conv = Conv { kernel: Some(kernel), slide, groups: raw.groups };
    finish_as(out, rank, Op::Conv(conv, Activation::NONE), &inputs)
}

/// What it costs to begin and end the sums of one output block of one group, in products of an input channel.
const BLOCK_COST: u64 = 8;

/// How many groups become one where that costs least: each output block is computed once for every group that
/// has channels in it.
fn merged(groups: u32, [input, output]: [u32; 2], taps: u64) -> u32 {
    let cost = |k: &u32| {
        let groups = Groups { count: groups / k, input: k * input, output: k * output };
        u64::from(groups.rows()) * (u64::from(groups.input) * taps + BLOCK_COST)
    };
    (1..=groups).filter(|k| groups.is_multiple_of(*k)).min_by_key(cost).unwrap_or(1)
}

/// Groups that are small beside a block of channels become fewer, larger ones, with weights of 0 between channels
/// of different groups.
pub fn grouped(out: &mut Emitter, conv: &Conv, activation: Activation) -> Result<bool, Why> {
    let (x, w) = (out.dims(0)?, out.dims(1)?);
    let [_, channels, ..] = shape::image(&x)?;
    let [output, of_group, kernel_h, kernel_w] = shape::image(&w)?;
    let groups = conv.groups;
    if Some(channels) != of_group.checked_mul(groups) || output % groups != 0 || output == 0 {
        return Err(Why::Mismatch { left: x, right: w, wanted: "channels = channels of the weights times groups" });
    }
    if groups == 1 || (groups == channels && output == channels) {
        return Ok(false);
    }
    let [count, from, to] = [groups, of_group, output / groups].map(|channels| number(channels, "channels"));
    let together = merged(count?, [from?, to?], (kernel_h * kernel_w) as u64) as usize;
    if together == 1 {
        return Ok(false);
    }
    let weights = out.constant_at(1).ok_or(Why::NotConstant { index: 1 })?;
    let data = weights.as_floats().ok_or(Why::NotConstant { index: 1 })?;
    let (row, wide) = (of_group * kernel_h * kernel_w, together * of_group * kernel_h * kernel_w);
    index::elements(&[output, wide])?;
    let mut dense = vec![0.0; output * wide];
    for (o, row_of) in data.chunks_exact(row.max(1)).enumerate() {
        let at = o / (output / groups) % together;
        dense[o * wide + at * row..][..row].copy_from_slice(row_of);
    }
    let dims = vec![output, together * of_group, kernel_h, kernel_w];
    let weights = out.constant(Constant::floats(dims, dense));
    let mut inputs = vec![out.input(0)?, weights];
    inputs.extend(out.node.input(2));
    out.finish(Op::Conv(Conv { groups: groups / together, ..conv.clone() }, activation), &inputs)
}

/// Beginnings and ends of the padding of a transposed convolution, and what is added behind.
fn transposed_padding(of: &Transposed, rank: usize, input: [usize; 2], window: &Planar) -> Result<[[i64; 2]; 3], Why> {
    let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let mut added = pair("output_padding", of.output_padding.as_ref(), rank, 0)?.map(whole);
    let wanted = match &of.output_shape {
        // Some exporters name all dimensions.
        Some(shape) => Some(pair("output_shape", Some(&shape[shape.len().saturating_sub(rank)..].to_vec()), rank, 1)?),
        None => None,
    };
    let mut pads = [[0; 2]; 2];
    for i in 0..2 {
        let (kernel, stride) = (whole(window.kernel[i]), whole(window.slide.strides[i]));
        let reach = (kernel - 1) * whole(window.slide.dilations[i]) + 1;
        let full = (whole(input[i]) - 1) * stride + added[i] + reach;
        let (size, upper) = match (wanted, window.slide.pads) {
            (Some(wanted), pads) => (whole(wanted[i]), pads == Padding::SameUpper),
            (None, Padding::Explicit(given)) => {
                (pads[0][i], pads[1][i]) = (whole(given[i]), whole(given[i + 2]));
                continue;
            }
            (None, pads) => (whole(input[i]) * stride, pads == Padding::SameUpper),
        };
        // What padding can't take away is added behind.
        added[i] += (size - full).max(0);
        let total = (full - size).max(0);
        let first = if upper { total / 2 } else { total - total / 2 };
        (pads[0][i], pads[1][i]) = (first, total - first);
    }
    Ok([pads[0], pads[1], added])
}

/// The weights of the convolution that a transposed one is: mirrored, channels in and out exchanged.
fn mirrored(weights: &Constant, groups: usize) -> Result<Constant, Why> {
    let [input, output, kernel_h, kernel_w] = shape::image(&weights.dims)?;
    let data = weights.as_floats().ok_or(Why::NotConstant { index: 1 })?;
    if !input.is_multiple_of(groups) {
        return Err(Why::Shape { found: weights.dims.clone(), wanted: "channels that are a multiple of groups" });
    }
    let (of_group, taps) = (input / groups, kernel_h * kernel_w);
    let mut flipped = Vec::with_capacity(data.len());
    for group in 0..groups {
        for o in 0..output {
            for i in 0..of_group {
                let first = ((group * of_group + i) * output + o) * taps;
                flipped.extend(data[first..first + taps].iter().rev());
            }
        }
    }
    Ok(Constant::floats(vec![groups * output, of_group, kernel_h, kernel_w], flipped))
}

/// A convolution of the image with zeros between and around its places.
pub fn transposed(out: &mut Emitter, of: &Transposed) -> Result<bool, Why> {
    let (x, weights) = (out.input(0)?, out.input(1)?);
    let rank = spatial(out.graph.dims(x))?;
    let size = out.graph.dims(weights).to_vec();
    if size.len() != rank + 2 {
        return Err(Why::Mismatch { left: out.dims(0)?, right: size, wanted: "weights of as many dimensions" });
    }
    let window = planar(&of.window, rank, Some(&size[2..]))?;
    let (image, weights) = (as_image(out, x)?, as_image(out, weights)?);
    let weights = out.graph.constant(weights).ok_or(Why::NotConstant { index: 1 })?;
    let weights = mirrored(weights, of.window.groups)?;
    let [n, c, h, w] = shape::image(out.graph.dims(image))?;
    let [first, last, added] = transposed_padding(of, rank, [h, w], &window)?;
    movement::bounded(&[n]).and(movement::bounded(&[c]))?;
    let mut axes = vec![movement::same(n), movement::same(c)];
    for (i, dim) in [h, w].into_iter().enumerate() {
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let reach = whole((window.kernel[i] - 1) * window.slide.dilations[i]);
        let stride = whole(window.slide.strides[i]);
        let (before, behind) = (reach - first[i], reach - last[i] + added[i]);
        let length = before + (whole(dim) - 1) * stride + 1 + behind;
        movement::bounded(&[usize::try_from(length).unwrap_or(0)])?;
        let place = |at: i64| {
            let at = at - before;
            (at >= 0 && at % stride == 0 && at / stride < whole(dim)).then(|| usize::try_from(at / stride).unwrap_or(0))
        };
        axes.push((0..length).map(place).collect());
    }
    let dilated = out.emit(Op::Pick(Map { axes, fill: Fill::Float(0.0) }), &[image])?;
    let weights = out.constant(weights);
    let mut inputs = vec![dilated, weights];
    inputs.extend(out.node.input(2));
    let slide = Slide { strides: [1, 1], dilations: window.slide.dilations, pads: Padding::Explicit([0; 4]) };
    let conv = Conv { kernel: None, slide, groups: of.window.groups };
    finish_as(out, rank, Op::Conv(conv, Activation::NONE), &inputs)
}

/// With constant weights it stays; else it is a product, a factor and a sum.
pub fn gemm(out: &mut Emitter, gemm: &Gemm, activation: Activation) -> Result<bool, Why> {
    let known = out.constant_at(1).is_some() && out.dims(1)?.len() == 2;
    let columns = match out.dims(1)?.as_slice() {
        &[k, n] => {
            if gemm.trans_b {
                k
            } else {
                n
            }
        }
        _ => return Err(Why::Shape { found: out.dims(1)?, wanted: "a matrix" }),
    };
    let is_bias = |dims: &[usize]| {
        dims.iter().product::<usize>() == 1
            || (dims.last() == Some(&columns) && dims.iter().product::<usize>() == columns)
    };
    let c = out.node.input(2);
    let plain = c.is_none_or(|id| out.graph.constant(id).is_some() && is_bias(out.graph.dims(id)));
    if known && plain && !gemm.trans_a || activation != Activation::NONE || out.node.inputs.len() > 3 {
        return Ok(false);
    }
    let (mut a, mut b) = (out.input(0)?, out.input(1)?);
    let turned = Op::Transpose { perm: Some(vec![1, 0]) };
    if gemm.trans_a {
        a = out.emit(turned.clone(), &[a])?;
    }
    if gemm.trans_b && !known {
        b = out.emit(turned, &[b])?;
    }
    let mut y = if known {
        let inner = Gemm { trans_a: false, ..gemm.clone() };
        out.emit(Op::Gemm(inner, Activation::NONE), &[a, b])?
    } else {
        let product = out.emit(Op::MatMul { scale: 1.0 }, &[a, b])?;
        out.unary(ActivationKind::Affine, [gemm.alpha, 0.0], product)?
    };
    if let Some(c) = c {
        let c = out.unary(ActivationKind::Affine, [gemm.beta, 0.0], c)?;
        y = out.binary(BinaryOp::Add, y, c)?;
    }
    out.finish(Op::Identity, &[y])
}

/// A vector is a matrix of one row or column; more than two batch dimensions become one.
pub fn matmul(out: &mut Emitter) -> Result<bool, Why> {
    let (mut a, mut b) = (out.input(0)?, out.input(1)?);
    let (x, y) = (out.dims(0)?, out.dims(1)?);
    if x.is_empty() || y.is_empty() {
        return Err(Why::Mismatch { left: x, right: y, wanted: "at least one dimension each" });
    }
    if x.len() == 1 || y.len() == 1 {
        if x.len() == 1 {
            a = out.reshaped(a, vec![1, x[0]])?;
        }
        if y.len() == 1 {
            b = out.reshaped(b, vec![y[0], 1])?;
        }
        let product = out.emit(Op::MatMul { scale: 1.0 }, &[a, b])?;
        let mut dims = out.graph.dims(product).to_vec();
        if y.len() == 1 {
            dims.pop();
        }
        if x.len() == 1 {
            dims.remove(dims.len() - usize::from(y.len() > 1) - 1);
        }
        return out.finish(Op::Into { dims }, &[product]);
    }
    if x.len() <= 4 || x.len() != y.len() || x[..x.len() - 2] != y[..y.len() - 2] {
        return Ok(false);
    }
    let outer = &x[..x.len() - 2];
    let batch: usize = outer.iter().product();
    let flat = |dims: &[usize]| [&[batch], &dims[dims.len() - 2..]].concat();
    let (a, b) = (out.reshaped(a, flat(&x))?, out.reshaped(b, flat(&y))?);
    let product = out.emit(Op::MatMul { scale: 1.0 }, &[a, b])?;
    let dims = [outer, &[x[x.len() - 2], y[y.len() - 1]]].concat();
    out.finish(Op::Into { dims }, &[product])
}
