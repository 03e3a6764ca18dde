//! Kernels that pick, join and compare words, against plain loops.

use super::harness::{Machine, close, noise, same, sets};
use crate::layout::Packed;
use crate::operand::{Operand, Space};
use crate::params::{
    Block, EnterWhole, Fold, FoldOp, Gather, LeaveWhole, Pick, RANK, Resample, TopK, Whole, WordOp, Words,
};
use bytemuck::Zeroable;
use proptest::prelude::*;

fn words(values: &[i32]) -> Vec<f32> {
    bytemuck::cast_slice(values).to_vec()
}

fn table(values: &[f32]) -> Packed {
    crate::layout::constant(values)
}

fn padded(dims: &[u32]) -> [u32; RANK] {
    let mut out = [1; RANK];
    out[RANK - dims.len()..].copy_from_slice(dims);
    out
}

fn seeds(seed: u64, len: usize, below: u32) -> Vec<u32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap() % below
    };
    (0..len).map(|_| next()).collect()
}

/// Wide strides of a row-major tensor of `dims`.
fn strides(dims: &[u32]) -> [u32; RANK] {
    let mut out = [0; RANK];
    let mut step = 1;
    for (slot, &dim) in out.iter_mut().rev().zip(dims.iter().rev()) {
        *slot = step;
        step *= dim;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pick_follows_its_tables_and_never_leaves_its_source(
        h in 1u32..=9, w in 1u32..=20, rows in 1u32..=9, columns in 1u32..=40, first in 0u32..20, seed in any::<u64>(),
    ) {
        let len = h * w;
        let x = noise(seed, (first + len) as usize);
        let entry = |n: u32, size: u32, stride: u32| match n % (size + 2) {
            n if n < size => n * stride,
            n if n == size => Pick::NOTHING,
            _ => len,
        };
        let down: Vec<u32> = seeds(1, rows as usize, 1000).iter().map(|&n| entry(n, h, w)).collect();
        let across: Vec<u32> = seeds(2, columns as usize, 1000).iter().map(|&n| entry(n, w, 1)).collect();
        let tables: Vec<u32> = [vec![0; 4], down.clone(), across.clone()].concat();
        let expected: Vec<f32> = down.iter().flat_map(|&d| across.iter().map(move |&a| (d, a))).map(|(d, a)| {
            let place = u64::from(d) + u64::from(a);
            if d == Pick::NOTHING || a == Pick::NOTHING || place >= u64::from(len) {
                -7.0
            } else {
                x[first as usize + usize::try_from(place).unwrap()]
            }
        }).collect();
        for set in sets() {
            let mut m = Machine::new();
            let tables = m.weights(&table(bytemuck::cast_slice(&tables)), 1);
            let (x, y) = (m.place(&x), m.room(expected.len()));
            let dims = padded(&[rows, columns]);
            m.run(set, &Pick { x, tables, y, dims, x_first: first, x_len: len, fill: (-7.0f32).to_bits() });
            same(&m.read(y, expected.len()), &expected);
        }
    }

    #[test]
    fn a_gather_takes_rows_and_elements_and_clamps_indices(
        outer in 1u32..=3, size in 1u32..=9, inner in 1u32..=20, count in 1u32..=9, by_element in any::<bool>(),
        paged in any::<bool>(), seed in any::<u64>(),
    ) {
        let paged = paged && outer == 1;
        let x = noise(seed, (outer * size * inner) as usize);
        let n = if by_element { outer * count * inner } else { count };
        let index: Vec<i32> = seeds(3, n as usize, size * 4).iter().map(|&n| n.cast_signed() - (size * 2).cast_signed()).collect();
        let pick = |n: i32| {
            let wrapped = if n < 0 { n + size.cast_signed() } else { n };
            wrapped.clamp(0, size.cast_signed() - 1).cast_unsigned()
        };
        let mut expected = Vec::new();
        for o in 0..outer {
            for c in 0..count {
                for i in 0..inner {
                    let at = if by_element { (o * count + c) * inner + i } else { c };
                    expected.push(x[((o * size + pick(index[at as usize])) * inner + i) as usize]);
                }
            }
        }
        let dims = padded(&[outer, count, inner]);
        let (x_strides, index_strides) = ([0, 0, 0, size * inner, 0, 1], [0, 0, 0, 0, 1, 0]);
        let index_strides = if by_element { strides(&[outer, count, inner]) } else { index_strides };
        for set in sets() {
            let mut m = Machine::new();
            let packed = Packed { rows: outer * size, row_bytes: inner * 4, data: x.clone() };
            let x = if paged { m.weights(&packed, 2) } else { m.place(&x) };
            let (index, y) = (m.place(&words(&index)), m.room(expected.len()));
            m.run(set, &Gather {
                x, index, y, dims, x_rows: outer * size, x_row: inner, x_strides, index_first: 0, index_strides,
                picks: 1, index_step: 1, sizes: [size, 1, 1, 1, 1, 1], steps: [inner, 0, 0, 0, 0, 0],
            });
            same(&m.read(y, expected.len()), &expected);
        }
    }

    #[test]
    fn a_resample_is_a_weighted_sum(
        outer in 1u32..=3, len in 1u32..=9, out in 1u32..=9, inner in 1u32..=40, taps in 1u32..=4, gap in 0u32..20,
    ) {
        let stride = len * inner + gap;
        let x = noise(1, (outer * stride) as usize);
        let places = seeds(2, (out * taps) as usize, len + 1);
        let weights = noise(3, (out * taps) as usize);
        let mut entries = Vec::new();
        for i in 0..out as usize {
            let part = i * taps as usize..(i + 1) * taps as usize;
            entries.extend(places[part.clone()].iter().map(|&p| f32::from_bits(p)));
            entries.extend(&weights[part]);
        }
        let mut expected = Vec::new();
        for o in 0..outer {
            for i in 0..out {
                for j in 0..inner {
                    let term = |t: u32| {
                        let place = places[(i * taps + t) as usize];
                        let value = if place < len { x[(o * stride + place * inner + j) as usize] } else { 0.5 };
                        f64::from(value) * f64::from(weights[(i * taps + t) as usize])
                    };
                    expected.push((0..taps).map(term).sum::<f64>());
                }
            }
        }
        for set in sets() {
            let mut m = Machine::new();
            let entries = m.weights(&table(&entries), 1);
            let (x, y) = (m.place(&x), m.room(expected.len()));
            m.run(set, &Resample { x, table: entries, y, outer, len, out, inner, taps, x_stride: stride, fill: 0.5 });
            close(&m.read(y, expected.len()), &expected, 1e-5);
        }
    }

    #[test]
    fn functions_of_words_are_right(
        op in prop::sample::select(WordOp::ALL.to_vec()), rows in 1u32..=5, len in 1u32..=20, broadcast in any::<bool>(),
    ) {
        let count = (rows * len) as usize;
        let a: Vec<i32> = seeds(1, count, 7).iter().map(|&n| n.cast_signed() - 3).collect();
        let b: Vec<i32> = seeds(2, count, 7).iter().map(|&n| n.cast_signed() - 3).collect();
        let c: Vec<i32> = seeds(3, count, 2).iter().map(|&n| n.cast_signed()).collect();
        let floats = matches!(op, WordOp::EqualFloat | WordOp::LessFloat | WordOp::LessOrEqualFloat | WordOp::FloatToWhole | WordOp::FloatToTruth);
        let expected: Vec<i32> = (0..count).map(|i| {
            let (x, y, z) = (a[i], b[if broadcast { i % len as usize } else { i }], c[i]);
            let quotient = if y == 0 { 0 } else { x / y };
            match op {
                WordOp::Add => x + y,
                WordOp::Sub => x - y,
                WordOp::Mul => x * y,
                WordOp::Div => quotient,
                WordOp::Min => x.min(y),
                WordOp::Max => x.max(y),
                WordOp::Pow => if y < 0 { 0 } else { x.pow(y.cast_unsigned()) },
                WordOp::And => i32::from(x != 0 && y != 0),
                WordOp::Or => i32::from(x != 0 || y != 0),
                WordOp::Xor => i32::from((x != 0) ^ (y != 0)),
                WordOp::Equal | WordOp::EqualFloat => i32::from(x == y),
                WordOp::Less | WordOp::LessFloat => i32::from(x < y),
                WordOp::LessOrEqual | WordOp::LessOrEqualFloat => i32::from(x <= y),
                WordOp::Select => if z != 0 { x } else { y },
                WordOp::FloatToWhole => x,
                WordOp::WholeToFloat => (x as f32).to_bits().cast_signed(),
                WordOp::FloatToTruth => i32::from(x != 0),
            }
        }).collect();
        let form = |v: &[i32]| if floats { v.iter().map(|&n| n as f32).collect() } else { words(v) };
        let row = strides(&[rows, len]);
        let b_strides = if broadcast { [0, 0, 0, 0, 0, 1] } else { row };
        for set in sets() {
            let mut m = Machine::new();
            let [a, b, c] = [form(&a), form(&b), words(&c)].map(|v| m.place(&v));
            let y = m.room(count);
            m.run(set, &Words {
                a, b, c, y, dims: padded(&[rows, len]), firsts: [0; 3], a_strides: row, b_strides, c_strides: row, op: op as u32,
            });
            same(&m.read(y, count), &words(&expected));
        }
    }

    #[test]
    fn the_first_k_come_in_order(
        outer in 1u32..=3, len in 1u32..=9, inner in 1u32..=4, k in 1u32..=9,
        largest in 0u32..=1, last in 0u32..=1, whole in 0u32..=1,
    ) {
        let k = k.min(len);
        let x: Vec<i32> = seeds(1, (outer * len * inner) as usize, 5).iter().map(|&n| n.cast_signed() - 2).collect();
        let (mut values, mut indices) = (vec![0; (outer * k * inner) as usize], vec![0; (outer * k * inner) as usize]);
        for o in 0..outer {
            for j in 0..inner {
                let at = |i: u32| x[((o * len + i) * inner + j) as usize];
                let mut order: Vec<u32> = (0..len).collect();
                order.sort_by_key(|&i| {
                    (if largest == 1 { -at(i) } else { at(i) }, if last == 1 { len - i } else { i })
                });
                for (taken, &i) in (0..k).zip(&order) {
                    let to = ((o * k + taken) * inner + j) as usize;
                    (values[to], indices[to]) = (at(i), i.cast_signed());
                }
            }
        }
        let form = |v: &[i32]| if whole == 0 { v.iter().map(|&n| n as f32).collect() } else { words(v) };
        for set in sets() {
            let mut m = Machine::new();
            let (x, y, z) = (m.place(&form(&x)), m.room(values.len()), m.room(values.len()));
            m.run(set, &TopK { x, values: y, indices: z, outer, len, inner, k, largest, last, whole });
            same(&m.read(y, values.len()), &form(&values));
            same(&m.read(z, indices.len()), &words(&indices));
        }
    }

    #[test]
    fn folds_run_or_end(
        outer in 1u32..=3, len in 1u32..=9, inner in 1u32..=4, op in 0u32..4,
        running in 0u32..=1, exclusive in 0u32..=1, reverse in 0u32..=1,
    ) {
        let exclusive = exclusive * running;
        let x: Vec<i32> = seeds(1, (outer * len * inner) as usize, 9).iter().map(|&n| n.cast_signed() - 4).collect();
        let float = op == FoldOp::SumFloat as u32;
        let join = |a: i32, b: i32| match op {
            2 => a.max(b),
            3 => a.min(b),
            _ => a + b,
        };
        let places = if running == 1 { len } else { 1 };
        let mut expected = vec![0; (outer * places * inner) as usize];
        for o in 0..outer {
            for j in 0..inner {
                let order: Vec<u32> = if reverse == 1 { (0..len).rev().collect() } else { (0..len).collect() };
                let mut before: Option<i32> = None;
                for i in order {
                    let value = x[((o * len + i) * inner + j) as usize];
                    let with = before.map_or(value, |before| join(before, value));
                    let to = if running == 1 { (o * len + i) * inner + j } else { o * inner + j };
                    expected[to as usize] = if exclusive == 1 { before.unwrap_or(0) } else { with };
                    before = Some(with);
                }
            }
        }
        let form = |v: &[i32]| if float { v.iter().map(|&n| n as f32).collect() } else { words(v) };
        for set in sets() {
            let mut m = Machine::new();
            let (x, y) = (m.place(&form(&x)), m.room(expected.len()));
            m.run(set, &Fold { x, y, outer, len, inner, op, running, exclusive, reverse });
            same(&m.read(y, expected.len()), &form(&expected));
        }
    }
}

#[test]
fn other_element_types_enter_as_words_and_leave_as_they_were() {
    type Case = (Whole, Vec<u8>, Vec<i32>, Vec<u8>);
    let cases: [Case; 4] = [
        (Whole::I32, bytes(&[7i32, -9, i32::MIN, 4]), vec![7, -9, i32::MIN, 4], bytes(&[7i32, -9, i32::MIN, 4])),
        (
            Whole::I64,
            bytes(&[7i64, -9, i64::MAX, i64::MIN]),
            vec![7, -9, i32::MAX, i32::MIN],
            bytes(&[7i64, -9, i32::MAX.into(), i32::MIN.into()]),
        ),
        (Whole::U8, vec![0, 1, 200, 255], vec![0, 1, 200, 255], vec![0, 1, 200, 255]),
        (Whole::Bool, vec![0, 1, 2, 255], vec![0, 1, 1, 1], vec![0, 1, 1, 1]),
    ];
    for set in sets() {
        for (element, given, held, left) in &cases {
            let mut m = Machine::new();
            let mut area = given.clone();
            area.resize(64, 0xff);
            m.inputs =
                vec![vec![0.0; 16], area.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect()];
            m.outputs = vec![vec![0.0; 16]; 2];
            let y = m.room(8);
            let x = Operand { space: Space::Input as u32, page: 0, offset: 0, rows_per_page: 1 };
            m.run(set, &EnterWhole { x, y, n: 2, len: 4, element: *element as u32 });
            same(&m.read(y, 8), &words(&[vec![0; 4], held.clone()].concat()));
            let out = Operand { space: Space::Output as u32, ..x };
            m.run(set, &LeaveWhole { x: y, y: out, n: 2, len: 4, element: *element as u32 });
            let area: &[u8] = bytemuck::cast_slice(&m.outputs[1]);
            assert_eq!(&area[..left.len()], left.as_slice(), "{element:?}");
            assert!(area[left.len()..].iter().all(|&byte| byte == 0), "{element:?} wrote beyond its tensor");
        }
    }
}

fn bytes<T: bytemuck::Pod>(values: &[T]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}

#[test]
fn a_gather_that_could_leave_its_source_is_refused() {
    let gather = Gather {
        dims: padded(&[4]),
        x_rows: 3,
        x_row: 8,
        x_strides: [0, 0, 0, 0, 0, 1],
        picks: 1,
        sizes: [3, 1, 1, 1, 1, 1],
        steps: [8, 0, 0, 0, 0, 0],
        ..Gather::zeroed()
    };
    assert_eq!(gather.check(), Ok(()));
    assert!(Gather { sizes: [4, 1, 1, 1, 1, 1], ..gather }.check().is_err());
    assert!(Gather { picks: 7, ..gather }.check().is_err());
}
