//! What nodes do: ONNX's operators and attributes as types.

mod attributes;
mod parse;

use kernels::params::{Activation, BinaryOp, FoldOp, PoolKind, ReduceKind, WordOp};

use super::constant::Constant;
use super::element::Element;
use super::expand::{Map, Taps};

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Convolution of images; fused: an activation, and as input 3 a residual.
    Conv(Conv, Activation),
    /// Convolution over any number of dimensions, as its attributes say.
    RawConv(Raw),
    /// Its transpose.
    ConvTranspose(Transposed),
    /// Pooling over any number of dimensions, as its attributes say.
    RawPool(RawPool),
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
    /// Softmax along the last dimension of `scale Q K`, plus input 3 if there is one, times `V`; inputs
    /// 0 to 2 are `Q`, `K` and `V`.
    Attention { scale: f32 },
    /// A function of each element.
    Unary(Activation),
    /// `Clip` whose bounds are inputs; for whole numbers too.
    Clip,
    /// A function of two elements, with broadcast; fused: an activation.
    Binary(BinaryOp, Activation),
    /// A function of any number of tensors, from left to right.
    Many(BinaryOp),
    /// A comparison; `swap`: with its sides exchanged.
    Compare { op: Comparison, swap: bool },
    /// A function of truth values or whole numbers: inputs `a`, `b`, and for a choice `c`.
    Words(WordOp),
    /// Whether an element is 0.
    Not,
    /// Input 1 where input 0 is true, else input 2.
    Where,
    /// Many become one; axes by attribute or input 1.
    Reduce { kind: ReduceKind, axes: Option<Vec<i64>>, keep: bool },
    /// As `Reduce`, spelled out with others; `none`: no axes mean none instead of all.
    Reduction { kind: Reduction, axes: Option<Vec<i64>>, keep: bool, none: bool },
    /// Where the largest or smallest lies along an axis.
    ArgMax { axis: i64, keep: bool, largest: bool, last: bool },
    /// The first `k` (by attribute or input 1) in order along an axis, and where they lie.
    TopK { axis: i64, k: Option<i64>, largest: bool, last: bool },
    /// Running sums along an axis, which is input 1.
    CumSum { exclusive: bool, reverse: bool },
    /// One function from place to place along an axis.
    Fold { op: FoldOp, axes: Vec<usize>, running: bool, exclusive: bool, reverse: bool },
    /// Softmax along an axis; `flatten` as before operator set 13: over all dimensions from it on.
    Softmax { axis: i64, flatten: bool },
    /// The logarithm of `Softmax`.
    LogSoftmax { axis: i64, flatten: bool },
    /// Layer normalisation over the last dimension.
    LayerNorm { axis: i64, epsilon: f32 },
    /// Normalisation of each channel of each item.
    InstanceNorm { epsilon: f32 },
    /// Normalisation over neighbouring channels.
    Lrn { alpha: f32, beta: f32, bias: f32, size: usize },
    /// Another shape, given by input 1.
    Reshape { allow_zero: bool },
    /// Another shape, known.
    Into { dims: Vec<usize> },
    /// Broadcast to a shape, given by input 1.
    Expand,
    /// Repeats along each dimension, given by input 1.
    Tile,
    /// More or less at the ends of dimensions.
    Pad { mode: PadMode, pads: Option<Vec<i64>>, value: f32 },
    /// Interpolation.
    Resize(Resize),
    /// Elements picked along each dimension by maps.
    Pick(Map),
    /// Weighted sums along an axis.
    Resample { axis: usize, taps: Taps },
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
    /// Picks along an axis, an index for each element.
    GatherElements { axis: i64 },
    /// Picks by several indices at once.
    GatherNd { batch_dims: i64 },
    /// Numbers from, to, by.
    Range,
    /// The number of elements as a tensor.
    Size,
    /// The shape as a tensor.
    Shape { start: i64, end: Option<i64> },
    /// Another element type.
    Cast { to: Element },
    /// The element type of input 1.
    CastLike,
    /// One value in a given shape.
    ConstantOfShape { value: Constant },
    /// A constant.
    Constant(Constant),
    /// A picture of bytes as what input 1 says of each: `[channels][256]`. Made by `--normalise`.
    Pixels { interleaved: bool },
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

