//! The worker's logic as two pure machines, free of any I/O, clock and allocation after start.
//!
//! [`HostTier`] (one a worker) sees everything that enters or leaves the worker: it carries out
//! FETCH and DROP, pins what is being loaded, keeps the ledger of slots and routes the rest.
//! [`DeviceCore`] (one a device) carries out LOAD, UNLOAD and INFER on its lanes.
//!
//! Both are driven by `handle(now, event, out)` and woken by `due()`. Whoever drives them hands
//! each [`DiskOp`] to `disk`, each [`LaneOp`] to `device` (the simulator to its models), each
//! [`DeviceReport`] to the host tier, and everything that the host tier emits to where it says.

pub mod config;
pub mod device_core;
pub mod event;
pub mod host_tier;
pub mod lane;
pub mod model;
pub mod op;
pub mod pages;
pub mod slots;
pub mod steps;

pub use config::{DeviceConfig, HostConfig};
pub use device_core::DeviceCore;
pub use event::{DeviceEvent, DeviceOut, DeviceOutbox, DeviceReport, HostEvent, HostOut, HostOutbox};
pub use host_tier::HostTier;
pub use model::{ArchitectureId, ModelInfo, PlanSet};
pub use op::{DiskOp, DiskOutcome, DiskTicket, Lane, LaneOp, LaneOutcome, LaneTicket};
pub use pages::{DevicePage, HostPage};
pub use slots::Receive;
pub use steps::Witness;
