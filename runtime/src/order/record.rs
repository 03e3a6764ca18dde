//! The recorded sequence of events: what happened to requests, actions and slots, and when.
//!
//! The simulator and the real processes write the same records, so the same assertions run over
//! both. A record is small and `Copy`; the ring that holds them is taken at start. When it is full
//! further records are counted, never silently lost: a check over a walk first asserts that
//! [`Record::dropped`] is 0.

use serde::{Deserialize, Serialize};

use super::{ActionKind, Status};
use crate::base::{ActionId, DeviceId, ModelId, Nanos, RequestId, SlotId, WorkerId};

/// How a request ended; exactly one of these for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum End {
    /// Answered before its deadline.
    Ok = 1,
    /// Answered, but the send was complete only after the deadline.
    Late = 2,
    /// Refused; never admitted.
    Rejected = 3,
    /// Admitted, then refused before its exec.
    Revoked = 4,
    /// Its exec or a copy failed and no time was left.
    Failed = 5,
    /// Taken back by its client.
    Withdrawn = 6,
}

impl End {
    /// All ends, by their number.
    pub const ALL: [End; 6] = [End::Ok, End::Late, End::Rejected, End::Revoked, End::Failed, End::Withdrawn];

    /// The end with this number on the wire.
    pub fn from_wire(code: u8) -> Option<End> {
        End::ALL.into_iter().find(|&end| end as u8 == code)
    }
}

/// What kind of action a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Verb {
    /// Disk to host pages.
    Fetch = 1,
    /// Free host pages.
    Drop = 2,
    /// Host to device pages.
    Load = 3,
    /// Free device pages.
    Unload = 4,
    /// Run a batch.
    Infer = 5,
}

impl Verb {
    /// What an action of this kind does.
    pub fn of(kind: &ActionKind) -> Verb {
        match kind {
            ActionKind::Fetch => Verb::Fetch,
            ActionKind::Drop => Verb::Drop,
            ActionKind::Load { .. } => Verb::Load,
            ActionKind::Unload { .. } => Verb::Unload,
            ActionKind::Infer { .. } => Verb::Infer,
        }
    }
}

/// Which lane, or the disk, worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Place {
    /// Reads into host pages.
    Disk = 0,
    /// Copies of weights to the device.
    Weights = 1,
    /// Copies of inputs.
    Input = 2,
    /// Graphs.
    Exec = 3,
    /// Copies of outputs.
    Output = 4,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A gateway asked the controller for a request.
    Asked {
        /// The request.
        request: RequestId,
        /// Its model.
        model: ModelId,
        /// Its deadline.
        deadline: Nanos,
    },
    /// The scheduler placed a request.
    Placed {
        /// The request.
        request: RequestId,
        /// Where.
        worker: WorkerId,
        /// In which slot.
        slot: SlotId,
    },
    /// A request's payload is whole in its slot.
    InputArrived {
        /// The request.
        request: RequestId,
        /// The slot.
        slot: SlotId,
    },
    /// The controller sent an order.
    ActionSent {
        /// The action.
        action: ActionId,
        /// What it orders.
        verb: Verb,
        /// To whom.
        worker: WorkerId,
        /// About which model.
        model: ModelId,
        /// Opening of its window.
        earliest: Nanos,
        /// Close of its window.
        latest: Nanos,
    },
    /// One item of an INFER that was sent; follows its `ActionSent`.
    Bound {
        /// The action.
        action: ActionId,
        /// The request.
        request: RequestId,
        /// Its slot.
        slot: SlotId,
    },
    /// An action's work began.
    LaneBegan {
        /// The action.
        action: ActionId,
        /// Where.
        place: Place,
        /// On which device; 0 for the disk.
        device: DeviceId,
    },
    /// An action's work ended.
    LaneEnded {
        /// The action.
        action: ActionId,
        /// Where.
        place: Place,
        /// On which device; 0 for the disk.
        device: DeviceId,
    },
    /// A worker answered an action.
    ResultSent {
        /// The action.
        action: ActionId,
        /// How.
        status: Status,
    },
    /// One item of an INFER that was answered; follows its `ResultSent`.
    ItemEnded {
        /// The action.
        action: ActionId,
        /// The request.
        request: RequestId,
        /// How.
        status: Status,
    },
    /// An output's last byte left the worker, or was thrown away.
    OutputSent {
        /// The request.
        request: RequestId,
        /// Its slot.
        slot: SlotId,
    },
    /// A use of a slot is over.
    SlotFreed {
        /// The slot.
        slot: SlotId,
    },
    /// A gateway answered a request: its only end.
    Answered {
        /// The request.
        request: RequestId,
        /// How it ended.
        end: End,
    },
}

/// An event and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, on the clock of whoever wrote it.
    pub at: Nanos,
    /// What.
    pub event: Event,
}

/// A bounded sequence of steps.
#[derive(Debug)]
pub struct Record {
    steps: Vec<Step>,
    dropped: u64,
}

impl Record {
    /// Room for `capacity` steps, taken now. With 0 nothing is recorded and nothing counted.
    pub fn new(capacity: usize) -> Record {
        Record { steps: Vec::with_capacity(capacity), dropped: 0 }
    }

    /// Whether anything would be kept: lets a writer skip making steps that nobody wants.
    pub fn is_on(&self) -> bool {
        self.steps.capacity() > 0
    }

    /// Adds a step; counts it as dropped if there is no room.
    pub fn write(&mut self, at: Nanos, event: Event) {
        if self.steps.len() < self.steps.capacity() {
            self.steps.push(Step { at, event });
        } else if self.is_on() {
            self.dropped += 1;
        }
    }

    /// The steps in the order in which they were written.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Steps that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets all steps and the count, keeps the room.
    pub fn clear(&mut self) {
        self.steps.clear();
        self.dropped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREED: Event = Event::SlotFreed { slot: SlotId { device: DeviceId(0), class: 0, index: 0, generation: 0 } };

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut record = Record::new(2);
        let room = record.steps.capacity();
        for step in 0..room + 3 {
            record.write(Nanos(step as u64), FREED);
        }
        assert_eq!((record.steps().len(), record.dropped()), (room, 3));
        record.clear();
        assert_eq!((record.steps().len(), record.dropped()), (0, 0));
    }

    #[test]
    fn without_room_it_is_off() {
        let mut record = Record::new(0);
        record.write(Nanos::ZERO, FREED);
        assert!(!record.is_on());
        assert_eq!(record.dropped(), 0);
    }
}
