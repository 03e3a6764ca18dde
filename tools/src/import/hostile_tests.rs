//! Models that no exporter writes: each is imported or refused by name, whatever its numbers say.

use std::collections::HashMap;
use std::fs;

use proptest::prelude::*;
use prost::Message;

use super::error::ImportError;
use super::onnx::tensor_shape_proto::{Dimension, dimension};
use super::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto, tensor_proto, type_proto,
};
use super::page::WeightImage;
use super::tune::{Settings, Tuner};
use super::{batch, compile, load, variant};

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| Dimension { value: Some(dimension::Value::DimValue(size)), ..Dimension::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(tensor_proto::DataType::Float as i32), shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(kind), ..ValueInfoProto::default() }
}

fn floats(name: &str, dims: &[i64], data: Vec<f32>) -> TensorProto {
    let data_type = Some(tensor_proto::DataType::Float as i32);
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type,
        float_data: data,
        ..TensorProto::default()
    }
}

fn integers(name: &str, data: Vec<i64>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: vec![i64::try_from(data.len()).unwrap()],
        data_type: Some(tensor_proto::DataType::Int64 as i32),
        int64_data: data,
        ..TensorProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let r#type = Some(attribute_proto::AttributeType::Ints as i32);
    AttributeProto { name: Some(name.to_owned()), r#type, ints: ints.to_vec(), ..AttributeProto::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    let r#type = Some(attribute_proto::AttributeType::Int as i32);
    AttributeProto { name: Some(name.to_owned()), r#type, i: Some(i), ..AttributeProto::default() }
}

fn node(operator: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        op_type: Some(operator.to_owned()),
        input: owned(inputs),
        output: owned(outputs),
        attribute,
        ..NodeProto::default()
    }
}

/// A model that has numbers of many kinds: attributes, shapes, axes, sizes of constants.
fn model() -> ModelProto {
    let window = || vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4]), ints("strides", &[1, 1])];
    let nodes = vec![
        node("Conv", &["x", "w", "b"], &["c"], [window(), vec![ints("dilations", &[1, 1]), int("group", 1)]].concat()),
        node("MaxPool", &["c"], &["m"], window()),
        node("Split", &["m"], &["l", "r"], vec![int("axis", 1), ints("split", &[16, 16])]),
        node("Concat", &["r", "l"], &["j"], vec![int("axis", 1)]),
        node("Shape", &["j"], &["s"], vec![]),
        node("Gather", &["s", "zero"], &["n"], vec![int("axis", 0)]),
        node("Concat", &["n", "rest"], &["target"], vec![int("axis", 0)]),
        node("Reshape", &["j", "target"], &["f"], vec![]),
        node("Transpose", &["f"], &["t"], vec![ints("perm", &[0, 2, 1])]),
        node("ReduceMean", &["t"], &["q"], vec![ints("axes", &[1]), int("keepdims", 0)]),
        node("Unsqueeze", &["q"], &["u"], vec![ints("axes", &[1])]),
        node("Squeeze", &["u"], &["v"], vec![ints("axes", &[1])]),
        node("Gemm", &["v", "g"], &["h"], vec![int("transB", 1)]),
        node("Flatten", &["h"], &["i"], vec![int("axis", 1)]),
        node("Softmax", &["i"], &["y"], vec![int("axis", 1)]),
    ];
    let numbers = |count: u16| (0..count).map(f32::from).collect();
    let initializer = vec![
        floats("w", &[32, 3, 3, 3], numbers(32 * 27)),
        floats("b", &[32], numbers(32)),
        floats("g", &[5, 32], numbers(160)),
        integers("zero", vec![0]),
        integers("rest", vec![32, 64]),
    ];
    let graph = GraphProto {
        node: nodes,
        initializer,
        input: vec![value("x", &[1, 3, 8, 8])],
        output: vec![value("y", &[1, 5])],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { version: Some(12), ..OperatorSetIdProto::default() }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn whole(memory: usize) -> load::Cut {
    load::Cut { outputs: vec![], bound: HashMap::new(), memory }
}

fn import(model: &ModelProto, shapes: &[String]) -> Result<(), ImportError> {
    import_within(64 << 20, model, shapes)
}

fn import_within(memory: usize, model: &ModelProto, shapes: &[String]) -> Result<(), ImportError> {
    compile_all(&load::from_proto(model.graph.as_ref().unwrap(), 12, &whole(memory))?, shapes)
}

fn compile_all(model: &load::Model, shapes: &[String]) -> Result<(), ImportError> {
    let variants = variant::resolve(model, shapes)?;
    let mut image = WeightImage::new(2 << 20, tempfile::tempfile().unwrap());
    let mut tuner = Tuner::new(&Settings::default());
    compile(&model.graph, &variants, None, &mut tuner, &mut image, &mut |_, _| {}).map(|_| ())
}

/// Every integer of the graph, in place.
fn numbers(graph: &mut GraphProto) -> Vec<&mut i64> {
    let mut all: Vec<&mut i64> = Vec::new();
    for node in &mut graph.node {
        for attribute in &mut node.attribute {
            all.extend(attribute.ints.iter_mut().chain(attribute.i.as_mut()));
        }
    }
    for tensor in &mut graph.initializer {
        all.extend(tensor.dims.iter_mut().chain(&mut tensor.int64_data));
    }
    for input in &mut graph.input {
        let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_mut().unwrap().value.as_mut() else {
            continue;
        };
        for dim in &mut tensor.shape.as_mut().unwrap().dim {
            if let Some(dimension::Value::DimValue(size)) = dim.value.as_mut() {
                all.push(size);
            }
        }
    }
    all
}

/// Numbers at which arithmetic ends.
fn edges() -> impl Strategy<Value = i64> {
    let edges = [0, 1, 2, -1, -2, 3, 4, 7, 64, 65_535, 65_536, 1 << 30, 1 << 31, 1 << 32, 1 << 62, i64::MAX, i64::MIN];
    prop::sample::select(edges.to_vec())
}

#[test]
fn the_model_itself_is_imported() {
    import(&model(), &[]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_numbers_are_imported_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), edges()), 1..4)) {
        let mut model = model();
        let mut all = numbers(model.graph.as_mut().unwrap());
        for (index, edge) in changes {
            let at = index.index(all.len());
            *all[at] = edge;
        }
        if let Err(error) = import(&model, &[]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn any_bytes_are_imported_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = model().encode_to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        fs::write(&path, bytes).unwrap();
        if let Ok(model) = load::load(&path, &whole(64 << 20)) {
            let _ = compile_all(&model, &[]);
        }
    }
}

