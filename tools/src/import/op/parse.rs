//! From ONNX's nodes to operations.

use kernels::params::{Activation, ActivationKind, BinaryOp, PoolKind, WordOp};

use super::super::constant::Constant;
use super::super::element::Element;
use super::super::error::Why;
use super::super::onnx::NodeProto;
use super::attributes::Attributes;
use super::{
    Aspect, Bounds, Comparison, Filter, Gemm, Op, PadMode, Placement, RawPool, Reduction, Resize, Rounding, Transposed,
};

impl Op {
    /// What a node of ONNX does, under operator set `opset`.
    pub fn from_proto(node: &NodeProto, opset: i64) -> Result<Op, Why> {
        let at = Attributes(&node.attribute);
        if !matches!(node.domain(), "" | "ai.onnx") {
            return Err(Why::Domain { domain: node.domain().to_owned() });
        }
        let operator = node.op_type();
        if let Some(unary) = unary(operator, &at, opset)? {
            return Ok(unary);
        }
        if let Some(op) = joined(operator).or_else(|| reduction(operator, &at)) {
            return Ok(op);
        }
        if let Some(op) = windowed(operator, &at)? {
            return Ok(op);
        }
        if let Some(op) = normal(operator, &at, opset)? {
            return Ok(op);
        }
        if let Some(op) = chosen(operator, &at) {
            return Ok(op);
        }
        let op = rearrangement(operator, &at, opset)?;
        match at.given("num_outputs").filter(|_| matches!(op, Op::Split { .. })) {
            Some(count) if usize::try_from(count) != Ok(node.output.len()) => {
                let why = "as many outputs as it has";
                Err(Why::Attribute { name: "num_outputs", value: count.to_string(), why })
            }
            _ => Ok(op),
        }
    }
}

fn normal(operator: &str, at: &Attributes, opset: i64) -> Result<Option<Op>, Why> {
    let epsilon = at.float("epsilon", 1e-5);
    let flatten = opset < 13;
    let axis = at.int("axis", if flatten { 1 } else { -1 });
    Ok(Some(match operator {
        "BatchNormalization" => {
            at.unset("training_mode", "only 0: statistics are those of the model")?;
            if opset < 9 && at.int("spatial", 1) == 0 {
                let why = "only 1: statistics are by channel";
                return Err(Why::Attribute { name: "spatial", value: "0".to_owned(), why });
            }
            Op::BatchNorm { epsilon }
        }
        "InstanceNormalization" => Op::InstanceNorm { epsilon },
        "LayerNormalization" => Op::LayerNorm { axis: at.int("axis", -1), epsilon },
        "LRN" => Op::Lrn {
            alpha: at.float("alpha", 1e-4),
            beta: at.float("beta", 0.75),
            bias: at.float("bias", 1.0),
            size: at.int("size", 0).try_into().ok().filter(|&size| size > 0).ok_or(Why::Attribute {
                name: "size",
                value: at.int("size", 0).to_string(),
                why: "at least 1",
            })?,
        },
        "Softmax" => Op::Softmax { axis, flatten },
        "LogSoftmax" => Op::LogSoftmax { axis, flatten },
        "Gemm" => Op::Gemm(
            Gemm {
                alpha: at.float("alpha", 1.0),
                beta: at.float("beta", 1.0),
                trans_a: at.flag("transA"),
                trans_b: at.flag("transB"),
            },
            Activation::NONE,
        ),
        "MatMul" => Op::MatMul { scale: 1.0 },
        _ => return Ok(None),
    }))
}

fn rearrangement(operator: &str, at: &Attributes, opset: i64) -> Result<Op, Why> {
    Ok(match operator {
        "Reshape" => Op::Reshape { allow_zero: at.flag("allowzero") },
        "Flatten" => Op::Flatten { axis: at.int("axis", 1) },
        "Squeeze" => Op::Squeeze { axes: at.ints("axes") },
        "Unsqueeze" => Op::Unsqueeze { axes: at.ints("axes") },
        "Transpose" => Op::Transpose { perm: at.ints("perm") },
        "Expand" => Op::Expand,
        "Tile" => Op::Tile,
        "Pad" => pad(at)?,
        "Resize" | "Upsample" => resize(operator, at, opset)?,
        "Slice" => Op::Slice {
            bounds: at.ints("starts").map(|starts| Bounds {
                starts,
                ends: at.ints("ends").unwrap_or_default(),
                axes: at.ints("axes"),
            }),
        },
        "Concat" => Op::Concat { axis: at.int("axis", 1) },
        "Split" => Op::Split { axis: at.int("axis", 0), sizes: at.ints("split") },
        "Shape" => Op::Shape { start: at.int("start", 0), end: at.given("end") },
        "Size" => Op::Size,
        "Range" => Op::Range,
        "Cast" => Op::Cast { to: Element::from_onnx(i32::try_from(at.int("to", 0)).unwrap_or_default())? },
        "CastLike" => Op::CastLike,
        "ConstantOfShape" => Op::ConstantOfShape {
            value: if at.find("value").is_some() { at.constant()? } else { Constant::floats(vec![1], vec![0.0]) },
        },
        "Constant" => Op::Constant(at.constant()?),
        "Identity" | "Dropout" => Op::Identity,
        "If" | "Loop" | "Scan" => return Err(Why::Form("control flow is not supported: a plan has one fixed course")),
        "NonZero" | "Unique" | "Compress" | "NonMaxSuppression" => {
            return Err(Why::Form("the shape of its result depends on data, and a plan has fixed shapes"));
        }
        _ => return Err(Why::Operator),
    })
}

