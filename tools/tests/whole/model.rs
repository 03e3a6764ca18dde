//! The smallest model worth serving, a convolution and a ReLU, and what it must answer.

use std::fs;
use std::path::Path;

use prost::Message;

use super::onnx::tensor_shape_proto::{Dimension, dimension};
use super::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto, tensor_proto, type_proto,
};

/// Channels of the input.
pub const IN: usize = 3;
/// Channels of the output.
pub const OUT: usize = 8;
/// Rows and columns of both.
pub const SIDE: usize = 16;
const KERNEL: usize = 3;

/// A number in -1..1 that `seed` and `index` decide.
fn number(seed: u32, index: usize) -> f32 {
    let index = u32::try_from(index).expect("tensors here are small");
    let mixed = (index ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b).rotate_left(13);
    let top = u16::try_from(mixed.wrapping_mul(0xc2b2_ae35) >> 16).expect("16 bits are left");
    f32::from(top) / 32768.0 - 1.0
}

/// `count` numbers.
pub fn numbers(seed: u32, count: usize) -> Vec<f32> {
    (0..count).map(|index| number(seed, index)).collect()
}

fn weights(seed: u32) -> (Vec<f32>, Vec<f32>) {
    (numbers(seed, OUT * IN * KERNEL * KERNEL), numbers(seed + 1, OUT))
}

/// What the model of `seed` must answer, computed as the definition says.
pub fn expected(seed: u32, input: &[f32]) -> Vec<f32> {
    let (weights, bias) = weights(seed);
    let at = |channel: usize, row: usize, column: usize| {
        // Coordinates are one further than in the input, whose border is zero.
        let inside = (1..=SIDE).contains(&row) && (1..=SIDE).contains(&column);
        if inside { f64::from(input[(channel * SIDE + row - 1) * SIDE + column - 1]) } else { 0.0 }
    };
    let mut output = Vec::with_capacity(OUT * SIDE * SIDE);
    for out in 0..OUT {
        for place in 0..SIDE * SIDE {
            let mut sum = f64::from(bias[out]);
            for tap in 0..IN * KERNEL * KERNEL {
                let (channel, row, column) = (tap / KERNEL / KERNEL, tap / KERNEL % KERNEL, tap % KERNEL);
                let weight = f64::from(weights[out * IN * KERNEL * KERNEL + tap]);
                sum += weight * at(channel, place / SIDE + row, place % SIDE + column);
            }
            #[expect(clippy::cast_possible_truncation, reason = "answers are single precision")]
            output.push(sum.max(0.0) as f32);
        }
    }
    output
}

/// A tensor of a graph, with its numbers.
pub fn tensor(name: &str, dims: &[usize], data: Vec<f32>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.iter().map(|&dim| i64::try_from(dim).expect("small")).collect(),
        data_type: Some(tensor_proto::DataType::Float as i32),
        float_data: data,
        ..TensorProto::default()
    }
}

/// An input or output of a graph: one picture of so many channels.
pub fn value(name: &str, channels: usize, side: usize) -> ValueInfoProto {
    let dim = |size: usize| Dimension {
        value: Some(dimension::Value::DimValue(i64::try_from(size).expect("small"))),
        ..Dimension::default()
    };
    let shape = TensorShapeProto { dim: [1, channels, side, side].map(dim).to_vec() };
    let tensor = type_proto::Tensor { elem_type: Some(tensor_proto::DataType::Float as i32), shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(kind), ..ValueInfoProto::default() }
}

fn node(operator: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: Some(operator.to_owned()),
        op_type: Some(operator.to_owned()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

/// A convolution with a kernel of that many rows and columns, an odd number, that keeps the image's.
pub fn conv(kernel: usize, inputs: &[&str], output: &str) -> NodeProto {
    let ints = |name: &str, ints: Vec<i64>| AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(attribute_proto::AttributeType::Ints as i32),
        ints,
        ..AttributeProto::default()
    };
    let side = i64::try_from(kernel).expect("small");
    let attributes = vec![ints("kernel_shape", vec![side; 2]), ints("pads", vec![side / 2; 4])];
    node("Conv", inputs, output, attributes)
}

/// A model of these nodes.
pub fn graph(
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    input: ValueInfoProto,
    output: ValueInfoProto,
) -> ModelProto {
    let graph = GraphProto {
        name: Some("tiny".to_owned()),
        node,
        initializer,
        input: vec![input],
        output: vec![output],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { version: Some(13), ..OperatorSetIdProto::default() }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// Writes the model of `seed` as ONNX. Its input is `x`, its output `y`.
pub fn write(path: &Path, seed: u32) {
    write_named(path, seed, "x", "y");
}

/// The same with other names.
pub fn write_named(path: &Path, seed: u32, x: &str, y: &str) {
    let (weights, bias) = weights(seed);
    let nodes = vec![conv(3, &[x, "w", "b"], "c"), node("Relu", &["c"], y, Vec::new())];
    let initializers = vec![tensor("w", &[OUT, IN, KERNEL, KERNEL], weights), tensor("b", &[OUT], bias)];
    let model = graph(nodes, initializers, value(x, IN, SIDE), value(y, OUT, SIDE));
    fs::write(path, model.encode_to_vec()).expect("a temporary file can be written");
}

/// Bytes of a `.npy` file.
pub fn npy(kind: &str, dims: &[usize], data: &[u8]) -> Vec<u8> {
    let dims: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({dims}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a short header");
    [b"\x93NUMPY\x01\x00".as_slice(), &length.to_le_bytes(), header.as_bytes(), data].concat()
}

/// The numbers in a `.npy` file of f32.
pub fn read_npy(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}
