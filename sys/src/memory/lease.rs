//! The right to read and write a range of host memory, as a value.

use super::mapping::{LockState, MapOptions, Mapping, MemoryError, Pages};
use super::part::{LeaseError, Part};
use crate::cuda::PinnedMemory;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// One allocation of host memory. Leases hold it by `Arc`; it has no access of its own.
#[derive(Debug)]
pub(crate) struct HostRegion {
    start: NonNull<u8>,
    bytes: usize,
    backing: Backing,
}

#[derive(Debug)]
enum Backing {
    Mapped(Mapping),
    Pinned(#[expect(dead_code, reason = "held for its Drop")] PinnedMemory),
}

// SAFETY: the region is a plain range of memory owned by `backing`; access goes through leases,
// whose ranges are disjoint, so threads never touch the same byte through it.
unsafe impl Send for HostRegion {}
// SAFETY: as above; a shared region gives no access at all.
unsafe impl Sync for HostRegion {}

impl HostRegion {
    pub(crate) fn pointer(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }
}

/// The only right to read and write a range of host memory. It can be moved into an operation,
/// divided and joined, never copied. Its memory lives as long as any lease of it.
pub struct HostLease(Part<HostRegion>);

impl HostLease {
    /// Takes `bytes` of host memory, touched and, where the machine allows, locked; for disk and
    /// sockets. The lease has exactly `bytes`; the mapping behind it is page aligned.
    ///
    /// # Errors
    /// When the kernel has no such memory. A refused lock is no error: see [`Self::lock_state`].
    pub fn locked(bytes: usize) -> Result<Self, MemoryError> {
        Self::mapped(bytes, MapOptions::default())
    }

    /// Takes `bytes` of host memory as `options` say.
    ///
    /// # Errors
    /// As [`Self::locked`].
    pub fn mapped(bytes: usize, options: MapOptions) -> Result<Self, MemoryError> {
        let mapping = Mapping::new(bytes, options)?;
        Ok(Self::whole(HostRegion { start: mapping.pointer(), bytes, backing: Backing::Mapped(mapping) }))
    }

    pub(crate) fn pinned(memory: PinnedMemory) -> Self {
        Self::whole(HostRegion { start: memory.pointer(), bytes: memory.len(), backing: Backing::Pinned(memory) })
    }

    fn whole(region: HostRegion) -> Self {
        let bytes = region.bytes;
        Self(Part::all(region, bytes))
    }

    /// Whether the memory behind is locked. Memory pinned by a driver always is.
    #[must_use]
    pub fn lock_state(&self) -> LockState {
        match &self.region().backing {
            Backing::Mapped(mapping) => mapping.lock_state().clone(),
            Backing::Pinned(_) => LockState::Locked,
        }
    }

    /// The pages that the memory behind got, where we mapped it ourselves.
    #[must_use]
    pub fn pages(&self) -> Option<Pages> {
        match &self.region().backing {
            Backing::Mapped(mapping) => Some(mapping.pages()),
            Backing::Pinned(_) => None,
        }
    }

    /// Where this lease begins in its allocation, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset()
    }

    /// The range of this lease in its allocation, in bytes.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.0.range()
    }

    /// Divides into the first `middle` bytes and the rest.
    ///
    /// # Panics
    /// When `middle` lies beyond the end.
    #[must_use]
    pub fn split_at(self, middle: usize) -> (Self, Self) {
        let (first, second) = self.0.split_at(middle);
        (Self(first), Self(second))
    }

    /// Divides into `count` parts of `bytes` each; what is left over is given up.
    ///
    /// # Errors
    /// When they don't fit.
    pub fn split_into(self, count: usize, bytes: usize) -> Result<Vec<Self>, LeaseError> {
        Ok(self.0.split_into(count, bytes)?.map(Self).collect())
    }

    /// Joins `self` with the lease that begins where `self` ends; gives both back when it doesn't.
    ///
    /// # Errors
    /// The two leases, unchanged, when they are not neighbours in one allocation.
    pub fn join(self, next: Self) -> Result<Self, (Self, Self)> {
        self.0.join(next.0).map(Self).map_err(|(one, other)| (Self(one), Self(other)))
    }

    /// Gives up writing, so that the range can be read by several operations at once.
    #[must_use]
    pub fn share(self) -> SharedLease {
        SharedLease(Arc::new(self))
    }

    pub(crate) fn region(&self) -> &Arc<HostRegion> {
        self.0.whole()
    }

    /// The address of the first byte. Reading and writing through it needs the lease.
    pub(crate) fn pointer(&self) -> NonNull<u8> {
        // SAFETY: the part's offset lies in the region or at its end.
        unsafe { self.region().start.add(self.offset()) }
    }
}

