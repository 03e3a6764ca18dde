//! How much the machines may hold: every capacity is taken at start from here.

use crate::base::DeviceId;
use crate::base::limits::{LANE_CREDITS, MAX_MODELS, MAX_SLOT_CLASSES};

/// Slots of one size class of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotClass {
    /// How many; 0 for a class that is not used.
    pub count: u16,
    /// Bytes of a slot's input area.
    pub input_bytes: u32,
    /// Bytes of a slot's output area.
    pub output_bytes: u32,
}

/// Slots of a device, by size class.
pub type SlotClasses = [SlotClass; MAX_SLOT_CLASSES];

/// Capacities of a host tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Models that the worker may know.
    pub models: usize,
    /// Locked host pages.
    pub host_pages: u32,
    /// Bytes of a page, on host and device.
    pub page_bytes: u32,
    /// Reads outstanding at the disk.
    pub reads_outstanding: usize,
    /// FETCHes and DROPs that the controller may have outstanding.
    pub disk_credits: usize,
    /// LOADs and UNLOADs, and INFERs, that it may have outstanding on each device.
    pub lane_credits: usize,
    /// Slots of each device, in the order of their ids from 0.
    pub devices: Vec<SlotClasses>,
}

/// Capacities of a device core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Which device of the worker.
    pub device: DeviceId,
    /// Models that the worker may know.
    pub models: usize,
    /// Weight pages on the device.
    pub device_pages: u32,
    /// Bytes of a page.
    pub page_bytes: u32,
    /// LOADs and UNLOADs, and INFERs, that the controller may have outstanding.
    pub lane_credits: usize,
    /// Slots by size class.
    pub slots: SlotClasses,
}

impl HostConfig {
    /// Reads outstanding at the disk by default: enough to keep one NVMe drive busy.
    pub const READS_OUTSTANDING: usize = 8;

    /// The defaults of the limits, for one device.
    pub fn single(host_pages: u32, page_bytes: u32, slots: SlotClasses) -> HostConfig {
        HostConfig {
            models: MAX_MODELS,
            host_pages,
            page_bytes,
            reads_outstanding: HostConfig::READS_OUTSTANDING,
            disk_credits: LANE_CREDITS,
            lane_credits: LANE_CREDITS,
            devices: vec![slots],
        }
    }
}
