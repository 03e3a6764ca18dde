//! Maxima of windows together with their places.

use std::sync::Arc;

use kernels::params::{PoolKind, WordOp};

use super::super::constant::Constant;
use super::super::error::Why;
use super::super::op::{Op, Padding, RawPool, Slide};
use super::super::shape;
use super::{Emitter, Fill, Map, movement, pool};

/// The windows beside one another, and the largest of each with its place.
pub fn max_with_places(out: &mut Emitter, of: &RawPool) -> Result<bool, Why> {
    let (x, dims) = (out.input(0)?, out.dims(0)?);
    let &[n, c, h, w] = dims.as_slice() else {
        return Err(Why::Form("places of maxima are built for images only"));
    };
    if of.kind != PoolKind::Max || out.element(0)?.is_whole() {
        return Err(Why::Form("places are built for maxima of floats"));
    }
    if out.n > 1 {
        return Err(Why::Form("places of maxima are counted through the whole batch"));
    }
    let sides = [pool::along(&of.window, 0, 2, h)?, pool::along(&of.window, 1, 2, w)?];
    let [down, across] = sides;
    let pads = Padding::Explicit([down[3], across[3], down[4], across[4]]);
    let slide = Slide { strides: [down[1], across[1]], dilations: [down[2], across[2]], pads };
    let [rows, columns] = shape::windows(&slide, [h, w], [down[0], across[0]], of.ceil)?;
    let maps = [window_map(down, rows, h)?, window_map(across, columns, w)?];
    let window = down[0] * across[0];
    movement::bounded(&[window])?;

    let [map_down, map_across] = maps;
    let axes = vec![movement::same(n), movement::same(c), map_down, map_across];
    let spread = out.emit(Op::Pick(Map { axes, fill: Fill::Float(f32::NEG_INFINITY) }), &[x])?;
    let spread = out.reshaped(spread, vec![n * c, rows, down[0], columns, across[0]])?;
    let windows = out.emit(Op::Transpose { perm: Some(vec![0, 1, 3, 2, 4]) }, &[spread])?;
    let windows = out.reshaped(windows, vec![n, c, rows, columns, window])?;
    let first = Op::TopK { axis: 4, k: Some(1), largest: true, last: false };
    let largest = out.emit_many(first, &[windows], 2)?;

    // Both parts of a place are known: where the window begins, and how far into it a tap lies.
    let (step_down, step_across) = if of.by_column { (1, h) } else { (w, 1) };
    let far = |tap: usize| whole(tap / across[0] * down[2] * step_down + tap % across[0] * across[2] * step_across);
    let table = out.constant(Constant::integers(vec![window], (0..window).map(far).collect()));
    let within = out.emit(Op::Gather { axis: 0 }, &[table, largest[1]])?;
    let within = out.reshaped(within, vec![n, c, rows, columns])?;
    let begin = |at: usize, side: [usize; 5]| whole(at * side[1]) - whole(side[3]);
    let wanted = n.saturating_mul(c).saturating_mul(rows).saturating_mul(columns);
    out.graph.check_room(size_of::<i64>().saturating_mul(wanted))?;
    let mut begins = Vec::with_capacity(wanted);
    for image in 0..n * c {
        for row in 0..rows {
            let line = whole(image * h * w) + begin(row, down) * whole(step_down);
            begins.extend((0..columns).map(|column| line + begin(column, across) * whole(step_across)));
        }
    }
    let begins = out.constant(Constant::integers(vec![n, c, rows, columns], begins));
    let places = out.node.outputs[1];
    out.put(Op::Words(WordOp::Add), &[begins, within], vec![places])?;
    out.finish(Op::Into { dims: vec![n, c, rows, columns] }, &[largest[0]])
}

fn whole(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The places of all windows along one dimension, one window after the other.
fn window_map(
    [kernel, stride, dilation, before, _]: [usize; 5],
    count: usize,
    size: usize,
) -> Result<Arc<[Option<usize>]>, Why> {
    movement::bounded(&[count, kernel])?;
    let place = |i: usize| (i / kernel * stride + i % kernel * dilation).checked_sub(before).filter(|&at| at < size);
    Ok((0..count * kernel).map(place).collect())
}
