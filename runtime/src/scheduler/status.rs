//! What the scheduler shows of itself.

use crate::base::{DeviceId, ModelId, Nanos, WorkerId};
use crate::order::Status;

/// Events counted since construction. `asks = rejected + admitted`, and every admitted request ends
/// `served`, `revoked`, `failed` or `withdrawn`, or is still `open`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions asked.
    pub asks: u64,
    /// Requests admitted.
    pub admitted: u64,
    /// Requests never admitted.
    pub rejected: u64,
    /// Requests admitted, then refused before exec.
    pub revoked: u64,
    /// Requests whose exec failed for good.
    pub failed: u64,
    /// Requests withdrawn, or ended by their gateway.
    pub withdrawn: u64,
    /// Requests whose exec succeeded.
    pub served: u64,
    /// Requests admitted and not yet ended.
    pub open: u64,
    /// INFERs ordered.
    pub infers: u64,
    /// INFERs among them that serve nobody and only show how long the plan takes.
    pub rehearsals: u64,
    /// INFERs not answered `Ok`.
    pub infers_failed: u64,
    /// LOADs ordered.
    pub loads: u64,
    /// UNLOADs ordered.
    pub unloads: u64,
    /// FETCHes ordered.
    pub fetches: u64,
    /// Requests admitted that had to wait for a LOAD.
    pub cold_starts: u64,
    /// Messages that contradict the mirror: results of unknown actions, slots that were not out.
    pub faults: u64,
}

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Its worker.
    pub worker: WorkerId,
    /// Its number there.
    pub device: DeviceId,
    /// Requests booked on it and not yet bound.
    pub booked: usize,
    /// INFERs ordered and not yet answered.
    pub committed: usize,
    /// When its exec lane is expected to be free.
    pub free_at: Nanos,
    /// Weight pages in all.
    pub pages: u32,
    /// Weight pages free.
    pub pages_free: u32,
    /// Slots in all.
    pub slots: usize,
    /// Slots given out.
    pub slots_out: usize,
    /// From PLACE to the input lying on the device, as bound: the largest over the slot classes.
    pub input_bound: Nanos,
    /// From the end of exec to the gateway having the output, likewise.
    pub return_bound: Nanos,
    /// Models whose weights it holds.
    pub resident: usize,
}

/// One model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelStatus {
    /// The model.
    pub model: ModelId,
    /// Devices that hold it.
    pub resident_on: usize,
    /// Requests that asked for it.
    pub asks: u64,
    /// Batch-1 execution expected, on the first kind of device that has a profile of it.
    pub expected: Nanos,
    /// Batch-1 execution as bound, there.
    pub bound: Nanos,
    /// How bringing its weights last failed on a device that has not got them since.
    pub failed: Option<Status>,
}

/// A picture of the scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Counters since construction.
    pub counters: Counters,
    /// Devices of the connected workers.
    pub devices: Vec<DeviceStatus>,
    /// Registered models.
    pub models: Vec<ModelStatus>,
    /// Start error of INFERs, median of the last 101: |measured - expected|.
    pub start_error: Nanos,
    /// Duration error of INFERs, median of the last 101: |measured - expected|.
    pub duration_error: Nanos,
    /// Whether new requests are refused because the server goes down.
    pub draining: bool,
}
