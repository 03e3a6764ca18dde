//! Kernels of Clockwork, the parameter blocks that every target shares, and the check that makes
//! launching them safe.
//!
//! A [`launch::Launch`] is a kernel and a parameter block. A block names memory by
//! [`operand::Operand`] only; the [`operand::Binding`] of one INFER turns operands into addresses.

mod cpu;
pub mod image;
pub mod launch;
pub mod layout;
pub mod operand;
pub mod params;
pub mod peak;
pub mod ptx;

#[cfg(test)]
mod tests;
