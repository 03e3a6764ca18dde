//! The element types that a model's values may have.

use runtime::package::TensorType;

use super::error::Why;
use super::graph::{Graph, Node};
use super::onnx::tensor_proto::DataType;
use super::op::Op;

/// An element type. All but floats are whole numbers, held as `i64` at import and as `i32` on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Element {
    /// `f32`
    #[default]
    Float,
    /// `i64`
    Int64,
    /// `i32`
    Int32,
    /// `u8`
    Uint8,
    /// Truth values.
    Bool,
}

impl Element {
    /// The type with ONNX's number, for a tensor that enters, leaves or is computed.
    pub fn from_onnx(number: i32) -> Result<Element, Why> {
        Ok(match DataType::try_from(number).unwrap_or_default() {
            DataType::Float => Element::Float,
            DataType::Int64 => Element::Int64,
            DataType::Int32 => Element::Int32,
            DataType::Uint8 => Element::Uint8,
            DataType::Bool => Element::Bool,
            _ => {
                return Err(Why::Type {
                    found: number,
                    wanted: "the target has float (1), uint8 (2), int32 (6), int64 (7) and bool (9)",
                });
            }
        })
    }

    /// ONNX's number.
    pub fn number(self) -> i32 {
        (match self {
            Element::Float => DataType::Float,
            Element::Int64 => DataType::Int64,
            Element::Int32 => DataType::Int32,
            Element::Uint8 => DataType::Uint8,
            Element::Bool => DataType::Bool,
        }) as i32
    }

    /// The type in packages.
    pub fn tensor_type(self) -> TensorType {
        match self {
            Element::Float => TensorType::F32,
            Element::Int64 => TensorType::I64,
            Element::Int32 => TensorType::I32,
            Element::Uint8 => TensorType::U8,
            Element::Bool => TensorType::Bool,
        }
    }

    /// Whether it is no float.
    pub fn is_whole(self) -> bool {
        self != Element::Float
    }
}

/// Refuses what is no float where the kernel computes in floats, and what is joined with another type.
pub fn check(graph: &Graph, node: &Node) -> Result<(), Why> {
    if let Op::Concat { .. } = node.op {
        let mut types = node.inputs.iter().flatten().map(|&id| graph.element(id));
        let first = types.next();
        if types.any(|element| Some(element) != first) {
            return Err(Why::Form("its inputs have different types"));
        }
    }
    let floats = matches!(
        node.op,
        Op::Conv(..)
            | Op::Pool(_)
            | Op::GlobalPool(_)
            | Op::Gemm(..)
            | Op::MatMul { .. }
            | Op::Attention { .. }
            | Op::Unary(_)
            | Op::Binary(..)
            | Op::Softmax { .. }
            | Op::LayerNorm { .. }
            | Op::BatchNorm { .. }
            | Op::Reduce { .. }
            | Op::Resample { .. }
    );
    let whole = node.inputs.iter().flatten().map(|&id| graph.element(id)).find(|element| element.is_whole());
    match whole.filter(|_| floats) {
        Some(element) => Err(Why::Type { found: element.number(), wanted: "this operator is built for float (1)" }),
        None => Ok(()),
    }
}

/// The types of the outputs of a node that has been spelled out; the last is that of all further ones.
pub fn infer(graph: &Graph, node: &Node) -> Vec<Element> {
    use kernels::params::WordOp;
    let first = node.input(0).map(|id| graph.element(id)).unwrap_or_default();
    match &node.op {
        Op::Words(op) => vec![match op {
            WordOp::And
            | WordOp::Or
            | WordOp::Xor
            | WordOp::Equal
            | WordOp::Less
            | WordOp::LessOrEqual
            | WordOp::EqualFloat
            | WordOp::LessFloat
            | WordOp::LessOrEqualFloat
            | WordOp::FloatToTruth => Element::Bool,
            WordOp::FloatToWhole => Element::Int64,
            WordOp::WholeToFloat => Element::Float,
            _ => first,
        }],
        Op::Cast { to } => vec![*to],
        Op::Pixels { .. } => vec![Element::Float],
        Op::Constant(constant) => vec![constant.element],
        Op::ConstantOfShape { value } => vec![value.element],
        Op::Shape { .. } | Op::Size => vec![Element::Int64],
        Op::TopK { .. } => vec![first, Element::Int64],
        _ => vec![first],
    }
}
