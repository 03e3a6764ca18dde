//! How the elements of a value lie in a buffer of the workspace.

use kernels::params::{CopySide, LANES, RANK};

use crate::import::error::Why;
use crate::import::index;
use crate::import::page::number;

/// Elements of one channel block.
const LANE: usize = LANES as usize;

/// One buffer of the workspace, by its number in the plan under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferId(pub usize);

/// A value's place: element `i` lies at `first + sum of i[d] * strides[d]`, plus, with channel
/// `c = first_channel + sum of i[d] * channels[d]`, at `c / 16 * block_stride + c % 16`.
///
/// Row-major tensors, blocked images, and transposes, slices and squeezes of both have this form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The buffer.
    pub buffer: BufferId,
    /// The value's shape.
    pub dims: Vec<usize>,
    /// First element.
    pub first: usize,
    /// Elements from index to index, channels apart.
    pub strides: Vec<usize>,
    /// First channel.
    pub first_channel: usize,
    /// Channels from index to index.
    pub channels: Vec<usize>,
    /// Elements from one channel block to the next; 0 where channels are all 0.
    pub block_stride: usize,
}

/// A blocked image within a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// First element of the view in the buffer, a multiple of 16.
    pub first: usize,
    /// Items, channels, height, width.
    pub dims: [usize; 4],
    /// Channel blocks of the tensor that holds the view.
    pub whole: usize,
}

/// Channel blocks that hold `channels`.
pub fn blocks_of(channels: usize) -> usize {
    channels.div_ceil(LANE)
}

impl View {
    /// A row-major tensor that fills a buffer.
    pub fn row_major(buffer: BufferId, dims: &[usize]) -> View {
        let rank = dims.len();
        View {
            buffer,
            dims: dims.to_vec(),
            first: 0,
            strides: index::strides(dims),
            first_channel: 0,
            channels: vec![0; rank],
            block_stride: 0,
        }
    }

    /// A blocked image from channel `first_channel` of a buffer of `whole` blocks.
    pub fn blocked(buffer: BufferId, dims: [usize; 4], whole: usize, first_channel: usize) -> View {
        let [_, _, h, w] = dims;
        View {
            buffer,
            dims: dims.to_vec(),
            first: 0,
            strides: vec![whole * h * w * LANE, 0, w * LANE, LANE],
            first_channel,
            channels: vec![0, 1, 0, 0],
            block_stride: h * w * LANE,
        }
    }

    /// The view as a blocked image, if kernels can take it as one.
    pub fn as_blocked(&self) -> Option<Blocked> {
        let dims = <[usize; 4]>::try_from(self.dims.as_slice()).ok()?;
        let [n, c, h, w] = dims;
        let place = h * w * LANE;
        let along = |i: usize, stride: usize| self.dims[i] == 1 || self.strides[i] == stride;
        let shaped = self.channels == [0, 1, 0, 0]
            && self.block_stride == place
            && (self.strides[1] == 0 || c == 1)
            && along(2, w * LANE)
            && along(3, LANE);
        let whole = if n == 1 { blocks_of(c) } else { self.strides[0] / place.max(1) };
        let first = self.first + self.first_channel / LANE * self.block_stride;
        let aligned = self.first_channel.is_multiple_of(LANE) && first.is_multiple_of(LANE);
        let held = n == 1 || (self.strides[0].is_multiple_of(place) && whole >= blocks_of(c));
        (shaped && aligned && held).then_some(Blocked { first, dims, whole })
    }

    /// The same place without channels, if blocks don't come into it.
    pub fn as_linear(&self) -> Option<View> {
        let last = self.first_channel
            + self.dims.iter().zip(&self.channels).map(|(dim, step)| (dim - 1) * step).sum::<usize>();
        let plain = self.channels.iter().all(|&step| step == 0) && self.first_channel == 0;
        if !plain && self.block_stride != LANE && last >= LANE {
            return None;
        }
        let mut linear = self.clone();
        linear.first += self.first_channel;
        linear.strides.iter_mut().zip(&self.channels).for_each(|(stride, step)| *stride += step);
        linear.first_channel = 0;
        linear.channels.fill(0);
        linear.block_stride = 0;
        Some(linear)
    }