#[test]
fn a_shape_that_no_memory_holds_is_refused_by_name() {
    let mut open = model();
    open.graph.as_mut().unwrap().input[0] = value("x", &[1, 3, 0, 0]);
    for side in ["65536", "99999999999", "18446744073709551615"] {
        let refused = import(&open, &[format!("x=1x3x{side}x{side}")]).unwrap_err();
        assert!(matches!(&refused, ImportError::Tensor { name, .. } if name == "x"), "{refused}");
    }
}

#[test]
fn a_constant_whose_dimensions_overflow_is_refused_by_name() {
    let mut huge = model();
    huge.graph.as_mut().unwrap().initializer[0] = floats("w", &[1 << 32, 1 << 32], vec![]);
    let refused = import(&huge, &[]).unwrap_err().to_string();
    assert!(refused.starts_with("constant `w`: ") && refused.contains("exceed the limit"), "{refused}");
}

/// Little files may ask for much: what constants need is counted before they are made.
#[test]
fn constants_beyond_the_memory_granted_are_refused_by_name() {
    let mut large = model();
    let graph = large.graph.as_mut().unwrap();
    graph.initializer.push(integers("millions", vec![1 << 21]));
    for i in 0..3 {
        graph.node.push(node("ConstantOfShape", &["millions"], &[&format!("large {i}")], vec![]));
    }
    import(&large, &[]).unwrap();
    for i in 3..30 {
        graph_of(&mut large).node.push(node("ConstantOfShape", &["millions"], &[&format!("large {i}")], vec![]));
    }
    let refused = import(&large, &[]).unwrap_err().to_string();
    assert!(refused.contains("bytes of constants and tables exceed the limit 67108864"), "{refused}");
    graph_of(&mut large).initializer.push(integers("billions", vec![1 << 29]));
    graph_of(&mut large).node.insert(0, node("ConstantOfShape", &["billions"], &["huge"], vec![]));
    let refused = import(&large, &[]).unwrap_err().to_string();
    assert!(refused.starts_with("node `huge` (ConstantOfShape): "), "{refused}");
}