impl Deref for HostLease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range is mapped and initialised (the kernel zeroes it) as long as `region`
        // lives, and this lease is the only one for it; a device or kernel that writes it holds
        // the lease itself.
        unsafe { std::slice::from_raw_parts(self.pointer().as_ptr(), self.0.len()) }
    }
}

impl DerefMut for HostLease {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.pointer().as_ptr(), self.0.len()) }
    }
}

impl fmt::Debug for HostLease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HostLease({:?} of {})", self.range(), self.region().bytes)
    }
}

/// The right to read a range of host memory, held by several.
#[derive(Clone, Debug)]
pub struct SharedLease(Arc<HostLease>);

impl SharedLease {
    /// The right to write again, when nobody else holds the range.
    ///
    /// # Errors
    /// `self`, while others hold it.
    pub fn try_into_lease(self) -> Result<HostLease, Self> {
        Arc::try_unwrap(self.0).map_err(Self)
    }
}

impl Deref for SharedLease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Host memory that an operation reads.
#[derive(Debug)]
pub enum HostSource {
    /// Memory that only this operation uses.
    Lease(HostLease),
    /// Memory that others may read meanwhile.
    Shared(SharedLease),
}

impl HostSource {
    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(crate) fn pointer(&self) -> NonNull<u8> {
        NonNull::from(self.bytes()).cast()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Lease(lease) => lease,
            Self::Shared(lease) => lease,
        }
    }
}

impl From<HostLease> for HostSource {
    fn from(lease: HostLease) -> Self {
        Self::Lease(lease)
    }
}

impl From<SharedLease> for HostSource {
    fn from(lease: SharedLease) -> Self {
        Self::Shared(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_and_join_only_with_their_neighbour() {
        let lease = HostLease::locked(4096).unwrap();
        let mut parts = lease.split_into(3, 1000).unwrap();
        for (value, part) in (1..).zip(&mut parts) {
            assert_eq!(part.len(), 1000);
            part.fill(value);
        }
        assert!(parts[0].iter().all(|byte| *byte == 1) && parts[2].iter().all(|byte| *byte == 3));
        let third = parts.pop().unwrap();
        let second = parts.pop().unwrap();
        let first = parts.pop().unwrap();
        let (first, third) = first.join(third).unwrap_err();
        let all = first.join(second).unwrap().join(third).unwrap();
        assert_eq!(all.range(), 0..3000);
        assert_eq!((all[999], all[1000], all[2999]), (1, 2, 3));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let lease = HostLease::locked(4096).unwrap();
        assert_eq!(
            lease.split_into(2, 2049).unwrap_err(),
            LeaseError::TooSmall { count: 2, bytes: 2049, available: 4096 }
        );
        let lease = HostLease::locked(4096).unwrap();
        assert!(lease.split_into(usize::MAX, 2).is_err());
    }

    #[test]
    fn a_shared_lease_is_writable_again_only_when_unique() {
        let mut lease = HostLease::locked(100).unwrap();
        lease[7] = 42;
        let shared = lease.share();
        let other = shared.clone();
        let shared = shared.try_into_lease().unwrap_err();
        assert_eq!(other[7], 42);
        drop(other);
        let mut lease = shared.try_into_lease().unwrap();
        lease[7] = 43;
        assert_eq!(lease[7], 43);
    }
}
