//! From an ONNX file to a graph without shapes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;
use runtime::base::limits::MAX_TENSOR_NAME_BYTES;

use super::constant::Constant;
use super::element::Element;
use super::error::{ImportError, Why};
use super::fold;
use super::graph::{Graph, Node, ValueId};
use super::onnx::{GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto};
use super::onnx::{tensor_shape_proto::dimension, type_proto};
use super::op::Op;

/// Operator sets that are understood.
const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 7..=25;

/// A model as it stands in its file.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its nodes, with stored constants, without shapes.
    pub graph: Graph,
    /// For each input, its dimensions as far as the file fixes them; none if it says nothing.
    pub declared: Vec<Option<Vec<Option<usize>>>>,
    /// For each output, its type as the file says; none if it was cut within the graph.
    pub types: Vec<Option<Element>>,
}

/// Which part of a model is wanted, and what it may cost.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Values that become the outputs; none: the model's own.
    pub outputs: Vec<String>,
    /// Inputs that become constants.
    pub bound: HashMap<String, Constant>,
    /// Bytes that constants and tables may have.
    pub memory: usize,
}

/// Reads the model at `path`.
pub fn load(path: &Path, cut: &Cut) -> Result<Model, ImportError> {
    let bytes = fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    from_bytes(path, bytes, cut)
}

/// Reads a model from the bytes of the file at `path`.
pub fn from_bytes(path: &Path, bytes: Vec<u8>, cut: &Cut) -> Result<Model, ImportError> {
    // Tensors then share the bytes of the file until they are read.
    let model = ModelProto::decode(Bytes::from(bytes))
        .map_err(|source| ImportError::NotOnnx { path: path.to_owned(), source })?;
    let empty = |what| ImportError::Empty { path: path.to_owned(), what };
    let opset = model.opset_import.iter().find(|set| matches!(set.domain(), "" | "ai.onnx"));
    let opset = opset.ok_or_else(|| empty("operator set"))?.version();
    if !OPERATOR_SETS.contains(&opset) {
        let (least, most) = (*OPERATOR_SETS.start(), *OPERATOR_SETS.end());
        return Err(ImportError::OperatorSet { found: opset, least, most });
    }
    let graph = model.graph.as_ref().filter(|graph| !graph.node.is_empty()).ok_or_else(|| empty("nodes"))?;
    from_proto(graph, opset, cut)
}

/// The model of an ONNX graph.
pub fn from_proto(proto: &GraphProto, opset: i64, cut: &Cut) -> Result<Model, ImportError> {
    let Cut { outputs, bound, memory } = cut;
    let mut loader = Loader { graph: Graph::new(*memory), names: HashMap::new() };
    bind(&mut loader, proto, bound)?;
    let stored = proto.initializer.iter().filter(|tensor| !bound.contains_key(tensor.name()));
    for tensor in stored {
        let name = tensor.name().to_owned();
        let constant = Constant::from_proto(tensor).map_err(|why| ImportError::Constant { name: name.clone(), why })?;
        let id = loader.graph.add_constant(name.clone(), constant);
        loader.graph.check_room(0).map_err(|why| ImportError::Constant { name: name.clone(), why })?;
        loader.names.insert(name, id);
    }
    let mut declared = Vec::new();
    let known: HashSet<String> = loader.names.keys().cloned().collect();
    for input in proto.input.iter().filter(|input| !known.contains(input.name())) {
        let element = element_of("input", input)?;
        check_name("input", input.name())?;
        let id = loader.define(input.name())?;
        loader.graph.values[id.0].element = element;
        loader.graph.inputs.push(id);
        declared.push(dimensions(input));
    }
    for node in &proto.node {
        loader.node(node, opset)?;
    }
    let mut types = vec![None; outputs.len()];
    if outputs.is_empty() {
        types = proto.output.iter().map(|output| element_of("output", output).map(Some)).collect::<Result<_, _>>()?;
    }
    if loader.graph.inputs.is_empty() {
        return Err(ImportError::NoInput);
    }
    let declared_outputs: Vec<String> = proto.output.iter().map(|output| output.name().to_owned()).collect();
    for name in if outputs.is_empty() { &declared_outputs } else { outputs } {
        let id = loader.names.get(name).copied().ok_or_else(|| ImportError::UnknownName {
            role: "value",
            name: name.clone(),
            known: declared_outputs.join(", "),
        })?;
        check_name("output", name)?;
        if loader.graph.outputs.contains(&id) {
            return Err(ImportError::Defined { what: "an output", name: name.clone() });
        }
        loader.graph.outputs.push(id);
    }
    if loader.graph.outputs.is_empty() {
        return Err(ImportError::NoOutput);
    }
    loader.graph.remove_dead();
    Ok(Model { graph: loader.graph, declared, types })
}

struct Loader {
    graph: Graph,
    names: HashMap<String, ValueId>,
}

impl Loader {
    /// A value of that name, which no other has; the empty one names nothing.
    fn define(&mut self, name: &str) -> Result<ValueId, ImportError> {
        let id = self.graph.add(name, Vec::new(), None);
        if !name.is_empty() && self.names.insert(name.to_owned(), id).is_some() {
            return Err(ImportError::Defined { what: "a value", name: name.to_owned() });
        }
        Ok(id)
    }

