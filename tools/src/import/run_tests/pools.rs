//! Windows that end beyond the padded image, as ONNX Runtime places them.

use super::*;
use crate::import::error::Why;

/// A pool over `1, 2, 3...` on a square of that side, window, stride and padding the same both ways.
fn pooled(operator: &str, side: u8, [kernel, stride, pad]: [i64; 3], extra: Vec<AttributeProto>) -> Model {
    let values: Vec<f32> = (1..=side * side).map(f32::from).collect();
    let window = vec![ints("kernel_shape", &[kernel; 2]), ints("strides", &[stride; 2]), ints("pads", &[pad; 4])];
    let attributes = [window, vec![int("ceil_mode", 1)], extra].concat();
    Model::default().input("x", FLOAT, &[1, 1, side.into(), side.into()], &values).node(
        operator,
        &["x"],
        "y",
        attributes,
    )
}

fn one(operator: &str, side: u8, window: [i64; 3], extra: Vec<AttributeProto>) -> f32 {
    let found = pooled(operator, side, window, extra).run(&[("y", FLOAT)]);
    f32::from_le_bytes(found[0].as_slice().try_into().unwrap())
}

#[test]
fn a_window_larger_than_the_image_is_one_place() {
    for (side, window) in [(3, [5, 4, 0]), (3, [6, 2, 1]), (3, [8, 6, 1]), (1, [2, 2, 0]), (2, [3, 2, 0])] {
        let (last, middle) = (f32::from(side * side), f32::from(side * side + 1) / 2.0);
        assert_eq!(one("MaxPool", side, window, vec![]), last, "{side} {window:?}");
        let mean = one("AveragePool", side, window, vec![]);
        assert!((mean - middle).abs() < 1e-5, "{side} {window:?}: {mean}");
        let padded = f32::from(side) + 2.0 * f32::from(u8::try_from(window[2]).unwrap());
        let mean = one("AveragePool", side, window, vec![int("count_include_pad", 1)]);
        let wanted = middle * f32::from(side * side) / (padded * padded);
        assert!((mean - wanted).abs() < 1e-5, "{side} {window:?}: {mean}, not {wanted}");
    }
    assert_eq!(one("MaxPool", 4, [3, 2, 0], vec![ints("dilations", &[2; 2])]), 11.0);
}

#[test]
fn a_larger_window_has_places_of_maxima_too() {
    let mut model = pooled("MaxPool", 3, [5, 4, 0], vec![]);
    model.graph.node[0].output.push("places".to_owned());
    assert_eq!(model.run(&[("y", FLOAT), ("places", INT64)]), [bytes(&[9f32]), bytes(&[8i64])]);
}

#[test]
fn a_window_a_whole_stride_larger_is_refused_by_name() {
    for (operator, side, window) in
        [("MaxPool", 3, [5, 2, 0]), ("AveragePool", 3, [5, 1, 0]), ("MaxPool", 3, [8, 3, 1])]
    {
        let (_folder, report) = pooled(operator, side, window, vec![]).imported(&[("y", FLOAT)]);
        let error = report.unwrap_err();
        assert!(matches!(&error, ImportError::Node { node, why: Why::Form(_), .. } if node == "y"), "{error}");
        assert!(error.to_string().contains("larger than the padded image"), "{error}");
    }
}
