//! What nodes do: ONNX's operators and attributes as types.

use kernels::params::{Activation, ActivationKind, BinaryOp, PoolKind, ReduceKind};

use super::constant::Constant;
use super::error::Why;
use super::onnx::{AttributeProto, NodeProto};

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Convolution; fused: an activation, and as input 3 a residual.
    Conv(Conv, Activation),
    /// Normalisation with stored statistics.
    BatchNorm { epsilon: f32 },
    /// Pooling over a sliding window.
    Pool(Pool),
    /// Pooling over the whole image.
    GlobalPool(PoolKind),
    /// `alpha A B + beta C`; fused: an activation, and as input 3 a residual.
    Gemm(Gemm, Activation),
    /// Product over the last two dimensions, times a factor.
    MatMul { scale: f32 },
    /// A function of each element.
    Unary(Activation),
    /// `Clip` whose bounds are inputs.
    Clip,
    /// A function of two elements, with broadcast; fused: an activation.
    Binary(BinaryOp, Activation),
    /// The sum of any number of tensors.
    Sum,
    /// Many become one; axes by attribute or input 1.
    Reduce { kind: ReduceKind, axes: Option<Vec<i64>>, keep: bool },
    /// Softmax along an axis; `flatten` as before operator set 13: over all dimensions from it on.
    Softmax { axis: i64, flatten: bool },
    /// Layer normalisation over the last dimension.
    LayerNorm { axis: i64, epsilon: f32 },
    /// Another shape, given by input 1.
    Reshape { allow_zero: bool },
    /// Two dimensions, split before `axis`.
    Flatten { axis: i64 },
    /// Removes dimensions of 1; axes by attribute or input 1.
    Squeeze { axes: Option<Vec<i64>> },
    /// Adds dimensions of 1; axes by attribute or input 1.
    Unsqueeze { axes: Option<Vec<i64>> },
    /// Permutes dimensions.
    Transpose { perm: Option<Vec<i64>> },
    /// A part; bounds by attributes or inputs 1 to 4.
    Slice { bounds: Option<Bounds> },
    /// Joins along an axis.
    Concat { axis: i64 },
    /// Parts along an axis; sizes by attribute or input 1, or equal.
    Split { axis: i64, sizes: Option<Vec<i64>> },
    /// Picks along an axis.
    Gather { axis: i64 },
    /// The shape as a tensor.
    Shape { start: i64, end: Option<i64> },
    /// Another element type, by ONNX's number.
    Cast { to: i32 },
    /// One value in a given shape.
    ConstantOfShape { value: Constant },
    /// A constant.
    Constant(Constant),
    /// What does nothing in inference.
    Identity,
}

/// Attributes of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Kernel size; absent: that of the weights.
    pub kernel: Option<[usize; 2]>,
    /// Where the window goes.
    pub slide: Slide,
    /// Groups.
    pub groups: usize,
}

/// Attributes of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// How a window becomes one value.
    pub kind: PoolKind,
    /// Kernel size.
    pub kernel: [usize; 2],
    /// Where the window goes.
    pub slide: Slide,
    /// Whether a last, partial window counts.
    pub ceil: bool,
}

/// Where a sliding window goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Slide {
    /// Steps down and across.
    pub strides: [usize; 2],
    /// Distances of taps.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: Padding,
}

/// How padding is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Padding {
    /// Top, left, bottom, right.
    Explicit([usize; 4]),
    /// As much as keeps the size, the odd one at the end.
    SameUpper,
    /// As much as keeps the size, the odd one at the beginning.
    SameLower,
}

/// Attributes of `Gemm`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gemm {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of `C`.
    pub beta: f32,
    /// `A` is transposed.
    pub trans_a: bool,
    /// `B` is transposed.
    pub trans_b: bool,
}

/// Bounds of a slice, by attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// First indices.
    pub starts: Vec<i64>,
    /// Past the last indices.
    pub ends: Vec<i64>,
    /// Which dimensions; absent: the first ones.
    pub axes: Option<Vec<i64>>,
}

/// Largest kernel, stride, dilation or padding of a sliding window.
const MAX_SIZE: usize = 1 << 16;

/// The attributes of one node.
struct Attributes<'a>(&'a [AttributeProto]);