    fn node(&mut self, proto: &NodeProto, opset: i64) -> Result<(), ImportError> {
        let operator = proto.op_type().to_owned();
        let first_output = proto.output.iter().find(|name| !name.is_empty()).map(String::as_str).unwrap_or_default();
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
        if proto.output.iter().all(String::is_empty) {
            return Err(ImportError::Node { node: name, operator, why: Why::Form("it has no output") });
        }
        let outputs: Vec<ValueId> = proto.output.iter().map(|name| self.define(name)).collect::<Result<_, _>>()?;
        if operator == "Dropout" {
            return self.dropout(Node { name, operator, op, inputs, outputs });
        }
        self.keep(Node { name, operator, op, inputs, outputs })
    }

    /// In inference nothing is dropped, and the mask, if it is read, is true everywhere.
    fn dropout(&mut self, mut node: Node) -> Result<(), ImportError> {
        let known = |index| node.input(index).map(|id| self.graph.constant(id));
        let off = |mode: Option<&Constant>| mode.and_then(Constant::as_integers) == Some(&[0]);
        let never = |ratio: Option<&Constant>| ratio.and_then(Constant::scalar) == Some(0.0);
        if known(2).is_some_and(|mode| !off(mode)) && !known(1).is_some_and(never) {
            return Err(ImportError::at(&node, Why::Form("training_mode is not false: only inference is built")));
        }
        node.inputs.truncate(1);
        let mask = (node.outputs.len() > 1).then(|| node.outputs.remove(1));
        self.keep(node.clone())?;
        let Some(mask) = mask else { return Ok(()) };
        let shape = self.graph.add(format!("{} shape", node.name), Vec::new(), None);
        let ones = Constant::integers(vec![1], vec![1]).with_element(Element::Bool);
        self.keep(Node { op: Op::Shape { start: 0, end: None }, outputs: vec![shape], ..node.clone() })?;
        let op = Op::ConstantOfShape { value: ones };
        self.keep(Node { op, inputs: vec![Some(shape)], outputs: vec![mask], ..node })
    }

    /// Adds the node, or the constant that it makes if it is one that the file states outright.
    fn keep(&mut self, node: Node) -> Result<(), ImportError> {
        if matches!(node.op, Op::Constant(_) | Op::ConstantOfShape { .. }) {
            let folded = fold::evaluate(&self.graph, &node).map_err(|why| ImportError::at(&node, why))?;
            if let Some(constant) = folded.and_then(|mut all| all.pop()) {
                self.graph.set_constant(node.output(), constant);
                return Ok(());
            }
        }
        self.graph.check_room(0).map_err(|why| ImportError::at(&node, why))?;
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
    if bytes == 0 || bytes > limit {
        return Err(ImportError::TensorName { role, name: name.to_owned(), bytes, limit });
    }
    Ok(())
}

fn element_of(role: &'static str, info: &ValueInfoProto) -> Result<Element, ImportError> {
    let refused = |why| ImportError::Tensor { role, name: info.name().to_owned(), why };
    let tensor = tensor_type(info).ok_or_else(|| refused(Why::Form("it is no tensor")))?;
    Element::from_onnx(tensor.elem_type()).map_err(refused)
}

/// Inputs that are given as constants.
fn bind(loader: &mut Loader, proto: &GraphProto, bound: &HashMap<String, Constant>) -> Result<(), ImportError> {
    for (name, constant) in bound {
        let known = || proto.input.iter().map(|input| input.name()).collect::<Vec<_>>().join(", ");
        let input = proto.input.iter().find(|input| input.name() == name);
        let unknown = || ImportError::UnknownName { role: "input", name: name.clone(), known: known() };
        let input = input.ok_or_else(unknown)?;
        let refused = |why| ImportError::Tensor { role: "input", name: name.clone(), why };
        let wanted = element_of("input", input)?;
        if wanted != constant.element {
            let wanted = "the type that the model states for it";
            return Err(refused(Why::Type { found: constant.element.number(), wanted }));
        }
        if let Some(dims) = dimensions(input) {
            let fits = |(&dim, fixed): (&usize, &Option<usize>)| fixed.is_none_or(|fixed| fixed == dim);
            if dims.len() != constant.dims.len() || !constant.dims.iter().zip(&dims).all(fits) {
                let right = dims.iter().map(|dim| dim.unwrap_or(0)).collect();
                let wanted = "the dimensions that the model fixes (0: open)";
                return Err(refused(Why::Mismatch { left: constant.dims.clone(), right, wanted }));
            }
        }
        let id = loader.graph.add_constant(name.clone(), constant.clone());
        loader.names.insert(name.clone(), id);
    }
    Ok(())
}

fn dimensions(info: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let shape = tensor_type(info)?.shape.as_ref()?;
    let fixed = |dim: &Option<dimension::Value>| match dim {
        Some(dimension::Value::DimValue(n)) => usize::try_from(*n).ok().filter(|&n| n > 0),
        _ => None,
    };
    Some(shape.dim.iter().map(|dim| fixed(&dim.value)).collect())
}
