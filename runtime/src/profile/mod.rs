//! How long things take: measured durations, and what is expected and promised from them.

pub mod sidecar;
pub mod store;
pub mod window;

pub use sidecar::{Architecture, DeviceKind, PlanSamples, Profile, SizedSample};
pub use store::{Cost, Entry, PlanCosts, ProfileStore, TransferTimes};
pub use window::{DurationWindow, Percentile};
