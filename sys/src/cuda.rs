//! The driver, as safe code sees it: owned handles over one table of entry points.

mod context;
mod driver;
mod error;
mod event;
mod faulty;
mod graph;
mod load;
mod memory;
mod module;
mod stream;
pub(crate) mod table;
#[rustfmt::skip]
#[doc(hidden)]
pub mod types;

pub use context::{Context, DeviceInfo};
pub use driver::{Driver, Filling};
pub use error::{DriverCode, DriverError, OpenError};
pub use faulty::{Fault, FaultRule, Faults, When};
pub use graph::{GraphError, GraphExec, KernelNode, MAX_PARAMETER_BYTES};
pub use memory::DeviceLease;
pub use module::{Function, Module, ModuleError};
pub use stream::{
    CopyPart, Finished, MAX_IN_FLIGHT, MAX_SMALL_WRITE_BYTES, Returned, SmallWrite, Stream, StreamCause, StreamError,
};
pub use table::ENTRY_POINTS;

pub(crate) use memory::PinnedMemory;
