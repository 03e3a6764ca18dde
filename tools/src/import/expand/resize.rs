//! Interpolation as weighted sums along each dimension that changes.

use super::super::error::Why;
use super::super::index;
use super::super::op::{Aspect, Filter, Op, Placement, Resize, Rounding};
use super::{Emitter, Taps, movement};

/// One dimension that is resized.
struct Along {
    size: usize,
    target: usize,
    scale: f64,
    /// Begin and end of the region, as shares.
    region: [f64; 2],
    /// Whether the target's size, not the scale, was given.
    sized: bool,
}

/// Weighted sums along each dimension that is resized, one after the other.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
pub fn resize(out: &mut Emitter, of: &Resize) -> Result<bool, Why> {
    let (mut x, dims) = (out.input(0)?, out.dims(0)?);
    let plan = plan(out, of, &dims)?;
    for (axis, along) in plan {
        let shrink = if of.antialias { (1.0 / along.scale).max(1.0) } else { 1.0 };
        // A filter reaches no further than twice its source.
        movement::bounded(&[along.target, 4 * (shrink.ceil().min(1e6) as usize)])?;
        let sums: Vec<Vec<(Option<usize>, f32)>> = (0..along.target).map(|place| sum(of, &along, place)).collect();
        let same =
            along.size == along.target && sums.iter().enumerate().all(|(i, sum)| sum.as_slice() == [(Some(i), 1.0)]);
        if !same {
            x = out.emit(Op::Resample { axis, taps: Taps::new(&sums, of.outside) }, &[x])?;
        }
    }
    out.finish(Op::Identity, &[x])
}

/// The dimensions that are named, with size and scale.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^52"
)]
fn plan(out: &Emitter, of: &Resize, dims: &[usize]) -> Result<Vec<(usize, Along)>, Why> {
    let axes: Vec<usize> = match &of.axes {
        Some(axes) => axes.iter().map(|&axis| index::axis(axis, dims.len())).collect::<Result<_, _>>()?,
        None => (0..dims.len()).collect(),
    };
    if (1..axes.len()).any(|i| axes[..i].contains(&axes[i])) {
        return Err(Why::Form("`axes` names a dimension twice"));
    }
    let floats = |index: Option<usize>| -> Result<Option<Vec<f32>>, Why> {
        let Some(index) = index.filter(|&index| out.node.input(index).is_some()) else { return Ok(None) };
        let constant = out.constant_at(index).ok_or(Why::NotConstant { index })?;
        let values = constant.as_floats().ok_or(Why::Form("its scales or region are no floats"))?;
        Ok((!values.is_empty()).then(|| values.to_vec()))
    };
    let scales = match &of.scales {
        Some(scales) => Some(scales.clone()),
        None => floats(of.inputs[1])?,
    };
    let sizes = match of.inputs[2] {
        Some(index) => out.integers_at(index)?.filter(|sizes| !sizes.is_empty()),
        None => None,
    };
    let wrong = || Why::Form("it has not one scale or size for each of its dimensions");
    let mut targets: Vec<(usize, f64)> = match (&scales, &sizes) {
        (_, Some(sizes)) if sizes.len() == axes.len() => {
            let sizes = sizes.iter().map(|&size| usize::try_from(size).unwrap_or(0));
            sizes.zip(&axes).map(|(size, &axis)| (size, size as f64 / dims[axis] as f64)).collect()
        }
        (Some(scales), None) if scales.len() == axes.len() => {
            let size = |(&scale, &axis): (&f32, &usize)| {
                // In single precision, as ONNX infers shapes: ten times 0.7 are seven.
                ((scale * dims[axis] as f32).floor().clamp(0.0, 1e12) as usize, f64::from(scale))
            };
            scales.iter().zip(&axes).map(size).collect()
        }
        _ => return Err(wrong()),
    };
    if sizes.is_some() && of.aspect != Aspect::Stretch {
        let all = targets.iter().map(|&(_, scale)| scale);
        let smaller = of.aspect == Aspect::NotLarger;
        let scale = all.fold(if smaller { f64::INFINITY } else { 0.0 }, if smaller { f64::min } else { f64::max });
        targets = axes.iter().map(|&axis| ((scale * dims[axis] as f64 + 0.5).floor() as usize, scale)).collect();
    }
    let region = if of.place == Placement::Crop { floats(of.inputs[0])? } else { None };
    let region = |i: usize| match &region {
        Some(region) if region.len() == 2 * axes.len() => [region[i], region[i + axes.len()]].map(f64::from),
        _ => [0.0, 1.0],
    };
    let mut plan = Vec::new();
    for (i, (&axis, &(target, scale))) in axes.iter().zip(&targets).enumerate() {
        if target == 0 || !scale.is_finite() || scale <= 0.0 {
            return Err(Why::Form("a size of its result is 0, or a scale is no positive number"));
        }
        index::elements(&[target])?;
        plan.push((axis, Along { size: dims[axis], target, scale, region: region(i), sized: sizes.is_some() }));
    }
    Ok(plan)
}

