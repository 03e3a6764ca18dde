//! Convolutions.

use super::harness::{Machine, block, largest, noise, same, sets, unblock, within};
use crate::image::InstructionSet;
use crate::layout;
use crate::params::{Activation, ActivationKind, Conv, Window, blocks_of};
use bytemuck::Zeroable;
use proptest::prelude::*;

/// The shape of a test.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) n: u32,
    pub(super) groups: u32,
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) size: [u32; 2],
    pub(super) window: Window,
    /// Blocks that the tensors hold beside the views.
    pub(super) spare: u32,
    pub(super) residual: bool,
    pub(super) activation: Activation,
    pub(super) rows_per_page: u32,
    /// The input lies row by row.
    pub(super) planar: bool,
}

/// The number of output places along one side.
fn out(size: u32, kernel: u32, stride: u32, dilation: u32, pad: u32) -> Option<u32> {
    Some((size + 2 * pad).checked_sub(dilation * (kernel - 1) + 1)? / stride + 1)
}

impl Shape {
    pub(super) fn out_size(&self) -> Option<[u32; 2]> {
        let (w, [h, wide]) = (&self.window, self.size);
        Some([
            out(h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top)?,
            out(wide, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left)?,
        ])
    }

    /// The block of the convolution, all images blocked, without operands.
    pub(super) fn block(&self) -> Conv {
        let [out_h, out_w] = self.out_size().unwrap();
        Conv {
            n: self.n,
            in_channels: self.input,
            out_channels: self.output,
            groups: self.groups,
            in_h: self.size[0],
            in_w: self.size[1],
            out_h,
            out_w,
            window: self.window,
            x_blocks: blocks_of(self.input * self.groups) + self.spare,
            y_blocks: blocks_of(self.output) + self.spare,
            activation: self.activation,
            ..Conv::zeroed()
        }
    }

    pub(super) fn data(&self) -> [Vec<f32>; 4] {
        let [oh, ow] = self.out_size().unwrap();
        let x = self.n * self.input * self.groups * self.size[0] * self.size[1];
        let w = self.output * self.input * self.window.taps();
        let y = self.n * self.output * oh * ow;
        [noise(1, x as usize), noise(2, w as usize), noise(3, self.output as usize), noise(4, y as usize)]
    }
}

/// Runs one convolution; the items of the batch are those of `x` and `residual`.
fn run(set: InstructionSet, shape: &Shape, [x, w, bias, residual]: [&[f32]; 4]) -> Vec<f32> {
    let [oh, ow] = shape.out_size().unwrap();
    let channels = shape.input * shape.groups;
    let of = |c: u32, hw: u32| [shape.n, c, hw, blocks_of(c) + shape.spare].map(|d| d as usize);
    let (in_shape, out_shape) = (of(channels, shape.size[0] * shape.size[1]), of(shape.output, oh * ow));
    let mut m = Machine::new();
    let mut conv = shape.block();
    if shape.planar {
        (conv.x, conv.x_blocks) = (m.place(x), 0);
    } else {
        conv.x = m.place(&block(x, in_shape));
    }
    let packed = layout::conv(w, conv.grouping(), shape.window.taps());
    conv.weights = m.weights(&packed, shape.rows_per_page);
    conv.bias = m.weights(&layout::vector(bias), 1);
    if shape.residual {
        // Worked in place: the sum is written where the residual lay.
        conv.residual_blocks = conv.y_blocks;
        conv.residual = m.place(&block(residual, out_shape));
        conv.y = conv.residual;
    } else {
        conv.y = m.room(out_shape[0] * out_shape[3] * out_shape[2] * 16);
    }
    m.run(set, &conv);
    unblock(&m.read(conv.y, out_shape[0] * out_shape[3] * out_shape[2] * 16), out_shape)
}

