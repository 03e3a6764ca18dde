//! Decides what runs, where and when: pure, in controller time only.
//!
//! "Book, then bind late": a request is admitted onto one device when a schedule exists in which it
//! and everything admitted before it is in time; its slot is given out at once, so that its input
//! travels; which batch it is in is decided only just before the device becomes free.

mod actions;
mod admit;
mod commit;
pub mod config;
pub mod core;
mod due;
pub mod event;
mod evict;
mod gateway_lost;
mod handovers;
mod load;
mod mirror;
mod models;
mod rehearse;
mod requests;
mod result;
mod slots;
pub mod status;
pub mod steps;
mod strategy;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use core::Core;
pub use event::{Ask, DeviceUp, Event, FREED_SLOTS, ModelSpec, Outbox, Output, ShapeSpec, SlotClass, WorkerUp};
pub use status::{Counters, DeviceStatus, ModelStatus, Snapshot};

use crate::base::Nanos;

/// A scheduler: the one place that decides.
pub trait Scheduler {
    /// Takes one event and says what is to be sent, at most [`MAX_OUT`](crate::base::limits::MAX_OUT)
    /// outputs; what is left over is continued by the `Tick` that [`Scheduler::due`] then asks for.
    ///
    /// # Panics
    /// If `out` is not empty.
    fn handle(&mut self, now: Nanos, event: Event, out: &mut Outbox);

    /// When it wants a `Tick` at the latest; none while only outside events can change anything.
    fn due(&self) -> Option<Nanos>;

    /// A picture of its state, for people. Allocates: off the path.
    fn status(&self) -> Snapshot;
}
