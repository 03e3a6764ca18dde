//! Why a request has no answer, as a caller sees it.

use thiserror::Error;

use super::connection::ConnectionError;
use super::core::{Ending, Judge, Timing};
use super::payload::PayloadError;
use crate::base::Nanos;
use crate::order::{Reject, Status};

/// Why a request could not be sent.
#[derive(Debug, Error)]
pub enum SendError {
    /// Its inputs are not those of the model.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Its payload is longer than the server takes.
    #[error("the request has {bytes} bytes, this server takes at most {limit}")]
    TooLong {
        /// Length of the payload.
        bytes: usize,
        /// The server's limit.
        limit: u32,
    },
    /// As many requests are open as the server grants.
    #[error("{limit} requests are open, which is what this server grants: receive answers first")]
    Full {
        /// How many.
        limit: usize,
    },
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Why a model is not known.
#[derive(Debug, Error)]
pub enum LookupError {
    /// The name is longer than any model's.
    #[error("no model can be called `{name}`: names have at most {limit} bytes")]
    Name {
        /// The name.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// The server has no such model.
    #[error("the server has no model `{name}`; `clockwork ctl models` lists what it has")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The server did not answer in time.
    #[error("the server did not answer the question for model `{name}` in time")]
    Silent {
        /// The name.
        name: String,
    },
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Why a request has no answer in time.
#[derive(Debug, Error)]
pub enum InferError {
    /// It could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Refused; never admitted.
    #[error("rejected: {}", reason(*.0))]
    Rejected(Reject),
    /// Admitted, then refused before its exec.
    #[error("revoked after it was admitted: {}", reason(*.0))]
    Revoked(Reject),
    /// Its exec or a copy failed and no time was left.
    #[error("failed: {}", status(*.0))]
    Failed(Status),
    /// Its answer came after its deadline.
    #[error("late: the answer came {by} after the deadline ({judge} says so)", by = .timing.late_by(), judge = whose(*.judge))]
    Late {
        /// Whose clock says so.
        judge: Judge,
        /// When what happened.
        timing: Timing,
    },
    /// No answer came by its deadline.
    #[error("no answer came within {slo}")]
    NoAnswer {
        /// The SLO.
        slo: Nanos,
    },
    /// It was taken back.
    #[error("withdrawn")]
    Withdrawn,
    /// An answer of another size than the model's outputs.
    #[error(transparent)]
    Answer(#[from] PayloadError),
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl InferError {
    /// The error that an ending other than [`Ending::Ok`] is; none for that one.
    pub fn of(ending: Ending, timing: Timing) -> Option<InferError> {
        Some(match ending {
            Ending::Ok => return None,
            Ending::Late(judge) => InferError::Late { judge, timing },
            Ending::Expired => InferError::NoAnswer { slo: timing.deadline.since(timing.sent) },
            Ending::Rejected(reason) => InferError::Rejected(reason),
            Ending::Revoked(reason) => InferError::Revoked(reason),
            Ending::Failed(status) => InferError::Failed(status),
            Ending::Withdrawn => InferError::Withdrawn,
        })
    }
}

fn whose(judge: Judge) -> &'static str {
    match judge {
        Judge::Gateway => "the gateway",
        Judge::Client => "the client's clock",
    }
}

/// A refusal in words.
pub fn reason(reason: Reject) -> String {
    match reason {
        Reject::WouldBeLate { predicted } => {
            format!("it would be late; the earliest answer that could be promised takes {predicted}")
        }
        Reject::Overloaded => "the server has no room for another request".to_owned(),
        Reject::UnknownModel => "the server has no such model".to_owned(),
        Reject::BadInput { tensor } => format!("input {tensor} has the wrong type, shape or size"),
        Reject::NoDevice => "no device that could run it is connected".to_owned(),
        Reject::Withdrawn => "it was withdrawn".to_owned(),
        Reject::WorkerLost => "the worker that held it went away, and no other could do it in time".to_owned(),
        Reject::Draining => "the server is going down".to_owned(),
        Reject::BrokenModel { errno, block } => format!("the model is broken: {}", disk_fault(errno, block)),
    }
}

fn disk_fault(errno: u32, block: u32) -> String {
    match errno {
        0 => format!("block {block} of the package does not match its checksum"),
        _ => format!("reading block {block} of the package failed with errno {errno}"),
    }
}

/// A worker's status in words.
pub fn status(status: Status) -> String {
    match status {
        Status::Ok => "done".to_owned(),
        Status::TooLate => "its window closed before it could start".to_owned(),
        Status::NotResident => "the model's weights were not on the device".to_owned(),
        Status::InputMissing => "its input had not come when it had to start".to_owned(),
        Status::NoPages { wanted, free } => format!("{wanted} pages were needed and {free} free"),
        Status::Busy => "what was to be freed was in use".to_owned(),
        Status::BadAction => "the worker did not understand the order".to_owned(),
        Status::Cancelled => "the order was taken back".to_owned(),
        Status::DeviceFault { code } => format!("the device failed with code {code}"),
        Status::DiskFault { errno, block } => disk_fault(errno, block),
        Status::ShuttingDown => "the worker is going down".to_owned(),
    }
}