/// Plain loops in `f64`.
pub(super) fn reference(shape: &Shape, [x, w, bias, residual]: [&[f32]; 4]) -> Vec<f64> {
    let [oh, ow] = shape.out_size().unwrap();
    let win = &shape.window;
    let of_group = shape.output / shape.groups;
    let mut y = Vec::new();
    for i in 0..shape.n * shape.output * oh * ow {
        let (item, o, oy, ox) = (i / (ow * oh * shape.output), i / (ow * oh) % shape.output, i / ow % oh, i % ow);
        let mut sum = f64::from(bias[o as usize]);
        for c in 0..shape.input {
            for tap in 0..win.taps() {
                let (ky, kx) = (tap / win.kernel_w, tap % win.kernel_w);
                let iy = (oy * win.stride_h + ky * win.dilation_h).wrapping_sub(win.pad_top);
                let ix = (ox * win.stride_w + kx * win.dilation_w).wrapping_sub(win.pad_left);
                if iy < shape.size[0] && ix < shape.size[1] {
                    let channel = o / of_group * shape.input + c;
                    let place =
                        ((item * shape.input * shape.groups + channel) * shape.size[0] + iy) * shape.size[1] + ix;
                    let weight = (o * shape.input + c) * win.taps() + tap;
                    sum += f64::from(x[place as usize]) * f64::from(w[weight as usize]);
                }
            }
        }
        if shape.residual {
            sum += f64::from(residual[i as usize]);
        }
        y.push(super::harness::activation(&shape.activation, sum));
    }
    y
}

fn windows() -> impl Strategy<Value = Window> {
    (1u32..=5, 1u32..=5, 1u32..=3, 1u32..=3, 1u32..=2, 1u32..=2, 0u32..=3, 0u32..=3).prop_map(
        |(kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left)| Window {
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
        },
    )
}

pub(super) fn activations() -> impl Strategy<Value = Activation> {
    prop::sample::select(vec![
        Activation::NONE,
        Activation::RELU,
        Activation::new(ActivationKind::Clip, -0.5, 0.75),
        Activation::HARD_SWISH,
        Activation::new(ActivationKind::Sigmoid, 0.0, 0.0),
    ])
}

/// Groups, and whether they are whole channel blocks.
fn groupings() -> impl Strategy<Value = (u32, bool)> {
    prop_oneof![Just((1, false)), (2u32..=3, any::<bool>()), (4u32..=5, Just(false)), (9u32..=20, Just(false))]
}

prop_compose! {
    fn shapes()(
        n in 1u32..=3, input in 1u32..=37, output in 1u32..=50, h in 1u32..=9, w in 1u32..=15,
        window in windows(), pointwise in any::<bool>(), spare in 0u32..=2, residual in any::<bool>(),
        activation in activations(), (groups, whole) in groupings(), rows_per_page in 1u32..=3,
        planar in any::<bool>(),
    ) -> Shape {
        let window = if pointwise { Window::square(1, window.stride_h, 0) } else { window };
        let (input, output) = if groups > 8 { (input.div_ceil(8), output.div_ceil(16)) } else { (input, output) };
        let (input, output) = if whole { (input.div_ceil(16) * 16, output.div_ceil(16) * 16) } else { (input, output) };
        let output = output * groups;
        let planar = planar && groups == 1;
        let input = if planar { input.min(16) } else { input };
        Shape { n, groups, input, output, size: [h, w], window, spare, residual, activation, rows_per_page, planar }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn conv_is_right(shape in shapes().prop_filter("fits", |s| s.out_size().is_some())) {
        let data = shape.data();
        let data = [&data[0][..], &data[1], &data[2], &data[3]];
        // Sums are rounded where they are largest, before an activation makes them small.
        let sums = reference(&Shape { activation: Activation::NONE, ..shape.clone() }, data);
        let reference = reference(&shape, data);
        for set in sets() {
            within(&run(set, &shape, data), &reference, 1e-5 * largest(&sums));
        }
    }

    #[test]
    fn conv_of_a_batch_is_that_of_its_items(shape in shapes().prop_filter("fits", |s| s.out_size().is_some())) {
        let [x, w, bias, residual] = shape.data();
        let one = Shape { n: 1, ..shape.clone() };
        let n = shape.n as usize;
        for set in sets() {
            let all = run(set, &shape, [&x, &w, &bias, &residual]);
            let items: Vec<f32> = (0..n)
                .flat_map(|i| {
                    let part = |v: &[f32]| v[v.len() / n * i..][..v.len() / n].to_vec();
                    run(set, &one, [&part(&x), &w, &bias, &part(&residual)])
                })
                .collect();
            same(&all, &items);
        }
    }
}
