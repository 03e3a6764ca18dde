//! Pools over any number of dimensions as pools over images, or as sums along each dimension.

use kernels::params::{MAX_TAPS, PoolKind};

use super::super::error::Why;
use super::super::graph::ValueId;
use super::super::op::{Op, Padding, Pool, Raw, RawPadding, RawPool, Slide};
use super::super::shape;
use super::conv::{Planar, as_image, finish_as, planar};
use super::{Emitter, Taps, movement, places};

/// Over the whole image; other numbers of dimensions become two.
pub fn global(out: &mut Emitter, kind: PoolKind) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let &[n, c, ref rest @ ..] = dims.as_slice() else {
        return Err(Why::Shape { found: dims, wanted: "items and channels" });
    };
    if rest.len() == 2 {
        return Ok(false);
    }
    let image = out.reshaped(x, vec![n, c, 1, rest.iter().product()])?;
    let pooled = out.emit(Op::GlobalPool(kind), &[image])?;
    out.finish(Op::Into { dims: [vec![n, c], vec![1; rest.len()]].concat() }, &[pooled])
}

/// A pool over one, two or three dimensions.
pub fn pool(out: &mut Emitter, of: &RawPool) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    if out.node.outputs.len() == 2 {
        return places::max_with_places(out, of);
    }
    let odd = of.ceil && of.kind != PoolKind::Max;
    if dims.len() == 5 || (odd && (3..=4).contains(&dims.len())) {
        return if of.kind == PoolKind::Max { deep_max(out, of) } else { averages(out, of) };
    }
    let rank = super::conv::spatial(&dims)?;
    let Planar { kernel, slide } = planar(&of.window, rank, None)?;
    let many = kernel[0].saturating_mul(kernel[1]) > MAX_TAPS as usize;
    if many && of.kind != PoolKind::Max {
        return averages(out, of);
    }
    let image = as_image(out, x)?;
    if many {
        return large_max(out, of, rank, image);
    }
    finish_as(out, rank, Op::Pool(Pool { kind: of.kind, kernel, slide, ceil: of.ceil }), &[image])
}

/// Kernel, stride, dilation, padding before and behind of spatial dimension `i` of `rank`.
pub fn along(raw: &Raw, i: usize, rank: usize, size: usize) -> Result<[usize; 5], Why> {
    let number = |name, given: Option<&Vec<usize>>, default| match given {
        None => Ok(default),
        Some(list) if list.len() == rank => Ok(list[i]),
        Some(list) => {
            let (value, why) = (format!("{list:?}"), "one number for each dimension of places");
            Err(Why::Attribute { name, value, why })
        }
    };
    let kernel = number("kernel_shape", raw.kernel.as_ref(), 1)?;
    let (stride, dilation) =
        (number("strides", raw.strides.as_ref(), 1)?, number("dilations", raw.dilations.as_ref(), 1)?);
    if kernel == 0 || stride == 0 || dilation == 0 {
        return Err(Why::Form("the window is empty or has stride or dilation 0"));
    }
    let [before, behind] = match &raw.pads {
        RawPadding::Explicit(None) => [0, 0],
        RawPadding::Explicit(Some(pads)) if pads.len() == 2 * rank => [pads[i], pads[i + rank]],
        RawPadding::Explicit(Some(pads)) => {
            let (value, why) = (format!("{pads:?}"), "two numbers for each dimension of places");
            return Err(Why::Attribute { name: "pads", value, why });
        }
        same => {
            let pads = if *same == RawPadding::SameUpper { Padding::SameUpper } else { Padding::SameLower };
            let slide = Slide { strides: [1, stride], dilations: [1, dilation], pads };
            let [_, before, _, behind] = shape::padding(&slide, [1, size], [1, kernel]);
            [before, behind]
        }
    };
    Ok([kernel, stride, dilation, before, behind])
}

