//! Picks by indices that are known.

use std::sync::Arc;

use super::super::error::Why;
use super::super::index;
use super::super::op::Op;
use super::{Emitter, Fill, Map, movement};

/// With several known indices a map; one is a slice, and what is unknown picks at run time.
pub fn gather(out: &mut Emitter, axis: i64) -> Result<bool, Why> {
    let dims = out.dims(0)?;
    let axis = index::axis(axis, dims.len())?;
    let Some(indices) = out.constant_at(1) else { return Ok(false) };
    let Some(picked) = indices.as_integers() else {
        return Err(Why::Type { found: indices.element.number(), wanted: "indices are whole numbers" });
    };
    let places: Vec<usize> = picked.iter().map(|&i| index::place(i, dims[axis])).collect::<Result<_, _>>()?;
    if out.constant_at(0).is_some() || places.is_empty() {
        return Ok(false);
    }
    let x = out.input(0)?;
    let shape = [&dims[..axis], &indices.dims, &dims[axis + 1..]].concat();
    index::elements(&shape)?;
    let fits = dims.iter().chain([&places.len()]).all(|&dim| movement::bounded(&[dim]).is_ok());
    if places.len() == 1 || !fits {
        return Ok(false);
    }
    let mut axes: Vec<Arc<[Option<usize>]>> = dims.iter().map(|&dim| movement::same(dim)).collect();
    axes[axis] = places.into_iter().map(Some).collect();
    let fill = if out.element(0)?.is_whole() { Fill::Whole(0) } else { Fill::Float(0.0) };
    let picked = out.emit(Op::Pick(Map { axes, fill }), &[x])?;
    out.finish(Op::Into { dims: shape }, &[picked])
}
