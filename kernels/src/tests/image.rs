//! Depthwise convolution, pools, and the way in and out.

use super::harness::{Machine, activation, block, close, noise, same, sets, unblock};
use crate::image::InstructionSet;
use crate::launch::Kernel;
use crate::layout;
use crate::operand::{Operand, Space};
use crate::params::{Activation, Depthwise, Enter, GlobalPool, Leave, Pool, PoolKind, Window, blocks_of};
use bytemuck::Zeroable;
use proptest::prelude::*;

/// Items, channels, height and width.
type Size = [u32; 4];

fn out_side(size: u32, kernel: u32, stride: u32, dilation: u32, pad: u32) -> u32 {
    (size + 2 * pad).saturating_sub(dilation * (kernel - 1) + 1) / stride + 1
}

fn out_sides([_, _, h, w]: Size, win: &Window) -> [u32; 2] {
    [
        out_side(h, win.kernel_h, win.stride_h, win.dilation_h, win.pad_top),
        out_side(w, win.kernel_w, win.stride_w, win.dilation_w, win.pad_left),
    ]
}

/// The image places of each tap of one output pixel, none in the padding.
fn taps([_, _, h, w]: Size, win: &Window, [oy, ox]: [u32; 2]) -> Vec<Option<usize>> {
    (0..win.taps())
        .map(|tap| {
            let y = (oy * win.stride_h + tap / win.kernel_w * win.dilation_h).wrapping_sub(win.pad_top);
            let x = (ox * win.stride_w + tap % win.kernel_w * win.dilation_w).wrapping_sub(win.pad_left);
            (y < h && x < w).then(|| (y * w + x) as usize)
        })
        .collect()
}

/// For each output of a window that slides over each channel: the channel, its image, its taps.
fn each_output(size: Size, win: &Window, x: &[f32], f: impl Fn(usize, &[f32], &[Option<usize>]) -> f64) -> Vec<f64> {
    let [oh, ow] = out_sides(size, win);
    let hw = (size[2] * size[3]) as usize;
    let mut y = Vec::new();
    for (plane, image) in x.chunks(hw).enumerate() {
        for o in 0..oh * ow {
            y.push(f(plane % size[1] as usize, image, &taps(size, win, [o / ow, o % ow])));
        }
    }
    y
}

fn dims([n, c, ..]: Size, hw: u32, whole: u32) -> [usize; 4] {
    [n, c, hw, whole].map(|d| d as usize)
}

fn depthwise(set: InstructionSet, size: Size, win: &Window, act: Activation, data: [&[f32]; 3]) -> Vec<f32> {
    let [n, channels, in_h, in_w] = size;
    let [out_h, out_w] = out_sides(size, win);
    let (x_blocks, y_blocks) = (blocks_of(channels) + 1, blocks_of(channels));
    let mut m = Machine::new();
    let x = m.place(&block(data[0], dims(size, in_h * in_w, x_blocks)));
    let weights = m.weights(&layout::depthwise(data[1], channels, win.taps()), 1);
    let bias = m.weights(&layout::vector(data[2]), 1);
    let out = dims(size, out_h * out_w, y_blocks);
    let y = m.room(out[0] * out[3] * out[2] * 16);
    let kernel = Depthwise {
        x,
        weights,
        bias,
        y,
        n,
        channels,
        in_h,
        in_w,
        out_h,
        out_w,
        window: *win,
        x_blocks,
        y_blocks,
        activation: act,
    };
    m.run(set, &kernel);
    unblock(&m.read(y, out[0] * out[3] * out[2] * 16), out)
}

