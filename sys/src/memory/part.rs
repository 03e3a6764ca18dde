//! A range of an allocation that one value alone names: what leases of host and device memory are.

use std::ops::Range;
use std::sync::Arc;

/// Parts that don't fit a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The parts wanted don't fit.
    #[error("{count} parts of {bytes} bytes don't fit into a lease of {available} bytes")]
    TooSmall {
        /// Parts wanted.
        count: usize,
        /// Bytes of each.
        bytes: usize,
        /// Bytes of the lease.
        available: usize,
    },
}

/// A range of `W`, held by `Arc`. It can be divided and joined, never copied: no byte of a `W` lies in
/// two parts of it.
#[derive(Debug)]
pub(crate) struct Part<W> {
    whole: Arc<W>,
    offset: usize,
    bytes: usize,
}

impl<W> Part<W> {
    /// All `bytes` of `whole`, of which there is no other part.
    pub(crate) fn all(whole: W, bytes: usize) -> Self {
        Self { whole: Arc::new(whole), offset: 0, bytes }
    }

    pub(crate) fn whole(&self) -> &Arc<W> {
        &self.whole
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.bytes
    }

    /// The first `middle` bytes and the rest. Panics when `middle` lies beyond the end.
    pub(crate) fn split_at(self, middle: usize) -> (Self, Self) {
        assert!(middle <= self.bytes, "split at {middle} of a lease of {} bytes", self.bytes);
        let second = Self { whole: Arc::clone(&self.whole), offset: self.offset + middle, bytes: self.bytes - middle };
        (Self { bytes: middle, ..self }, second)
    }

    /// `count` parts of `bytes` each; what is left over is given up.
    pub(crate) fn split_into(self, count: usize, bytes: usize) -> Result<impl Iterator<Item = Self>, LeaseError> {
        let fits = count.checked_mul(bytes).is_some_and(|total| total <= self.bytes);
        if !fits {
            return Err(LeaseError::TooSmall { count, bytes, available: self.bytes });
        }
        let part = move |index| Self { whole: Arc::clone(&self.whole), offset: self.offset + index * bytes, bytes };
        Ok((0..count).map(part))
    }

    /// `self` with the part that begins where it ends; both unchanged when `next` doesn't.
    pub(crate) fn join(self, next: Self) -> Result<Self, (Self, Self)> {
        if !Arc::ptr_eq(&self.whole, &next.whole) || self.range().end != next.offset {
            return Err((self, next));
        }
        Ok(Self { bytes: self.bytes + next.bytes, ..self })
    }
}
