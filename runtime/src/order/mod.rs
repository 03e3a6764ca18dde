//! What controller and worker say to each other: the shared vocabulary, free of any encoding.

pub mod action;
pub mod record;
pub mod reject;
pub mod result;
pub mod status;
pub mod walk;

pub use action::{Action, ActionKind, Item, Items, Window};
pub use reject::Reject;
pub use result::{ActionResult, ItemOutcome, Span, Stages};
pub use status::Status;
