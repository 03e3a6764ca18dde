//! Seeded random weights in place of a graph's own, bit for bit as `tools/models/random_weights.py`
//! makes them; the rule is specified in `tools/models/README.md`.

use super::constant::Constant;
use super::graph::{Graph, ValueId};
use super::op::Op;

/// Replaces the constant weights of every convolution, `Gemm` and normalisation.
pub fn randomise(graph: &mut Graph, seed: u64) {
    for index in 0..graph.nodes.len() {
        let node = graph.nodes[index].clone();
        match &node.op {
            Op::BatchNorm { .. } => {
                for (input, value) in (1..5).zip([1.0, 0.0, 0.0, 1.0]) {
                    fill(graph, node.input(input), |_, elements| vec![value; elements]);
                }
            }
            Op::Conv(..) | Op::RawConv(_) | Op::Gemm(..) => {
                let Some(dims) = graph.constant_input(&node, 1).map(|weights| weights.dims.clone()) else { continue };
                let fan_in = match &node.op {
                    Op::Gemm(gemm, _) => dims[usize::from(gemm.trans_b)],
                    _ => dims[1..].iter().product(),
                };
                let bound = bound_of(fan_in);
                for input in 1..3 {
                    fill(graph, node.input(input), |name, elements| uniform(seed, name, elements, bound));
                }
            }
            _ => {}
        }
    }
}

fn fill(graph: &mut Graph, id: Option<ValueId>, values: impl FnOnce(&str, usize) -> Vec<f32>) {
    let Some(id) = id else { return };
    let value = &mut graph.values[id.0];
    if let Some(constant) = value.constant.as_mut().filter(|constant| constant.as_floats().is_some()) {
        let dims = constant.dims.clone();
        let elements = dims.iter().product();
        *constant = Constant::floats(dims, values(&value.name, elements));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "rounded once, as the rule says")]
fn bound_of(fan_in: usize) -> f32 {
    (6.0 / fan_in as f64).sqrt() as f32
}

/// `count` numbers in `[-bound, bound)`, those of a tensor called `name`.
#[expect(clippy::cast_precision_loss, reason = "24 bits are exact")]
pub fn uniform(seed: u64, name: &str, count: usize, bound: f32) -> Vec<f32> {
    let mut state = seed ^ fnv1a(name.as_bytes());
    let unit = 1.0 / (1u32 << 24) as f32;
    (0..count).map(|_| (2.0 * ((splitmix64(&mut state) >> 40) as f32 * unit) - 1.0) * bound).collect()
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of `tools/models/README.md`.
    #[test]
    fn bits_are_those_of_the_script() {
        assert_eq!(fnv1a(b"gpu_0/data_0"), 0xcce5_e09f_d134_14e8);
        let bits = |seed, name, bound| uniform(seed, name, 4, bound).into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(1, "x", 1.0), [0xbe40_c9a0, 0x3f74_3b64, 0x3ec0_7e28, 0x3ee3_e6d0]);
        assert_eq!(bits(1, "conv1_w_0", bound_of(27)), [0x3c45_b459, 0x3eb2_1024, 0xbe72_1b8f, 0x3e86_ad15]);
    }
}
