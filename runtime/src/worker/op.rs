//! Operations that the machines emit and others carry out: on the disk, and on a device's lanes.

use arrayvec::ArrayVec;

use super::model::ArchitectureId;
use super::pages::{DevicePage, HostPage};
use crate::base::limits::MAX_BATCH;
use crate::base::{BatchSize, ModelId, ShapeId, SlotId};

/// Entries of a page table that one [`LaneOp::WriteTable`] writes at most.
pub const TABLE_ENTRIES: usize = 32;

/// Names one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskTicket(pub u64);

/// What the disk is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Read one weight page of a model into a locked host page and check its checksums.
    Read {
        /// Returned in [`super::HostEvent::DiskDone`].
        ticket: DiskTicket,
        /// The model.
        model: ModelId,
        /// Which of its pages, from 0.
        page: u32,
        /// Where to.
        to: HostPage,
        /// How many bytes of the page the model uses; the rest need not be read.
        bytes: u32,
    },
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOutcome {
    /// The page is whole and its checksums are right.
    Ok,
    /// It is not.
    Fault {
        /// The system's error number, or 0 for a wrong checksum.
        errno: u32,
        /// Checksum block of the package, counted from its first weight page.
        block: u32,
    },
}

/// A lane of a device: a stream with one owner and strict first-in, first-out order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Copies of weights to the device, and page tables.
    Weights = 0,
    /// Copies of inputs to the device.
    Input = 1,
    /// Graphs.
    Exec = 2,
    /// Copies of outputs from the device.
    Output = 3,
}

impl Lane {
    /// All lanes, by their number.
    pub const ALL: [Lane; 4] = [Lane::Weights, Lane::Input, Lane::Exec, Lane::Output];
}

/// Names one operation of a device: its lane, and its number among the lane's operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneTicket {
    /// The lane.
    pub lane: Lane,
    /// Counted from 0 in each lane.
    pub sequence: u64,
}

/// Place of a model's page table on the device: the model's number in the order of `AddModel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u16);

/// What a lane is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneOp {
    /// Copy a chunk of a weight page to the device ([`Lane::Weights`]).
    CopyPage {
        /// Returned in [`super::DeviceEvent::OpDone`].
        ticket: LaneTicket,
        /// Where from.
        from: HostPage,
        /// Where to.
        to: DevicePage,
        /// Offset in both pages.
        offset: u32,
        /// Length, at most [`crate::base::limits::WEIGHT_CHUNK_BYTES`].
        bytes: u32,
    },
    /// Write entries of an instance's page table ([`Lane::Weights`]).
    WriteTable {
        /// Returned in [`super::DeviceEvent::OpDone`].
        ticket: LaneTicket,
        /// Which table.
        table: TableId,
        /// Number of the first entry.
        first: u32,
        /// The pages that the entries name, in order.
        pages: ArrayVec<DevicePage, TABLE_ENTRIES>,
    },
    /// Copy an input from a slot's pinned area to its device area ([`Lane::Input`]).
    CopyInput {
        /// Returned in [`super::DeviceEvent::OpDone`].
        ticket: LaneTicket,
        /// Which slot.
        slot: SlotId,
        /// Length.
        bytes: u32,
    },
    /// Write the binding and launch the graph of a plan ([`Lane::Exec`]).
    Exec {
        /// Returned in [`super::DeviceEvent::OpDone`].
        ticket: LaneTicket,
        /// Whose graphs.
        architecture: ArchitectureId,
        /// Which shape variant.
        shape: ShapeId,
        /// Which plan; places from here on are empty.
        batch: BatchSize,
        /// The instance's page table.
        table: TableId,
        /// Slot of each place; `None` is bound to the device's null slot.
        places: [Option<SlotId>; MAX_BATCH],
    },
    /// Copy an output from a slot's device area to its pinned area ([`Lane::Output`]).
    CopyOutput {
        /// Returned in [`super::DeviceEvent::OpDone`].
        ticket: LaneTicket,
        /// Which slot.
        slot: SlotId,
        /// Length.
        bytes: u32,
    },
}

impl LaneOp {
    /// The operation's name.
    pub fn ticket(&self) -> LaneTicket {
        match self {
            LaneOp::CopyPage { ticket, .. }
            | LaneOp::WriteTable { ticket, .. }
            | LaneOp::CopyInput { ticket, .. }
            | LaneOp::Exec { ticket, .. }
            | LaneOp::CopyOutput { ticket, .. } => *ticket,
        }
    }
}

/// How an operation of a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneOutcome {
    /// Done.
    Ok,
    /// The driver failed.
    Fault {
        /// Its status code.
        code: u32,
    },
}