fn pool(set: InstructionSet, size: Size, win: &Window, kind: PoolKind, x: &[f32]) -> Vec<f32> {
    let [n, channels, in_h, in_w] = size;
    let [out_h, out_w] = out_sides(size, win);
    let (x_blocks, y_blocks) = (blocks_of(channels), blocks_of(channels) + 2);
    let mut m = Machine::new();
    let x = m.place(&block(x, dims(size, in_h * in_w, x_blocks)));
    let out = dims(size, out_h * out_w, y_blocks);
    let y = m.room(out[0] * out[3] * out[2] * 16);
    let kind = kind as u32;
    m.run(set, &Pool { x, y, n, channels, in_h, in_w, out_h, out_w, window: *win, x_blocks, y_blocks, kind });
    unblock(&m.read(y, out[0] * out[3] * out[2] * 16), out)
}

/// Windows of any kind, and as often those whose taps kernels know.
fn windows() -> impl Strategy<Value = Window> {
    prop_oneof![any_windows(), known_windows()]
}

fn known_windows() -> impl Strategy<Value = Window> {
    (prop::sample::select(vec![3, 5]), 1u32..=2, 0u32..=2)
        .prop_map(|(size, stride, pad)| Window::square(size, stride, pad))
}

fn any_windows() -> impl Strategy<Value = Window> {
    let two = |range: std::ops::RangeInclusive<u32>| (range.clone(), range);
    (two(1..=5), two(1..=3), two(1..=2), two(0..=2)).prop_map(|(kernel, stride, dilation, pad)| Window {
        kernel_h: kernel.0,
        kernel_w: kernel.1,
        stride_h: stride.0,
        stride_w: stride.1,
        dilation_h: dilation.0,
        dilation_w: dilation.1,
        pad_top: pad.0,
        pad_left: pad.1,
    })
}

fn sizes() -> impl Strategy<Value = Size> {
    (1u32..=3, 1u32..=35, 9u32..=14, 9u32..=17).prop_map(|(n, c, h, w)| [n, c, h, w])
}

fn volume(size: Size) -> usize {
    size.iter().product::<u32>() as usize
}

/// The items of a batch, each run by itself.
fn one_by_one(size: Size, x: &[f32], run: impl Fn(Size, &[f32]) -> Vec<f32>) -> Vec<f32> {
    let [n, c, h, w] = size;
    x.chunks(x.len() / n as usize).flat_map(|item| run([1, c, h, w], item)).collect()
}

