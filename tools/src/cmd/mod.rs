//! The commands, one file each.

pub mod bench;
mod bench_kernels;
pub mod ctl;
pub mod demo;
pub mod import;
pub mod infer;
pub mod inspect;
pub mod load_gen;
pub mod profile;
pub mod run;
pub mod serve;
pub mod sim;
