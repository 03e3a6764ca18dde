//! Host memory: mapped, touched and locked at start, and the leases that divide it.

mod lease;
mod mapping;

pub use lease::{HostLease, LeaseError, SharedLease};
pub use mapping::{LockState, MapOptions, MemoryError, PAGE_BYTES, Pages};

pub(crate) use mapping::Mapping;