    /// Whether elements follow one another in row-major order without gaps, from an aligned one on.
    pub fn is_contiguous(&self) -> bool {
        let Some(linear) = self.as_linear() else { return false };
        let dense = index::strides(&self.dims);
        let same = (0..self.dims.len()).all(|i| self.dims[i] == 1 || linear.strides[i] == dense[i]);
        same && linear.first % LANE == 0
    }

    /// The view with its dimensions in another order.
    pub fn transposed(&self, order: &[usize]) -> View {
        let pick = |from: &[usize]| order.iter().map(|&i| from[i]).collect();
        View { dims: pick(&self.dims), strides: pick(&self.strides), channels: pick(&self.channels), ..self.clone() }
    }

    /// A part of the view.
    pub fn sliced(&self, ranges: &[index::Range]) -> Option<View> {
        let mut part = self.clone();
        for (i, range) in ranges.iter().enumerate() {
            let step = usize::try_from(range.step).ok()?;
            part.first += range.first * self.strides[i];
            part.first_channel += range.first * self.channels[i];
            part.strides[i] *= step;
            part.channels[i] *= step;
            part.dims[i] = range.count;
        }
        Some(part)
    }

    /// A view without channels, repeated along dimensions to the shape that it broadcasts to.
    pub fn broadcast(&self, dims: &[usize]) -> View {
        let front = dims.len() - self.dims.len();
        let stride = |i: usize| if i < front || self.dims[i - front] == 1 { 0 } else { self.strides[i - front] };
        let strides = (0..dims.len()).map(stride).collect();
        View { dims: dims.to_vec(), strides, channels: vec![0; dims.len()], ..self.clone() }
    }

    /// The same elements in another shape, if no element has to move.
    pub fn reshaped(&self, dims: &[usize]) -> Option<View> {
        let kept = |dims: &[usize]| (0..dims.len()).filter(|&i| dims[i] != 1).collect::<Vec<usize>>();
        let (from, to) = (kept(&self.dims), kept(dims));
        let same = from.len() == to.len() && from.iter().zip(&to).all(|(&a, &b)| self.dims[a] == dims[b]);
        if same {
            let mut view = View { dims: dims.to_vec(), ..self.clone() };
            view.strides = vec![0; dims.len()];
            view.channels = vec![0; dims.len()];
            for (&a, &b) in from.iter().zip(&to) {
                view.strides[b] = self.strides[a];
                view.channels[b] = self.channels[a];
            }
            return Some(view);
        }
        if let Some(view) = self.split(dims) {
            return Some(view);
        }
        let linear = self.as_linear()?;
        let strides = regrouped(&self.dims, &linear.strides, dims)?;
        Some(View { dims: dims.to_vec(), strides, channels: vec![0; dims.len()], ..linear })
    }

    /// The view with each of its dimensions as one or several of `dims`, channels too.
    fn split(&self, dims: &[usize]) -> Option<View> {
        let mut view = View { dims: dims.to_vec(), ..self.clone() };
        view.strides = vec![0; dims.len()];
        view.channels = vec![0; dims.len()];
        let mut end = dims.len();
        for (i, &whole) in self.dims.iter().enumerate().rev() {
            let mut covered = 1;
            while covered != whole {
                end = end.checked_sub(1)?;
                (view.strides[end], view.channels[end]) = (self.strides[i] * covered, self.channels[i] * covered);
                covered *= dims[end];
                if covered == 0 || whole % covered != 0 {
                    return None;
                }
            }
        }
        dims[..end].iter().all(|&dim| dim == 1).then_some(view)
    }

    /// The view as one side of a copy.
    pub fn copy_side(&self) -> Result<CopySide, Why> {
        if self.channels.iter().all(|&step| step == 0) && self.first_channel > 0 {
            // A single channel of a blocked image: its place is an element like any other.
            let first = self.first + self.first_channel / LANE * self.block_stride + self.first_channel % LANE;
            return View { first, first_channel: 0, block_stride: 0, ..self.clone() }.copy_side();
        }
        let front = RANK.checked_sub(self.dims.len()).ok_or(Why::TooLarge {
            what: "dimensions",
            found: self.dims.len(),
            limit: RANK,
        })?;
        let padded = |from: &[usize]| {
            let mut out = [0; RANK];
            for (slot, &n) in out[front..].iter_mut().zip(from) {
                *slot = number(n, "elements")?;
            }
            Ok::<_, Why>(out)
        };
        Ok(CopySide {
            first: number(self.first, "elements")?,
            strides: padded(&self.strides)?,
            first_channel: number(self.first_channel, "channels")?,
            channels: padded(&self.channels)?,
            block_stride: number(self.block_stride, "elements")?,
        })
    }
}

