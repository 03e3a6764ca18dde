//! Actions: what a controller orders a worker to do, and within which window.

use arrayvec::ArrayVec;

use crate::base::limits::MAX_BATCH;
use crate::base::{ActionId, BatchSize, DeviceId, ModelId, Nanos, RequestId, ShapeId, SlotId};

/// When an action may start: `earliest <= ready_by <= latest` (DESIGN, "Actions, windows, lanes").
///
/// The window bounds the start of the exec (LOAD: of the first copy, FETCH: of the first read).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Not before this.
    pub earliest: Nanos,
    /// From here on an INFER starts with the inputs that are there.
    pub ready_by: Nanos,
    /// Not after this: then the action is answered `TooLate`.
    pub latest: Nanos,
}

impl Window {
    /// A window that opens now and closes at `latest`, waiting for inputs until the last moment.
    ///
    /// # Panics
    /// If `earliest` is after `latest`.
    pub fn until(earliest: Nanos, latest: Nanos) -> Window {
        assert!(earliest <= latest, "a window must not close before it opens");
        Window { earliest, ready_by: latest, latest }
    }

    /// Whether the three points are in order.
    pub fn is_ordered(&self) -> bool {
        self.earliest <= self.ready_by && self.ready_by <= self.latest
    }
}

/// One member of a batch: whose request it is and in which slot its input and output lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The request.
    pub request: RequestId,
    /// Its slot on the action's device.
    pub slot: SlotId,
}

/// The members of a batch, in their places; fewer than the plan holds leaves places empty.
pub type Items = ArrayVec<Item, MAX_BATCH>;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "an order is moved through rings of fixed places; nothing on the path is boxed"
)]
pub enum ActionKind {
    /// Read the model's pages from disk into locked host pages.
    Fetch,
    /// Free the model's host pages.
    Drop,
    /// Copy the model's pages from host to device.
    Load {
        /// Where to.
        device: DeviceId,
    },
    /// Free the model's device pages.
    Unload {
        /// Where.
        device: DeviceId,
    },
    /// Run one batch.
    Infer {
        /// Where.
        device: DeviceId,
        /// Which shape variant.
        shape: ShapeId,
        /// Which plan; at least as large as `items`. Without items it runs over null slots only: a
        /// rehearsal, to see how long it takes.
        batch: BatchSize,
        /// The members, at least one.
        items: Items,
    },
}

/// One order of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Its identity, returned in the result.
    pub id: ActionId,
    /// The instance that it is about.
    pub model: ModelId,
    /// When it may start.
    pub window: Window,
    /// When the controller expects it to start, for the prediction error.
    pub expected_start: Nanos,
    /// How long the controller expects it to take, for the prediction error.
    pub expected_duration: Nanos,
    /// What to do.
    pub kind: ActionKind,
}
