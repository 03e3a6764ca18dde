//! Values that lie within others: parts that are there twice, single channels, sides of fewer dimensions.

use super::*;

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), f: Some(f), ..AttributeProto::default() }
}

/// A model whose value `c` is a blocked image that equals its input.
fn image(channels: i64, values: &[f32]) -> Model {
    let side = i64::try_from(values.len()).unwrap() / channels;
    Model::default().input("x", FLOAT, &[1, channels, 1, side], values).node(
        "MaxPool",
        &["x"],
        "c",
        vec![ints("kernel_shape", &[1, 1])],
    )
}

fn numbers(count: u16) -> Vec<f32> {
    (1..=count).map(f32::from).collect()
}

#[test]
fn a_value_may_be_joined_with_itself() {
    let x = numbers(32);
    let found = image(16, &x).node("Concat", &["c", "x", "c"], "y", vec![int("axis", 1)]).run(&[("y", FLOAT)]);
    assert_eq!(found, [bytes(&[&x[..], &x, &x].concat())]);
}

#[test]
fn a_part_of_a_part_may_be_joined_with_it() {
    let x = numbers(16);
    let found = image(16, &x)
        .node("Neg", &["x"], "n", vec![])
        .node("Concat", &["c", "n"], "inner", vec![int("axis", 1)])
        .node("Concat", &["inner", "c"], "y", vec![int("axis", 1)])
        .run(&[("y", FLOAT)]);
    let negative: Vec<f32> = x.iter().map(|x| -x).collect();
    assert_eq!(found, [bytes(&[&x[..], &negative, &x].concat())]);
}

#[test]
fn a_single_channel_may_be_picked() {
    let found = Model::default()
        .input("x", FLOAT, &[1, 40, 1, 1], &numbers(40))
        .stored("twenty", INT64, &[1], &[20i64])
        .node("Gather", &["x", "twenty"], "y", vec![int("axis", 1)])
        .run(&[("y", FLOAT)]);
    assert_eq!(found, [bytes(&[21f32])]);
}

#[test]
fn images_meet_tensors_of_fewer_dimensions() {
    let found = image(2, &[1f32, 2.0, 3.0, 4.0])
        .stored("shape", INT64, &[3], &[2i64, 1, 2])
        .node("Reshape", &["x", "shape"], "r", vec![])
        .node("ReduceMax", &["x"], "m", vec![ints("axes", &[1, 2, 3]), int("keepdims", 0)])
        .node("Add", &["c", "r"], "d", vec![])
        .node("Mul", &["m", "d"], "y", vec![])
        .run(&[("y", FLOAT)]);
    assert_eq!(found, [bytes(&[8f32, 16.0, 24.0, 32.0])]);
}

#[test]
fn a_column_of_a_tensor_is_a_side() {
    let found = Model::default()
        .input("x", FLOAT, &[1, 3, 2], &numbers(6))
        .node("Slice", &["x", "zero", "one", "two"], "a", vec![])
        .stored("zero", INT64, &[1], &[0i64])
        .stored("one", INT64, &[1], &[1i64])
        .stored("two", INT64, &[1], &[2i64])
        .node("Mul", &["a", "a"], "y", vec![])
        .run(&[("y", FLOAT)]);
    assert_eq!(found, [bytes(&[1f32, 9.0, 25.0])]);
}

#[test]
fn a_layer_norm_is_scaled_as_its_scale_is_broadcast() {
    let found = Model::default()
        .input("x", FLOAT, &[1, 2, 2], &[-1f32, 1.0, 1.0, -1.0])
        .stored("scale", FLOAT, &[2, 1], &[2f32, 8.0])
        .node("LayerNormalization", &["x", "scale"], "y", vec![float("epsilon", 0.0)])
        .run(&[("y", FLOAT)]);
    assert_eq!(found, [bytes(&[-2f32, 2.0, 8.0, -8.0])]);
}

#[test]
fn a_pattern_whose_constants_add_dimensions_is_not_one() {
    let found = image(1, &[3f32, 1.0])
        .stored("three", FLOAT, &[], &[3f32])
        .stored("zero", FLOAT, &[], &[0f32])
        .stored("six", FLOAT, &[], &[6f32])
        .stored("divisor", FLOAT, &[1; 5], &[6f32])
        .node("Add", &["c", "three"], "sum", vec![])
        .node("Clip", &["sum", "zero", "six"], "gate", vec![])
        .node("Mul", &["c", "gate"], "product", vec![])
        .node("Div", &["product", "divisor"], "y", vec![])
        .run(&[("y", FLOAT)]);
    assert_eq!(found, [bytes(&[3f32, 4.0 / 6.0])]);
}