/// Found by reading: tables were made before they were counted.
#[test]
fn tables_beyond_the_memory_granted_are_refused_by_name() {
    let cases = [
        node("MaxPool", &["x"], &["z", "places"], vec![ints("kernel_shape", &[1, 1])]),
        node("InstanceNormalization", &["x", "ones", "ones"], &["z"], vec![]),
    ];
    for last in cases {
        let mut model = model();
        let graph = graph_of(&mut model);
        let (begin, outputs) = (format!("node `z` ({}): ", last.op_type()), last.output.clone());
        graph.input = vec![value("x", &[1, 3, 2048, 4096])];
        graph.initializer.push(floats("ones", &[3], vec![1.0; 3]));
        graph.node = vec![last];
        graph.output = outputs.iter().map(|name| value(name, &[])).collect();
        let model = load::from_proto(model.graph.as_ref().unwrap(), 12, &whole(16 << 20)).unwrap();
        let refused = batch::shaped(&model.graph, &[vec![1, 3, 2048, 4096]], 1).unwrap_err().to_string();
        assert!(refused.starts_with(&begin), "{refused}");
        assert!(refused.contains("bytes of constants and tables exceed the limit 16777216"), "{refused}");
    }
}

#[test]
fn bounds_that_leave_nothing_between_them_are_refused_by_name() {
    for (low, high) in [(2.0, 1.0), (f32::NAN, 1.0), (0.0, f32::NAN)] {
        let float = |name: &str, f| AttributeProto { name: Some(name.to_owned()), f: Some(f), ..int(name, 0) };
        let mut model = model();
        let graph = graph_of(&mut model);
        graph.node.push(node("Clip", &["y"], &["z"], vec![float("min", low), float("max", high)]));
        let refused = load::from_proto(graph, 10, &whole(64 << 20)).unwrap_err().to_string();
        assert_eq!(refused, format!("node `z` (Clip): attribute `min` is {low}: a number, at most `max`"));
    }
}

#[test]
fn what_is_joined_with_another_type_is_refused_by_name() {
    let mut mixed = model();
    let graph = graph_of(&mut mixed);
    graph.initializer.push(integers("rest of a row", vec![1; 3]));
    graph.node.push(node("Flatten", &["y"], &["flat"], vec![int("axis", 0)]));
    graph.node.push(node("Unsqueeze", &["rest of a row"], &["whole"], vec![ints("axes", &[0])]));
    graph.node.push(node("Concat", &["flat", "whole"], &["z"], vec![int("axis", 1)]));
    graph.output = vec![value("z", &[])];
    assert_eq!(import(&mixed, &[]).unwrap_err().to_string(), "node `z` (Concat): its inputs have different types");
}

#[test]
fn a_dimension_that_is_named_twice_is_refused() {
    for last in [
        node("Slice", &["y", "zero2", "one2", "axes"], &["z"], vec![]),
        node("Pad", &["y", "zero4", "", "axes"], &["z"], vec![]),
    ] {
        let wanted = format!("node `z` ({}): `axes` names a dimension twice", last.op_type());
        let mut model = model();
        let graph = graph_of(&mut model);
        graph.initializer.extend([
            integers("zero2", vec![0; 2]),
            integers("one2", vec![1; 2]),
            integers("zero4", vec![0; 4]),
        ]);
        graph.initializer.push(integers("axes", vec![1, -1]));
        graph.node.push(last);
        graph.output = vec![value("z", &[])];
        assert_eq!(import(&model, &[]).unwrap_err().to_string(), wanted);
    }
}

/// Each is no model: ONNX gives every value one definition.
#[test]
fn a_name_that_is_defined_twice_is_refused() {
    let refused = |change: &dyn Fn(&mut GraphProto)| {
        let mut model = model();
        change(graph_of(&mut model));
        import(&model, &[]).unwrap_err().to_string()
    };
    let twice = |name: &str| format!("a value named `{name}` is defined twice");
    assert_eq!(refused(&|graph| graph.node.push(node("Relu", &["c"], &["m"], vec![]))), twice("m"));
    assert_eq!(refused(&|graph| graph.node.push(node("Relu", &["c"], &["w"], vec![]))), twice("w"));
    assert_eq!(refused(&|graph| graph.node.push(node("Relu", &["c"], &["x"], vec![]))), twice("x"));
    assert_eq!(refused(&|graph| graph.input.push(value("x", &[1, 5]))), twice("x"));
    let split = || node("Split", &["m"], &["a", "a"], vec![int("axis", 1)]);
    assert_eq!(refused(&|graph| graph.node.push(split())), twice("a"));
    let output = "an output named `y` is defined twice";
    assert_eq!(refused(&|graph| graph.output.push(value("y", &[1, 5]))), output);
}

