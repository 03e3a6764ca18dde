//! What is no number, where ONNX Runtime lets it through whatever stands beside it.

use super::*;

const NONE: f32 = f32::NAN;

/// Floats whose one NaN stands for all.
fn floats(bytes: &[u8]) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(bytes)
}

fn holes(values: &[f32]) -> Vec<bool> {
    values.iter().map(|value| value.is_nan()).collect()
}

#[test]
fn the_smaller_and_the_larger_of_no_number_are_none() {
    let infinity = f32::INFINITY;
    let a = [NONE, 1.0, NONE, 1.0, infinity, -infinity, infinity, -infinity, infinity, NONE, -infinity, 2.0];
    let b = [2.0, NONE, NONE, 2.0, NONE, NONE, 1.0, 1.0, -infinity, infinity, infinity, 1.0];
    for operator in ["Min", "Max"] {
        let found = Model::default()
            .input("a", FLOAT, &[1, 12], &a)
            .input("b", FLOAT, &[1, 12], &b)
            .node(operator, &["a", "b"], "y", vec![])
            .node(operator, &["b", "a"], "z", vec![])
            .node(operator, &["a", "b", "b"], "t", vec![])
            .answers(&[("y", FLOAT), ("z", FLOAT), ("t", FLOAT)]);
        let wanted: Vec<f32> =
            a.iter().zip(&b).map(|(a, b)| if operator == "Min" { a.min(*b) } else { a.max(*b) }).collect();
        for (set, outputs) in found {
            for output in outputs.iter().map(|bytes| floats(bytes)) {
                let both = a.iter().zip(&b).map(|(a, b)| a.is_nan() || b.is_nan());
                assert_eq!(holes(&output), both.collect::<Vec<_>>(), "{operator}, {set:?}: {output:?}");
                let equal = output.iter().zip(&wanted).all(|(found, wanted)| found.is_nan() || found == wanted);
                assert!(equal, "{operator}, {set:?}: {output:?}");
            }
        }
    }
}

#[test]
fn no_number_stays_none_when_it_is_known_at_import() {
    let bounds = |model: Model| model.stored("low", FLOAT, &[], &[0f32]).stored("high", FLOAT, &[], &[6f32]);
    let model = Model::default()
        .input("x", FLOAT, &[1, 3], &[0f32; 3])
        .stored("k", FLOAT, &[1, 3], &[NONE, 7.0, -1.0])
        .stored("one", FLOAT, &[1, 3], &[1f32; 3])
        .node("Relu", &["k"], "r", vec![])
        .node("Clip", &["k", "low", "high"], "c", vec![])
        .node("Min", &["k", "one"], "m", vec![])
        .node("Max", &["k", "one"], "n", vec![])
        .node("Concat", &["r", "c", "m", "n"], "known", vec![int("axis", 1)])
        .node("Concat", &["x", "known"], "y", vec![int("axis", 1)]);
    let (_, answers) = bounds(model).answers(&[("y", FLOAT)]).remove(0);
    let found = floats(&answers[0]);
    let wanted = [0.0, 0.0, 0.0, NONE, 7.0, 0.0, NONE, 6.0, 0.0, NONE, 1.0, -1.0, NONE, 7.0, 1.0];
    assert_eq!(holes(&found), holes(&wanted), "{found:?}");
    assert!(found.iter().zip(&wanted).all(|(found, wanted)| wanted.is_nan() || found == wanted), "{found:?}");
}

#[test]
fn no_number_stays_none_behind_a_convolution() {
    let mut x = [0f32; 16];
    x[5] = NONE;
    for (operator, bounds) in [("Relu", &["c"][..]), ("Clip", &["c", "low", "high"])] {
        let answers = Model::default()
            .input("x", FLOAT, &[1, 1, 4, 4], &x)
            .stored("w", FLOAT, &[1, 1, 1, 1], &[1f32])
            .stored("low", FLOAT, &[], &[0f32])
            .stored("high", FLOAT, &[], &[6f32])
            .node("Conv", &["x", "w"], "c", vec![])
            .node(operator, bounds, "y", vec![])
            .answers(&[("y", FLOAT)]);
        for (set, outputs) in answers {
            assert_eq!(holes(&floats(&outputs[0])), holes(&x), "{operator}, {set:?}");
        }
    }
}
