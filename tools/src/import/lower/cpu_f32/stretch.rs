//! Stretches: runs of launches through which a batch goes in parts, one after the other, so that what a
//! launch writes is still in the cache when the next reads it.
//!
//! Nothing here knows which dimension is the batch. A launch may be cut where each part keeps, in every
//! buffer, to its own share of the bytes: part 3 of 8 to the third eighth. In a run of such launches no
//! part touches what another touches, so they may go through it one after the other.

use std::ops::Range;

use kernels::operand::{ALIGNMENT, Operand, Space};
use kernels::params::{Access, Region};
use runtime::base::limits::MAX_LAUNCHES;

use super::step::{Step, buffer_of};
use crate::import::error::Why;

/// Ways of what is written beyond the cache: its lines are fetched, written out, and read again.
const WAYS: u64 = 3;

/// The device that a plan is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Compute threads. Several wait for one another after each launch, so they get no more launches than needed.
    pub threads: usize,
    /// What one thread finds near.
    pub cache: Cache,
}

/// What lies near a compute thread, and what it costs that something does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Bytes that a thread may touch between two uses of a byte and still finds it near.
    pub near: u64,
    /// Bytes after which nothing is found near any more.
    pub far: u64,
    /// What one more launch costs, in bytes that come from beyond the cache in that time.
    pub launch: u64,
}

impl Default for Cache {
    /// As measured on a Zen 4 with 1 MiB of second-level cache and a share of 32 MiB of third-level cache.
    fn default() -> Cache {
        Cache { near: 4 << 20, far: 16 << 20, launch: 64 << 10 }
    }
}

/// Steps that a batch goes through in so many parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The steps.
    pub steps: Range<usize>,
    /// Equal parts; 1: the whole batch at once.
    pub parts: u32,
}

/// What a step touches.
struct Touched {
    /// Bytes outside the weights.
    bytes: u64,
    /// Bytes of weights.
    weights: u64,
    /// What it reads that an earlier step touched last: bytes, and that step.
    reads: Vec<(u64, usize)>,
}

/// Cuts a plan for `items` items into stretches for which the fewest bytes come from beyond the cache.
/// `buffers` are the lengths in elements.
pub fn stretches(steps: &[Step], buffers: &[usize], items: u32, device: &Device) -> Result<Vec<Stretch>, Why> {
    let whole: Vec<Stretch> = (0..steps.len()).map(|step| Stretch { steps: step..step + 1, parts: 1 }).collect();
    let touched = touched(steps, buffers.len())?;
    let most = if device.threads > 1 { 1 } else { items };
    let powers = (1..u32::BITS).map(|power| 1 << power);
    let numbers: Vec<u32> = powers.take_while(|&parts| parts <= most && items.is_multiple_of(parts)).collect();
    let may = |parts: u32| -> Vec<bool> { steps.iter().map(|step| divides(step, parts, buffers)).collect() };
    let cuts: Vec<(u32, Vec<bool>)> = numbers.into_iter().map(|parts| (parts, may(parts))).collect();
    let mut costs = Costs::new(&touched, device);
    for first in 0..steps.len() {
        costs.follow(first, 1, |step| step == first);
        for (parts, may) in &cuts {
            costs.follow(first, *parts, |step| may[step]);
        }
    }
    let found = costs.cheapest();
    let launches = |stretch: &Stretch| stretch.steps.len().saturating_mul(stretch.parts as usize);
    Ok(if found.iter().map(launches).sum::<usize>() > MAX_LAUNCHES { whole } else { found })
}

fn touched(steps: &[Step], buffers: usize) -> Result<Vec<Touched>, Why> {
    let mut last: Vec<Option<usize>> = vec![None; buffers];
    let mut all = Vec::with_capacity(steps.len());
    for (now, step) in steps.iter().enumerate() {
        let mut touched = Touched { bytes: 0, weights: 0, reads: Vec::new() };
        let regions = step.regions()?;
        for region in &regions {
            let bytes = region.rows * region.row_bytes;
            if region.operand.space == Space::Weights as u32 {
                touched.weights += bytes;
                continue;
            }
            touched.bytes += bytes;
            let before = buffer_of(&region.operand).and_then(|buffer| last[buffer.0]);
            touched.reads.extend(before.filter(|_| region.access != Access::Write).map(|step| (bytes, step)));
        }
        for buffer in regions.iter().filter_map(|region| buffer_of(&region.operand)) {
            last[buffer.0] = Some(now);
        }
        all.push(touched);
    }
    Ok(all)
}

