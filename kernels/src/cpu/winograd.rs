//! Winograd convolution: a tile is a group of patches by some output blocks.

use super::conv::finish;
use super::micro::math::Clamp;
use super::micro::{Patch, Products, Simd, forward, inverse, products};
use super::{LANES, Tile, at};
use crate::params::{Winograd, blocks_of};

const WAITING: usize = Winograd::WAITING as usize;

/// Which patches and blocks a tile computes.
struct Share<'a> {
    c: &'a Winograd,
    /// First patch, and patches.
    patches: [usize; 2],
    /// The group of channels.
    group: usize,
    /// First output block, and output blocks.
    blocks: [usize; 2],
}

impl Share<'_> {
    #[inline(always)]
    fn of(c: &Winograd, index: usize) -> Share<'_> {
        // Patches within output blocks, so that rows of weights stay cached for the whole batch.
        let [along, across] = c.tiles().map(at);
        let (first, rest) = (index % along * at(c.group), index / along);
        let (split, group) = (rest % across * at(c.split), rest / across);
        let of_group = at(c.blocks_of_group());
        let all = at(c.n) * c.patches().map(at).iter().product::<usize>();
        Share {
            c,
            patches: [first, (all - first).min(at(c.group))],
            group,
            blocks: [group * of_group + split, (of_group - split).min(at(c.split))],
        }
    }

    /// The item of patch `i` of the share, and where in the output it starts: row and column.
    #[inline(always)]
    fn patch(&self, i: usize) -> [usize; 3] {
        let [down, across] = self.c.patches().map(at);
        let patch = self.patches[0] + i;
        let (row, column) = (patch / across % down, patch % across);
        [patch / (across * down), row * at(self.c.patch), column * at(self.c.patch)]
    }
}

/// One tile.
#[inline(always)]
pub(crate) fn run<S: Simd>(s: S, c: &Winograd, tile: Tile<'_>) {
    if c.patch == 2 {
        sized::<S, 4, 2>(s, c, tile);
    } else {
        sized::<S, 6, 4>(s, c, tile);
    }
}

/// One tile of patches of `O x O` places, which see `N x N`.
#[inline(always)]
fn sized<S: Simd, const N: usize, const O: usize>(s: S, c: &Winograd, mut tile: Tile<'_>) {
    let share = Share::of(c, tile.index);
    let scratch = std::mem::take(&mut tile.scratch);
    let [of_input, of_products] = c.scratch_of_point().map(at);
    let (inputs, rest) = scratch.split_at_mut(of_input * N * N);
    let waiting = &mut rest[..of_products * N * N];
    let step = at(c.group.next_multiple_of(Winograd::STEP)) * LANES;
    enter::<S, N>(s, &share, &tile, inputs, [of_input, step]);
    let rows = tile.memory.rows(&c.weights, at(c.weights_row()));
    let [first, blocks] = share.blocks;
    for done in (0..blocks).step_by(WAITING) {
        let pair = WAITING.min(blocks - done);
        for point in 0..N * N {
            let x = &inputs[point * of_input..][..of_input - LANES];
            let row = |b: usize| rows.row((first + done + b.min(pair - 1)) * N * N + point);
            let y = &mut waiting[point * of_products..][..pair * step];
            let mut work = Products { x, channels: at(c.in_channels), weights: [row(0), row(1)], step, y };
            products(s, &mut work, pair, share.patches[1]);
        }
        leave::<S, N, O>(s, &share, &tile, waiting, [done, pair], [of_products, step]);
    }
}

/// Transforms what the patches of a share see, all channels, into scratch:
/// `[point][block][patch][16]`.
#[inline(always)]
fn enter<S: Simd, const N: usize>(
    s: S,
    share: &Share<'_>,
    tile: &Tile<'_>,
    inputs: &mut [f32],
    [of_point, step]: [usize; 2],
) {
    let c = share.c;
    let (in_h, in_w) = (at(c.in_h), at(c.in_w));
    let block_len = in_h * in_w * LANES;
    let blocks = at(blocks_of(c.in_channels));
    for i in 0..share.patches[1] {
        let [item, y, x] = share.patch(i);
        let first = (item * at(c.x_blocks) + share.group * blocks) * block_len;
        let image = tile.memory.slice(&c.x, first, blocks * block_len);
        let corner = [y.wrapping_sub(at(c.pad_top)), x.wrapping_sub(at(c.pad_left))];
        let patch = Patch::<N>::new(corner, [in_h, in_w]);
        for (block, image) in image.chunks_exact(block_len).enumerate() {
            forward(s, &patch, image, &mut inputs[block * step + i * LANES..], of_point);
        }
    }
}

/// Inverse transforms of the products of `pair` output blocks from `done` on, with all that follows.
#[inline(always)]
fn leave<S: Simd, const N: usize, const O: usize>(
    s: S,
    share: &Share<'_>,
    tile: &Tile<'_>,
    waiting: &[f32],
    [done, pair]: [usize; 2],
    [of_point, step]: [usize; 2],
) {
    let c = share.c;
    let (out_h, out_w) = (at(c.out_h), at(c.out_w));
    let clamp = Clamp::of(&c.activation);
    for b in 0..pair {
        let block = share.blocks[0] + done + b;
        let bias = tile.memory.slice(&c.bias, block * LANES, LANES);
        for i in 0..share.patches[1] {
            let [item, top, left] = share.patch(i);
            let (rows, columns) = ((out_h - top).min(O), (out_w - left).min(O));
            let shape = [rows, out_w * LANES, columns * LANES];
            let start = |whole: u32| ((item * at(whole) + block) * out_h * out_w + top * out_w + left) * LANES;
            let mut y = tile.memory.target_grid(&c.y, start(c.y_blocks), shape);
            let residual =
                (c.residual_blocks > 0).then(|| tile.memory.source_grid(&c.residual, start(c.residual_blocks), shape));
            let products = &waiting[b * step + i * LANES..];
            inverse::<S, N, O>(s, [products, bias], of_point, residual, &clamp, [rows, columns], &mut y);
            for row in 0..rows {
                finish(s, &clamp, &mut y.row(row));
            }
        }
    }
}
