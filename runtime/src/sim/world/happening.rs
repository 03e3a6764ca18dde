//! What the agenda of a run holds.

use crate::base::{Nanos, RequestId, SlotId};
use crate::controller::Stamps;
use crate::gateway;
use crate::order::record::End;
use crate::order::{ActionResult, Stages};
use crate::scheduler::{self, WorkerUp};
use crate::sim::workload::Sending;
use crate::worker::{DeviceEvent, HostEvent};

/// A machine that wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    Controller,
    Gateway(usize),
    Host(usize),
    Core(usize, usize),
}

/// What a machine of a worker is told.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "moved through the agenda's slab; nothing is boxed")]
pub(super) enum Told {
    Host(HostEvent),
    Core(usize, DeviceEvent),
}

/// One connection between a worker and its controller: an earlier one's messages are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection(pub(super) u32);

/// One process of a worker: an earlier one's operations end nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life(pub(super) u32);

/// Something that happens at a certain time.
#[derive(Debug)]
pub(super) enum Happening {
    /// A client sends.
    Send { model: u16, sending: Sending },
    /// A request's head is at its gateway; its payload is there at `whole`.
    Arrive { number: u64, whole: Nanos },
    /// A client changes its mind.
    ChangeMind { number: u64 },
    /// That is at its gateway.
    Withdraw { number: u64 },
    /// Something is at a gateway.
    AtGateway { gateway: usize, event: gateway::Event },
    /// An output is whole at its gateway; its stages are in the worker's time.
    Output { worker: usize, connection: Connection, request: RequestId, slot: SlotId, bytes: u32, stages: Stages },
    /// The last byte of an answer left its gateway.
    Sent { number: u64, request: RequestId, end: End },
    /// A client has its answer.
    Answered { model: u16, sent_at: Nanos, in_time: bool },
    /// Something of a gateway is at the controller, in gateway time.
    FromGateway { gateway: usize, event: scheduler::Event },
    /// A worker introduces itself.
    Hello { worker: usize, connection: Connection, up: Box<WorkerUp> },
    /// An answer is at the controller.
    Result { worker: usize, connection: Connection, result: ActionResult },
    /// A slot is at the controller.
    Freed { worker: usize, connection: Connection, slot: SlotId },
    /// The controller notices that a worker is gone.
    Lost { worker: usize, connection: Connection },
    /// Clocks are to be compared with a worker.
    SyncWorker { worker: usize, connection: Connection },
    /// The question is at the worker.
    AskWorker { worker: usize, connection: Connection, origin: Nanos },
    /// The answer is at the controller; its last stamp is still to be made.
    SyncedWorker { worker: usize, connection: Connection, stamps: Stamps },
    /// Clocks are to be compared with a gateway.
    SyncGateway { gateway: usize },
    /// The question is at the gateway.
    AskGateway { gateway: usize, origin: Nanos },
    /// The answer is at the controller; its last stamp is still to be made.
    SyncedGateway { gateway: usize, stamps: Stamps },
    /// Something of the controller is at a worker.
    AtWorker { worker: usize, connection: Connection, event: HostEvent },
    /// The head of an input is at a worker; all of it is there at `whole`.
    Input { worker: usize, connection: Connection, request: RequestId, slot: SlotId, bytes: u32, whole: Nanos },
    /// A receive into a slot ends.
    InputEnded { worker: usize, life: Life, connection: Connection, request: RequestId, slot: SlotId, bytes: u32 },
    /// The last byte of an output left its worker.
    OutputSent { worker: usize, life: Life, slot: SlotId },
    /// The disk or a lane is done.
    Done { worker: usize, life: Life, told: Told },
    /// Some worker is lost.
    Loss,
    /// A lost worker tries to come back.
    Return { worker: usize },
    /// A machine wanted to be woken.
    Wake(Machine),
    /// Is all over?
    Settle,
}
