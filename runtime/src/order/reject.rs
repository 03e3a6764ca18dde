//! Why a request was refused.

use crate::base::Nanos;

/// The reason for a refusal; text is made by the reader, the wire carries the code and two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// It could not be answered in time.
    WouldBeLate {
        /// Time from arrival to the earliest completion that could be promised.
        predicted: Nanos,
    },
    /// A table, slab or slot class is full.
    Overloaded,
    /// No such model is registered.
    UnknownModel,
    /// An input has the wrong type, shape or size.
    BadInput {
        /// Index of the tensor in the model's inputs.
        tensor: u32,
    },
    /// No device of the target is connected.
    NoDevice,
    /// The client withdrew it.
    Withdrawn,
    /// The worker that held it went away and no other could do it in time.
    WorkerLost,
    /// The server is going down.
    Draining,
    /// The model's weights could not be read when they were last needed, and are not to be read again yet.
    BrokenModel {
        /// `errno`, or 0 where the bytes do not match their checksum.
        errno: u32,
        /// Which checksum block of the package, counted from the first weight page.
        block: u32,
    },
}

impl Reject {
    /// Code and numbers as the wire carries them.
    pub const fn to_wire(self) -> (u16, u64, u64) {
        match self {
            Reject::WouldBeLate { predicted } => (1, predicted.0, 0),
            Reject::Overloaded => (2, 0, 0),
            Reject::UnknownModel => (3, 0, 0),
            Reject::BadInput { tensor } => (4, tensor as u64, 0),
            Reject::NoDevice => (5, 0, 0),
            Reject::Withdrawn => (6, 0, 0),
            Reject::WorkerLost => (7, 0, 0),
            Reject::Draining => (8, 0, 0),
            Reject::BrokenModel { errno, block } => (9, errno as u64, block as u64),
        }
    }

    /// The reason that [`Reject::to_wire`] gave; none for a code that this version does not know.
    #[expect(clippy::cast_possible_truncation, reason = "the numbers were written from 32 bits")]
    pub const fn from_wire(code: u16, first: u64, second: u64) -> Option<Reject> {
        Some(match code {
            1 => Reject::WouldBeLate { predicted: Nanos(first) },
            2 => Reject::Overloaded,
            3 => Reject::UnknownModel,
            4 => Reject::BadInput { tensor: first as u32 },
            5 => Reject::NoDevice,
            6 => Reject::Withdrawn,
            7 => Reject::WorkerLost,
            8 => Reject::Draining,
            9 => Reject::BrokenModel { errno: first as u32, block: second as u32 },
            _ => return None,
        })
    }

    /// A word for tables and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Reject::WouldBeLate { .. } => "would-be-late",
            Reject::Overloaded => "overloaded",
            Reject::UnknownModel => "unknown-model",
            Reject::BadInput { .. } => "bad-input",
            Reject::NoDevice => "no-device",
            Reject::Withdrawn => "withdrawn",
            Reject::WorkerLost => "worker-lost",
            Reject::Draining => "draining",
            Reject::BrokenModel { .. } => "broken-model",
        }
    }
}