fn pad(at: &Attributes) -> Result<Op, Why> {
    let known = [
        ("constant", PadMode::Constant),
        ("reflect", PadMode::Reflect),
        ("edge", PadMode::Edge),
        ("wrap", PadMode::Wrap),
    ];
    let mode = at.choice("mode", PadMode::Constant, &known, "constant, reflect, edge or wrap")?;
    Ok(Op::Pad { mode, pads: at.ints("pads"), value: at.float("value", 0.0) })
}

fn resize(operator: &str, at: &Attributes, opset: i64) -> Result<Op, Why> {
    let old = operator == "Upsample" || opset < 11;
    let rounding = [
        ("round_prefer_floor", Rounding::PreferFloor),
        ("round_prefer_ceil", Rounding::PreferCeil),
        ("floor", Rounding::Floor),
        ("ceil", Rounding::Ceil),
    ];
    let default = if old { Rounding::Floor } else { Rounding::PreferFloor };
    let why = "round_prefer_floor, round_prefer_ceil, floor or ceil";
    let nearest = Filter::Nearest(at.choice("nearest_mode", default, &rounding, why)?);
    let cubic = Filter::Cubic(at.float("cubic_coeff_a", -0.75));
    let filters = [("nearest", nearest), ("linear", Filter::Linear), ("cubic", cubic)];
    let places = [
        ("half_pixel", Placement::HalfPixel),
        ("half_pixel_symmetric", Placement::HalfPixelSymmetric),
        ("pytorch_half_pixel", Placement::PytorchHalfPixel),
        ("align_corners", Placement::AlignCorners),
        ("asymmetric", Placement::Asymmetric),
        ("tf_crop_and_resize", Placement::Crop),
    ];
    let place = if old { Placement::Asymmetric } else { Placement::HalfPixel };
    let why = "one of operator sets 11 to 19";
    let aspects =
        [("stretch", Aspect::Stretch), ("not_larger", Aspect::NotLarger), ("not_smaller", Aspect::NotSmaller)];
    let aspect = "keep_aspect_ratio_policy";
    Ok(Op::Resize(Resize {
        filter: at.choice("mode", nearest, &filters, "nearest, linear or cubic")?,
        place: at.choice("coordinate_transformation_mode", place, &places, why)?,
        exclude_outside: at.flag("exclude_outside"),
        antialias: at.flag("antialias"),
        outside: at.float("extrapolation_value", 0.0),
        axes: at.ints("axes"),
        aspect: at.choice(aspect, Aspect::Stretch, &aspects, "stretch, not_larger or not_smaller")?,
        inputs: if old { [None, Some(1), None] } else { [Some(1), Some(2), Some(3)] },
        scales: at.find("scales").map(|attribute| attribute.floats.clone()),
    }))
}

fn unary(operator: &str, at: &Attributes, opset: i64) -> Result<Option<Op>, Why> {
    use ActivationKind as Kind;
    let gelu = [("none", Kind::Gelu), ("tanh", Kind::GeluTanh)];
    let (kind, a, b) = match operator {
        "Relu" => (Kind::Relu, 0.0, 0.0),
        "Clip" if opset < 11 => {
            let (low, high) = (at.float("min", f32::MIN), at.float("max", f32::MAX));
            if low.is_nan() || high.is_nan() || low > high {
                let why = "a number, at most `max`";
                return Err(Why::Attribute { name: "min", value: low.to_string(), why });
            }
            (Kind::Clip, low, high)
        }
        "Clip" => return Ok(Some(Op::Clip)),
        "HardSigmoid" => (Kind::HardSigmoid, at.float("alpha", 0.2), at.float("beta", 0.5)),
        "HardSwish" => return Ok(Some(Op::Unary(Activation::HARD_SWISH))),
        "Sigmoid" => (Kind::Sigmoid, 0.0, 0.0),
        "Swish" => (Kind::Swish, at.float("alpha", 1.0), 0.0),
        "LeakyRelu" => (Kind::LeakyRelu, at.float("alpha", 0.01), 0.0),
        "Elu" => (Kind::Elu, at.float("alpha", 1.0), 0.0),
        "Softplus" => (Kind::Softplus, 0.0, 0.0),
        "Mish" => (Kind::Mish, 0.0, 0.0),
        "Tanh" => (Kind::Tanh, 0.0, 0.0),
        "Gelu" => (at.choice("approximate", Kind::Gelu, &gelu, "none or tanh")?, 0.0, 0.0),
        "Erf" => (Kind::Erf, 0.0, 0.0),
        "Exp" => (Kind::Exp, 0.0, 0.0),
        "Log" => (Kind::Log, 0.0, 0.0),
        "Sqrt" => (Kind::Sqrt, 0.0, 0.0),
        "Reciprocal" => (Kind::Reciprocal, 0.0, 0.0),
        "Abs" => (Kind::Abs, 0.0, 0.0),
        "Ceil" => (Kind::Ceil, 0.0, 0.0),
        "Floor" => (Kind::Floor, 0.0, 0.0),
        "Round" => (Kind::Round, 0.0, 0.0),
        "Sign" => (Kind::Sign, 0.0, 0.0),
        "Neg" => (Kind::Affine, -1.0, 0.0),
        _ => return Ok(None),
    };
    Ok(Some(Op::Unary(Activation::new(kind, a, b))))
}

