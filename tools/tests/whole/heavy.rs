//! A model that keeps a device busy for a good part of a second on any machine, and longer on most:
//! what runs while something else happens.

use std::fs;
use std::path::Path;

use prost::Message;

use super::model::{conv, graph, numbers, tensor, value};

/// Channels of its input and its output.
pub const CHANNELS: usize = 4;
/// Rows and columns of both.
pub const SIDE: usize = 128;
/// Channels in between.
const WIDE: usize = 128;
/// Convolutions from wide to wide: each is 4.8 billion operations.
const LAYERS: usize = 2;
const KERNEL: usize = 3;

/// Bytes of a request's payload.
pub const BYTES: usize = CHANNELS * SIDE * SIDE * 4;

/// Writes the model as ONNX.
pub fn write(path: &Path) {
    let weights = |name: &str, out: usize, channels: usize| {
        let scaled = numbers(9, out * channels * KERNEL * KERNEL).into_iter().map(|x| x / 64.0);
        tensor(name, &[out, channels, KERNEL, KERNEL], scaled.collect())
    };
    let zeros = |name: &str, count: usize| tensor(name, &[count], vec![0.0; count]);
    let mut nodes = vec![conv(&["x", "first", "wide"], "t0")];
    for layer in 0..LAYERS {
        nodes.push(conv(&[&format!("t{layer}"), "inner", "wide"], &format!("t{}", layer + 1)));
    }
    nodes.push(conv(&[&format!("t{LAYERS}"), "last", "few"], "y"));
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
