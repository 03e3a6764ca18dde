//! Packages (`.cwk`): one model for one target, laid out so that loading is copying.

pub mod plan;

pub use plan::{Plan, Target, TensorSpec, TensorType};
