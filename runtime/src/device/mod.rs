//! A device as the worker drives it: memory taken at start, graphs made at start, four lanes.
//!
//! [`Lanes`] carries out what [`crate::worker::DeviceCore`] emits. It decides nothing: an operation
//! that can't be carried out as ordered is a fault of the driver or a broken invariant.

mod architecture;
mod error;
mod held;
mod lanes;
mod measure;
mod memory;

pub use architecture::{Architecture, PlanKey};
pub use error::DeviceError;
pub use held::Held;
pub use lanes::{Done, Lanes};
pub use measure::{Measure, MeasureError, Samples};
pub use memory::{DeviceMemory, MemoryNeeds, SlotMemory};
