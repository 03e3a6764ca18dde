//! Holds requests until they are answered: pure, in gateway time.
//!
//! A gateway answers what needs no scheduler (unknown model, bad input), asks for the rest, sends
//! inputs to where they are placed, and is the one judge of deadlines.

mod catalog;
pub mod core;
pub mod event;
mod returns;
mod slab;
pub mod steps;
mod timers;

pub use core::Core;
pub use event::{Answer, CatalogModel, ClientId, Config, Ends, Event, Outbox, Output, Request};