/// Attributes of a window over any number of dimensions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raw {
    /// Kernel size; absent: that of the weights.
    pub kernel: Option<Vec<usize>>,
    /// Steps; absent: 1.
    pub strides: Option<Vec<usize>>,
    /// Distances of taps; absent: 1.
    pub dilations: Option<Vec<usize>>,
    /// How padding is given.
    pub pads: RawPadding,
    /// Groups.
    pub groups: usize,
}

/// How padding is given for any number of dimensions.
#[derive(Clone, Debug, PartialEq)]
pub enum RawPadding {
    /// All beginnings, then all ends; absent: none.
    Explicit(Option<Vec<usize>>),
    /// As much as keeps the size, the odd one at the end.
    SameUpper,
    /// As much as keeps the size, the odd one at the beginning.
    SameLower,
}

impl Default for RawPadding {
    fn default() -> RawPadding {
        RawPadding::Explicit(None)
    }
}

/// Attributes of a transposed convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Transposed {
    /// The window.
    pub window: Raw,
    /// Added at the ends of the result.
    pub output_padding: Option<Vec<usize>>,
    /// The size of the result, from which padding follows.
    pub output_shape: Option<Vec<usize>>,
}

/// Attributes of a pool over any number of dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct RawPool {
    /// How a window becomes one value.
    pub kind: PoolKind,
    /// The window.
    pub window: Raw,
    /// Whether a last, partial window counts.
    pub ceil: bool,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `a == b`
    Equal,
    /// `a < b`
    Less,
    /// `a <= b`
    LessOrEqual,
}

/// A reduction that is spelled out with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The mean.
    Mean,
    /// The maximum.
    Max,
    /// The minimum.
    Min,
    /// The sum of magnitudes.
    L1,
    /// The root of the sum of squares.
    L2,
    /// The sum of squares.
    SumSquare,
}

/// What lies beyond the ends of a padded dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMode {
    /// One value.
    Constant,
    /// The dimension mirrored, its end not repeated.
    Reflect,
    /// Its end.
    Edge,
    /// The dimension from its other end.
    Wrap,
}

/// Attributes of `Resize`.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// How values between places are made.
    pub filter: Filter,
    /// How places of the result lie in the source.
    pub place: Placement,
    /// Whether weights outside are dropped.
    pub exclude_outside: bool,
    /// Whether the filter widens when it shrinks.
    pub antialias: bool,
    /// What lies outside, for [`Placement::Crop`].
    pub outside: f32,
    /// Which dimensions; absent: all.
    pub axes: Option<Vec<i64>>,
    /// How given sizes are met.
    pub aspect: Aspect,
    /// Inputs that hold the region, the scales and the sizes.
    pub inputs: [Option<usize>; 3],
    /// Scales by attribute.
    pub scales: Option<Vec<f32>>,
}

/// How values between places are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// The nearest, rounded so.
    Nearest(Rounding),
    /// Between two.
    Linear,
    /// Between four, with that coefficient.
    Cubic(f32),
}

/// How a place is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, halves down.
    PreferFloor,
    /// To the nearest, halves up.
    PreferCeil,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// How places of a resized dimension lie in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Places have an extent, and their middles count.
    HalfPixel,
    /// As `HalfPixel`, the middle of both kept where the size was rounded.
    HalfPixelSymmetric,
    /// As `HalfPixel`, 0 for a single place.
    PytorchHalfPixel,
    /// First and last places lie upon one another.
    AlignCorners,
    /// Places divided by the scale.
    Asymmetric,
    /// Within a region of the source.
    Crop,
}

/// How given sizes are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Each by itself.
    Stretch,
    /// One scale for all, no size exceeded.
    NotLarger,
    /// One scale for all, each size reached.
    NotSmaller,
}
