//! The locked host pages of a worker.

use sys::memory::{HostLease, LeaseError, LockState, MemoryError, SharedLease};
use thiserror::Error;

use crate::worker::HostPage;

/// Why host pages can't be taken.
#[derive(Debug, Error)]
pub enum PagesError {
    /// The system has not that much memory.
    #[error("{pages} host pages of {page_bytes} bytes: {source}; set worker.host_pages lower")]
    Memory {
        /// How many were wanted.
        pages: usize,
        /// Of which length.
        page_bytes: usize,
        /// Why not.
        source: MemoryError,
    },
    /// The memory can't be divided.
    #[error(transparent)]
    Lease(#[from] LeaseError),
}

#[derive(Debug)]
enum Page {
    /// Holds nothing, or what is being read or checked.
    Writable(HostLease),
    /// Holds weights: read by copies to devices.
    Filled(SharedLease),
    /// A read has it.
    Out,
}

/// Locked host pages, taken at start.
#[derive(Debug)]
pub struct HostPages {
    pages: Vec<Page>,
    lock_state: LockState,
}

impl HostPages {
    /// Takes `count` pages of `page_bytes`.
    ///
    /// # Errors
    /// [`PagesError`].
    pub fn take(count: usize, page_bytes: usize) -> Result<HostPages, PagesError> {
        let all = HostLease::locked(count * page_bytes).map_err(|source| PagesError::Memory {
            pages: count,
            page_bytes,
            source,
        })?;
        let lock_state = all.lock_state();
        let pages = all.split_into(count, page_bytes)?.into_iter().map(Page::Writable).collect();
        Ok(HostPages { pages, lock_state })
    }

    /// Whether the pages are locked, for the report at start.
    pub fn lock_state(&self) -> &LockState {
        &self.lock_state
    }

    /// The bytes of a page that a FETCH has filled.
    ///
    /// # Panics
    /// If it holds no weights: the worker's logic loads only what was fetched.
    pub fn filled(&self, page: HostPage) -> SharedLease {
        match &self.pages[page.0 as usize] {
            Page::Filled(lease) => lease.clone(),
            Page::Writable(_) | Page::Out => panic!("host page {} holds no weights", page.0),
        }
    }

    /// Takes a page out for a read.
    pub(super) fn take_out(&mut self, page: HostPage) -> HostLease {
        match std::mem::replace(&mut self.pages[page.0 as usize], Page::Out) {
            Page::Writable(lease) => lease,
            Page::Filled(shared) => match shared.try_into_lease() {
                Ok(lease) => lease,
                Err(_) => panic!("host page {} is still being copied from", page.0),
            },
            Page::Out => panic!("host page {} is being read into already", page.0),
        }
    }

    /// Puts a page back that is to be checked, or was not filled.
    pub(super) fn put_back(&mut self, page: HostPage, lease: HostLease) {
        self.pages[page.0 as usize] = Page::Writable(lease);
    }

    /// The bytes of a page that is being checked.
    pub(super) fn unchecked(&self, page: HostPage) -> &[u8] {
        match &self.pages[page.0 as usize] {
            Page::Writable(lease) => lease,
            Page::Filled(_) | Page::Out => panic!("host page {} is not being checked", page.0),
        }
    }

    /// Says that a page's bytes are right.
    pub(super) fn fill(&mut self, page: HostPage) {
        let lease = self.take_out(page);
        self.pages[page.0 as usize] = Page::Filled(lease.share());
    }
}
