//! Changes of what a model says.

use crate::import::onnx::tensor_shape_proto::dimension;
use crate::import::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, type_proto};

/// Numbers at which arithmetic ends, and small ones.
const EDGES: [i64; 24] = [
    0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 32, 64, -1, -2, -3, 1000, 65_535, 65_536, 1 << 20, 1 << 31, 1 << 40, i64::MAX,
    i64::MIN,
];

const FLOATS: [f32; 10] = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

/// Operators by which another is replaced or that are added.
const OPERATORS: [&str; 88] = [
    "Add", "And", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "CastLike", "Ceil", "Clip", "Concat",
    "Constant", "ConstantOfShape", "Conv", "ConvTranspose", "CumSum", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp",
    "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization",
    "LRN", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool",
    "Min", "Mish", "Mul", "Neg", "Not", "Or", "PRelu", "Pad", "Pow", "Range", "Reciprocal", "ReduceL1", "ReduceL2",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "Round",
    "Shape", "Sigmoid", "Sign", "Size", "Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
    "Tanh", "Tile", "TopK", "Transpose", "Unsqueeze", "Where",
];

/// Numbers from a seed.
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u32) -> Random {
        Random { state: u64::from(seed) }
    }

    /// A number from 0 up to but without `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len())) }
    }

    fn pick_mut<'a, T>(&mut self, from: &'a mut [T]) -> Option<&'a mut T> {
        let index = if from.is_empty() { 0 } else { self.below(from.len()) };
        from.get_mut(index)
    }

    fn number(&mut self, old: i64) -> i64 {
        match self.below(4) {
            0 => old.wrapping_add(1),
            1 => old.wrapping_sub(1),
            _ => EDGES[self.below(EDGES.len())],
        }
    }

    /// A list one number longer, shorter, or with another number.
    fn list(&mut self, list: &mut Vec<i64>) {
        match self.below(6) {
            0 => list.push(EDGES[self.below(EDGES.len())]),
            1 => drop(list.pop()),
            _ => {
                let index = if list.is_empty() { 0 } else { self.below(list.len()) };
                let old = list.get(index).copied().unwrap_or_default();
                let new = self.number(old);
                list.get_mut(index).into_iter().for_each(|number| *number = new);
            }
        }
    }

    /// Changes one thing that the model says.
    pub fn alter(&mut self, model: &mut ModelProto) {
        if self.below(32) == 0 {
            let version = 1 + self.below(26) as i64;
            model.opset_import.iter_mut().for_each(|set| set.version = Some(version));
        }
        let Some(graph) = model.graph.as_mut() else { return };
        match self.below(10) {
            0 => self.shape(graph),
            1 | 2 => {
                let index = if graph.initializer.is_empty() { return } else { self.below(graph.initializer.len()) };
                self.tensor(&mut graph.initializer[index]);
            }
            3 => self.wire(graph),
            4 => self.add(graph),
            _ => {
                let index = if graph.node.is_empty() { return } else { self.below(graph.node.len()) };
                self.node(&mut graph.node[index]);
            }
        }
    }

    fn shape(&mut self, graph: &mut GraphProto) {
        let index = if graph.input.is_empty() { return } else { self.below(graph.input.len()) };
        let kind = graph.input[index].r#type.as_mut().and_then(|kind| kind.value.as_mut());
        let Some(type_proto::Value::TensorType(tensor)) = kind else { return };
        if self.below(8) == 0 {
            tensor.elem_type = Some([1, 2, 6, 7, 9, 11][self.below(6)]);
        }
        let Some(shape) = tensor.shape.as_mut() else { return };
        match self.below(6) {
            0 => drop(shape.dim.pop()),
            1 => shape.dim.extend(shape.dim.last().cloned()),
            _ => {
                let small = [1, 2, 3, 5, 16, 17, 64, 224];
                let size = if self.below(8) == 0 { EDGES[self.below(24)] } else { small[self.below(8)] };
                if let Some(dim) = self.pick_mut(&mut shape.dim) {
                    dim.value = Some(dimension::Value::DimValue(size));
                }
            }
        }
    }

    fn tensor(&mut self, tensor: &mut TensorProto) {
        // Whole numbers in the form that can be changed.
        if tensor.data_type == Some(7) && let Some(raw) = tensor.raw_data.take() {
            tensor.int64_data = raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
        }
        match self.below(8) {
            0 => self.list(&mut tensor.dims),
            1 => {
                // As many dimensions as before, as many elements too.
                let turn = 1.min(tensor.dims.len());
                tensor.dims.rotate_left(turn);
            }
            2 => {
                let index = self.below(FLOATS.len());
                let number = FLOATS[index];
                tensor.float_data.iter_mut().for_each(|old| *old = number);
            }
            _ => {
                self.list(&mut tensor.int64_data);
                if tensor.dims.len() == 1 && tensor.data_type == Some(7) {
                    tensor.dims = vec![tensor.int64_data.len() as i64];
                }
            }
        }
    }

    fn attribute(&mut self, attribute: &mut AttributeProto) {
        let number = self.number(attribute.i());
        let float = FLOATS[self.below(FLOATS.len())];
        attribute.i.iter_mut().for_each(|i| *i = number);
        attribute.f.iter_mut().for_each(|f| *f = float);
        if !attribute.ints.is_empty() {
            self.list(&mut attribute.ints);
        }
        if let Some(tensor) = attribute.t.as_mut() {
            self.tensor(tensor);
        }
    }

    fn node(&mut self, node: &mut NodeProto) {
        match self.below(6) {
            0 => node.op_type = Some(OPERATORS[self.below(OPERATORS.len())].to_owned()),
            1 => drop(node.input.pop()),
            2 => node.input.extend(node.input.first().cloned()),
            3 if !node.attribute.is_empty() => {
                let index = self.below(node.attribute.len());
                node.attribute.remove(index);
            }
            _ => {
                let index = if node.attribute.is_empty() { return } else { self.below(node.attribute.len()) };
                self.attribute(&mut node.attribute[index]);
            }
        }
    }

    /// An input of a node becomes another value.
    fn wire(&mut self, graph: &mut GraphProto) {
        let names = values(graph);
        let Some(name) = self.pick(&names).cloned() else { return };
        let index = if graph.node.is_empty() { return } else { self.below(graph.node.len()) };
        if let Some(input) = self.pick_mut(&mut graph.node[index].input) {
            *input = name;
        }
    }

    /// One more node behind all others, whose result becomes the output.
    fn add(&mut self, graph: &mut GraphProto) {
        let names = values(graph);
        let count = 1 + self.below(3);
        let input: Vec<String> = (0..count).filter_map(|_| self.pick(&names).cloned()).collect();
        let output = format!("added {}", graph.node.len());
        let attribute = self.pick(&graph.node).map(|node| node.attribute.clone()).unwrap_or_default();
        if let Some(first) = graph.output.first_mut() {
            first.name = Some(output.clone());
        }
        graph.node.push(NodeProto {
            op_type: Some(OPERATORS[self.below(OPERATORS.len())].to_owned()),
            input,
            output: vec![output],
            attribute,
            ..NodeProto::default()
        });
    }
}

fn values(graph: &GraphProto) -> Vec<String> {
    let inputs = graph.input.iter().filter_map(|input| input.name.clone());
    let stored = graph.initializer.iter().filter_map(|tensor| tensor.name.clone());
    let made = graph.node.iter().flat_map(|node| node.output.clone());
    inputs.chain(stored).chain(made).filter(|name| !name.is_empty()).collect()
}
