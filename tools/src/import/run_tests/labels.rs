//! Which nodes of the file each launch computes, as the package says.

use super::*;

fn labels(model: Model, outputs: &[(&str, DataType)]) -> Vec<String> {
    let (folder, report) = model.imported(outputs);
    report.unwrap();
    let package = Package::open(folder.path().join("m.cwk")).unwrap();
    let of_plan = |plan: usize| {
        let launches = 0..package.plans[plan].launches.len();
        launches.map(|launch| package.labels.of(plan, launch).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of_plan(0), of_plan(package.plans.len() - 1), "the same in every batch");
    of_plan(0)
}

#[test]
fn a_convolution_names_all_that_moved_into_it() {
    let ones = [1f32; 16];
    let mut model = Model::default()
        .input::<f32>("x", FLOAT, &[1, 16, 4, 4], &[])
        .stored("w", FLOAT, &[16, 16, 1, 1], &[0.5f32; 256])
        .node("Conv", &["x", "w"], "first", vec![])
        .node("Identity", &["first"], "same", vec![])
        .node("Relu", &["same"], "relu", vec![])
        .node("Conv", &["relu", "w"], "second", vec![])
        .node("BatchNormalization", &["second", "a", "b", "c", "d"], "bn", vec![])
        .node("Add", &["bn", "x"], "sum", vec![])
        .node("Relu", &["sum"], "y", vec![]);
    for name in ["a", "b", "c", "d"] {
        model = model.stored(name, FLOAT, &[16], &ones);
    }
    model.graph.node[4].name = Some("norm of second".to_owned());
    let found = labels(model, &[("y", FLOAT)]);
    assert_eq!(found, ["input x", "first + relu", "second + norm of second + sum + y", "output y"]);
}

#[test]
fn a_function_that_was_spelled_out_names_its_parts() {
    let model = Model::default()
        .input::<f32>("x", FLOAT, &[1, 8], &[])
        .stored("root", FLOAT, &[], &[std::f32::consts::SQRT_2])
        .stored("one", FLOAT, &[], &[1f32])
        .stored("half", FLOAT, &[], &[0.5f32])
        .node("Div", &["x", "root"], "q", vec![])
        .node("Erf", &["q"], "erf", vec![])
        .node("Add", &["erf", "one"], "p", vec![])
        .node("Mul", &["x", "p"], "m", vec![])
        .node("Mul", &["m", "half"], "gelu", vec![])
        .node("Softmax", &["gelu"], "y", vec![]);
    let found = labels(model, &[("y", FLOAT)]);
    assert_eq!(found, ["input x", "q + erf + p + m + gelu", "y", "output y"]);
}
