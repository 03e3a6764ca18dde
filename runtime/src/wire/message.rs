//! What peers say to each other, as owned values. Nothing on a request's path allocates.

use std::net::SocketAddr;

use arrayvec::ArrayVec;

use super::fault::PeerFault;
use super::handshake::{Hello, Welcome};
use super::kind::Kind;
use crate::base::limits::{BATCH_SIZES, MAX_SHAPES};
use crate::base::{ActionId, ModelId, Nanos, RequestId, ShapeId, SlotId, WorkerId};
use crate::order::record::End;
use crate::order::{Action, ActionResult, Reject, Stages, Status};
use crate::package::TensorSpec;

/// Slots that one FREED names at most.
pub const FREED_SLOTS: usize = 32;

/// One message, without its payload.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "path messages are owned in place; nothing on the path is boxed")]
pub enum Message {
    /// First frame of whoever opened the connection.
    Hello(Box<Hello>),
    /// Answer to HELLO.
    Welcome(Welcome),
    /// One model of a worker. At least one frame follows HELLO, also from an empty worker.
    Inventory(Box<Inventory>),
    /// One model that is served. Controller -> gateway: all, after WELCOME; gateway -> client: the
    /// answer to LOOKUP.
    Catalog(Box<Catalog>),
    /// Where a worker listens for gateways; `None` when it is gone.
    Peer {
        /// The worker.
        worker: WorkerId,
        /// Its address.
        address: Option<SocketAddr>,
    },
    /// Which model has this name, or this id if the name is empty.
    Lookup {
        /// The client's number for the question, returned in the answer.
        id: u64,
        /// The id; 0 when the name counts.
        model: ModelId,
        /// The name.
        name: Name,
    },
    /// A request. Payload: its inputs.
    Request {
        /// The client's number for it, returned in the answer.
        id: u64,
        /// Which model.
        model: ModelId,
        /// Which of its shape variants.
        shape: ShapeId,
        /// How long it may take, from its first byte at the gateway.
        slo: Nanos,
        /// Length of the payload.
        payload: u32,
    },
    /// The end of a request. Payload: its outputs, if it ended OK or LATE.
    Response(Response),
    /// A request is taken back.
    Withdraw {
        /// The number of the REQUEST; between gateway and controller the bits of the [`RequestId`].
        id: u64,
    },
    /// Can this be done in time?
    Ask {
        /// The request.
        request: RequestId,
        /// Its model.
        model: ModelId,
        /// Its shape variant.
        shape: ShapeId,
        /// Its SLO.
        slo: Nanos,
        /// Arrival of its first byte, in gateway time.
        arrival: Nanos,
        /// What the gateway needs to send the answer to the client, as a bound.
        return_bound: Nanos,
    },
    /// Yes: send the inputs there.
    Place {
        /// The request.
        request: RequestId,
        /// Where.
        worker: WorkerId,
        /// Into which slot.
        slot: SlotId,
    },
    /// No.
    Reject {
        /// The request.
        request: RequestId,
        /// How far it had come, and why not further.
        refusal: Refusal,
    },
    /// How a request ended.
    Ended {
        /// The request.
        request: RequestId,
        /// How.
        end: End,
        /// When that was decided, in gateway time: of an answer, when its output had come.
        at: Nanos,
    },
    /// A request's inputs, as payload.
    Input {
        /// The request.
        request: RequestId,
        /// Where they belong.
        slot: SlotId,
        /// Length of the payload.
        payload: u32,
    },
    /// A request's outputs, as payload.
    Output {
        /// The request.
        request: RequestId,
        /// Where they come from.
        slot: SlotId,
        /// The stages that it went through, in the worker's time.
        stages: Stages,
        /// Length of the payload.
        payload: u32,
    },
    /// An order.
    Action(Action),
    /// An order is taken back.
    Cancel {
        /// Which.
        action: ActionId,
    },
    /// A slot ends unused.
    Discard {
        /// Which.
        slot: SlotId,
    },
    /// What became of an order.
    Result(ActionResult),
    /// Slots that come back.
    Freed {
        /// Which.
        slots: ArrayVec<SlotId, FREED_SLOTS>,
    },
    /// Clock synchronisation.
    Sync(Sync),
    /// A question of a control client.
    StatusQuery {
        /// Its number, returned in the answer.
        id: u64,
        /// What about.
        topic: Topic,
    },
    /// The answer: JSON text as payload.
    StatusReply {
        /// The question's number.
        id: u64,
        /// Length of the payload.
        payload: u32,
    },
    /// Why the connection ends now.
    Fault(PeerFault),
    /// The connection ends as it should.
    Goodbye,
}

/// How far a request had come that will not be answered, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Refused at its ASK: never admitted.
    Rejected(Reject),
    /// Placed, then refused before its exec began.
    Revoked(Reject),
    /// Its exec, or a copy, failed, and no time was left.
    Failed(Status),
}

/// A name of at most [`crate::base::limits::MAX_NAME_BYTES`] bytes of UTF-8.
pub type Name = arrayvec::ArrayString<{ crate::base::limits::MAX_NAME_BYTES }>;

/// How a request ended, as its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its outputs follow.
    Done {
        /// Whether the gateway judged it late.
        late: bool,
    },
    /// It has no outputs.
    Refused(Refusal),
    /// Its deadline passed without an answer.
    Expired,
}

