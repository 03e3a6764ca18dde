//! The checked-in PTX of the CUDA kernels, embedded by the build script.

/// Name of each source without its ending, and its PTX.
pub const MODULES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/ptx.rs"));