#[test]
fn a_model_without_inputs_or_names_is_refused() {
    let mut known = model();
    let graph = graph_of(&mut known);
    graph.initializer.push(floats("x", &[1, 3, 8, 8], vec![0.5; 192]));
    assert_eq!(import(&known, &[]).unwrap_err().to_string(), "the model has no input that is not a constant");
    let mut nameless = model();
    graph_of(&mut nameless).input.push(value("", &[1, 5]));
    let refused = import(&nameless, &[]).unwrap_err().to_string();
    assert!(refused.starts_with("input ``: its name has 0 bytes, 1 to "), "{refused}");
}

/// Found by the fuzzer and by hand: most ended the import by a panic.
#[test]
fn what_is_computed_from_no_elements_is_refused_by_name() {
    let last = [
        node("Gather", &["empty", "which"], &["z"], vec![]),
        node("GatherElements", &["empty", "which"], &["z"], vec![]),
        node("GatherND", &["empty", "which"], &["z"], vec![]),
        node("MatMul", &["none", "none"], &["z"], vec![]),
        node("Gemm", &["across", "empty"], &["z"], vec![]),
        node("MatMul", &["across", "empty"], &["z"], vec![]),
    ];
    for last in last {
        let mut model = model();
        let graph = graph_of(&mut model);
        graph.initializer.extend([floats("none", &[0], vec![]), floats("empty", &[0, 5], vec![])]);
        graph.initializer.push(floats("across", &[5, 0], vec![]));
        graph.node.push(node("Cast", &["y"], &["which"], vec![int("to", tensor_proto::DataType::Int64 as i64)]));
        let begin = format!("node `z` ({}): shape [", last.op_type());
        graph.node.push(last);
        graph.output = vec![value("z", &[])];
        let refused = import(&model, &[]).unwrap_err().to_string();
        assert!(refused.starts_with(&begin) && refused.ends_with("no dimension of 0"), "{refused}");
    }
}

/// Found by the fuzzer: what has more elements than a tensor may have was made before it was counted.
#[test]
fn a_constant_that_grows_beyond_a_tensor_is_refused_by_name() {
    let mut model = model();
    let graph = graph_of(&mut model);
    graph.initializer.push(floats("few", &[2, 3, 3, 1], vec![1.0; 18]));
    let apart = vec![ints("strides", &[1 << 16, 1 << 16]), ints("pads", &[0; 4])];
    graph.node.push(node("ConvTranspose", &["few", "few"], &["z"], apart));
    graph.output.push(value("z", &[]));
    let refused = import(&model, &[]).unwrap_err().to_string();
    assert!(refused.starts_with("node `z` (ConvTranspose): "), "{refused}");
}

/// Found by the fuzzer: a shape that is itself a long list took a step for each dimension of each element.
#[test]
fn a_tensor_of_very_many_dimensions_is_refused_by_name() {
    let mut wide = model();
    let graph = graph_of(&mut wide);
    graph.initializer.push(integers("ones", vec![1; 80_000]));
    graph.node.insert(0, node("Expand", &["ones", "ones"], &["wide"], vec![]));
    graph.output = vec![value("wide", &[])];
    let refused = import(&wide, &[]).unwrap_err().to_string();
    assert_eq!(refused, "node `wide` (Expand): 80000 dimensions exceed the limit 16");
}