/// Where `place` of the result lies in the source.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn position(of: Placement, along: &Along, place: usize) -> f64 {
    let (x, size, target, scale) = (place as f64, along.size as f64, along.target as f64, along.scale);
    // The size before it was rounded down.
    let exact = if along.sized { target } else { scale * size };
    match of {
        Placement::HalfPixel => (x + 0.5) / scale - 0.5,
        Placement::HalfPixelSymmetric => {
            let offset = size / 2.0 * (1.0 - target / exact);
            offset + (x + 0.5) / scale - 0.5
        }
        Placement::PytorchHalfPixel if along.target == 1 => 0.0,
        Placement::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
        Placement::AlignCorners if exact == 1.0 => 0.0,
        Placement::AlignCorners => x * (size - 1.0) / (exact - 1.0),
        Placement::Asymmetric => x / scale,
        Placement::Crop => {
            let [begin, end] = along.region;
            if along.target > 1 {
                begin * (size - 1.0) + x * (end - begin) * (size - 1.0) / (target - 1.0)
            } else {
                0.5 * (begin + end) * (size - 1.0)
            }
        }
    }
}

/// The places of the source, and their weights, that make `place` of the result.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "sizes are far below 2^52")]
fn sum(of: &Resize, along: &Along, place: usize) -> Vec<(Option<usize>, f32)> {
    let at = position(of.place, along, place);
    let last = along.size as i64 - 1;
    if of.place == Placement::Crop && !(0.0..=last as f64).contains(&at) {
        return vec![(None, 1.0)];
    }
    let clamped = |place: i64| usize::try_from(place.clamp(0, last)).unwrap_or(0);
    if let Filter::Nearest(rounding) = of.filter {
        let near = match rounding {
            Rounding::PreferFloor => (at - 0.5).ceil(),
            Rounding::PreferCeil => (at + 0.5).floor(),
            Rounding::Floor => at.floor(),
            Rounding::Ceil => at.ceil(),
        };
        return vec![(Some(clamped(near as i64)), 1.0)];
    }
    let shrink = if of.antialias { along.scale.min(1.0) } else { 1.0 };
    let reach = if of.filter == Filter::Linear { 1.0 } else { 2.0 };
    let weight = |distance: f64| match of.filter {
        Filter::Cubic(a) => cubic(distance.abs(), a.into()),
        _ => (1.0 - distance.abs()).max(0.0),
    };
    let base = at.floor();
    let first = (-reach / shrink).floor() as i64 + 1;
    let taps: Vec<(i64, f64)> = (first..=1 - first)
        .map(|i| (base as i64 + i, weight((base + i as f64 - at) * shrink)))
        .filter(|&(place, _)| !of.exclude_outside || (0..=last).contains(&place))
        .collect();
    let total: f64 = if of.antialias || of.exclude_outside { taps.iter().map(|(_, weight)| weight).sum() } else { 1.0 };
    taps.iter()
        .filter(|(_, weight)| *weight != 0.0)
        .map(|&(place, w)| (Some(clamped(place)), (w / total) as f32))
        .collect()
}

/// The cubic convolution of Keys with coefficient `a`, at a distance.
fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
