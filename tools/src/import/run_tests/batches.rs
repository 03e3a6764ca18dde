//! The batch, proven by running: models whose shapes have one and whose numbers don't.

use super::*;
use crate::import::prove::{Proof, ProofError};

fn refused(model: Model) -> ProofError {
    let (folder, report) = model.imported(&[("y", FLOAT)]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["m.onnx"], "nothing was written");
    match report {
        Err(ImportError::Proof(error)) => error,
        other => panic!("the batch should be refused, got {other:?}"),
    }
}

#[test]
fn a_number_that_counts_the_batch_is_refused_by_name() {
    let model = Model::default()
        .input::<f32>("x", FLOAT, &[1, 5], &[])
        .stored("first", INT64, &[1], &[0i64])
        .node("Shape", &["x"], "shape", vec![])
        .node("Gather", &["shape", "first"], "count", vec![])
        .node("Cast", &["count"], "divisor", vec![int("to", FLOAT as i64)])
        .node("Div", &["x", "divisor"], "y", vec![]);
    let error = refused(model);
    let ProofError::Differs { output, shape: 0, batch: 2, place: 0, element: 0, alone, together } = &error else {
        panic!("{error}")
    };
    let [alone, together]: [f32; 2] = [alone, together].map(|text| text.parse().unwrap());
    assert_eq!((output.as_str(), together), ("y", alone / 2.0));
    assert!(error.to_string().starts_with("output `y` depends on the batch: "), "{error}");
}

#[test]
fn items_that_are_rows_of_one_picture_are_refused_by_name() {
    // The batch becomes the height of a picture, whose shape doubles as it should; a window sees the row below.
    let model = Model::default()
        .input::<f32>("x", FLOAT, &[1, 1, 1, 4], &[])
        .node("Transpose", &["x"], "rows", vec![ints("perm", &[1, 2, 0, 3])])
        .node("MaxPool", &["rows"], "p", vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4])])
        .node("Transpose", &["p"], "y", vec![ints("perm", &[2, 0, 1, 3])]);
    assert!(matches!(refused(model), ProofError::Differs { output, .. } if output == "y"));
}

#[test]
fn what_is_no_number_alone_may_be_the_same_in_a_batch() {
    let model = Model::default()
        .input::<f32>("x", FLOAT, &[1, 64], &[])
        .input::<i64>("i", INT64, &[1, 3], &[])
        .input::<u8>("flag", BOOL, &[1, 64], &[])
        .stored("table", FLOAT, &[2, 64], &[0.5f32; 128])
        .node("Log", &["x"], "log", vec![])
        .node("Where", &["flag", "log", "x"], "y", vec![])
        .node("Gather", &["table", "i"], "rows", vec![]);
    let (_folder, report) = model.imported(&[("y", FLOAT), ("rows", FLOAT)]);
    assert_eq!(report.unwrap().proof, Some(Proof { variants: 1, of: 1 }));
}

#[test]
fn a_model_without_a_batch_has_nothing_to_prove() {
    let model = Model::default().input::<f32>("x", FLOAT, &[3], &[]).node("Neg", &["x"], "y", vec![]);
    let (_folder, report) = model.imported(&[("y", FLOAT)]);
    assert_eq!(report.unwrap().proof, None);
}
