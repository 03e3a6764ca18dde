//! What can go wrong while a device is made ready.

use thiserror::Error;

use crate::base::{BatchSize, ShapeId};

/// Why a device can't be used, or a package can't be run on it.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The driver refused.
    #[error("device {device}: {what}: {source}")]
    Driver {
        /// Which device.
        device: u32,
        /// What was being done.
        what: &'static str,
        /// The driver's word.
        source: sys::cuda::DriverError,
    },
    /// Memory of the device or pinned memory could not be divided as planned.
    #[error("device {device}: {what}: {source}")]
    Lease {
        /// Which device.
        device: u32,
        /// What it was for.
        what: &'static str,
        /// Why.
        source: sys::memory::LeaseError,
    },
    /// A plan would touch memory that is not its own, or is malformed.
    #[error("package {package}: plan for shape {} and batch size {batch}: {source}", shape.0)]
    Plan {
        /// The package's name.
        package: String,
        /// Which shape variant.
        shape: ShapeId,
        /// Which batch size.
        batch: BatchSize,
        /// What is wrong with it.
        source: kernels::launch::PlanError,
    },
    /// A checked plan could not be made into a graph.
    #[error("package {package}: plan for shape {} and batch size {batch}: {source}", shape.0)]
    Graph {
        /// The package's name.
        package: String,
        /// Which shape variant.
        shape: ShapeId,
        /// Which batch size.
        batch: BatchSize,
        /// Why.
        source: kernels::launch::BuildError,
    },
    /// The image of kernels does not load.
    #[error("device {device}: loading the kernels: {source}")]
    Module {
        /// Which device.
        device: u32,
        /// Why.
        source: sys::cuda::ModuleError,
    },
}
