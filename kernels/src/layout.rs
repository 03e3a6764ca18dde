//! From the layouts of ONNX to those that kernels read: what import writes into pages.

use crate::params::{Groups, LANES, blocks_of};

/// A packed tensor: equal rows, which an [`Operand`](crate::operand::Operand) can split over pages.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// Rows.
    pub rows: u32,
    /// Bytes of one row.
    pub row_bytes: u32,
    /// All rows, one after the other.
    pub data: Vec<f32>,
}

const BLOCK: usize = LANES as usize;

fn packed(rows: u32, data: Vec<f32>) -> Packed {
    let bytes = data.len() / rows as usize * size_of::<f32>();
    let Ok(row_bytes) = u32::try_from(bytes) else { panic!("a row of {bytes} bytes fits no page") };
    Packed { rows, row_bytes, data }
}

/// Weights of [`Conv`](crate::params::Conv) from ONNX's `[out][in of a group][taps]`.
///
/// Row: one block of 16 output channels of one group, `[in block][tap][in lane][16 out]`; an input block has
/// only as many lanes as it holds channels of the group. Output lanes of no channel of the group are 0.
///
/// # Panics
/// If `weights` has not `groups.count * groups.output * groups.input * taps` elements, or one of them is 0.
pub fn conv(weights: &[f32], groups: Groups, taps: u32) -> Packed {
    let (of_group, i_all, taps) = (groups.output as usize, groups.input as usize, taps as usize);
    let all = groups.count as usize * of_group * i_all * taps;
    assert!(weights.len() == all && !weights.is_empty(), "weights are [out][in of a group][taps]");
    let mut data = Vec::with_capacity(groups.rows() as usize * i_all * taps * BLOCK);
    // Channels are counted among those of all groups.
    let of = |group: u32, channels: usize| group as usize * channels..(group as usize + 1) * channels;
    for group in 0..groups.count {
        let (inputs, outputs) = (of(group, i_all), of(group, of_group));
        for block in groups.outputs(group) {
            for in_block in groups.inputs(group) {
                let lanes = of(in_block, BLOCK);
                let (first, end) = (lanes.start.max(inputs.start), lanes.end.min(inputs.end));
                for tap in 0..taps {
                    for i in first - inputs.start..end - inputs.start {
                        let weight = |o: usize| weights[(o * i_all + i) * taps + tap];
                        data.extend(of(block, BLOCK).map(|o| if outputs.contains(&o) { weight(o) } else { 0.0 }));
                    }
                }
            }
        }
    }
    packed(groups.rows(), data)
}

/// The points of patches of four, beside 0 and infinity and with their negatives. Their squares, and the sums
/// and products of these, are exact.
pub(crate) const WINOGRAD_POINTS: [f32; 2] = [0.625, 1.5];

/// What turns three weights along one axis into values at the points of a patch, each point a row.
fn winograd_points(patch: u32) -> Vec<[f64; 3]> {
    let finite = match patch {
        2 => vec![0.0, 1.0, -1.0],
        _ => {
            let [p, q] = WINOGRAD_POINTS.map(f64::from);
            vec![0.0, p, -p, q, -q]
        }
    };
    // What the input's transform leaves undone: the division by the distances to the other points.
    let distances = |&a: &f64| finite.iter().filter(|&&b| b != a).map(|b| a - b).product::<f64>();
    let rows = finite.iter().map(|a| [1.0, *a, a * a].map(|power| power / distances(a)));
    rows.chain([[0.0, 0.0, 1.0]]).collect()
}

/// Weights of [`Winograd`](crate::params::Winograd) from ONNX's `[out][in of a group][3][3]`, for patches of 2 or 4.
///
/// Row: one block of 16 output channels at one point, `[in][16 out]`; points within blocks. Output lanes beyond
/// `out` are 0. Computed in double precision and rounded once.
///
/// # Panics
/// If `weights` has not `out * input * 9` elements, or one of them is 0, or `patch` is neither 2 nor 4.
pub fn winograd(weights: &[f32], out: u32, input: u32, patch: u32) -> Packed {
    let (o_all, i_all) = (out as usize, input as usize);
    assert!(weights.len() == o_all * i_all * 9 && !weights.is_empty(), "weights are [out][in][3][3]");
    assert!(patch == 2 || patch == 4, "patches are 2x2 or 4x4");
    let points = winograd_points(patch);
    let side = points.len();
    let blocks = blocks_of(out) as usize;
    let mut data = vec![0.0; blocks * side * side * i_all * BLOCK];
    for (index, taps) in weights.chunks_exact(9).enumerate() {
        let (o, i) = (index / i_all, index % i_all);
        for (down, g) in points.iter().enumerate() {
            let line: [f64; 3] =
                std::array::from_fn(|column| (0..3).map(|row| g[row] * f64::from(taps[row * 3 + column])).sum());
            for (across, h) in points.iter().enumerate() {
                let value: f64 = line.iter().zip(h).map(|(x, y)| x * y).sum();
                let row = (o / BLOCK * side + down) * side + across;
                #[expect(clippy::cast_possible_truncation, reason = "rounded to what kernels read")]
                let rounded = value as f32;
                data[(row * i_all + i) * BLOCK + o % BLOCK] = rounded;
            }
        }
    }
    let Ok(rows) = u32::try_from(blocks * side * side) else { panic!("more rows than can be counted") };
    packed(rows, data)
}