impl Attributes<'_> {
    fn find(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|attribute| attribute.name() == name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name).map_or(default, AttributeProto::i)
    }

    fn float(&self, name: &str, default: f32) -> f32 {
        self.find(name).map_or(default, AttributeProto::f)
    }

    fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.find(name).map(|attribute| attribute.ints.clone())
    }

    fn text(&self, name: &str) -> String {
        self.find(name).map(|attribute| String::from_utf8_lossy(attribute.s()).into_owned()).unwrap_or_default()
    }

    fn sizes<const N: usize>(&self, name: &'static str) -> Result<Option<[usize; N]>, Why> {
        let Some(ints) = self.ints(name) else { return Ok(None) };
        let size = |n: i64| usize::try_from(n).ok().filter(|&n| n <= MAX_SIZE);
        let sizes: Option<Vec<usize>> = ints.iter().map(|&n| size(n)).collect();
        let array = sizes.and_then(|sizes| <[usize; N]>::try_from(sizes).ok());
        let why = "only images with two dimensions, and numbers from 0 to 65536";
        array.map(Some).ok_or(Why::Attribute { name, value: format!("{ints:?}"), why })
    }

    /// Refuses an attribute that is set, where what it asks for is not built.
    fn unset(&self, name: &'static str, why: &'static str) -> Result<(), Why> {
        match self.int(name, 0) {
            0 => Ok(()),
            value => Err(Why::Attribute { name, value: value.to_string(), why }),
        }
    }

    fn slide(&self) -> Result<Slide, Why> {
        let pads = match self.text("auto_pad").as_str() {
            "" | "NOTSET" => Padding::Explicit(self.sizes("pads")?.unwrap_or([0; 4])),
            "VALID" => Padding::Explicit([0; 4]),
            "SAME_UPPER" => Padding::SameUpper,
            "SAME_LOWER" => Padding::SameLower,
            other => {
                let why = "NOTSET, VALID, SAME_UPPER or SAME_LOWER";
                return Err(Why::Attribute { name: "auto_pad", value: other.to_owned(), why });
            }
        };
        Ok(Slide {
            strides: self.sizes("strides")?.unwrap_or([1; 2]),
            dilations: self.sizes("dilations")?.unwrap_or([1; 2]),
            pads,
        })
    }

    fn constant(&self) -> Result<Constant, Why> {
        if let Some(tensor) = self.find("value").and_then(|attribute| attribute.t.as_ref()) {
            return Constant::from_proto(tensor);
        }
        if let Some(attribute) = self.find("value_float") {
            return Ok(Constant::floats(vec![], vec![attribute.f()]));
        }
        if let Some(attribute) = self.find("value_int") {
            return Ok(Constant::integers(vec![], vec![attribute.i()]));
        }
        if let Some(attribute) = self.find("value_floats") {
            return Ok(Constant::floats(vec![attribute.floats.len()], attribute.floats.clone()));
        }
        if let Some(attribute) = self.find("value_ints") {
            return Ok(Constant::integers(vec![attribute.ints.len()], attribute.ints.clone()));
        }
        Err(Why::Form("it has no `value` that is understood"))
    }
}

impl Op {
    /// What a node of ONNX does, under operator set `opset`.
    pub fn from_proto(node: &NodeProto, opset: i64) -> Result<Op, Why> {
        let at = Attributes(&node.attribute);
        if !matches!(node.domain(), "" | "ai.onnx") {
            return Err(Why::Operator);
        }
        if let Some(unary) = unary(node.op_type(), &at, opset)? {
            return Ok(unary);
        }
        if let Some(op) = binary(node.op_type()) {
            return Ok(Op::Binary(op, Activation::NONE));
        }
        if let Some(op) = windowed(node.op_type(), &at)? {
            return Ok(op);
        }
        Ok(match node.op_type() {
            "BatchNormalization" => batch_norm(&at, opset)?,
            "GlobalAveragePool" => Op::GlobalPool(PoolKind::Average),
            "GlobalMaxPool" => Op::GlobalPool(PoolKind::Max),
            "Gemm" => Op::Gemm(
                Gemm {
                    alpha: at.float("alpha", 1.0),
                    beta: at.float("beta", 1.0),
                    trans_a: at.int("transA", 0) != 0,
                    trans_b: at.int("transB", 0) != 0,
                },
                Activation::NONE,
            ),
            "MatMul" => Op::MatMul { scale: 1.0 },
            "Sum" => Op::Sum,
            "ReduceMean" => reduce(ReduceKind::Mean, &at)?,
            "ReduceSum" => reduce(ReduceKind::Sum, &at)?,
            "ReduceMax" => reduce(ReduceKind::Max, &at)?,
            "Softmax" => {
                let flatten = opset < 13;
                Op::Softmax { axis: at.int("axis", if flatten { 1 } else { -1 }), flatten }
            }
            "LayerNormalization" => Op::LayerNorm { axis: at.int("axis", -1), epsilon: at.float("epsilon", 1e-5) },
            other => return rearrangement(other, &at),
        })
    }
}

