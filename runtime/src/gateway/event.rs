//! What the gateway is told, and what it says.

use arrayvec::ArrayVec;

use crate::base::limits::{MAX_GATEWAYS, MAX_MODELS, MAX_OUT, MAX_PAYLOAD_BYTES, MAX_REQUESTS};
use crate::base::{GatewayId, ModelId, Nanos, RequestId, ShapeId, SlotId, WorkerId};
use crate::order::record::End;
use crate::order::{Reject, Stages, Status};
use crate::package::TensorSpec;

/// One client connection: a place in the host's table and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId {
    /// Place in the table of connections, below [`MAX_CLIENTS`](crate::base::limits::MAX_CLIENTS).
    pub index: u16,
    /// Which use of that place.
    pub generation: u32,
}

/// Settings of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which gateway of the controller this is; below [`MAX_GATEWAYS`].
    pub gateway: GatewayId,
    /// Requests held at once; at most [`MAX_REQUESTS`].
    pub requests: usize,
    /// Models in the catalog; at most [`MAX_MODELS`].
    pub models: usize,
    /// Bytes of payload that one place of the slab holds; a larger request is `Overloaded`.
    pub payload_bytes: u32,
    /// Longest SLO taken; a longer one is cut to it.
    pub max_slo: Nanos,
    /// What sending an answer takes, while none of its size was sent recently.
    pub return_bound: Nanos,
    /// How long a client may take to accept its answer, and to send the payload it announced.
    pub patience: Nanos,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            gateway: GatewayId(0),
            requests: MAX_REQUESTS,
            models: MAX_MODELS,
            payload_bytes: u32::try_from(MAX_PAYLOAD_BYTES).unwrap_or(u32::MAX),
            max_slo: crate::base::limits::MAX_SLO,
            return_bound: Nanos::micros(100),
            patience: Nanos::seconds(2),
        }
    }
}

impl Config {
    /// Whether every setting is within its limit.
    pub fn is_within_limits(&self) -> bool {
        usize::from(self.gateway.0) < MAX_GATEWAYS
            && (1..=MAX_REQUESTS).contains(&self.requests)
            && (1..=MAX_MODELS).contains(&self.models)
    }
}

/// A model as the controller's CATALOG states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogModel {
    /// The model.
    pub model: ModelId,
    /// Its name, for clients that know no id.
    pub name: String,
    /// Its inputs, each with one shape for each shape variant.
    pub inputs: Vec<TensorSpec>,
    /// Its outputs, likewise.
    pub outputs: Vec<TensorSpec>,
}

/// A request as its header and body state it; the payload follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose.
    pub client: ClientId,
    /// The client's own number for it, returned with the answer.
    pub correlation: u64,
    /// What it wants.
    pub model: ModelId,
    /// Which shape variant its inputs have; the payload holds them one behind the other.
    pub shape: ShapeId,
    /// Bytes of payload announced.
    pub payload_bytes: u32,
    /// When its first byte came, in gateway time.
    pub arrival: Nanos,
    /// How long it may take from there.
    pub slo: Nanos,
}

/// Something that happened. All times are gateway time.
#[derive(Clone, Debug)]
pub enum Event {
    /// The controller's CATALOG names a model. Off the path.
    Catalog(Box<CatalogModel>),
    /// A request's header and body came; its payload is still to be received.
    Request(Request),
    /// The payload of a request lies whole in its place of the slab.
    PayloadWhole(RequestId),
    /// The client withdraws a request by its own number.
    Withdraw {
        /// Whose.
        client: ClientId,
        /// The client's number for it.
        correlation: u64,
    },
    /// The client's connection is gone.
    ClientGone(ClientId),
    /// The scheduler booked a request, for the first time or again elsewhere.
    Place {
        /// The request.
        request: RequestId,
        /// Where to send its input.
        worker: WorkerId,
        /// Into which slot.
        slot: SlotId,
    },
    /// The scheduler never admitted a request.
    Reject {
        /// The request.
        request: RequestId,
        /// Why.
        reason: Reject,
    },
    /// The scheduler refused a request after admitting it.
    Revoke {
        /// The request.
        request: RequestId,
        /// Why.
        reason: Reject,
    },
    /// A request was executed without success.
    Fail {
        /// The request.
        request: RequestId,
        /// What the last attempt came to.
        status: Status,
    },
    /// An output came whole from a worker. One that comes from elsewhere than its request was placed
    /// last is nobody's: a gateway before this one had a request of the same name.
    Output {
        /// The request.
        request: RequestId,
        /// Who sent it.
        worker: WorkerId,
        /// From which slot.
        slot: SlotId,
        /// Bytes of it.
        bytes: u32,
        /// The stages of its batch, in gateway time.
        stages: Stages,
    },
    /// The last byte of an input was accepted by the worker's socket, or its connection is gone: the
    /// request's place of the slab is not read any more.
    InputSent(RequestId),
    /// The last byte of an answer was accepted by the client's socket.
    Sent(RequestId),
    /// No request is taken any more; those that hold a place are still answered.
    Drain,
    /// Time passed.
    Tick,
}

