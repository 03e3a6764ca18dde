//! Newtypes and bounds that every other module speaks in.

pub mod id;
pub mod limits;
pub mod nanos;

pub use id::{ActionId, BatchSize, DeviceId, GatewayId, ModelId, RequestId, ShapeId, SlotId, WorkerId};
pub use nanos::Nanos;