fn rearrangement(operator: &str, at: &Attributes) -> Result<Op, Why> {
    Ok(match operator {
        "Reshape" => Op::Reshape { allow_zero: at.int("allowzero", 0) != 0 },
        "Flatten" => Op::Flatten { axis: at.int("axis", 1) },
        "Squeeze" => Op::Squeeze { axes: at.ints("axes") },
        "Unsqueeze" => Op::Unsqueeze { axes: at.ints("axes") },
        "Transpose" => Op::Transpose { perm: at.ints("perm") },
        "Slice" => Op::Slice {
            bounds: at.ints("starts").map(|starts| Bounds {
                starts,
                ends: at.ints("ends").unwrap_or_default(),
                axes: at.ints("axes"),
            }),
        },
        "Concat" => Op::Concat { axis: at.int("axis", 1) },
        "Split" => Op::Split { axis: at.int("axis", 0), sizes: at.ints("split") },
        "Gather" => Op::Gather { axis: at.int("axis", 0) },
        "Shape" => Op::Shape { start: at.int("start", 0), end: at.find("end").map(AttributeProto::i) },
        "Cast" => Op::Cast { to: i32::try_from(at.int("to", 0)).unwrap_or_default() },
        "ConstantOfShape" => Op::ConstantOfShape {
            value: if at.find("value").is_some() { at.constant()? } else { Constant::floats(vec![1], vec![0.0]) },
        },
        "Constant" => Op::Constant(at.constant()?),
        "Identity" | "Dropout" => Op::Identity,
        _ => return Err(Why::Operator),
    })
}

fn unary(operator: &str, at: &Attributes, opset: i64) -> Result<Option<Op>, Why> {
    use ActivationKind as Kind;
    let (kind, a, b) = match operator {
        "Relu" => (Kind::Relu, 0.0, 0.0),
        "Clip" if opset < 11 => (Kind::Clip, at.float("min", f32::MIN), at.float("max", f32::MAX)),
        "Clip" => return Ok(Some(Op::Clip)),
        "HardSigmoid" => (Kind::HardSigmoid, at.float("alpha", 0.2), at.float("beta", 0.5)),
        "HardSwish" => return Ok(Some(Op::Unary(Activation::HARD_SWISH))),
        "Sigmoid" => (Kind::Sigmoid, 0.0, 0.0),
        "LeakyRelu" => (Kind::LeakyRelu, at.float("alpha", 0.01), 0.0),
        "Tanh" => (Kind::Tanh, 0.0, 0.0),
        "Gelu" => match at.text("approximate") {
            text if matches!(text.as_str(), "" | "none") => (Kind::Gelu, 0.0, 0.0),
            value => return Err(Why::Attribute { name: "approximate", value, why: "only none" }),
        },
        "Erf" => (Kind::Erf, 0.0, 0.0),
        "Exp" => (Kind::Exp, 0.0, 0.0),
        "Sqrt" => (Kind::Sqrt, 0.0, 0.0),
        "Reciprocal" => (Kind::Reciprocal, 0.0, 0.0),
        "Abs" => (Kind::Abs, 0.0, 0.0),
        "Neg" => (Kind::Affine, -1.0, 0.0),
        _ => return Ok(None),
    };
    Ok(Some(Op::Unary(Activation::new(kind, a, b))))
}

fn binary(operator: &str) -> Option<BinaryOp> {
    Some(match operator {
        "Add" => BinaryOp::Add,
        "Sub" => BinaryOp::Sub,
        "Mul" => BinaryOp::Mul,
        "Div" => BinaryOp::Div,
        "Pow" => BinaryOp::Pow,
        "Min" => BinaryOp::Min,
        "Max" => BinaryOp::Max,
        _ => return None,
    })
}

fn windowed(operator: &str, at: &Attributes) -> Result<Option<Op>, Why> {
    let kind = match operator {
        "Conv" => {
            let groups = at.int("group", 1);
            let why = "at least 1";
            let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0).ok_or(Why::Attribute {
                name: "group",
                value: groups.to_string(),
                why,
            })?;
            let conv = Conv { kernel: at.sizes("kernel_shape")?, slide: at.slide()?, groups };
            return Ok(Some(Op::Conv(conv, Activation::NONE)));
        }
        "MaxPool" => PoolKind::Max,
        "AveragePool" if at.int("count_include_pad", 0) != 0 => PoolKind::AverageWithPadding,
        "AveragePool" => PoolKind::Average,
        _ => return Ok(None),
    };
    let kernel = at.sizes("kernel_shape")?.ok_or(Why::Attribute {
        name: "kernel_shape",
        value: "absent".to_owned(),
        why: "a pool needs one",
    })?;
    Ok(Some(Op::Pool(Pool { kind, kernel, slide: at.slide()?, ceil: at.int("ceil_mode", 0) != 0 })))
}

fn reduce(kind: ReduceKind, at: &Attributes) -> Result<Op, Why> {
    at.unset("noop_with_empty_axes", "only 0: no axes means all of them")?;
    Ok(Op::Reduce { kind, axes: at.ints("axes"), keep: at.int("keepdims", 1) != 0 })
}

fn batch_norm(at: &Attributes, opset: i64) -> Result<Op, Why> {
    at.unset("training_mode", "only 0: statistics are those of the model")?;
    if opset < 9 && at.int("spatial", 1) == 0 {
        let why = "only 1: statistics are by channel";
        return Err(Why::Attribute { name: "spatial", value: "0".to_owned(), why });
    }
    Ok(Op::BatchNorm { epsilon: at.float("epsilon", 1e-5) })
}
