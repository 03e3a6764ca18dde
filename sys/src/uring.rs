//! One io_uring a role: disk and sockets by operations that take leases and give them back.

mod direct;
mod op;
mod registered;
mod ring;
mod slots;
mod socket;

pub use direct::{Caching, DIRECT_ALIGNMENT, open_direct};
pub use op::{Completion, FileRef, Op, PushCause, PushError};
pub use registered::RegisteredFile;
pub use ring::{Ring, RingConfig, RingError, TaskWork};
pub use socket::Socket;
