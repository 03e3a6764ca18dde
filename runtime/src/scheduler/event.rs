//! What the scheduler is told, and what it says.

use arrayvec::ArrayVec;

use crate::base::limits::{MAX_OUT, MAX_SHAPES, MAX_SLOT_CLASSES};
use crate::base::{ActionId, DeviceId, GatewayId, ModelId, Nanos, RequestId, ShapeId, SlotId, WorkerId};
use crate::order::record::End;
use crate::order::{Action, ActionResult, Reject, Status};
use crate::package::Target;
use crate::profile::{Architecture, DeviceKind, Profile, SizedSample};

/// Slots that one FREED names at most.
pub const FREED_SLOTS: usize = 32;

/// A question of a gateway: can this be answered in time? Times are controller time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The request.
    pub request: RequestId,
    /// The instance that it wants.
    pub model: ModelId,
    /// The shape variant of its inputs.
    pub shape: ShapeId,
    /// When its first byte reached the gateway.
    pub arrival: Nanos,
    /// How long it may take from there.
    pub slo: Nanos,
    /// What the gateway needs to send the answer to the client, as a bound.
    pub return_bound: Nanos,
}

impl Ask {
    /// When the client's patience ends.
    pub fn deadline(&self) -> Nanos {
        self.arrival + self.slo
    }
}

/// Slots of one size on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotClass {
    /// Bytes that each holds of one item's inputs.
    pub input_bytes: u32,
    /// Bytes that each holds of one item's outputs.
    pub output_bytes: u32,
    /// How many there are.
    pub count: u16,
}

/// One device of a worker, as its HELLO and INVENTORY state it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceUp {
    /// Its number at the worker.
    pub device: DeviceId,
    /// What kind of device it is: the key of its profiles.
    pub kind: DeviceKind,
    /// Weight pages in all.
    pub pages: u32,
    /// Slots by class; all of them are free.
    pub slots: ArrayVec<SlotClass, MAX_SLOT_CLASSES>,
    /// Models whose weights are on the device.
    pub resident: Vec<ModelId>,
}

/// A worker that connected: everything that the mirror of it starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerUp {
    /// The worker.
    pub worker: WorkerId,
    /// What its packages are made for.
    pub target: Target,
    /// Locked host pages in all.
    pub host_pages: u32,
    /// Actions that it takes per lane.
    pub credits: u16,
    /// Slots are given out from the generation after this one.
    pub slot_generation: u32,
    /// Bound on the error of its clock's conversion to controller time.
    pub clock_error: Nanos,
    /// Its devices.
    pub devices: Vec<DeviceUp>,
    /// Models whose weights are in its host pages.
    pub fetched: Vec<ModelId>,
    /// What its disk was measured to take.
    pub fetches: Vec<SizedSample>,
    /// What copying weights to its devices was measured to take.
    pub loads: Vec<SizedSample>,
}

/// What the scheduler must know of one shape variant of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeSpec {
    /// Bytes of one item's inputs.
    pub input_bytes: u32,
    /// Bytes of one item's outputs.
    pub output_bytes: u32,
}

/// A model that may be asked for from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// The instance.
    pub model: ModelId,
    /// Whose plans it runs.
    pub architecture: Architecture,
    /// What its package is made for.
    pub target: Target,
    /// Weight pages.
    pub pages: u32,
    /// Its shape variants, by [`ShapeId`].
    pub shapes: ArrayVec<ShapeSpec, MAX_SHAPES>,
    /// Measured durations of its plans, one profile for each kind of device that may run it. A plan
    /// that no profile measured is never ordered. What transfers take is a worker's: [`WorkerUp`].
    pub profiles: Vec<Profile>,
}

/// Something that happened. All times are controller time.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "events are moved through rings of fixed places")]
pub enum Event {
    /// A gateway asks for a request.
    Ask(Ask),
    /// A client withdrew a request, or went away.
    Withdraw(RequestId),
    /// A gateway says how a request ended; unless it ended OK, nothing more is wanted for it.
    Ended {
        /// The request.
        request: RequestId,
        /// How it ended.
        end: End,
        /// When that was decided: of an answer, when its output had come to the gateway.
        at: Nanos,
    },
    /// A worker connected. Off the path.
    WorkerUp(Box<WorkerUp>),
    /// A gateway's connection was lost: nobody waits for its requests. Off the path.
    GatewayLost(GatewayId),
    /// A worker's connection was lost, and all that it held.
    WorkerLost(WorkerId),
    /// The error of a worker's clock changed.
    ClockError(WorkerId, Nanos),
    /// A worker reports what became of an action.
    Result(WorkerId, ActionResult),
    /// A worker gives slots back.
    Freed(WorkerId, ArrayVec<SlotId, FREED_SLOTS>),
    /// A model was registered. Off the path.
    ModelRegistered(Box<ModelSpec>),
    /// No request is admitted any more; those admitted are still served.
    Drain,
    /// Time passed; [`Scheduler::due`](super::Scheduler::due) said when.
    Tick,
}

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "outputs are moved through rings of fixed places")]
pub enum Output {
    /// To the gateway: the request is booked; send its input into this slot of this worker.
    Place {
        /// The request.
        request: RequestId,
        /// Where to.
        worker: WorkerId,
        /// Into which slot.
        slot: SlotId,
    },
    /// To the gateway: never admitted; the request ends REJECTED.
    Reject {
        /// The request.
        request: RequestId,
        /// Why.
        reason: Reject,
    },
    /// To the gateway: admitted, then refused before exec; the request ends REVOKED.
    Revoke {
        /// The request.
        request: RequestId,
        /// Why.
        reason: Reject,
    },
    /// To the gateway: executed without success and not to be tried again; the request ends FAILED.
    Fail {
        /// The request.
        request: RequestId,
        /// What the last attempt came to.
        status: Status,
    },
    /// To the worker: an order.
    Action {
        /// To whom.
        worker: WorkerId,
        /// What.
        action: Action,
    },
    /// To the worker: an INFER that nobody wants any more, if it has not started.
    Cancel {
        /// To whom.
        worker: WorkerId,
        /// Which.
        action: ActionId,
    },
    /// To the worker: a placed slot that will not be bound (again); FREED answers it.
    Discard {
        /// To whom.
        worker: WorkerId,
        /// Which.
        slot: SlotId,
    },
}

/// Where a handler puts its outputs; empty when it is called.
pub type Outbox = ArrayVec<Output, MAX_OUT>;
