//! Small models, imported and run: operators with whole numbers, without a batch, with bound constants.

mod attention;
mod batches;
mod labels;
mod nan;
mod pools;
mod stretches;
mod views;

use std::collections::HashMap;

use kernels::image::InstructionSet;
use prost::Message;
use runtime::base::{BatchSize, ShapeId};
use runtime::package::{Package, TensorType};
use tempfile::TempDir;

use super::error::ImportError;
use super::normalise::Normalise;
use super::onnx::tensor_shape_proto::{Dimension, dimension};
use super::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_proto::DataType, type_proto,
};
use super::report::Report;
use super::tune::Settings;
use super::{Options, import};
use crate::npy::Array;
use crate::solo::{Cut, Solo};

const FLOAT: DataType = DataType::Float;
const INT64: DataType = DataType::Int64;
const BOOL: DataType = DataType::Bool;

/// A model under construction; its first operator set is 17.
#[derive(Default)]
struct Model {
    graph: GraphProto,
    inputs: Vec<Vec<u8>>,
    bound: HashMap<String, Array>,
    normalise: Vec<Normalise>,
    tuning: Settings,
}

fn info(name: &str, kind: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| Dimension { value: Some(dimension::Value::DimValue(size)), ..Dimension::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(kind as i32), shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(kind), ..ValueInfoProto::default() }
}

fn bytes<T: bytemuck::Pod>(values: &[T]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), i: Some(i), ..AttributeProto::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), ints: ints.to_vec(), ..AttributeProto::default() }
}

fn text(name: &str, text: &str) -> AttributeProto {
    let s = Some(text.as_bytes().to_vec().into());
    AttributeProto { name: Some(name.to_owned()), s, ..AttributeProto::default() }
}

impl Model {
    fn input<T: bytemuck::Pod>(mut self, name: &str, kind: DataType, dims: &[i64], values: &[T]) -> Model {
        self.graph.input.push(info(name, kind, dims));
        self.inputs.push(bytes(values));
        self
    }

    fn bound<T: bytemuck::Pod>(mut self, name: &str, kind: TensorType, dims: &[usize], values: &[T]) -> Model {
        let number = if kind == TensorType::F32 { FLOAT } else { INT64 };
        let stated: Vec<i64> = dims.iter().map(|&dim| i64::try_from(dim).unwrap()).collect();
        self.graph.input.push(info(name, number, &stated));
        self.bound.insert(name.to_owned(), Array { kind, dims: dims.to_vec(), data: bytes(values) });
        self
    }

