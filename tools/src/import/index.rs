//! Arithmetic of shapes, axes and row-major indices.

use super::error::Why;

/// Elements that a tensor may have: as many as fit the bytes that a kernel can address.
pub const MAX_ELEMENTS: usize = 1 << 30;

/// Dimensions that a tensor may have on its way: more than any kernel takes, few enough to go through for each element.
pub const MAX_DIMENSIONS: usize = 16;

/// How many elements a tensor of shape `dims` has. Arithmetic on a shape that passes here doesn't overflow.
pub fn elements(dims: &[usize]) -> Result<usize, Why> {
    if dims.len() > MAX_DIMENSIONS {
        return Err(Why::TooLarge { what: "dimensions", found: dims.len(), limit: MAX_DIMENSIONS });
    }
    // A dimension of 0 does not excuse the others: strides are products of these alone.
    let most = dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim.max(1))).unwrap_or(usize::MAX);
    if most > MAX_ELEMENTS {
        return Err(Why::TooLarge { what: "elements", found: most, limit: MAX_ELEMENTS });
    }
    Ok(dims.iter().product())
}

/// An axis that may count from the end, as an index below `rank`.
pub fn axis(axis: i64, rank: usize) -> Result<usize, Why> {
    let wrapped = if axis < 0 { axis + i64::try_from(rank).unwrap_or(i64::MAX) } else { axis };
    let why = Why::Attribute { name: "axis", value: axis.to_string(), why: "within the rank of the tensor" };
    usize::try_from(wrapped).ok().filter(|&axis| axis < rank).ok_or(why)
}

/// An index that may count from the end, as one below `size`.
pub fn place(index: i64, size: usize) -> Result<usize, Why> {
    axis(index, size).map_err(|_| Why::Index { found: index, size })
}

/// Axes that may count from the end, ascending.
pub fn axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, Why> {
    let mut axes: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// Row-major strides, in elements.
pub fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i];
    }
    strides
}

/// For every index of `dims` in row-major order: `first` plus the sum of index times stride.
pub fn walk(dims: &[usize], strides: &[isize], first: usize) -> impl Iterator<Item = usize> + use<> {
    let total: usize = dims.iter().product();
    let (dims, strides) = (dims.to_vec(), strides.to_vec());
    (0..total).map(move |mut flat| {
        let mut at = first.cast_signed();
        for (dim, stride) in dims.iter().zip(&strides).rev() {
            at += (flat % dim).cast_signed() * stride;
            flat /= dim;
        }
        at.cast_unsigned()
    })
}

/// The shape to which two shapes broadcast.
pub fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Why> {
    let rank = left.len().max(right.len());
    let padded = |dims: &[usize]| [vec![1; rank - dims.len()], dims.to_vec()].concat();
    let pair = padded(left).into_iter().zip(padded(right));
    pair.map(|pair| match pair {
        (a, b) if a == b => Some(a),
        (1, b) => Some(b),
        (a, 1) => Some(a),
        _ => None,
    })
    .collect::<Option<Vec<usize>>>()
    .ok_or_else(|| Why::Mismatch { left: left.to_vec(), right: right.to_vec(), wanted: "equal dimensions, or 1" })
}

/// Strides of a tensor of shape `from`, seen as the shape `to` that it broadcasts to.
pub fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<isize> {
    let own = strides(from);
    let front = to.len() - from.len();
    let stride = |i: usize| if i < front || from[i - front] == 1 { 0 } else { own[i - front].cast_signed() };
    (0..to.len()).map(stride).collect()
}

/// The indices of one sliced dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// From one to the next.
    pub step: isize,
}

/// What `start..end` with `step` means for a dimension of `dim`, as ONNX clamps it.
pub fn range(dim: usize, start: i64, end: i64, step: i64) -> Result<Range, Why> {
    let size = i64::try_from(dim).unwrap_or(i64::MAX);
    if step == 0 {
        return Err(Why::Attribute { name: "steps", value: "0".to_owned(), why: "any other number" });
    }
    if dim == 0 {
        return Ok(Range { first: 0, count: 0, step: 1 });
    }
    let wrap = |n: i64| if n < 0 { n.saturating_add(size) } else { n };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let (start, end) = (wrap(start).clamp(low.max(0), high), wrap(end).clamp(low, high));
    let span = if step > 0 { end - start } else { start - end };
    let count = usize::try_from(span.max(0).cast_unsigned().div_ceil(step.unsigned_abs())).unwrap_or(0);
    // Where there is no next one, no step leads out of the dimension.
    let step = if count > 1 { isize::try_from(step).unwrap_or(isize::MAX) } else { 1 };
    Ok(Range { first: usize::try_from(start).unwrap_or(0), count, step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_clamp_as_onnx_says() {
        assert_eq!(range(5, 1, 4, 1).unwrap(), Range { first: 1, count: 3, step: 1 });
        assert_eq!(range(5, -2, i64::MAX, 1).unwrap(), Range { first: 3, count: 2, step: 1 });
        assert_eq!(range(5, -1, i64::MIN, -1).unwrap(), Range { first: 4, count: 5, step: -1 });
        assert_eq!(range(5, 0, 5, 2).unwrap(), Range { first: 0, count: 3, step: 2 });
        assert_eq!(range(5, 4, 2, 1).unwrap().count, 0);
        assert_eq!(range(0, 0, -1, -1).unwrap().count, 0);
        assert_eq!(range(5, 4, 0, i64::MIN).unwrap(), Range { first: 4, count: 1, step: 1 });
    }

    #[test]
    fn shapes_broadcast_or_are_refused() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]).unwrap(), [2, 3, 4]);
        assert!(broadcast(&[2, 3], &[4]).is_err());
        assert_eq!(broadcast_strides(&[3, 1], &[2, 3, 4]), [0, 1, 0]);
    }

    #[test]
    fn a_walk_goes_row_by_row() {
        assert_eq!(walk(&[2, 3], &[1, 2], 0).collect::<Vec<_>>(), [0, 2, 4, 1, 3, 5]);
        assert_eq!(walk(&[3], &[-1], 2).collect::<Vec<_>>(), [2, 1, 0]);
    }
}