fn depthwise_against_reference(size: Size, win: &Window, act: Activation) {
    let (x, bias) = (noise(1, volume(size)), noise(3, size[1] as usize));
    let taps = win.taps() as usize;
    let w = noise(2, size[1] as usize * taps);
    let reference = each_output(size, win, &x, |c, image, places| {
        let products = places.iter().zip(&w[c * taps..]);
        let sum = products.filter_map(|(p, w)| Some(f64::from(image[(*p)?]) * f64::from(*w)));
        activation(&act, f64::from(bias[c]) + sum.sum::<f64>())
    });
    for set in sets() {
        let y = depthwise(set, size, win, act, [&x, &w, &bias]);
        close(&y, &reference, 1e-5);
        same(&y, &one_by_one(size, &x, |size, x| depthwise(set, size, win, act, [x, &w, &bias])));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn depthwise_is_right(size in sizes(), win in windows(), swish in any::<bool>()) {
        let act = if swish { Activation::HARD_SWISH } else { Activation::RELU6 };
        depthwise_against_reference(size, &win, act);
    }

    #[test]
    fn depthwise_of_large_images_is_right(h in 36u32..=44, w in 36u32..=44, win in windows()) {
        depthwise_against_reference([2, 3, h, w], &win, Activation::RELU6);
    }

    #[test]
    fn pools_are_right(size in sizes(), win in windows()) {
        // A window must meet the image.
        let win = Window {
            pad_top: win.pad_top.min((win.kernel_h - 1) / 2),
            pad_left: win.pad_left.min((win.kernel_w - 1) / 2),
            ..win
        };
        let x = noise(1, volume(size));
        for kind in [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding] {
            let reference = each_output(size, &win, &x, |_, image, places| {
                let values = places.iter().filter_map(|p| Some(f64::from(image[(*p)?])));
                match kind {
                    PoolKind::Max => values.fold(f64::NEG_INFINITY, f64::max),
                    PoolKind::Average => values.clone().sum::<f64>() / values.count() as f64,
                    PoolKind::AverageWithPadding => values.sum::<f64>() / places.len() as f64,
                }
            });
            for set in sets() {
                let y = pool(set, size, &win, kind, &x);
                close(&y, &reference, 1e-6);
                same(&y, &one_by_one(size, &x, |size, x| pool(set, size, &win, kind, x)));
            }
        }
    }

    #[test]
    fn global_pools_are_right(size in sizes()) {
        let [n, channels, h, w] = size;
        let (hw, x) = (h * w, noise(1, volume(size)));
        for kind in [PoolKind::Max, PoolKind::Average] {
            let reference: Vec<f64> = x.chunks(hw as usize).map(|image| {
                let values = image.iter().map(|v| f64::from(*v));
                if kind == PoolKind::Max { values.fold(f64::NEG_INFINITY, f64::max) } else { values.sum::<f64>() / f64::from(hw) }
            }).collect();
            for set in sets() {
                let (x_blocks, y_blocks) = (blocks_of(channels) + 1, blocks_of(channels));
                let mut m = Machine::new();
                let from = m.place(&block(&x, dims(size, hw, x_blocks)));
                let y = m.room((n * y_blocks * 16) as usize);
                m.run(set, &GlobalPool { x: from, y, n, channels, hw, x_blocks, y_blocks, kind: kind as u32 });
                close(&unblock(&m.read(y, (n * y_blocks * 16) as usize), dims(size, 1, y_blocks)), &reference, 1e-6);
            }
        }
    }

    #[test]
    fn what_enters_leaves(size in sizes(), blocked in any::<bool>()) {
        let [n, channels, h, w] = size;
        let (hw, blocks) = (h * w, if blocked { blocks_of(channels) + 1 } else { 0 });
        let areas = |space| Operand { space: space as u32, page: 0, offset: 64, rows_per_page: 1 };
        for set in sets() {
            let mut m = Machine::new();
            for item in 0..n {
                m.inputs.push([vec![f32::NAN; 16], noise(u64::from(item), (channels * hw) as usize)].concat());
                m.outputs.push(vec![0.0; 16 + (channels * hw) as usize]);
            }
            let len = if blocked { n * blocks * hw * 16 } else { n * channels * hw };
            let y = m.room(len as usize);
            run(&mut m, set, &Enter { x: areas(Space::Input), y, n, channels, hw, blocks });
            if blocked {
                let whole = m.read(y, len as usize);
                same(&unblock(&whole, dims(size, hw, blocks)), &m.inputs.iter().flat_map(|i| i[16..].to_vec()).collect::<Vec<_>>());
            }
            run(&mut m, set, &Leave { x: y, y: areas(Space::Output), n, channels, hw, blocks });
            for (input, output) in m.inputs.iter().zip(&m.outputs) {
                same(&input[16..], &output[16..]);
                prop_assert!(output[..16].iter().all(|v| *v == 0.0));
            }
        }
    }
}

fn run(m: &mut Machine, set: InstructionSet, kernel: &impl Kernel) {
    m.run(set, kernel);
}

/// The places that a strided window passes over may hold anything.
#[test]
fn a_pool_with_a_stride_beyond_its_window_skips_places() {
    let x: Vec<f32> = (0..36u8).map(f32::from).collect();
    let win = Window { stride_h: 3, stride_w: 3, ..Window::square(1, 1, 0) };
    for set in sets() {
        same(&pool(set, [1, 1, 6, 6], &win, PoolKind::Max, &x), &[0.0, 3.0, 18.0, 21.0]);
    }
    assert_eq!(GlobalPool::zeroed().kind, PoolKind::Max as u32);
}
