//! What moves elements by maps that are known: padding, tiling, slices backwards.

use std::sync::Arc;

use super::super::error::Why;
use super::super::index;
use super::super::op::{Op, PadMode};
use super::super::shape;
use super::{Emitter, Fill, Map};

/// Entries that the tables of one operation may have: as many as fit a page.
pub const MAX_ENTRIES: usize = 1 << 18;

/// Refuses tables with too many entries.
pub fn bounded(dims: &[usize]) -> Result<(), Why> {
    let entries = dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim)).unwrap_or(usize::MAX);
    if entries > MAX_ENTRIES {
        return Err(Why::TooLarge { what: "entries of a table", found: entries, limit: MAX_ENTRIES });
    }
    Ok(())
}

/// A dimension as it is.
pub fn same(dim: usize) -> Arc<[Option<usize>]> {
    (0..dim).map(Some).collect()
}

/// A fill that no index asks for.
fn no_fill(out: &Emitter) -> Result<Fill, Why> {
    Ok(if out.element(0)?.is_whole() { Fill::Whole(0) } else { Fill::Float(0.0) })
}

/// A slice that goes backwards along some dimension.
pub fn slice(out: &mut Emitter) -> Result<bool, Why> {
    let ranges = shape::slices(out.graph, out.node)?;
    if ranges.iter().all(|range| range.step > 0) || ranges.iter().any(|range| range.count == 0) {
        return Ok(false);
    }
    ranges.iter().try_for_each(|range| bounded(&[range.count]))?;
    let place = |range: &index::Range, i: usize| range.first.checked_add_signed(range.step * i.cast_signed());
    let axes = ranges.iter().map(|range| (0..range.count).map(|i| place(range, i)).collect()).collect();
    let (x, fill) = (out.input(0)?, no_fill(out)?);
    out.finish(Op::Pick(Map { axes, fill }), &[x])
}

/// Each dimension several times over.
pub fn tile(out: &mut Emitter) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let repeats = out.integers_at(1)?.ok_or(Why::MissingInput { index: 1 })?;
    let repeats: Vec<usize> = repeats.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
    if repeats.len() != dims.len() {
        return Err(Why::Mismatch { left: dims, right: repeats, wanted: "one number a dimension" });
    }
    let sizes: Vec<usize> = dims.iter().zip(&repeats).map(|(&dim, &times)| dim.saturating_mul(times)).collect();
    index::elements(&sizes)?;
    sizes.iter().try_for_each(|&size| bounded(&[size]))?;
    let axes = dims.iter().zip(&sizes).map(|(&dim, &size)| (0..size).map(|i| Some(i % dim)).collect()).collect();
    let fill = no_fill(out)?;
    out.finish(Op::Pick(Map { axes, fill }), &[x])
}

/// The place that index `i` of a padded dimension shows.
fn padded(i: i64, dim: i64, mode: PadMode) -> Option<usize> {
    let place = match mode {
        PadMode::Constant if (0..dim).contains(&i) => i,
        PadMode::Constant => return None,
        PadMode::Edge => i.clamp(0, dim - 1),
        PadMode::Wrap => i.rem_euclid(dim),
        PadMode::Reflect if dim == 1 => 0,
        PadMode::Reflect => {
            let around = i.rem_euclid(2 * (dim - 1));
            if around < dim { around } else { 2 * (dim - 1) - around }
        }
    };
    usize::try_from(place).ok()
}

/// More, or where negative less, at the ends of dimensions.
pub fn pad(out: &mut Emitter, mode: PadMode, pads: Option<&Vec<i64>>, value: f32) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let given = match pads {
        Some(pads) => pads.clone(),
        None => out.integers_at(1)?.ok_or(Why::MissingInput { index: 1 })?,
    };
    let axes: Vec<usize> = match out.integers_at(3)? {
        Some(axes) => axes.iter().map(|&axis| index::axis(axis, dims.len())).collect::<Result<_, _>>()?,
        None => (0..dims.len()).collect(),
    };
    if (1..axes.len()).any(|i| axes[..i].contains(&axes[i])) {
        return Err(Why::Form("`axes` names a dimension twice"));
    }
    if given.len() != 2 * axes.len() {
        return Err(Why::Form("it has not two numbers of padding for each dimension"));
    }
    let mut maps: Vec<Arc<[Option<usize>]>> = dims.iter().map(|&dim| same(dim)).collect();
    let mut sizes = dims.clone();
    if given.iter().any(|pad| pad.unsigned_abs() > index::MAX_ELEMENTS as u64) {
        let why = "no more than a tensor may have";
        return Err(Why::Attribute { name: "pads", value: format!("{given:?}"), why });
    }
    for (i, &axis) in axes.iter().enumerate() {
        let (first, last) = (given[i], given[i + axes.len()]);
        let dim = i64::try_from(dims[axis]).unwrap_or(i64::MAX);
        if dim == 0 && mode != PadMode::Constant {
            return Err(Why::Shape { found: dims, wanted: "something to repeat in what is padded" });
        }
        let size = dim + first + last;
        sizes[axis] = usize::try_from(size).unwrap_or(0);
        index::elements(&sizes)?;
        bounded(&[sizes[axis]])?;
        maps[axis] = (0..size).map(|place| padded(place - first, dim, mode)).collect();
    }
    let fill = match (out.node.input(2), out.element(0)?.is_whole()) {
        (None, true) => Fill::Whole(0),
        (None, false) => Fill::Float(value),
        (Some(_), whole) => {
            let constant = out.constant_at(2).ok_or(Why::NotConstant { index: 2 })?;
            let number = constant.as_integers().and_then(|data| data.first().copied());
            match (whole, number, constant.scalar()) {
                (true, Some(number), _) => Fill::Whole(number),
                (false, _, Some(number)) => Fill::Float(number),
                _ => return Err(Why::Form("its value is not one element of its type")),
            }
        }
    };
    out.finish(Op::Pick(Map { axes: maps, fill }), &[x])
}
