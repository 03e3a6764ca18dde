//! Host memory: mapped, touched and locked at start, and the leases that divide it.

mod freed;
mod lease;
mod mapping;
mod part;
mod resident;

pub use freed::give_back_freed;
pub(crate) use lease::HostRegion;
pub use lease::{HostLease, HostSource, SharedLease};
pub use mapping::{LockState, MapOptions, MemoryError, PAGE_BYTES, Pages, lock_limit};
pub use part::LeaseError;
pub use resident::keep_resident;

pub(crate) use mapping::Mapping;
pub(crate) use part::Part;