/// The answer to a REQUEST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The REQUEST's number.
    pub id: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Arrival of the request's first byte, in gateway time.
    pub arrival: Nanos,
    /// When the gateway handed this answer to its socket, in gateway time.
    pub answered: Nanos,
    /// Stages at the worker, in the worker's time; all zero where it did not come so far.
    pub stages: Stages,
    /// Length of the payload.
    pub payload: u32,
}

/// Four stamps of one exchange: the asker fills `origin`, the answerer the next two, and the
/// fourth is the arrival of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Number of the exchange, chosen by the asker.
    pub id: u64,
    /// When the question was sent, on the asker's clock.
    pub origin: Nanos,
    /// The answerer's two stamps; `None` in a question.
    pub answer: Option<SyncAnswer>,
}

/// The stamps of whoever answers a [`Sync`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncAnswer {
    /// When the question came, on the answerer's clock.
    pub received: Nanos,
    /// When the answer was sent, on the answerer's clock.
    pub sent: Nanos,
}

/// What a control client asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Topic {
    /// The server as a whole.
    Status = 1,
    /// Its models.
    Models = 2,
    /// Its workers.
    Workers = 3,
    /// Its effective configuration.
    Config = 4,
}

/// A model as clients and gateways see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// Its id.
    pub model: ModelId,
    /// Its name.
    pub name: Name,
    /// Size class of the slots that hold its inputs and outputs.
    pub class: u8,
    /// How many shape variants it has, at least one.
    pub shapes: u8,
    /// Its inputs, in the order of the payload; each has a shape for every variant.
    pub inputs: Vec<TensorSpec>,
    /// Its outputs, likewise.
    pub outputs: Vec<TensorSpec>,
}

/// Durations of one plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanTimes {
    /// What it usually takes; zero where there is no such plan.
    pub expected: Nanos,
    /// What it takes at most, for promises.
    pub bound: Nanos,
}

/// One model of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Number of this frame among those that follow HELLO, from 0.
    pub index: u32,
    /// How many models the worker has; 0 if none, and then there is no entry.
    pub total: u32,
    /// The model.
    pub entry: Option<InventoryEntry>,
}

/// What a worker says of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryEntry {
    /// As clients see it.
    pub model: ModelEntry,
    /// First 64 bits of the digest of its plans: equal ones share graphs.
    pub architecture: u64,
    /// Weight pages.
    pub pages: u32,
    /// Bytes of weights.
    pub bytes: u64,
    /// Whether its pages are in host memory.
    pub fetched: bool,
    /// Devices that hold it: a bit each.
    pub loaded: u8,
    /// Which plans there are: a bit for each of `BatchSize::ALL`, by shape variant.
    pub plans: [u8; MAX_SHAPES],
    /// Their durations.
    pub exec: [[PlanTimes; BATCH_SIZES.len()]; MAX_SHAPES],
    /// Duration of its LOAD.
    pub load: PlanTimes,
    /// Duration of its FETCH.
    pub fetch: PlanTimes,
}

/// One model that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The LOOKUP's number; 0 in what a controller sends.
    pub id: u64,
    /// Number of this frame among those of one listing, from 0.
    pub index: u32,
    /// How many models the listing has; 0 if there is no such model, and then there is no entry.
    pub total: u32,
    /// The model.
    pub entry: Option<ModelEntry>,
}

impl Message {
    /// The kind of frame that carries it.
    pub fn kind(&self) -> Kind {
        match self {
            Message::Hello(_) => Kind::Hello,
            Message::Welcome(_) => Kind::Welcome,
            Message::Inventory(_) => Kind::Inventory,
            Message::Catalog(_) => Kind::Catalog,
            Message::Peer { .. } => Kind::Peer,
            Message::Lookup { .. } => Kind::Lookup,
            Message::Request { .. } => Kind::Request,
            Message::Response(_) => Kind::Response,
            Message::Withdraw { .. } => Kind::Withdraw,
            Message::Ask { .. } => Kind::Ask,
            Message::Place { .. } => Kind::Place,
            Message::Reject { .. } => Kind::Reject,
            Message::Ended { .. } => Kind::Ended,
            Message::Input { .. } => Kind::Input,
            Message::Output { .. } => Kind::Output,
            Message::Action(_) => Kind::Action,
            Message::Cancel { .. } => Kind::Cancel,
            Message::Discard { .. } => Kind::Discard,
            Message::Result(_) => Kind::Result,
            Message::Freed { .. } => Kind::Freed,
            Message::Sync(_) => Kind::Sync,
            Message::StatusQuery { .. } => Kind::StatusQuery,
            Message::StatusReply { .. } => Kind::StatusReply,
            Message::Fault(_) => Kind::Fault,
            Message::Goodbye => Kind::Goodbye,
        }
    }

    /// Bytes of payload that follow the body.
    pub fn payload_bytes(&self) -> u32 {
        match self {
            Message::Request { payload, .. }
            | Message::Input { payload, .. }
            | Message::Output { payload, .. }
            | Message::StatusReply { payload, .. } => *payload,
            Message::Response(response) => response.payload,
            _ => 0,
        }
    }
}