/// Strides of `to` over the elements that `from` reaches with `strides`, if there are such.
fn regrouped(from: &[usize], strides: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let old: Vec<(usize, usize)> = from.iter().copied().zip(strides.iter().copied()).filter(|&(d, _)| d != 1).collect();
    let mut out = vec![0; to.len()];
    let (mut i, mut j) = (0, 0);
    while j < to.len() {
        if to[j] == 1 {
            j += 1;
            continue;
        }
        // The shortest runs of old and of new dimensions with the same product.
        let (begin, start) = (i, j);
        let (mut old_size, mut new_size) = (old.get(i)?.0, to[j]);
        while old_size != new_size {
            if old_size < new_size {
                i += 1;
                old_size *= old.get(i)?.0;
            } else {
                j += 1;
                new_size *= to.get(j)?;
            }
        }
        let dense = old[begin..=i].windows(2).all(|pair| pair[0].1 == pair[1].0 * pair[1].1);
        if !dense {
            return None;
        }
        let mut stride = old[i].1;
        for k in (start..=j).rev() {
            out[k] = stride;
            stride *= to[k];
        }
        (i, j) = (i + 1, j + 1);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFER: BufferId = BufferId(0);

    #[test]
    fn a_blocked_image_of_one_place_is_row_major_too() {
        let view = View::blocked(BUFFER, [2, 1000, 1, 1], 63, 0);
        assert_eq!(view.as_blocked().unwrap().whole, 63);
        let matrix = view.reshaped(&[2, 1000]).unwrap().as_linear().unwrap();
        assert_eq!(matrix.strides, [1008, 1]);
        assert!(!matrix.is_contiguous());
        assert_eq!(View::blocked(BUFFER, [2, 64, 3, 3], 4, 0).as_linear(), None);
    }

    #[test]
    fn a_view_at_a_block_is_blocked_and_at_a_lane_is_not() {
        let whole = View::blocked(BUFFER, [2, 64, 3, 3], 4, 0);
        let part = |first, count| {
            let all = [2, 64, 3, 3].map(|count| index::Range { first: 0, count, step: 1 });
            let ranges = [all[0], index::Range { first, count, step: 1 }, all[2], all[3]];
            whole.sliced(&ranges).unwrap().as_blocked()
        };
        assert_eq!(part(16, 32), Some(Blocked { first: 16 * 9, dims: [2, 32, 3, 3], whole: 4 }));
        assert_eq!(part(8, 16), None);
    }

    #[test]
    fn channels_split_into_groups() {
        let view = View::blocked(BUFFER, [2, 136, 3, 5], 9, 0);
        let groups = view.reshaped(&[2, 4, 34, 3, 5]).unwrap();
        assert_eq!((groups.channels, groups.strides), (vec![0, 34, 1, 0, 0], vec![9 * 240, 0, 0, 80, 16]));
        assert_eq!(view.reshaped(&[2, 3, 45, 3, 5]), None);
        let shuffled = view.reshaped(&[2, 4, 34, 3, 5]).unwrap().transposed(&[0, 2, 1, 3, 4]);
        assert_eq!(shuffled.reshaped(&[2, 136, 3, 5]), None);
    }

    #[test]
    fn dimensions_split_and_merge_where_elements_lie_so() {
        let view = View::row_major(BUFFER, &[4, 40, 360]);
        let heads = view.reshaped(&[4, 40, 3, 8, 15]).unwrap();
        assert_eq!(heads.strides, [14400, 360, 120, 15, 1]);
        let swapped = heads.transposed(&[2, 0, 3, 1, 4]);
        assert_eq!(swapped.strides, [120, 14400, 15, 360, 1]);
        assert_eq!(swapped.reshaped(&[3, 4, 8, 600]), None);
        assert_eq!(swapped.reshaped(&[3, 4, 1, 8, 40, 15]).unwrap().strides, [120, 14400, 0, 15, 360, 1]);
    }
}