    fn stored<T: bytemuck::Pod>(mut self, name: &str, kind: DataType, dims: &[i64], values: &[T]) -> Model {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(kind as i32),
            raw_data: Some(bytes(values).into()),
            ..TensorProto::default()
        });
        self
    }

    fn node(mut self, operator: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> Model {
        self.graph.node.push(NodeProto {
            op_type: Some(operator.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
        self
    }

    /// The bytes of its outputs, on every instruction set, which must agree.
    fn run(self, outputs: &[(&str, DataType)]) -> Vec<Vec<u8>> {
        let mut answers = self.answers(outputs).into_iter().map(|(_, answer)| answer);
        let first = answers.next().unwrap();
        assert!(answers.all(|other| other == first), "instruction sets differ");
        first
    }

    /// What its import says, and the folder with the package `m.cwk`.
    fn imported(mut self, outputs: &[(&str, DataType)]) -> (TempDir, Result<Report, ImportError>) {
        self.graph.output = outputs.iter().map(|(name, kind)| info(name, *kind, &[])).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let model = ModelProto {
            opset_import: vec![OperatorSetIdProto { version: Some(17), ..OperatorSetIdProto::default() }],
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        std::fs::write(path("m.onnx"), model.encode_to_vec()).unwrap();
        let mut constants = Vec::new();
        for (name, array) in &self.bound {
            array.write(&path(name)).unwrap();
            constants.push(format!("{name}={}", path(name).display()));
        }
        let (model, package, normalise) = (path("m.onnx"), path("m.cwk"), self.normalise);
        let options = Options { model, package, constants, normalise, tuning: self.tuning, ..Options::default() };
        let report = import(&options, &mut |_, _| {});
        (folder, report)
    }

    /// The bytes of its outputs on each instruction set.
    fn answers(mut self, outputs: &[(&str, DataType)]) -> Vec<(InstructionSet, Vec<Vec<u8>>)> {
        let inputs = std::mem::take(&mut self.inputs);
        let (folder, report) = self.imported(outputs);
        report.unwrap();
        let package = Package::open(folder.path().join("m.cwk")).unwrap();
        let answer = |set| {
            let mut solo = Solo::load(&package, ShapeId(0), BatchSize::ALL[0], set, 1, Cut::Whole).unwrap();
            let layout = solo.layout().clone();
            let mut area = vec![0; layout.inputs.bytes as usize];
            for (field, input) in layout.inputs.fields.iter().zip(&inputs) {
                area[field.offset as usize..][..input.len()].copy_from_slice(input);
            }
            solo.write_inputs(&area).unwrap();
            solo.run().unwrap();
            let area = solo.read_outputs().unwrap();
            let fields = layout.outputs.fields.iter();
            fields.map(|field| area[field.offset as usize..][..field.bytes as usize].to_vec()).collect::<Vec<_>>()
        };
        InstructionSet::ALL.into_iter().filter(|set| set.is_available()).map(|set| (set, answer(set))).collect()
    }
}

#[test]
fn tokens_pick_rows_of_an_embedding() {
    let table: Vec<f32> = (0u16..12).map(f32::from).collect();
    let found = Model::default()
        .input("ids", INT64, &[1, 3], &[2i64, 0, -1])
        .stored("table", FLOAT, &[4, 3], &table)
        .node("Gather", &["table", "ids"], "y", vec![])
        .run(&[("y", FLOAT)]);
    assert_eq!(found, [bytes(&[6f32, 7.0, 8.0, 0.0, 1.0, 2.0, 9.0, 10.0, 11.0])]);
}

#[test]
fn a_mask_chooses_and_leaves_as_truth() {
    let found = Model::default()
        .input("x", FLOAT, &[1, 4], &[1f32, -2.0, 3.0, -4.0])
        .stored("zero", FLOAT, &[1], &[0f32])
        .node("Greater", &["x", "zero"], "mask", vec![])
        .node("Where", &["mask", "x", "zero"], "y", vec![])
        .node("Cast", &["mask"], "n", vec![int("to", INT64 as i64)])
        .node("CumSum", &["n", "axis"], "sum", vec![])
        .bound("axis", TensorType::I64, &[], &[1i64])
        .run(&[("mask", BOOL), ("y", FLOAT), ("sum", INT64)]);
    assert_eq!(found, [bytes(&[1u8, 0, 1, 0]), bytes(&[1f32, 0.0, 3.0, 0.0]), bytes(&[1i64, 1, 2, 2])]);
}

#[test]
fn a_transposed_convolution_spreads_its_places() {
    let found = Model::default()
        .input("x", FLOAT, &[1, 1, 2, 2], &[1f32, 2.0, 3.0, 4.0])
        .bound("w", TensorType::F32, &[1, 1, 2, 2], &[1f32, 10.0, 100.0, 1000.0])
        .node("ConvTranspose", &["x", "w"], "y", vec![ints("strides", &[1, 2])])
        .run(&[("y", FLOAT)]);
    let rows = [[1f32, 10.0, 2.0, 20.0], [103.0, 1030.0, 204.0, 2040.0], [300.0, 3000.0, 400.0, 4000.0]];
    assert_eq!(found, [bytes(&rows)]);
}

#[test]
fn groups_that_share_a_block_do_not_meet() {
    let (of_group, places) = (20u16, 2u16);
    let mut x: Vec<f32> = (0..2 * of_group * places).map(|i| f32::from(i % 7)).collect();
    x[0] = f32::INFINITY;
    let weight = |o: u16, i: u16| f32::from((o + i) % 3 + 1);
    let w: Vec<f32> = (0..2 * of_group).flat_map(|o| (0..of_group).map(move |i| weight(o, i))).collect();
    let sum = |o: u16, place: u16| {
        let input = |i: u16| x[usize::from((o / of_group * of_group + i) * places + place)];
        (0..of_group).map(|i| weight(o, i) * input(i)).sum::<f32>()
    };
    let wanted: Vec<f32> = (0..2 * of_group).flat_map(|o| [sum(o, 0), sum(o, 1)]).collect();
    assert!(wanted[0].is_infinite() && wanted[40..].iter().all(|value| value.is_finite()));
    let found = Model::default()
        .input("x", FLOAT, &[1, 40, 1, 2], &x)
        .stored("w", FLOAT, &[40, 20, 1, 1], &w)
        .node("Conv", &["x", "w"], "y", vec![int("group", 2)])
        .run(&[("y", FLOAT)]);
    assert_eq!(found, [bytes(&wanted)]);
}

#[test]
fn windows_of_any_size_are_pooled() {
    let values: Vec<f32> = (0u16..196).map(|i| f32::from(i * 37 % 196)).collect();
    let window = |side: i64, pad: i64| vec![ints("kernel_shape", &[side; 2]), ints("pads", &[pad; 4])];
    let found = Model::default()
        .input("x", FLOAT, &[1, 1, 14, 14], &values)
        .node("MaxPool", &["x"], "largest", window(13, 6))
        .node("AveragePool", &["x"], "mean", window(14, 0))
        .run(&[("largest", FLOAT), ("mean", FLOAT)]);
    let around = |at: usize| at.saturating_sub(6)..(at + 7).min(14);
    let largest = |y: usize, x: usize| {
        around(y).flat_map(|y| around(x).map(move |x| 14 * y + x)).map(|i| values[i]).fold(0.0, f32::max)
    };
    let all: Vec<f32> = (0..196).map(|i| largest(i / 14, i % 14)).collect();
    assert_eq!(found[0], bytes(&all));
    let mean = f32::from_le_bytes(found[1][..4].try_into().unwrap());
    assert!((mean - 97.5).abs() < 1e-4, "{mean}");
}

#[test]
fn maxima_come_with_their_places() {
    let values = [1f32, 5.0, 2.0, 7.0, 7.0, 0.0, 3.0, 4.0, 9.0];
    let mut model = Model::default().input("x", FLOAT, &[1, 1, 3, 3], &values).node(
        "MaxPool",
        &["x"],
        "y",
        vec![ints("kernel_shape", &[2, 2]), ints("pads", &[1, 0, 0, 0]), ints("strides", &[1, 1])],
    );
    model.graph.node[0].output.push("places".to_owned());
    let found = model.run(&[("y", FLOAT), ("places", INT64)]);
    assert_eq!(found[0], bytes(&[5f32, 5.0, 7.0, 7.0, 7.0, 9.0]));
    assert_eq!(found[1], bytes(&[1i64, 1, 3, 4, 3, 8]));
}

#[test]
fn padding_resizing_and_ordering_follow_onnx() {
    let found = Model::default()
        .input("x", FLOAT, &[1, 1, 1, 3], &[1f32, 2.0, 4.0])
        .stored("pads", INT64, &[8], &[0i64, 0, 0, 2, 0, 0, 0, 1])
        .stored("scales", FLOAT, &[4], &[1f32, 1.0, 1.0, 2.0])
        .stored("k", INT64, &[1], &[2i64])
        .node("Pad", &["x", "pads"], "p", vec![text("mode", "reflect")])
        .node("Resize", &["x", "", "scales"], "r", vec![text("mode", "linear")])
        .node("ArgMax", &["r"], "a", vec![int("axis", 3)])
        .run(&[("p", FLOAT), ("r", FLOAT), ("a", INT64)]);
    assert_eq!(found[0], bytes(&[4f32, 2.0, 1.0, 2.0, 4.0, 2.0]));
    assert_eq!(found[1], bytes(&[1f32, 1.25, 1.75, 2.5, 3.5, 4.0]));
    assert_eq!(found[2], bytes(&[5i64]));
}

#[test]
fn a_resized_dimension_is_computed_in_single_precision() {
    let found = Model::default()
        .input("x", FLOAT, &[1, 10], &[0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
        .stored("scales", FLOAT, &[2], &[1f32, 0.7])
        .node("Resize", &["x", "", "scales"], "y", vec![text("coordinate_transformation_mode", "asymmetric")])
        .run(&[("y", FLOAT)]);
    assert_eq!(found[0].len(), 7 * 4);
}

#[test]
fn a_model_without_a_batch_is_one_item() {
    let found = Model::default()
        .input("a", FLOAT, &[], &[3f32])
        .input("b", FLOAT, &[2, 2], &[1f32, 2.0, 3.0, 4.0])
        .node("Mul", &["a", "b"], "c", vec![])
        .node("ReduceSum", &["c"], "y", vec![int("keepdims", 0)])
        .run(&[("c", FLOAT), ("y", FLOAT)]);
    assert_eq!(found, [bytes(&[3f32, 6.0, 9.0, 12.0]), bytes(&[30f32])]);
}

#[test]
fn what_is_known_at_import_is_an_output_too() {
    let found =
        Model::default().input("x", FLOAT, &[1, 5], &[0f32; 5]).node("Shape", &["x"], "s", vec![]).run(&[("s", INT64)]);
    assert_eq!(found, [bytes(&[1i64, 5])]);
}

#[test]
fn pictures_of_bytes_are_normalised_on_the_device() {
    let picture = |rule: &str, bytes: &[u8]| {
        let mut model = Model::default().input("x", FLOAT, &[1, 3, 1, 2], bytes).node("Neg", &["x"], "y", vec![]);
        model.normalise = vec![rule.parse().unwrap()];
        model.run(&[("y", FLOAT)])
    };
    let planes = picture("x=127/128", &[0, 255, 127, 1, 2, 3]);
    assert_eq!(planes, [bytes(&[127f32, -128.0, 0.0, 126.0, 125.0, 124.0].map(|x| x / 128.0))]);
    let pixels = picture("x=1,2,3/2,4,8/nhwc", &[3, 2, 11, 1, 6, 3]);
    assert_eq!(pixels, [bytes(&[-1f32, 0.0, 0.0, -1.0, -1.0, 0.0])]);
}

#[test]
fn what_is_no_picture_is_not_normalised() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |dims: &[i64], kind, rule: &str| {
        let mut graph = Model::default().node("Neg", &["x"], "y", vec![]).graph;
        graph.input.push(info("x", kind, dims));
        graph.output.push(info("y", kind, &[]));
        let opset = OperatorSetIdProto { version: Some(17), ..OperatorSetIdProto::default() };
        let model = ModelProto { opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() };
        let path = folder.path().join("m.onnx");
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        let normalise = vec![rule.parse().unwrap()];
        let options = Options { model: path, package: folder.path().join("m.cwk"), normalise, ..Options::default() };
        import(&options, &mut |_, _| {}).unwrap_err().to_string()
    };
    let picture = [1, 3, 4, 4];
    assert_eq!(refused(&picture, FLOAT, "z=0/1"), "the model has no input `z`; it has: x");
    assert!(refused(&picture, INT64, "x=0/1").contains("only floats"));
    assert!(refused(&[1, 3], FLOAT, "x=0/1").contains("pictures"));
    assert!(refused(&[1, 17, 4, 4], FLOAT, "x=0/1").contains("at most 16"));
    assert!(refused(&picture, FLOAT, "x=0,0/1").contains("holds 2 elements"));
    assert!(refused(&[1, 3, 4, 0], FLOAT, "x=0/1/nhwc").contains("no fixed shape"));
}

#[test]
fn whole_numbers_known_at_import_wrap_at_their_width() {
    let model = |kind, bytes: &[u8]| {
        let known = TensorProto {
            name: Some("c".to_owned()),
            dims: vec![1],
            data_type: Some(kind as i32),
            raw_data: Some(bytes.to_vec().into()),
            ..TensorProto::default()
        };
        let mut model = Model::default()
            .input("x", FLOAT, &[1, 1], &[1f32])
            .node("Add", &["c", "c"], "twice", vec![])
            .node("Cast", &["twice"], "float", vec![int("to", FLOAT as i64)])
            .node("Mul", &["x", "float"], "y", vec![]);
        model.graph.initializer.push(known);
        model.run(&[("y", FLOAT)])
    };
    assert_eq!(model(INT64, &bytes(&[i64::MAX - 4])), [bytes(&[-10f32])]);
    assert_eq!(model(DataType::Int32, &bytes(&[i32::MAX - 4])), [bytes(&[-10f32])]);
}

#[test]
fn what_is_given_twice_is_refused_with_both() {
    let twice = |options: Options| import(&options, &mut |_, _| {}).unwrap_err().to_string();
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let constants = texts(&["w=a.npy", "v=b.npy", "w=c.npy"]);
    assert_eq!(
        twice(Options { constants, ..Options::default() }),
        "`--const w=a.npy` and `--const w=c.npy` name the same: give one of them"
    );
    let normalise = vec!["x=0/1".parse().unwrap(), "x=0/255/nhwc".parse().unwrap()];
    assert_eq!(
        twice(Options { normalise, ..Options::default() }),
        "`--normalise x=0/1` and `--normalise x=0/255/nhwc` name the same: give one of them"
    );
    let outputs = texts(&["y", "z", "z"]);
    assert_eq!(
        twice(Options { outputs, ..Options::default() }),
        "`--outputs z` and `--outputs z` name the same: give one of them"
    );
}

#[test]
fn a_constant_for_no_input_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.npy");
    Array { kind: TensorType::F32, dims: vec![1], data: vec![0; 4] }.write(&file).unwrap();
    let model = ModelProto {
        opset_import: vec![OperatorSetIdProto { version: Some(17), ..OperatorSetIdProto::default() }],
        graph: Some(Model::default().input("x", FLOAT, &[1], &[0f32]).node("Relu", &["x"], "y", vec![]).graph),
        ..ModelProto::default()
    };
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    let constants = vec![format!("z={}", file.display())];
    let options = Options { model: path, package: folder.path().join("m.cwk"), constants, ..Options::default() };
    let refused = import(&options, &mut |_, _| {}).unwrap_err().to_string();
    assert_eq!(refused, "the model has no input `z`; it has: x");
}