/// Weights of [`Depthwise`](crate::params::Depthwise) from ONNX's `[channels][1][taps]`.
///
/// Row: one block of 16 channels, `[tap][16]`. Lanes beyond `channels` are 0.
///
/// # Panics
/// If `weights` has not `channels * taps` elements, or one of them is 0.
pub fn depthwise(weights: &[f32], channels: u32, taps: u32) -> Packed {
    let (all, taps) = (channels as usize, taps as usize);
    assert!(weights.len() == all * taps && !weights.is_empty(), "weights are [channels][1][taps]");
    let rows = blocks_of(channels);
    let mut data = Vec::with_capacity(rows as usize * taps * BLOCK);
    for first in (0..all).step_by(BLOCK) {
        for tap in 0..taps {
            for c in first..first + BLOCK {
                data.push(if c < all { weights[c * taps + tap] } else { 0.0 });
            }
        }
    }
    packed(rows, data)
}

/// Weights of [`Gemm`](crate::params::Gemm) from `[k][n]`, or from `[n][k]` if `transposed`.
///
/// Row: one panel of 16 columns, `[k][16]`. Columns beyond `n` are 0.
///
/// # Panics
/// If `weights` has not `k * n` elements, or one of them is 0.
pub fn gemm(weights: &[f32], k: u32, n: u32, transposed: bool) -> Packed {
    let (k_all, n_all) = (k as usize, n as usize);
    assert!(weights.len() == k_all * n_all && !weights.is_empty(), "weights are [k][n]");
    let rows = blocks_of(n);
    let mut data = Vec::with_capacity(rows as usize * k_all * BLOCK);
    for first in (0..n_all).step_by(BLOCK) {
        for row in 0..k_all {
            for column in first..first + BLOCK {
                data.push(match (column < n_all, transposed) {
                    (false, _) => 0.0,
                    (true, false) => weights[row * n_all + column],
                    (true, true) => weights[column * k_all + row],
                });
            }
        }
    }
    packed(rows, data)
}

/// A bias, `gamma`, `beta` or per-channel vector: one row, padded with 0 to whole blocks of 16.
///
/// # Panics
/// If `values` is empty.
pub fn vector(values: &[f32]) -> Packed {
    let mut data = values.to_vec();
    data.resize(values.len().next_multiple_of(BLOCK), 0.0);
    packed(1, data)
}

/// A row-major constant of any shape: one row, padded with 0 to whole blocks of 16.
/// Offsets into it ([`Binary`](crate::params::Binary), [`Copy`](crate::params::Copy)) are those of the source.
///
/// # Panics
/// If `values` is empty.
pub fn constant(values: &[f32]) -> Packed {
    vector(values)
}

/// A row-major constant in rows of `len` elements, for [`Gather`](crate::params::Gather).
///
/// # Panics
/// If `values` is empty or not whole rows.
pub fn rows(values: &[f32], len: u32) -> Packed {
    assert!(!values.is_empty() && values.len().is_multiple_of(len as usize), "values are whole rows");
    let Ok(rows) = u32::try_from(values.len() / len as usize) else { panic!("more rows than can be counted") };
    packed(rows, values.to_vec())
}

/// A constant image `[n][channels][hw]` in the blocked layout, one row, padding lanes 0.
///
/// # Panics
/// If `values` has not `n * channels * hw` elements, or one of them is 0.
pub fn blocked(values: &[f32], n: u32, channels: u32, hw: u32) -> Packed {
    let (c_all, hw) = (channels as usize, hw as usize);
    assert!(values.len() == n as usize * c_all * hw && !values.is_empty(), "values are [n][channels][hw]");
    let blocks = blocks_of(channels) as usize;
    let mut data = vec![0.0; n as usize * blocks * hw * BLOCK];
    for (i, &value) in values.iter().enumerate() {
        let (item, c, place) = (i / (c_all * hw), i / hw % c_all, i % hw);
        data[((item * blocks + c / BLOCK) * hw + place) * BLOCK + c % BLOCK] = value;
    }
    packed(1, data)
}
