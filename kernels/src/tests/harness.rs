//! A machine that runs one kernel on the cpu driver, and sees to it that the kernel keeps to its
//! footprint.

use super::device::Device;
use crate::image::InstructionSet;
use crate::launch::{CheckedPlan, Kernel, Launch, Spaces, Standing};
use crate::layout::Packed;
use crate::operand::{Binding, Operand, Space};
use crate::params::{Access, Activation, ActivationKind, LANES};
use bytemuck::Zeroable;
use sys::cuda::DeviceLease;

/// Elements between tensors of the workspace: nobody may touch them.
const GAP: usize = 64;

/// The memory of one launch. What no test wrote is NaN, so whoever reads it betrays itself.
pub(super) struct Machine {
    pub(super) workspace: Vec<f32>,
    pub(super) pages: Vec<Vec<f32>>,
    pub(super) inputs: Vec<Vec<f32>>,
    pub(super) outputs: Vec<Vec<f32>>,
}

impl Machine {
    pub(super) fn new() -> Machine {
        Machine { workspace: vec![f32::NAN; GAP], pages: Vec::new(), inputs: Vec::new(), outputs: Vec::new() }
    }

    /// Puts `values` into the workspace.
    pub(super) fn place(&mut self, values: &[f32]) -> Operand {
        let offset = self.workspace.len().next_multiple_of(LANES as usize);
        self.workspace.resize(offset, f32::NAN);
        self.workspace.extend_from_slice(values);
        self.workspace.resize(self.workspace.len() + GAP, f32::NAN);
        Operand::contiguous(Space::Workspace, 0, u32::try_from(offset * 4).unwrap())
    }

    /// Room for `len` elements in the workspace.
    pub(super) fn room(&mut self, len: usize) -> Operand {
        self.place(&vec![f32::NAN; len])
    }

    /// Packs weights into pages of `rows_per_page` rows.
    pub(super) fn weights(&mut self, packed: &Packed, rows_per_page: u32) -> Operand {
        let page = u32::try_from(self.pages.len()).unwrap();
        let row = packed.row_bytes as usize / 4;
        for rows in packed.data.chunks(row * rows_per_page as usize) {
            let mut values = vec![f32::NAN; GAP];
            values.extend_from_slice(rows);
            values.resize(values.len() + GAP, f32::NAN);
            self.pages.push(values);
        }
        let offset = u32::try_from(GAP * 4).unwrap();
        Operand { space: Space::Weights as u32, page, offset, rows_per_page }
    }

    /// `len` elements of the workspace from an operand on.
    pub(super) fn read(&self, operand: Operand, len: usize) -> Vec<f32> {
        self.workspace[operand.offset as usize / 4..][..len].to_vec()
    }

    /// Runs `kernel` through the check and the driver, and makes sure that it kept to its footprint.
    pub(super) fn run<K: Kernel>(&mut self, set: InstructionSet, kernel: &K) {
        let mut regions = Vec::new();
        kernel.footprint(&mut |region| regions.push(region));
        let before = self.workspace.clone();
        self.call(set, kernel);
        let may_write = |i: usize| {
            let at = i as u64 * 4;
            regions.iter().filter(|r| r.access == Access::Write && r.operand.space == Space::Workspace as u32).any(
                |r| {
                    let start = u64::from(r.operand.offset) + r.first;
                    at >= start && (at - start) / r.stride < r.rows && (at - start) % r.stride < r.row_bytes
                },
            )
        };
        for (i, (was, is)) in before.iter().zip(&self.workspace).enumerate() {
            assert!(was.to_bits() == is.to_bits() || may_write(i), "{} wrote element {i}", K::NAME);
        }
    }