/// Whether each of so many parts of a step keeps to its share of every buffer.
fn divides(step: &Step, parts: u32, buffers: &[usize]) -> bool {
    (0..parts).all(|part| {
        let regions = step.part(part, parts).and_then(|part| part.regions().ok());
        regions.is_some_and(|regions| regions.iter().all(|region| keeps_to(region, part, parts, buffers)))
    })
}

fn keeps_to(region: &Region, part: u32, parts: u32, buffers: &[usize]) -> bool {
    let Some(share) = share(&region.operand, parts, buffers) else { return true };
    let first = u64::from(region.operand.offset) + region.first;
    let end = first + (region.rows - 1) * region.stride + region.row_bytes;
    let own = u64::from(part) * share..u64::from(part + 1) * share;
    share.is_multiple_of(ALIGNMENT.into()) && own.start <= first && end <= own.end
}

/// Bytes of one of so many equal parts of the buffer that an operand names; 0 if it has no such parts, none if
/// the operand names no buffer.
fn share(operand: &Operand, parts: u32, buffers: &[usize]) -> Option<u64> {
    let bytes = buffers[buffer_of(operand)?.0] as u64 * 4;
    Some(if bytes.is_multiple_of(parts.into()) { bytes / u64::from(parts) } else { 0 })
}

/// What the first steps cost at least, and how.
struct Costs<'a> {
    touched: &'a [Touched],
    device: &'a Device,
    /// Bytes that the steps before touch, for the whole batch.
    before: Vec<u64>,
    /// By number of steps: what they cost, and their last stretch.
    best: Vec<(u64, Stretch)>,
}

