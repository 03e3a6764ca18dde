//! The machine, in one crate.