/// Functions of two or more elements.
fn joined(operator: &str) -> Option<Op> {
    let compare = |op, swap| Op::Compare { op, swap };
    Some(match operator {
        "Add" => Op::Binary(BinaryOp::Add, Activation::NONE),
        "Sub" => Op::Binary(BinaryOp::Sub, Activation::NONE),
        "Mul" => Op::Binary(BinaryOp::Mul, Activation::NONE),
        "Div" => Op::Binary(BinaryOp::Div, Activation::NONE),
        "Pow" => Op::Binary(BinaryOp::Pow, Activation::NONE),
        "PRelu" => Op::Binary(BinaryOp::PRelu, Activation::NONE),
        "Sum" => Op::Many(BinaryOp::Add),
        "Min" => Op::Many(BinaryOp::Min),
        "Max" => Op::Many(BinaryOp::Max),
        "Equal" => compare(Comparison::Equal, false),
        "Less" => compare(Comparison::Less, false),
        "LessOrEqual" => compare(Comparison::LessOrEqual, false),
        "Greater" => compare(Comparison::Less, true),
        "GreaterOrEqual" => compare(Comparison::LessOrEqual, true),
        "And" => Op::Words(WordOp::And),
        "Or" => Op::Words(WordOp::Or),
        "Xor" => Op::Words(WordOp::Xor),
        "Not" => Op::Not,
        "Where" => Op::Where,
        _ => return None,
    })
}

fn windowed(operator: &str, at: &Attributes) -> Result<Option<Op>, Why> {
    let kind = match operator {
        "Conv" => return Ok(Some(Op::RawConv(at.window()?))),
        "ConvTranspose" => {
            let (output_padding, output_shape) = (at.sizes("output_padding")?, at.sizes("output_shape")?);
            return Ok(Some(Op::ConvTranspose(Transposed { window: at.window()?, output_padding, output_shape })));
        }
        "GlobalAveragePool" => return Ok(Some(Op::GlobalPool(PoolKind::Average))),
        "GlobalMaxPool" => return Ok(Some(Op::GlobalPool(PoolKind::Max))),
        "MaxPool" => PoolKind::Max,
        "AveragePool" if at.flag("count_include_pad") => PoolKind::AverageWithPadding,
        "AveragePool" => PoolKind::Average,
        _ => return Ok(None),
    };
    let window = at.window()?;
    if window.kernel.is_none() {
        let (value, why) = ("absent".to_owned(), "a pool needs one");
        return Err(Why::Attribute { name: "kernel_shape", value, why });
    }
    Ok(Some(Op::RawPool(RawPool { kind, window, ceil: at.flag("ceil_mode"), by_column: at.flag("storage_order") })))
}

fn reduction(operator: &str, at: &Attributes) -> Option<Op> {
    let kind = match operator {
        "ReduceMean" => Reduction::Mean,
        "ReduceSum" => Reduction::Sum,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceL1" => Reduction::L1,
        "ReduceL2" => Reduction::L2,
        "ReduceSumSquare" => Reduction::SumSquare,
        _ => return None,
    };
    let keep = at.int("keepdims", 1) != 0;
    Some(Op::Reduction { kind, axes: at.ints("axes"), keep, none: at.flag("noop_with_empty_axes") })
}

/// What picks elements, and where they lie.
fn chosen(operator: &str, at: &Attributes) -> Option<Op> {
    let axis = at.int("axis", 0);
    let (keep, last) = (at.int("keepdims", 1) != 0, at.flag("select_last_index"));
    Some(match operator {
        "ArgMax" => Op::ArgMax { axis, keep, largest: true, last },
        "ArgMin" => Op::ArgMax { axis, keep, largest: false, last },
        "TopK" => {
            let (axis, largest) = (at.int("axis", -1), at.int("largest", 1) != 0);
            Op::TopK { axis, k: at.given("k"), largest, last: false }
        }
        "CumSum" => Op::CumSum { exclusive: at.flag("exclusive"), reverse: at.flag("reverse") },
        "Gather" => Op::Gather { axis },
        "GatherElements" => Op::GatherElements { axis },
        "GatherND" => Op::GatherNd { batch_dims: at.int("batch_dims", 0) },
        _ => return None,
    })
}
