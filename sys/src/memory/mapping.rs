//! Anonymous mappings: page aligned, touched, locked as far as the machine allows.

use memmap2::{Advice, MmapMut, MmapOptions};
use std::io;
use std::ptr::NonNull;

/// Bytes of the smallest page of this architecture.
pub const PAGE_BYTES: usize = 4096;
/// log2 of the huge page size that is asked for.
const HUGE_PAGE_BITS: u8 = 21;
const HUGE_PAGE_BYTES: usize = 1 << HUGE_PAGE_BITS;

/// Which pages back a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pages {
    /// Pages of 4 KiB, with the kernel's leave to merge them into huge ones.
    #[default]
    Small,
    /// Huge pages of 2 MiB from the reserved pool, or small ones where the pool is too small.
    Huge,
}

/// How memory is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MapOptions {
    /// The pages asked for.
    pub pages: Pages,
    /// Whether to skip locking, for memory off the path.
    pub unlocked: bool,
}

/// Whether memory is locked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LockState {
    /// Locked: it can't be paged out.
    Locked,
    /// Not asked for.
    NotWanted,
    /// The kernel refused, usually because of the `memlock` limit. Touched, but it may be paged out.
    Refused {
        /// The kernel's reason.
        reason: String,
    },
}

/// Memory that could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Nothing was asked for.
    #[error("a region of 0 bytes was asked for")]
    Empty,
    /// The kernel refused.
    #[error("mapping {bytes} bytes of host memory: {reason}")]
    Map {
        /// The bytes wanted.
        bytes: usize,
        /// The kernel's reason.
        reason: io::Error,
    },
}

/// One anonymous mapping, touched, and locked as `lock` says.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: MmapMut,
    lock: LockState,
    pages: Pages,
}

impl Mapping {
    /// Maps at least `bytes`, rounded up to whole pages, filled with zeros.
    pub(crate) fn new(bytes: usize, options: MapOptions) -> Result<Self, MemoryError> {
        if bytes == 0 {
            return Err(MemoryError::Empty);
        }
        let (map, pages) = match map_huge(bytes, options.pages) {
            Some(map) => (map, Pages::Huge),
            None => (map_small(bytes)?, Pages::Small),
        };
        let lock = if options.unlocked {
            LockState::NotWanted
        } else {
            match map.lock() {
                Ok(()) => LockState::Locked,
                Err(error) => LockState::Refused { reason: error.to_string() },
            }
        };
        Ok(Self { map, lock, pages })
    }

    pub(crate) fn pointer(&self) -> NonNull<u8> {
        NonNull::new(self.map.as_ptr().cast_mut()).unwrap_or(NonNull::dangling())
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn lock_state(&self) -> &LockState {
        &self.lock
    }

    pub(crate) fn pages(&self) -> Pages {
        self.pages
    }
}

fn map_huge(bytes: usize, pages: Pages) -> Option<MmapMut> {
    if pages == Pages::Small {
        return None;
    }
    MmapOptions::new()
        .len(bytes.next_multiple_of(HUGE_PAGE_BYTES))
        .huge(Some(HUGE_PAGE_BITS))
        .populate()
        .map_anon()
        .ok()
}

fn map_small(bytes: usize) -> Result<MmapMut, MemoryError> {
    let refused = |reason| MemoryError::Map { bytes, reason };
    let map = MmapOptions::new().len(bytes.next_multiple_of(PAGE_BYTES)).map_anon().map_err(refused)?;
    // Advice only: where the kernel has no transparent huge pages nothing is lost but speed.
    let _ = map.advise(Advice::HugePage);
    // Touched after the advice, so that the first touch may already take huge pages.
    if map.advise(Advice::PopulateWrite).is_err() {
        touch(&map);
    }
    Ok(map)
}

/// Writes one byte in every page, for kernels older than 5.14.
fn touch(map: &MmapMut) {
    for offset in (0..map.len()).step_by(PAGE_BYTES) {
        // SAFETY: inside the mapping, which is writable and not yet shared with anybody.
        unsafe { map.as_ptr().cast_mut().add(offset).write_volatile(0) };
    }
}

/// How many bytes this process may lock; none for the superuser, whom no limit binds.
#[must_use]
pub fn lock_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: valid for the write of one `rlimit`.
    let code = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    // SAFETY: takes nothing.
    let user = unsafe { libc::geteuid() };
    (code == 0 && user != 0).then_some(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_aligned_zeroed_and_whole_pages() {
        let mapping = Mapping::new(PAGE_BYTES + 1, MapOptions::default()).unwrap();
        assert_eq!(mapping.len(), 2 * PAGE_BYTES);
        assert_eq!(mapping.pointer().as_ptr() as usize % PAGE_BYTES, 0);
        assert!(mapping.map.iter().all(|byte| *byte == 0));
        assert!(matches!(Mapping::new(0, MapOptions::default()), Err(MemoryError::Empty)));
    }

    #[test]
    fn huge_pages_fall_back_to_small_ones() {
        let options = MapOptions { pages: Pages::Huge, ..MapOptions::default() };
        let mapping = Mapping::new(HUGE_PAGE_BYTES, options).unwrap();
        assert_eq!(mapping.len(), HUGE_PAGE_BYTES);
    }
}
