//! From a fused graph to the launches of one target.

pub mod cpu_f32;
