//! The batch, proven by running: models whose shapes have one and whose numbers don't.

use super::*;
use crate::import::batch::Unbatchable;
use crate::import::prove::{Difference, Proof};

/// What differed, and the package that has plans for batch 1 only.
fn alone_only(model: Model) -> (TempDir, Difference, Package) {
    let (folder, report) = model.imported(&[("y", FLOAT)]);
    let report = report.unwrap();
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["m.cwk", "m.onnx"], "nothing else was written");
    assert_eq!((report.proof, report.plans.len()), (None, 1));
    let said = report.to_string();
    let Some(Unbatchable::Number(difference)) = report.unbatchable else { panic!("the batch should differ: {said}") };
    assert!(said.contains(&format!("batch 1 only: {difference}\n")), "{said}");
    let package = Package::open(folder.path().join("m.cwk")).unwrap();
    (folder, difference, package)
}

/// `y` for one item `x`.
fn answer(package: &Package, x: &[f32]) -> Vec<f32> {
    let mut solo = Solo::load(package, ShapeId(0), BatchSize::ONE, InstructionSet::best(), 1, Cut::Whole).unwrap();
    let layout = solo.layout().clone();
    let mut area = vec![0; layout.inputs.bytes as usize];
    area[..4 * x.len()].copy_from_slice(&bytes(x));
    solo.write_inputs(&area).unwrap();
    solo.run().unwrap();
    let area = solo.read_outputs().unwrap();
    bytemuck::pod_collect_to_vec(&area[..layout.outputs.fields[0].bytes as usize])
}

#[test]
fn a_number_that_counts_the_batch_leaves_batch_1_and_is_told_by_name() {
    let model = Model::default()
        .input::<f32>("x", FLOAT, &[1, 5], &[])
        .stored("first", INT64, &[1], &[0i64])
        .node("Shape", &["x"], "shape", vec![])
        .node("Gather", &["shape", "first"], "count", vec![])
        .node("Cast", &["count"], "divisor", vec![int("to", FLOAT as i64)])
        .node("Div", &["x", "divisor"], "y", vec![]);
    let (_folder, difference, package) = alone_only(model);
    assert!(difference.to_string().starts_with("output `y` depends on the batch: "), "{difference}");
    let Difference { output, shape: 0, batch: 2, place: 0, element: 0, alone, together } = difference else {
        panic!("{difference}")
    };
    let [alone, together]: [f32; 2] = [alone, together].map(|text| text.parse().unwrap());
    assert_eq!((output.as_str(), together), ("y", alone / 2.0));
    assert_eq!(package.plan(ShapeId(0), BatchSize::ALL[1]), None);
    assert_eq!(answer(&package, &[1.0, 2.0, 3.0, 4.0, -5.0]), [1.0, 2.0, 3.0, 4.0, -5.0]);
}

#[test]
fn items_that_are_rows_of_one_picture_leave_batch_1() {
    // The batch becomes the height of a picture, whose shape doubles as it should; a window sees the row below.
    let model = Model::default()
        .input::<f32>("x", FLOAT, &[1, 1, 1, 4], &[])
        .node("Transpose", &["x"], "rows", vec![ints("perm", &[1, 2, 0, 3])])
        .node("MaxPool", &["rows"], "p", vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4])])
        .node("Transpose", &["p"], "y", vec![ints("perm", &[2, 0, 1, 3])]);
    let (_folder, difference, package) = alone_only(model);
    assert_eq!(difference.output, "y");
    assert_eq!(answer(&package, &[1.0, 4.0, 2.0, 3.0]), [4.0, 4.0, 4.0, 3.0]);
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

/// Why there are plans for batch 1 only.
fn unbatchable(model: Model) -> Unbatchable {
    let (_folder, report) = model.imported(&[("y", FLOAT)]);
    let report = report.unwrap();
    assert_eq!((report.proof, report.plans.len()), (None, 1));
    report.unbatchable.unwrap()
}

#[test]
fn a_dimension_that_is_one_batch_by_chance_leaves_batch_1() {
    // In a batch of 2 the batch of `b` lies where `a` has 2 places, in larger ones it fits nowhere.
    let model = Model::default()
        .input::<f32>("a", FLOAT, &[1, 2, 2, 1], &[])
        .input::<f32>("b", FLOAT, &[1, 2], &[])
        .node("Min", &["a", "b"], "y", vec![]);
    let found = unbatchable(model);
    let Unbatchable::Refused { batch: 4, why } = &found else { panic!("{found}") };
    assert!(why.starts_with("node `y` (Min): shapes [4, 2, 2, 1] and [4, 2] don't fit"), "{why}");
    assert!(found.to_string().starts_with("in a batch of 4, node `y`"), "{found}");
}

#[test]
fn a_slice_that_is_one_batch_by_chance_leaves_batch_1() {
    let model = Model::default()
        .input::<f32>("x", FLOAT, &[1, 3], &[])
        .stored("first", INT64, &[1], &[0i64])
        .stored("last", INT64, &[1], &[4i64])
        .node("Slice", &["x", "first", "last", "first"], "s", vec![])
        .node("Neg", &["s"], "y", vec![]);
    assert_eq!(unbatchable(model), Unbatchable::Value { value: "s".to_owned(), dims: vec![1, 3] });
}
