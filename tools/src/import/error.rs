//! Why a model can't be imported, and where.

use std::io;
use std::path::PathBuf;

use kernels::params::BlockError;
use runtime::package::{Fault, PackageError};
use thiserror::Error;

use super::prove::ProofError;
use super::tune::TuneError;

/// Why a model can't be imported. Nothing was written.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file can't be read.
    #[error("{path}: can't read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no ONNX model.
    #[error("{path}: not an ONNX model: {source}")]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: prost::DecodeError,
    },
    /// The file lacks what every model has.
    #[error("{path}: not an ONNX model: it holds no {what}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// A graph that computes nothing.
    #[error("the model has no output")]
    NoOutput,
    /// A graph that computes always the same.
    #[error("the model has no input that is not a constant")]
    NoInput,
    /// A name that means two things.
    #[error("{what} named `{name}` is defined twice")]
    Defined {
        /// "a value" or "an output".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An operator set older or newer than what is understood.
    #[error("operator set {found} is not supported, only {least} to {most}")]
    OperatorSet {
        /// The model's.
        found: i64,
        /// Oldest.
        least: i64,
        /// Newest.
        most: i64,
    },
    /// A node that can't be imported.
    #[error("node `{node}` ({operator}): {why}")]
    Node {
        /// Its name, or that of its first output.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong with it.
        why: Why,
    },
    /// A stored tensor that can't be imported.
    #[error("constant `{name}`: {why}")]
    Constant {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: Why,
    },
    /// An input or output that can't be imported.
    #[error("{role} `{name}`: {why}")]
    Tensor {
        /// "input" or "output".
        role: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: Why,
    },
    /// An input or output whose name can't be asked for.
    #[error("{role} `{name}`: its name has {bytes} bytes, 1 to {limit} are allowed; rename it in the model")]
    TensorName {
        /// "input" or "output".
        role: &'static str,
        /// Its name.
        name: String,
        /// How long that is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A name on the command line that the model does not have.
    #[error("the model has no {role} `{name}`; it has: {known}")]
    UnknownName {
        /// "input" or "value".
        role: &'static str,
        /// The name.
        name: String,
        /// The names that it has.
        known: String,
    },
    /// An input whose dimensions are open and were not given.
    #[error("input `{name}` has no fixed shape: give one with --shape {name}=1x3x224x224")]
    OpenShape {
        /// The input.
        name: String,
    },
    /// A shape on the command line that can't be read.
    #[error(
        "`{text}` is no shape: wanted NAME=1x3x224x224, dimensions from 1 up, the batch first and 1 where the model leaves it open"
    )]
    ShapeSyntax {
        /// What was given.
        text: String,
    },
    /// A constant on the command line that can't be read.
    #[error("`{text}` is no constant: wanted NAME=FILE.npy")]
    ConstSyntax {
        /// What was given.
        text: String,
    },
    /// Two options on the command line that mean the same thing.
    #[error("`{option} {first}` and `{option} {second}` name the same: give one of them")]
    Twice {
        /// The option.
        option: &'static str,
        /// What it was given first.
        first: String,
        /// What it was given then.
        second: String,
    },
    /// A normalisation on the command line that can't be read.
    #[error(
        "`{text}` is no normalisation: wanted NAME=MEAN/DEVIATION or NAME=MEAN,MEAN,MEAN/DEVIATION,DEVIATION,DEVIATION, on the scale of bytes, deviations other than 0, and /nhwc behind it where pixels come interleaved"
    )]
    NormaliseSyntax {
        /// What was given.
        text: String,
    },
    /// The file of a constant can't be read.
    #[error(transparent)]
    Npy(#[from] crate::npy::NpyError),
    /// Inputs with different numbers of shape variants.
    #[error("input `{name}` has {found} shapes where another has {wanted}: give each input as many, or one")]
    ShapeCount {
        /// The input.
        name: String,
        /// Its shapes.
        found: usize,
        /// The other's.
        wanted: usize,
    },
    /// The same thing more often than a package can hold.
    #[error("{found} {what}, but the limit is {limit}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// The number found.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The package as a whole is larger than one can be.
    #[error("the package: {why}")]
    TooMuch {
        /// What it has too much of.
        why: Why,
    },
    /// A value that no node makes.
    #[error("`{name}` is used but no node makes it")]
    Dangling {
        /// Its name.
        name: String,
    },
    /// The card is not valid.
    #[error("{path}: {fault}")]
    Card {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// The algorithms of convolutions can't be chosen.
    #[error(transparent)]
    Tune(#[from] TuneError),
    /// The file in which weights are gathered can't be made or read.
    #[error("{package}: can't gather its weights in a file beside it: {source}")]
    Scratch {
        /// The package.
        package: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The package can't be written.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its batches can't be run.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// What is wrong with a node, constant, input or output.
#[derive(Debug, Error)]
pub enum Why {
    /// No such operator here.
    #[error("this operator is not supported")]
    Operator,
    /// An operator of somebody else's.
    #[error("the domain `{domain}` is not supported, only ONNX's own")]
    Domain {
        /// The domain.
        domain: String,
    },
    /// An attribute has a value that is not supported.
    #[error("attribute `{name}` is {value}: {why}")]
    Attribute {
        /// The attribute.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be supported.
        why: &'static str,
    },
    /// An input is not there.
    #[error("input {index} is missing")]
    MissingInput {
        /// Which.
        index: usize,
    },
    /// An input must be known at import.
    #[error("input {index} must be a constant")]
    NotConstant {
        /// Which.
        index: usize,
    },
    /// A shape does not fit.
    #[error("shape {found:?}: {wanted}")]
    Shape {
        /// The shape.
        found: Vec<usize>,
        /// What would fit.
        wanted: &'static str,
    },
    /// Shapes that do not fit one another.
    #[error("shapes {left:?} and {right:?} don't fit: {wanted}")]
    Mismatch {
        /// One shape.
        left: Vec<usize>,
        /// The other.
        right: Vec<usize>,
        /// What would fit.
        wanted: &'static str,
    },
    /// An index picks what is not there.
    #[error("index {found} lies beyond a dimension of {size}")]
    Index {
        /// The index.
        found: i64,
        /// Places of the dimension.
        size: usize,
    },
    /// An element type is not supported.
    #[error("element type {found}: {wanted}")]
    Type {
        /// ONNX's number of the type.
        found: i32,
        /// What would be supported.
        wanted: &'static str,
    },
    /// The data lies in another file.
    #[error("its data lies in another file; merge it into the model")]
    External,
    /// The data is not as long as the shape says.
    #[error("holds {found} elements where its shape says {wanted}")]
    Elements {
        /// Elements there.
        found: usize,
        /// Elements wanted.
        wanted: usize,
    },
    /// The file in which weights are gathered can't be written.
    #[error("can't gather its weights in a temporary file: {source}")]
    Scratch {
        /// What the system said.
        source: io::Error,
    },
    /// One row of packed weights does not fit a page.
    #[error("a row of its packed weights has {found} bytes, a page {limit}")]
    Row {
        /// Bytes of the row.
        found: usize,
        /// Bytes of a page.
        limit: usize,
    },
    /// A number does not fit where the kernel wants it.
    #[error("{found} {what} exceed the limit {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// The number.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The kernel refuses the parameter block.
    #[error("the kernel `{kernel}` refuses it: {source}")]
    Kernel {
        /// The kernel.
        kernel: &'static str,
        /// What it said.
        source: BlockError,
    },
    /// The combination is not built.
    #[error("{0}")]
    Form(&'static str),
}

impl ImportError {
    /// Whether something has more of what a limit bounds, as a larger batch may.
    pub fn is_too_large(&self) -> bool {
        match self {
            ImportError::Node { why, .. } | ImportError::Tensor { why, .. } => matches!(why, Why::TooLarge { .. }),
            _ => false,
        }
    }

    /// Puts the node's name and operator to a reason.
    pub fn at(node: &super::graph::Node, why: Why) -> ImportError {
        ImportError::Node { node: node.name.clone(), operator: node.operator.clone(), why }
    }
}
