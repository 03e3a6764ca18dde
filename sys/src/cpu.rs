//! The driver's entry points implemented in this process: device memory is host memory, a stream
//! is a queue served by the engines of its device, and kernels are native functions.

mod config;
mod context;
mod device;
mod engine;
mod event;
mod graph;
mod image;
mod memory;
mod module;
mod name;
mod stream;
mod table;
mod team;

pub use config::{ConfigError, CopyEngines, CpuConfig};
pub use engine::compute_thread_prefix;
pub use image::{CpuEntry, CpuImage, CpuKernel, IMAGE_ABI, IMAGE_MAGIC};

#[doc(hidden)]
pub use table::table;

pub(crate) use context::UUID_PREFIX;
pub(crate) use device::Platform;