impl Costs<'_> {
    fn new<'a>(touched: &'a [Touched], device: &'a Device) -> Costs<'a> {
        let mut before = vec![0];
        for step in touched {
            before.push(before[before.len() - 1] + step.bytes + step.weights);
        }
        let mut best = vec![(u64::MAX, Stretch { steps: 0..0, parts: 1 }); touched.len() + 1];
        best[0].0 = 0;
        Costs { touched, device, before, best }
    }

    /// How many of `bytes` come from beyond the cache where their last use was `distance` bytes ago.
    fn beyond(&self, bytes: u64, distance: u64) -> u64 {
        let Cache { near, far, .. } = self.device.cache;
        let beyond = u128::from(distance.clamp(near, far) - near);
        u64::try_from(u128::from(bytes) * beyond / u128::from((far - near).max(1))).unwrap_or(u64::MAX)
    }

    /// Looks at the stretches of so many parts that begin with `first` and hold only steps that `may` be in one.
    fn follow(&mut self, first: usize, parts: u32, may: impl Fn(usize) -> bool) {
        let (so_far, more) = (self.best[first].0, u64::from(parts - 1));
        let (mut activations, mut weights) = (0, 0);
        // Bytes that the stretch's steps before this one touch, for one part.
        let mut inside = vec![0];
        for now in (first..self.touched.len()).take_while(|&step| may(step)) {
            let step = &self.touched[now];
            let here = inside[now - first];
            for &(bytes, since) in &step.reads {
                let distance = match since.checked_sub(first) {
                    Some(within) => here - inside[within],
                    None => self.before[now] - self.before[since],
                };
                activations += WAYS * self.beyond(bytes, distance);
            }
            weights += step.weights;
            let all = here + step.bytes / u64::from(parts) + step.weights;
            inside.push(all);
            let launches = self.device.cache.launch * (now + 1 - first) as u64;
            let cost = so_far + activations + more * (self.beyond(weights, all) + launches);
            if cost < self.best[now + 1].0 {
                self.best[now + 1] = (cost, Stretch { steps: first..now + 1, parts });
            }
        }
    }

    /// The stretches that cost the least, in order.
    fn cheapest(&self) -> Vec<Stretch> {
        let mut found = Vec::new();
        let mut end = self.touched.len();
        while end > 0 {
            let stretch = &self.best[end].1;
            end = stretch.steps.start;
            found.push(stretch.clone());
        }
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::lower::cpu_f32::step::at;
    use crate::import::lower::cpu_f32::view::BufferId;
    use bytemuck::Zeroable;
    use kernels::params::{Activation, Copy, CopySide, Gemm, Unary};

    const ITEMS: u32 = 8;

    fn device(threads: usize) -> Device {
        Device { threads, cache: Cache { near: 1 << 12, far: 1 << 14, launch: 64 } }
    }

    /// A function of a buffer's items, of `len` elements each, into the next buffer.
    fn unary(from: usize, len: u32) -> Step {
        let (x, y) = (at(BufferId(from), 0).unwrap(), at(BufferId(from + 1), 0).unwrap());
        Step::Unary(Unary { x, y, rows: ITEMS, len, x_stride: len, y_stride: len, activation: Activation::RELU })
    }

    /// A product of a buffer's items, of 16 elements each, with `columns` of weights.
    fn gemm(from: usize, columns: u32) -> Step {
        let (x, y) = (at(BufferId(from), 0).unwrap(), at(BufferId(from + 1), 0).unwrap());
        Step::Gemm(Gemm { x, y, m: ITEMS, k: 16, n: columns, x_stride: 16, y_stride: columns, ..Gemm::zeroed() })
    }

    fn cut(steps: &[Step], lens: &[u32], threads: usize) -> Vec<(usize, u32)> {
        let buffers: Vec<usize> = lens.iter().map(|&len| (ITEMS * len) as usize).collect();
        let found = stretches(steps, &buffers, ITEMS, &device(threads)).unwrap();
        assert_eq!(found.iter().flat_map(|stretch| stretch.steps.clone()).count(), steps.len());
        found.iter().map(|stretch| (stretch.steps.len(), stretch.parts)).collect()
    }

    #[test]
    fn parts_are_as_large_as_one_threads_cache_keeps() {
        let chain = |len| [unary(0, len), unary(1, len), unary(2, len)];
        assert_eq!(cut(&chain(16), &[16; 4], 1), [(1, 1); 3], "all is near");
        assert_eq!(cut(&chain(128), &[128; 4], 1), [(3, 2)]);
        assert_eq!(cut(&chain(256), &[256; 4], 1), [(3, 4)]);
        assert_eq!(cut(&chain(512), &[512; 4], 1), [(3, 8)]);
        assert_eq!(cut(&chain(512), &[512; 4], 2), [(1, 1); 3]);
    }

    #[test]
    fn weights_that_each_part_would_read_again_keep_a_launch_whole() {
        let steps = [unary(0, 512), unary(1, 512), gemm(3, 1 << 14), gemm(4, 1 << 14)];
        let lens = [512, 512, 512, 16, 1 << 14, 1 << 14];
        assert_eq!(cut(&steps, &lens, 1), [(2, 8), (1, 1), (1, 1)]);
    }

    #[test]
    fn a_launch_that_moves_the_batch_is_not_cut() {
        let transpose = |from: usize| {
            let side = |strides: &[u32]| CopySide::row_major(0, strides).unwrap();
            let (x, y) = (at(BufferId(from), 0).unwrap(), at(BufferId(from + 1), 0).unwrap());
            let dims = [1, 1, 1, 1, ITEMS, 512];
            Step::Copy(Copy { x, y, dims, from: side(&[512, 1]), to: side(&[1, ITEMS]) })
        };
        let steps = [unary(0, 512), unary(1, 512), transpose(2), unary(3, 512), unary(4, 512)];
        assert!(!divides(&transpose(2), 2, &[4096; 6]));
        assert_eq!(cut(&steps, &[512; 6], 1), [(2, 8), (1, 1), (2, 8)]);
    }
}
