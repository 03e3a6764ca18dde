//! A model that keeps a device busy for a tenth of a second on any machine, and longer on most:
//! what runs while something else happens.

use std::fs;
use std::path::Path;

use prost::Message;

use super::model::{conv, graph, numbers, tensor, value};

/// Channels of its input and its output.
pub const CHANNELS: usize = 4;
/// Rows and columns of both.
pub const SIDE: usize = 128;
/// Channels in between: the convolution from as many to as many is 13.4 billion operations.
const WIDE: usize = 128;
/// So wide that no way with fewer multiplications is known to the importer.
const KERNEL: usize = 5;

/// Bytes of a request's payload.
pub const BYTES: usize = CHANNELS * SIDE * SIDE * 4;

/// Writes the model as ONNX.
pub fn write(path: &Path) {
    let weights = |name: &str, out: usize, channels: usize| {
        let scaled = numbers(9, out * channels * KERNEL * KERNEL).into_iter().map(|x| x / 64.0);
        tensor(name, &[out, channels, KERNEL, KERNEL], scaled.collect())
    };
    let zeros = |name: &str, count: usize| tensor(name, &[count], vec![0.0; count]);
    let nodes = vec![
        conv(KERNEL, &["x", "first", "wide"], "a"),
        conv(KERNEL, &["a", "inner", "wide"], "b"),
        conv(KERNEL, &["b", "last", "few"], "y"),
    ];
    let initializers = vec![
        weights("first", WIDE, CHANNELS),
        weights("inner", WIDE, WIDE),
        weights("last", CHANNELS, WIDE),
        zeros("wide", WIDE),
        zeros("few", CHANNELS),
    ];
    let model = graph(nodes, initializers, value("x", CHANNELS, SIDE), value("y", CHANNELS, SIDE));
    fs::write(path, model.encode_to_vec()).expect("a temporary file can be written");
}
