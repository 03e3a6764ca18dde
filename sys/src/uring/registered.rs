//! Files and memory that the kernel looks up and pins once, for reads from disk.

use crate::memory::{HostLease, HostRegion};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// The kernel's bound on one registered buffer.
const MAX_BUFFER_BYTES: usize = 1 << 30;

/// A file registered with a ring. Of another ring it means nothing or another file, never
/// anything unsafe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RegisteredFile {
    index: u32,
    generation: u32,
}

impl RegisteredFile {
    pub(super) fn index(self) -> u32 {
        self.index
    }
}

/// The files of a ring, by the kernel's index.
#[derive(Debug)]
pub(super) struct Files {
    places: Box<[(u32, Option<Arc<File>>)]>,
}

impl Files {
    pub(super) fn new(count: u32) -> Self {
        Self { places: (0..count).map(|_| (0, None)).collect() }
    }

    /// A place for `file`; none when all are taken.
    pub(super) fn insert(&mut self, file: Arc<File>) -> Option<RegisteredFile> {
        let index = self.places.iter().position(|(_, place)| place.is_none())?;
        let (generation, place) = &mut self.places[index];
        *place = Some(file);
        Some(RegisteredFile { index: u32::try_from(index).ok()?, generation: *generation })
    }

    pub(super) fn remove(&mut self, file: RegisteredFile) -> Option<Arc<File>> {
        let (generation, place) = self.places.get_mut(file.index as usize)?;
        if *generation != file.generation {
            return None;
        }
        *generation = generation.wrapping_add(1);
        place.take()
    }

    pub(super) fn contains(&self, file: RegisteredFile) -> bool {
        let place = self.places.get(file.index as usize);
        place.is_some_and(|(generation, it)| *generation == file.generation && it.is_some())
    }
}

/// The registered memory of a ring, by the kernel's index.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    chunks: Vec<Chunk>,
}

/// One registered buffer: a part of a region, which it keeps mapped.
#[derive(Debug)]
struct Chunk {
    region: Arc<HostRegion>,
    range: Range<usize>,
}

impl Buffers {
    /// The buffers that the region behind `lease` makes, for the kernel.
    pub(super) fn chunks_of(lease: &HostLease) -> Vec<libc::iovec> {
        let region = lease.region();
        ranges(region)
            .map(|range| libc::iovec {
                iov_base: region.pointer().as_ptr().wrapping_add(range.start).cast(),
                iov_len: range.len(),
            })
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Enters the region behind `lease`, which the kernel has taken at the present end.
    pub(super) fn insert(&mut self, lease: &HostLease) {
        let region = lease.region();
        self.chunks.extend(ranges(region).map(|range| Chunk { region: Arc::clone(region), range }));
    }

    /// The index of the buffer that holds all of `range` of `lease`.
    pub(super) fn find(&self, lease: &HostLease, range: &Range<usize>) -> Option<u16> {
        let start = lease.offset() + range.start;
        let end = lease.offset() + range.end;
        let holds = |chunk: &Chunk| {
            Arc::ptr_eq(&chunk.region, lease.region()) && chunk.range.start <= start && end <= chunk.range.end
        };
        u16::try_from(self.chunks.iter().position(holds)?).ok()
    }
}

fn ranges(region: &HostRegion) -> impl Iterator<Item = Range<usize>> + use<> {
    let bytes = region.len();
    (0..bytes).step_by(MAX_BUFFER_BYTES).map(move |start| start..(start + MAX_BUFFER_BYTES).min(bytes))
}
