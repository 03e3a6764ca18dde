//! How an action, or one item of it, ended at the worker.

use serde::{Deserialize, Serialize};

/// The outcome of an action; text is made by the reader, the wire carries the code and two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Done.
    Ok,
    /// The window closed before it could start.
    TooLate,
    /// The weights it needs are not where it needs them.
    NotResident,
    /// No input had come by the time it had to start.
    InputMissing,
    /// Not enough free pages.
    NoPages {
        /// Pages that it needs.
        wanted: u32,
        /// Pages that are free.
        free: u32,
    },
    /// What it would free is in use.
    Busy,
    /// The order makes no sense: unknown model, plan, slot or device.
    BadAction,
    /// Withdrawn before it started.
    Cancelled,
    /// The driver failed; carries its code.
    DeviceFault {
        /// The driver's status code.
        code: u32,
    },
    /// Reading failed; carries the system's error number, or 0 for a wrong checksum.
    DiskFault {
        /// `errno`, or 0 where the bytes do not match their checksum.
        errno: u32,
        /// Which checksum block of the package, counted from the first weight page.
        block: u32,
    },
    /// The worker is going down.
    ShuttingDown,
}

impl Status {
    /// Whether the work was done.
    pub fn is_ok(self) -> bool {
        self == Status::Ok
    }

    /// Code and numbers as the wire carries them.
    pub const fn to_wire(self) -> (u16, u32, u32) {
        match self {
            Status::Ok => (0, 0, 0),
            Status::TooLate => (1, 0, 0),
            Status::NotResident => (2, 0, 0),
            Status::InputMissing => (3, 0, 0),
            Status::NoPages { wanted, free } => (4, wanted, free),
            Status::Busy => (5, 0, 0),
            Status::BadAction => (6, 0, 0),
            Status::Cancelled => (7, 0, 0),
            Status::DeviceFault { code } => (8, code, 0),
            Status::DiskFault { errno, block } => (9, errno, block),
            Status::ShuttingDown => (10, 0, 0),
        }
    }

    /// The status that [`Status::to_wire`] gave; none for a code that this version does not know.
    pub const fn from_wire(code: u16, first: u32, second: u32) -> Option<Status> {
        Some(match code {
            0 => Status::Ok,
            1 => Status::TooLate,
            2 => Status::NotResident,
            3 => Status::InputMissing,
            4 => Status::NoPages { wanted: first, free: second },
            5 => Status::Busy,
            6 => Status::BadAction,
            7 => Status::Cancelled,
            8 => Status::DeviceFault { code: first },
            9 => Status::DiskFault { errno: first, block: second },
            10 => Status::ShuttingDown,
            _ => return None,
        })
    }
}
