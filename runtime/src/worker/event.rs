//! What the two machines are told, and what they answer.

use arrayvec::ArrayVec;

use super::ModelInfo;
use super::op::{DiskOp, DiskOutcome, DiskTicket, Lane, LaneOp, LaneOutcome, LaneTicket};
use super::pages::HostPage;
use crate::base::limits::MAX_OUT;
use crate::base::{ActionId, DeviceId, Nanos, RequestId, SlotId};
use crate::order::{Action, ActionResult, Span, Stages};

/// Host pages that one [`DeviceEvent::Source`] names at most.
pub const SOURCE_PAGES: usize = 32;

/// What the host tier is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "events lie in rings of fixed places; nothing on the path is boxed")]
pub enum HostEvent {
    /// A package of this worker, checked and profiled. Before HELLO, or while serving.
    AddModel(ModelInfo),
    /// An order of the controller. The session has asked [`super::HostTier::has_credit`] before.
    Action(Action),
    /// The controller takes an order back; without effect once it has started or was answered.
    Cancel(ActionId),
    /// The controller ends a placed slot: its request will not be served from it.
    Discard(SlotId),
    /// A receive that [`super::HostTier::accept_input`] accepted has ended.
    InputEnded {
        /// The slot that was received into.
        slot: SlotId,
        /// The request that the payload belongs to.
        request: RequestId,
        /// Payload bytes.
        bytes: u32,
        /// Whether all of it came; false when the connection broke.
        whole: bool,
    },
    /// The last byte of an output was accepted by the socket, or the output was thrown away.
    OutputSent {
        /// The slot that was sent from.
        slot: SlotId,
    },
    /// A read has ended.
    DiskDone {
        /// Which.
        ticket: DiskTicket,
        /// How.
        outcome: DiskOutcome,
        /// When it was submitted and when it was seen complete and its checksums were right.
        span: Span,
    },
    /// What a device core reported.
    Device {
        /// Which device.
        device: DeviceId,
        /// What it said.
        report: DeviceReport,
    },
    /// The time that `due` named has come.
    Tick,
    /// The controller is lost or the worker goes down: answer everything queued `ShuttingDown`,
    /// end every slot, keep what is loaded. Quiet again when [`super::HostTier::is_quiet`].
    Reset,
}

/// What the host tier wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "outputs lie in rings of fixed places; nothing on the path is boxed")]
pub enum HostOut {
    /// For the disk.
    Disk(DiskOp),
    /// For a device core, in this order.
    ToDevice {
        /// Which device.
        device: DeviceId,
        /// What it is told.
        event: DeviceEvent,
    },
    /// RESULT, for the controller.
    Result(ActionResult),
    /// OUTPUT, for the gateway of the request, with the payload from the slot's output area.
    /// [`HostEvent::OutputSent`] must follow, whatever becomes of the connection.
    Output {
        /// The request.
        request: RequestId,
        /// Where the output lies.
        slot: SlotId,
        /// Its length.
        bytes: u32,
        /// The stages that it went through.
        stages: Stages,
    },
    /// FREED, for the controller: this use of the slot is over. Neighbours share a frame.
    Freed(SlotId),
}

/// What a device core is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// A model of this worker; in the same order for every device.
    AddModel(ModelInfo),
    /// LOAD, UNLOAD or INFER.
    Action(Action),
    /// The next host pages of the model that a LOAD copies, in the model's order.
    Source {
        /// The LOAD.
        action: ActionId,
        /// Where its next pages lie.
        pages: ArrayVec<HostPage, SOURCE_PAGES>,
    },
    /// Take back, if it is here and has not started.
    Cancel(ActionId),
    /// End a slot.
    Discard(SlotId),
    /// The payload is whole in the slot's pinned input area.
    InputArrived {
        /// The slot.
        slot: SlotId,
        /// Whose input it is.
        request: RequestId,
        /// Its length.
        bytes: u32,
    },
    /// A lane has done an operation. Within a lane these come in the order of the operations.
    OpDone {
        /// Which.
        ticket: LaneTicket,
        /// How.
        outcome: LaneOutcome,
        /// When it began and ended on the device, in the worker's time.
        span: Span,
    },
    /// The time that `due` named has come.
    Tick,
    /// As [`HostEvent::Reset`].
    Reset,
}

/// What a device core wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "outputs lie in rings of fixed places; nothing on the path is boxed")]
pub enum DeviceOut {
    /// For the device's lanes.
    Lane(LaneOp),
    /// For the host tier.
    Report(DeviceReport),
}

/// What a device core tells the host tier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "reports lie in rings of fixed places; nothing on the path is boxed")]
pub enum DeviceReport {
    /// An action is answered; its credit in `lane` comes back.
    Result {
        /// [`Lane::Weights`] for LOAD and UNLOAD, [`Lane::Exec`] for INFER.
        lane: Lane,
        /// The answer.
        result: ActionResult,
    },
    /// An output is whole in the slot's pinned output area; the device is done with the slot.
    Output {
        /// The request.
        request: RequestId,
        /// Its slot.
        slot: SlotId,
        /// The output's length.
        bytes: u32,
        /// The stages that it went through.
        stages: Stages,
    },
    /// The device is done with a slot that gives no output.
    SlotDone(SlotId),
    /// A LOAD reads the model's host pages no more.
    SourceDone(ActionId),
}

/// What one event makes the host tier emit.
pub type HostOutbox = ArrayVec<HostOut, MAX_OUT>;
/// What one event makes a device core emit.
pub type DeviceOutbox = ArrayVec<DeviceOut, MAX_OUT>;

/// Begin of the first and end of the last of two spans; an empty one counts for nothing.
pub(super) fn hull(one: Span, other: Span) -> Span {
    if one == Span::default() {
        return other;
    }
    if other == Span::default() {
        return one;
    }
    Span { begin: Nanos::min(one.begin, other.begin), end: Nanos::max(one.end, other.end) }
}