/// How a request ended, with the reason: exactly once, in one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answered in time.
    Ok,
    /// Answered after its deadline, or not at all by then.
    Late,
    /// Never admitted.
    Rejected(Reject),
    /// Admitted, then refused before exec.
    Revoked(Reject),
    /// Executed without success.
    Failed(Status),
    /// Withdrawn by its client, or its client went away.
    Withdrawn,
}

/// How many requests ended how. `requests` is the sum of the others and of those still open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Requests that came.
    pub requests: u64,
    /// Answered in time.
    pub ok: u64,
    /// Answered late, or not at all.
    pub late: u64,
    /// Never admitted.
    pub rejected: u64,
    /// Admitted, then refused.
    pub revoked: u64,
    /// Executed without success.
    pub failed: u64,
    /// Withdrawn.
    pub withdrawn: u64,
}

impl Answer {
    /// The end without its reason.
    pub const fn end(self) -> End {
        match self {
            Answer::Ok => End::Ok,
            Answer::Late => End::Late,
            Answer::Rejected(_) => End::Rejected,
            Answer::Revoked(_) => End::Revoked,
            Answer::Failed(_) => End::Failed,
            Answer::Withdrawn => End::Withdrawn,
        }
    }
}

impl Ends {
    /// Requests that ended.
    pub fn ended(&self) -> u64 {
        self.ok + self.late + self.rejected + self.revoked + self.failed + self.withdrawn
    }

    /// Counts one end.
    pub fn count(&mut self, end: End) {
        *match end {
            End::Ok => &mut self.ok,
            End::Late => &mut self.late,
            End::Rejected => &mut self.rejected,
            End::Revoked => &mut self.revoked,
            End::Failed => &mut self.failed,
            End::Withdrawn => &mut self.withdrawn,
        } += 1;
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Receive the payload of this request into its place of the slab, then say `PayloadWhole`.
    Receive {
        /// Whose connection it comes from.
        client: ClientId,
        /// Names the place: [`RequestId::index`].
        request: RequestId,
        /// Bytes to receive.
        bytes: u32,
    },
    /// Receive that many bytes from the client and throw them away.
    Drain {
        /// Whose connection.
        client: ClientId,
        /// Bytes.
        bytes: u32,
    },
    /// To the controller: can this be answered in time? Times are gateway time.
    Ask {
        /// The request.
        request: RequestId,
        /// The model.
        model: ModelId,
        /// The shape variant that its inputs have.
        shape: ShapeId,
        /// When its first byte came.
        arrival: Nanos,
        /// How long it may take from there.
        slo: Nanos,
        /// Bound on sending the answer.
        return_bound: Nanos,
    },
    /// To the worker: the request's payload, from its place of the slab. The host reports `InputSent`.
    Input {
        /// The request.
        request: RequestId,
        /// To whom.
        worker: WorkerId,
        /// Into which slot.
        slot: SlotId,
    },
    /// To the client: the answer of a request that holds a place. For `Answer::Ok` the output that the
    /// event brought goes with it. The host reports `Sent` when its last byte is accepted.
    Respond {
        /// To whom.
        client: ClientId,
        /// The client's number.
        correlation: u64,
        /// The request, for `Sent`.
        request: RequestId,
        /// How it ends.
        answer: Answer,
        /// The stages of its batch; all zero unless executed.
        stages: Stages,
    },
    /// To the client: a refusal of a request that holds no place; nothing reports its sending.
    Refuse {
        /// To whom.
        client: ClientId,
        /// The client's number.
        correlation: u64,
        /// Why.
        reason: Reject,
    },
    /// To the controller: the client withdrew the request.
    Withdraw(RequestId),
    /// To the controller: an admitted request ended at the gateway, in one of the ways that the
    /// controller does not know of by itself.
    Ended {
        /// The request.
        request: RequestId,
        /// How.
        end: End,
        /// When that was decided: for an OK or LATE answer, when its output had come.
        at: Nanos,
    },
    /// Close this connection: its client does not take its answer, or sends none of its payload.
    CutOff(ClientId),
}

/// Where the handler puts its outputs; empty when it is called.
pub type Outbox = ArrayVec<Output, MAX_OUT>;
