//! From an ONNX file to a graph without shapes.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use prost::Message;
use runtime::base::limits::MAX_TENSOR_NAME_BYTES;

use super::constant::Constant;
use super::error::{ImportError, Why};
use super::fold;
use super::graph::{Graph, Node, ValueId};
use super::onnx::{GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto, tensor_proto::DataType};
use super::onnx::{tensor_shape_proto::dimension, type_proto};
use super::op::Op;

/// Operator sets that are understood.
const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 7..=22;

/// A model as it stands in its file.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its nodes, with stored constants, without shapes.
    pub graph: Graph,
    /// For each input, its dimensions as far as the file fixes them; none if it says nothing.
    pub declared: Vec<Option<Vec<Option<usize>>>>,
}

/// Reads the model at `path`. `outputs`, if any, cut the graph at these values.
pub fn load(path: &Path, outputs: &[String]) -> Result<Model, ImportError> {
    let bytes = fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    let model = ModelProto::decode(bytes.as_slice())
        .map_err(|source| ImportError::NotOnnx { path: path.to_owned(), source })?;
    let empty = |what| ImportError::Empty { path: path.to_owned(), what };
    let opset = model.opset_import.iter().find(|set| matches!(set.domain(), "" | "ai.onnx"));
    let opset = opset.ok_or_else(|| empty("operator set"))?.version();
    if !OPERATOR_SETS.contains(&opset) {
        let (least, most) = (*OPERATOR_SETS.start(), *OPERATOR_SETS.end());
        return Err(ImportError::OperatorSet { found: opset, least, most });
    }
    let graph = model.graph.as_ref().filter(|graph| !graph.node.is_empty()).ok_or_else(|| empty("nodes"))?;
    from_proto(graph, opset, outputs)
}

/// The model of an ONNX graph.
pub fn from_proto(proto: &GraphProto, opset: i64, outputs: &[String]) -> Result<Model, ImportError> {
    let mut loader = Loader::default();
    for tensor in &proto.initializer {
        let name = tensor.name().to_owned();
        let constant = Constant::from_proto(tensor).map_err(|why| ImportError::Constant { name: name.clone(), why })?;
        let id = loader.graph.add_constant(name.clone(), constant);
        loader.names.insert(name, id);
    }
    let mut declared = Vec::new();
    for input in &proto.input {
        if loader.names.contains_key(input.name()) {
            continue;
        }
        check_float("input", input)?;
        check_name("input", input.name())?;
        let id = loader.define(input.name());
        loader.graph.inputs.push(id);
        declared.push(dimensions(input));
    }
    for node in &proto.node {
        loader.node(node, opset)?;
    }
    if outputs.is_empty() {
        for output in &proto.output {
            check_float("output", output)?;
        }
    }
    let declared_outputs: Vec<String> = proto.output.iter().map(|output| output.name().to_owned()).collect();
    for name in if outputs.is_empty() { &declared_outputs } else { outputs } {
        let id = loader.names.get(name).copied().ok_or_else(|| ImportError::UnknownName {
            role: "value",
            name: name.clone(),
            known: declared_outputs.join(", "),
        })?;
        check_name("output", name)?;
        loader.graph.outputs.push(id);
    }
    loader.graph.remove_dead();
    Ok(Model { graph: loader.graph, declared })
}

#[derive(Default)]
struct Loader {
    graph: Graph,
    names: HashMap<String, ValueId>,
}

impl Loader {
    fn define(&mut self, name: &str) -> ValueId {
        let id = self.graph.add(name, Vec::new(), None);
        self.names.insert(name.to_owned(), id);
        id
    }

    fn node(&mut self, proto: &NodeProto, opset: i64) -> Result<(), ImportError> {
        let operator = proto.op_type().to_owned();
        let first_output = proto.output.first().map(String::as_str).unwrap_or_default();
        let name = if proto.name().is_empty() { first_output } else { proto.name() }.to_owned();
        let op = Op::from_proto(proto, opset).map_err(|why| ImportError::Node {
            node: name.clone(),
            operator: operator.clone(),
            why,
        })?;
        let mut inputs = Vec::with_capacity(proto.input.len());
        for input in &proto.input {
            let id = match input.as_str() {
                "" => None,
                name => Some(*self.names.get(name).ok_or_else(|| ImportError::Dangling { name: name.to_owned() })?),
            };
            inputs.push(id);
        }
        if first_output.is_empty() {
            return Err(ImportError::Node { node: name, operator, why: Why::Form("it has no output") });
        }
        let outputs = proto.output.iter().filter(|name| !name.is_empty()).map(|name| self.define(name)).collect();
        let node = Node { name, operator, op, inputs, outputs };
        self.keep(node)
    }

    /// Adds the node, or the constant that it makes if it is one that the file states outright.
    fn keep(&mut self, node: Node) -> Result<(), ImportError> {
        if matches!(node.op, Op::Constant(_) | Op::ConstantOfShape { .. }) {
            let folded = fold::evaluate(&self.graph, &node).map_err(|why| ImportError::at(&node, why))?;
            if let Some(constant) = folded {
                let value = &mut self.graph.values[node.output().0];
                value.dims = constant.dims.clone();
                value.constant = Some(constant);
                return Ok(());
            }
        }
        self.graph.nodes.push(node);
        Ok(())
    }
}

fn tensor_type(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match info.r#type.as_ref() {
        Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) => Some(tensor),
        _ => None,
    }
}

fn check_name(role: &'static str, name: &str) -> Result<(), ImportError> {
    let (bytes, limit) = (name.len(), MAX_TENSOR_NAME_BYTES);
    if bytes > limit {
        return Err(ImportError::TensorName { role, name: name.to_owned(), bytes, limit });
    }
    Ok(())
}

fn check_float(role: &'static str, info: &ValueInfoProto) -> Result<(), ImportError> {
    let found = tensor_type(info).map_or(0, |tensor| tensor.elem_type());
    if found == DataType::Float as i32 {
        return Ok(());
    }
    let why = Why::Type { found, wanted: "the target computes in float (1) only" };
    Err(ImportError::Tensor { role, name: info.name().to_owned(), why })
}

fn dimensions(info: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let shape = tensor_type(info)?.shape.as_ref()?;
    let fixed = |dim: &Option<dimension::Value>| match dim {
        Some(dimension::Value::DimValue(n)) => usize::try_from(*n).ok().filter(|&n| n > 0),
        _ => None,
    };
    Some(shape.dim.iter().map(|dim| fixed(&dim.value)).collect())
}