    /// Runs `kernel`; returns how long, in nanoseconds.
    pub(super) fn call<K: Kernel>(&mut self, set: InstructionSet, kernel: &K) -> u64 {
        let bytes = |len: usize| u32::try_from(len * 4).unwrap();
        let largest = |parts: &[Vec<f32>]| parts.iter().map(Vec::len).max().unwrap_or(0);
        let page_len = largest(&self.pages);
        self.pages.iter_mut().for_each(|page| page.resize(page_len, f32::NAN));
        let spaces = Spaces {
            weight_pages: u32::try_from(self.pages.len()).unwrap(),
            page_bytes: bytes(page_len),
            input_bytes: bytes(largest(&self.inputs)),
            output_bytes: bytes(largest(&self.outputs)),
            workspace_bytes: bytes(self.workspace.len()),
            batch: u32::try_from(self.inputs.len().max(self.outputs.len()).max(1)).unwrap(),
        };
        self.inputs.resize(spaces.batch as usize, Vec::new());
        self.outputs.resize(spaces.batch as usize, Vec::new());
        let plan = CheckedPlan::new(&[Launch::of(kernel)], spaces).unwrap();
        let mut device = Device::new(set);
        let workspace = device.put(bytemuck::cast_slice(&self.workspace));
        let pages: Vec<_> = self.pages.iter().map(|page| device.put(bytemuck::cast_slice(page))).collect();
        let table: Vec<u64> = pages.iter().map(DeviceLease::address).collect();
        let table = device.put(bytemuck::cast_slice(&table));
        let inputs: Vec<_> = self.inputs.iter().map(|area| device.put(bytemuck::cast_slice(area))).collect();
        let outputs: Vec<_> = self.outputs.iter().map(|area| device.put(bytemuck::cast_slice(area))).collect();
        let mut binding = Binding { page_table: table.address(), workspace: workspace.address(), ..Binding::zeroed() };
        for (i, (input, output)) in inputs.iter().zip(&outputs).enumerate() {
            (binding.inputs[i], binding.outputs[i]) = (input.address(), output.address());
        }
        let mut standing = Standing::new();
        standing.add(&table);
        let held: Vec<_> = [workspace].into_iter().chain(inputs).chain(outputs).collect();
        let (held, elapsed) = device.launch(&plan, standing, &binding, held);
        let mut held = held.into_iter();
        let workspace = device.get(held.next().unwrap(), self.workspace.len());
        self.workspace = workspace;
        let outputs = held.skip(self.inputs.len()).zip(&self.outputs).collect::<Vec<_>>();
        self.outputs = outputs.into_iter().map(|(lease, area)| device.get(lease, area.len())).collect();
        elapsed
    }
}

/// The instruction sets to test.
pub(super) fn sets() -> Vec<InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| set.is_available()).collect()
}

/// `len` values in -1..1 from a seed.
pub(super) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f32::from(u16::try_from(state >> 48).unwrap()) / 32768.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// An image `[n][c][hw]` blocked into a tensor of `whole` blocks; what is no channel is NaN.
pub(super) fn block(values: &[f32], [n, c, hw, whole]: [usize; 4]) -> Vec<f32> {
    let mut out = vec![f32::NAN; n * whole * hw * 16];
    for (i, &value) in values.iter().enumerate() {
        let (item, channel, place) = (i / (c * hw), i / hw % c, i % hw);
        out[((item * whole + channel / 16) * hw + place) * 16 + channel % 16] = value;
    }
    out
}

/// The reverse of [`block`].
pub(super) fn unblock(values: &[f32], [n, c, hw, whole]: [usize; 4]) -> Vec<f32> {
    (0..n * c * hw)
        .map(|i| {
            let (item, channel, place) = (i / (c * hw), i / hw % c, i % hw);
            values[((item * whole + channel / 16) * hw + place) * 16 + channel % 16]
        })
        .collect()
}

/// Asserts that each value is within `tolerance` of its reference, relative to the largest.
pub(super) fn close(values: &[f32], reference: &[f64], tolerance: f64) {
    within(values, reference, tolerance * largest(reference));
}

/// The largest magnitude, at least 1.
pub(super) fn largest(reference: &[f64]) -> f64 {
    reference.iter().fold(1.0f64, |m, r| m.max(r.abs()))
}

/// Asserts that no value is further than `distance` from its reference.
pub(super) fn within(values: &[f32], reference: &[f64], distance: f64) {
    assert_eq!(values.len(), reference.len());
    for (i, (&v, &r)) in values.iter().zip(reference).enumerate() {
        assert!((f64::from(v) - r).abs() <= distance, "element {i} is {v}, not {r}, further than {distance:e}");
    }
}

/// Asserts that two results are the same, bit by bit.
pub(super) fn same(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(a.to_bits() == b.to_bits(), "element {i}: {a} and {b}");
    }
}

/// The function that `activation` names, in `f64`.
pub(super) fn activation(activation: &Activation, x: f64) -> f64 {
    use ActivationKind::*;
    let (a, b) = (f64::from(activation.a), f64::from(activation.b));
    let hard = (a * x + b).clamp(0.0, 1.0);
    match ActivationKind::from_u32(activation.kind).unwrap() {
        None => x,
        Relu => x.max(0.0),
        Clip => x.max(a).min(b),
        HardSigmoid => hard,
        HardSwish => x * hard,
        Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Swish => x / (1.0 + (-a * x).exp()),
        LeakyRelu => x.max(0.0) + a * x.min(0.0),
        Tanh => x.tanh(),
        Gelu => x * (1.0 + erf(x / std::f64::consts::SQRT_2)) / 2.0,
        Erf => erf(x),
        Exp => x.exp(),
        Sqrt => x.sqrt(),
        Reciprocal => 1.0 / x,
        Abs => x.abs(),
        Affine => a * x + b,
        Log => x.ln(),
        Ceil => x.ceil(),
        Floor => x.floor(),
        Sign => {
            if x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        Elu => x.max(0.0) + a * x.min(0.0).exp_m1(),
        Softplus => x.exp().ln_1p(),
        Mish => x * x.exp().ln_1p().tanh(),
        GeluTanh => x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()) / 2.0,
        Round => x.round_ties_even(),
    }
}

/// The error function by its series.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}