/// Along each dimension by itself: the number of places in a window is the product of those along each.
#[expect(clippy::cast_precision_loss, reason = "few places")]
fn averages(out: &mut Emitter, of: &RawPool) -> Result<bool, Why> {
    let (mut x, dims) = (out.input(0)?, out.dims(0)?);
    let rank = dims.len() - 2;
    for (i, &size) in dims[2..].iter().enumerate() {
        let [kernel, stride, dilation, before, behind] = along(&of.window, i, rank, size)?;
        let slide =
            Slide { strides: [1, stride], dilations: [1, dilation], pads: Padding::Explicit([0, before, 0, behind]) };
        let [_, places] = shape::windows(&slide, [1, size], [1, kernel], of.ceil)?;
        movement::bounded(&[places, kernel])?;
        let sum = |o: usize| {
            let taps = (0..kernel).map(|k| o * stride + k * dilation);
            let inside: Vec<usize> = taps.clone().filter(|&at| at >= before && at - before < size).collect();
            let all = taps.filter(|&at| at < before + size + behind).count();
            let count = if of.kind == PoolKind::Average { inside.len() } else { all };
            inside.iter().map(|&at| (Some(at - before), 1.0 / count.max(1) as f32)).collect()
        };
        let sums: Vec<Vec<(Option<usize>, f32)>> = (0..places).map(sum).collect();
        x = out.emit(Op::Resample { axis: i + 2, taps: Taps::new(&sums, 0.0) }, &[x])?;
    }
    out.finish(Op::Identity, &[x])
}

/// A maximum over more places than a window may have: down, then across.
fn large_max(out: &mut Emitter, of: &RawPool, rank: usize, image: ValueId) -> Result<bool, Why> {
    let Planar { kernel, slide } = planar(&of.window, rank, None)?;
    let [_, _, h, w] = shape::image(out.graph.dims(image))?;
    let [top, left, bottom, right] = shape::padding(&slide, [h, w], kernel);
    let (strides, dilations) = (slide.strides, slide.dilations);
    let pool = |kernel, strides, dilations, pads| {
        let slide = Slide { strides, dilations, pads: Padding::Explicit(pads) };
        Op::Pool(Pool { kind: PoolKind::Max, kernel, slide, ceil: of.ceil })
    };
    let down = pool([kernel[0], 1], [strides[0], 1], [dilations[0], 1], [top, 0, bottom, 0]);
    let columns = out.emit(down, &[image])?;
    let across = pool([1, kernel[1]], [1, strides[1]], [1, dilations[1]], [0, left, 0, right]);
    finish_as(out, rank, across, &[columns])
}

/// The maximum over height and width, then over depth.
fn deep_max(out: &mut Emitter, of: &RawPool) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let &[n, c, d, h, w] = dims.as_slice() else { unreachable!("asked of three dimensions of places") };
    let [deep, down, across] = [along(&of.window, 0, 3, d)?, along(&of.window, 1, 3, h)?, along(&of.window, 2, 3, w)?];
    let pool = |[down, across]: [[usize; 5]; 2]| {
        let slide = Slide {
            strides: [down[1], across[1]],
            dilations: [down[2], across[2]],
            pads: Padding::Explicit([down[3], across[3], down[4], across[4]]),
        };
        Op::Pool(Pool { kind: PoolKind::Max, kernel: [down[0], across[0]], slide, ceil: of.ceil })
    };
    let planes = out.reshaped(x, vec![n, c * d, h, w])?;
    let planes = out.emit(pool([down, across]), &[planes])?;
    let [_, _, h, w] = shape::image(out.graph.dims(planes))?;
    let stack = out.reshaped(planes, vec![n, c, d, h * w])?;
    let stack = out.emit(pool([deep, [1, 1, 1, 0, 0]]), &[stack])?;
    let [_, _, d, _] = shape::image(out.graph.dims(stack))?;
    out.finish(Op::Into { dims: vec![n, c, d, h, w] }, &[stack])
}
