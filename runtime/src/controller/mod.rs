//! What stands between a controller's connections and its scheduler: clocks and checks. Pure.

pub mod clock_sync;
pub mod session;

pub use clock_sync::{ClockSync, Stamps};
pub use session::{Credits, SessionFault, WorkerSession};
