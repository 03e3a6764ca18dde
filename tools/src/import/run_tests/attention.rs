//! An attention as files spell it out, against plain loops.

use super::*;

const TOKENS: usize = 5;
const HEADS: usize = 3;
const DEPTH: usize = 8;
const WIDTH: usize = HEADS * DEPTH;

fn noise(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / 32768.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// `rows x inner` by `inner x columns`.
fn product(x: &[f64], w: &[f32], [rows, inner, columns]: [usize; 3]) -> Vec<f64> {
    let at = |i: usize| (0..inner).map(|j| x[i / columns * inner + j] * f64::from(w[j * columns + i % columns])).sum();
    (0..rows * columns).map(at).collect()
}

/// Attention of rows `[q of all heads][k of all heads][v of all heads]`, the heads side by side again.
fn reference(qkv: &[f64], mask: &[f32]) -> Vec<f64> {
    let element =
        |part: usize, token: usize, head: usize, i: usize| qkv[token * 3 * WIDTH + part * WIDTH + head * DEPTH + i];
    let mut out = vec![0.0; TOKENS * WIDTH];
    for (token, head) in (0..TOKENS * HEADS).map(|i| (i / HEADS, i % HEADS)) {
        let score = |key: usize| {
            let dot: f64 = (0..DEPTH).map(|i| element(0, token, head, i) * element(1, key, head, i)).sum();
            (dot / (DEPTH as f64).sqrt() + f64::from(mask[key])).exp()
        };
        let scores: Vec<f64> = (0..TOKENS).map(score).collect();
        for i in 0..DEPTH {
            let sum: f64 = (0..TOKENS).map(|key| scores[key] * element(2, key, head, i)).sum();
            out[token * WIDTH + head * DEPTH + i] = sum / scores.iter().sum::<f64>();
        }
    }
    out
}

fn compare(model: Model, wanted: &[f64]) {
    for (set, found) in model.answers(&[("y", FLOAT)]) {
        let found: &[f32] = bytemuck::cast_slice(&found[0]);
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found}, not {wanted}, on {}", set.name());
        }
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// A reshape to `[1][5][3][8]` and a transpose.
fn heads(model: Model, from: &str, to: &str, perm: &[i64]) -> Model {
    let rows = format!("{to} rows");
    model.node("Reshape", &[from, "heads"], &rows, vec![]).node("Transpose", &[&rows], to, vec![ints("perm", perm)])
}

/// What masks scores: a sum, or a choice between them and a number.
enum Mask<'a> {
    Sum(&'a [f32; TOKENS]),
    Choice(&'a [u8; TOKENS], f32),
}

/// Attention to `x`, with weights from `WIDTH` to `[q][k][v]`.
fn three_products(x: &[f32], weights: &[f32], mask: &Mask) -> Model {
    let part = |part: usize| -> Vec<f32> {
        weights.chunks(3 * WIDTH).flat_map(|row| row[part * WIDTH..][..WIDTH].to_vec()).collect()
    };
    let mut model = Model::default()
        .input("x", FLOAT, &[1, 5, 24], x)
        .stored("heads", INT64, &[4], &[0i64, 0, 3, 8])
        .stored("rows", INT64, &[3], &[0i64, 0, 24])
        .stored("root", FLOAT, &[], &[8f32.sqrt()]);
    for (i, name) in ["q", "k", "v"].into_iter().enumerate() {
        let stored = format!("w{name}");
        model = model.stored(&stored, FLOAT, &[24, 24], &part(i)).node("MatMul", &["x", &stored], name, vec![]);
    }
    model = heads(model, "q", "queries", &[0, 2, 1, 3]);
    model = heads(model, "k", "keys", &[0, 2, 3, 1]);
    model = heads(model, "v", "values", &[0, 2, 1, 3]);
    model = model.node("MatMul", &["queries", "keys"], "products", vec![]);
    model = model.node("Div", &["products", "root"], "scores", vec![]);
    model = match mask {
        Mask::Sum(summed) => {
            model.input("mask", FLOAT, &[1, 1, 1, 5], *summed).node("Add", &["scores", "mask"], "masked", vec![])
        }
        Mask::Choice(kept, number) => model
            .input("kept", BOOL, &[1, 1, 1, 5], *kept)
            .stored("number", FLOAT, &[], &[*number])
            .node("Where", &["kept", "scores", "number"], "masked", vec![]),
    };
    model
        .node("Softmax", &["masked"], "shares", vec![int("axis", 3)])
        .node("MatMul", &["shares", "values"], "context", vec![])
        .node("Transpose", &["context"], "tokens", vec![ints("perm", &[0, 2, 1, 3])])
        .node("Reshape", &["tokens", "rows"], "y", vec![])
}

/// An input, and weights from `WIDTH` to `[q][k][v]`.
fn given() -> [Vec<f32>; 2] {
    [noise(1, TOKENS * WIDTH), noise(2, WIDTH * 3 * WIDTH).iter().map(|w| w * 0.5).collect()]
}

#[test]
fn attention_of_three_products_is_right() {
    let [x, weights] = given();
    let mask = [0.0, 0.5, -10000.0, -1.0, 0.25];
    let wanted = reference(&product(&wide(&x), &weights, [TOKENS, WIDTH, 3 * WIDTH]), &mask);
    compare(three_products(&x, &weights, &Mask::Sum(&mask)), &wanted);
}

#[test]
fn attention_to_chosen_scores_is_right() {
    let [x, weights] = given();
    let mask = [0.0, 0.0, -10000.0, 0.0, -10000.0];
    let wanted = reference(&product(&wide(&x), &weights, [TOKENS, WIDTH, 3 * WIDTH]), &mask);
    for number in [f32::NEG_INFINITY, f32::MIN, -1e9] {
        compare(three_products(&x, &weights, &Mask::Choice(&[1, 1, 0, 1, 0], number)), &wanted);
    }
}

/// Where no score is chosen, all shares are equal, however far the scores lie apart.
#[test]
fn attention_to_nothing_takes_equal_shares() {
    let [x, mut weights] = given();
    weights.chunks_mut(3 * WIDTH).flat_map(|row| &mut row[..WIDTH]).for_each(|to_query| *to_query *= 1000.0);
    let mut qkv = product(&wide(&x), &weights, [TOKENS, WIDTH, 3 * WIDTH]);
    qkv.chunks_mut(3 * WIDTH).flat_map(|row| &mut row[..WIDTH]).for_each(|query| *query = 0.0);
    let wanted = reference(&qkv, &[0.0; TOKENS]);
    for number in [f32::MIN, -1e9] {
        compare(three_products(&x, &weights, &Mask::Choice(&[0; TOKENS], number)), &wanted);
    }
}

#[test]
fn attention_of_one_product_in_five_dimensions_is_right() {
    let x = noise(3, TOKENS * WIDTH);
    let weights = noise(4, WIDTH * 3 * WIDTH).iter().map(|w| w * 0.5).collect::<Vec<f32>>();
    let wanted = reference(&product(&wide(&x), &weights, [TOKENS, WIDTH, 3 * WIDTH]), &[0.0; TOKENS]);
    let mut model = Model::default()
        .input("x", FLOAT, &[1, 5, 24], &x)
        .stored("w", FLOAT, &[24, 72], &weights)
        .stored("five", INT64, &[5], &[0i64, -1, 3, 3, 8])
        .stored("rows", INT64, &[3], &[0i64, -1, 24])
        .stored("scale", FLOAT, &[1], &[1.0 / 8f32.sqrt()])
        .stored("axes", INT64, &[1], &[0i64])
        .node("MatMul", &["x", "w"], "qkv", vec![])
        .node("Reshape", &["qkv", "five"], "split", vec![])
        .node("Transpose", &["split"], "parts", vec![ints("perm", &[2, 0, 3, 1, 4])]);
    for (i, name) in ["q", "k", "v"].into_iter().enumerate() {
        let [start, end] = [0, 1].map(|end| format!("{name}{end}"));
        let first = i64::try_from(i).unwrap();
        model = model
            .stored(&start, INT64, &[1], &[first])
            .stored(&end, INT64, &[1], &[first + 1])
            .node("Slice", &["parts", &start, &end, "axes"], &format!("{name}5"), vec![])
            .node("Squeeze", &[&format!("{name}5"), "axes"], name, vec![]);
    }
    let model = model
        .node("Mul", &["q", "scale"], "scaled", vec![])
        .node("Transpose", &["k"], "turned", vec![ints("perm", &[0, 1, 3, 2])])
        .node("MatMul", &["scaled", "turned"], "scores", vec![])
        .node("Softmax", &["scores"], "shares", vec![int("axis", -1)])
        .node("MatMul", &["shares", "v"], "context", vec![])
        .node("Transpose", &["context"], "tokens", vec![ints("perm", &[0, 2, 1, 3])])
        .node("Reshape", &["tokens", "rows"], "y", vec![]);
    compare(model, &wanted);
}