/// Found by reading: each ended the import by a panic, but the last, which picked from beyond its source.
#[test]
fn windows_and_paddings_that_lead_nowhere_are_refused_by_name() {
    let same = || AttributeProto { s: Some(b"SAME_UPPER".to_vec().into()), ..int("auto_pad", 0) };
    let pool =
        |kernel: [i64; 2], strides: [i64; 2]| vec![ints("kernel_shape", &kernel), ints("strides", &strides), same()];
    let mode = |mode: &str| AttributeProto { s: Some(mode.as_bytes().to_vec().into()), ..int("mode", 0) };
    let rows = |before, behind| ints("pads", &[0, 0, before, 0, 0, 0, behind, 0]);
    let cases = [
        node("MaxPool", &["c"], &["z"], pool([20, 20], [0, 1])),
        node("MaxPool", &["empty"], &["z"], pool([2, 2], [1, 1])),
        node("AveragePool", &["empty"], &["z"], [pool([2, 2], [1, 1]), vec![int("ceil_mode", 1)]].concat()),
        node("Conv", &["c", "no taps"], &["z"], vec![int("group", 2)]),
        node("Pad", &["empty"], &["z"], vec![rows(1, 1), mode("edge")]),
        node("Pad", &["empty"], &["z"], vec![rows(1, 1), mode("wrap")]),
        node("Pad", &["c"], &["z"], vec![rows(i64::MIN, i64::MAX)]),
        node("Resize", &["c", "", "halves"], &["z"], vec![ints("axes", &[2, 2])]),
    ];
    for last in cases {
        let mut model = model();
        let graph = graph_of(&mut model);
        graph.initializer.extend([floats("empty", &[1, 2, 0, 4], vec![]), floats("no taps", &[64, 16, 0, 1], vec![])]);
        graph.initializer.push(floats("halves", &[2], vec![0.5; 2]));
        let begin = format!("node `z` ({}): ", last.op_type());
        graph.node.push(last);
        graph.output = vec![value("z", &[])];
        let refused = import(&model, &[]).unwrap_err().to_string();
        assert!(refused.starts_with(&begin), "{refused}");
    }
}

#[test]
fn what_a_package_can_not_hold_is_counted_in_the_refusal() {
    let mut wide = model();
    let graph = graph_of(&mut wide);
    for i in 0..8 {
        graph.output.push(value(["c", "m", "l", "r", "j", "f", "t", "q"][i], &[]));
    }
    assert_eq!(import(&wide, &[]).unwrap_err().to_string(), "9 outputs, but the limit is 8");
    let mut large = model();
    graph_of(&mut large).input[0] = value("x", &[1, 3, 4096, 2048]);
    graph_of(&mut large).node.truncate(1);
    graph_of(&mut large).output = vec![value("c", &[])];
    let refused = import(&large, &[]).unwrap_err().to_string();
    assert_eq!(refused, "1073741824 bytes of an item's outputs, but the limit is 67108864");
}

#[test]
fn an_index_beyond_a_dimension_is_named() {
    let mut beyond = model();
    let graph = graph_of(&mut beyond);
    graph.initializer.push(integers("seven", vec![7, -1]));
    graph.node.push(node("Gather", &["y", "seven"], &["z"], vec![int("axis", 1)]));
    graph.output = vec![value("z", &[])];
    let refused = import(&beyond, &[]).unwrap_err().to_string();
    assert_eq!(refused, "node `z` (Gather): index 7 lies beyond a dimension of 5");
}

/// Seventeen output channels become two blocks of sixteen.
#[test]
fn weights_that_the_memory_granted_holds_only_unpacked_are_refused_by_name() {
    let mut model = model();
    let graph = graph_of(&mut model);
    graph.initializer.push(floats("wide", &[17, 32, 10, 10], vec![1.0; 17 * 3200]));
    graph.node.push(node("Conv", &["c", "wide"], &["z"], vec![ints("pads", &[5; 4])]));
    graph.output = vec![value("z", &[])];
    import(&model, &[]).unwrap();
    let refused = import_within(500 << 10, &model, &[]).unwrap_err().to_string();
    assert!(refused.starts_with("node `z` (Conv): "), "{refused}");
    assert!(refused.ends_with("bytes of constants and tables exceed the limit 512000"), "{refused}");
}

fn graph_of(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

#[test]
fn attributes_that_ask_for_more_than_is_built_are_refused_by_name() {
    let text = |name: &str, text: &str| AttributeProto {
        name: Some(name.to_owned()),
        s: Some(text.as_bytes().to_vec().into()),
        ..AttributeProto::default()
    };
    let cases = [
        ("Gelu", text("approximate", "sine"), "approximate"),
        ("Pad", text("mode", "circle"), "mode"),
        ("BatchNormalization", int("training_mode", 1), "training_mode"),
        ("MaxPool", ints("kernel_shape", &[1 << 40, 1]), "kernel_shape"),
        ("Split", int("num_outputs", 2), "num_outputs"),
    ];
    for (operator, attribute, name) in cases {
        let mut model = model();
        model.graph.as_mut().unwrap().node.push(node(operator, &["y"], &["z"], vec![attribute]));
        let refused = import(&model, &[]).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("node `z` ({operator}): attribute `{name}` is ")), "{refused}");
    }
}
