//! Results: what a worker reports of an action, stage by stage.

use arrayvec::ArrayVec;

use super::{Item, Status};
use crate::base::limits::MAX_BATCH;
use crate::base::{ActionId, Nanos};

/// Begin and end of one stage, in the worker's time; both zero where the stage did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub begin: Nanos,
    /// When it ended.
    pub end: Nanos,
}

impl Span {
    /// How long it took.
    pub fn duration(self) -> Nanos {
        self.end.since(self.begin)
    }
}

/// The stages of an action. A FETCH or LOAD has its work in `exec`; an INFER has all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// When the worker received the order.
    pub received: Nanos,
    /// Copy of the last input to the device.
    pub input: Span,
    /// The work itself: kernels, page copies, or reads.
    pub exec: Span,
    /// Copy of the outputs from the device.
    pub output: Span,
}

/// How one member of a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemOutcome {
    /// The member.
    pub item: Item,
    /// How it ended.
    pub status: Status,
    /// Whether its input is still held in its slot, so that it can be planned again there.
    pub input_held: bool,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionResult {
    /// The action.
    pub action: ActionId,
    /// How it ended as a whole.
    pub status: Status,
    /// How each member ended; empty unless the action was an INFER.
    pub items: ArrayVec<ItemOutcome, MAX_BATCH>,
    /// Measured stages.
    pub stages: Stages,
}
