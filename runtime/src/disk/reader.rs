//! Carries out [`DiskOp`]s on the thread's ring and checks what was read, one block a turn.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use sys::uring::{Caching, Completion, FileRef, Op, Ring, RingError, open_direct};
use thiserror::Error;

use super::HostPages;
use crate::base::limits::CHECKSUM_BLOCK_BYTES;
use crate::base::{ModelId, Nanos};
use crate::order::Span;
use crate::package::{Package, PageRef};
use crate::worker::{DiskOp, DiskOutcome, DiskTicket, HostPage};

/// The highest byte of the user data of every operation of the disk.
const DOMAIN: u64 = 2;
/// `EIO`, where a read failed without the system saying why.
const EIO: u32 = 5;

/// Whether a completion of the thread's ring belongs to the disk.
pub fn is_disk_completion(user: u64) -> bool {
    user >> 56 == DOMAIN
}

/// Why a package can't be read from.
#[derive(Debug, Error)]
pub enum DiskError {
    /// Its file can't be opened.
    #[error("package {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It can't be registered with the ring.
    #[error("package {path}: {source}")]
    Register {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RingError,
    },
}

/// A read that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskDone {
    /// Which.
    pub ticket: DiskTicket,
    /// How.
    pub outcome: DiskOutcome,
    /// When it was submitted, and when its bytes were checked.
    pub span: Span,
}

#[derive(Debug)]
struct Source {
    model: ModelId,
    file: FileRef,
    pages: Vec<PageRef>,
    checksums: Vec<u32>,
    blocks_per_page: usize,
}

/// One read, from its submission until its last block was checked.
#[derive(Clone, Copy, Debug)]
struct Reading {
    ticket: DiskTicket,
    source: usize,
    page: usize,
    to: HostPage,
    blocks: usize,
    checked: usize,
    begin: Nanos,
}

/// The disk of a worker.
#[derive(Debug)]
pub struct Disk {
    pages: HostPages,
    page_bytes: usize,
    sources: Vec<Source>,
    readings: Vec<Option<Reading>>,
    /// Readings whose bytes are there and not all checked, in the order in which they came.
    checking: VecDeque<usize>,
    done: VecDeque<DiskDone>,
}

impl Disk {
    /// A disk that reads into `pages`, with at most `reads` under way.
    pub fn new(pages: HostPages, page_bytes: usize, reads: usize) -> Disk {
        Disk {
            pages,
            page_bytes,
            sources: Vec::new(),
            readings: vec![None; reads],
            checking: VecDeque::with_capacity(reads),
            done: VecDeque::with_capacity(reads),
        }
    }

    /// Opens a package for reads; says whether they go past the page cache.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn add(&mut self, ring: &mut Ring, package: &Package) -> Result<Caching, DiskError> {
        let path = || package.path.clone();
        let (file, caching) = open_direct(&package.path).map_err(|source| DiskError::Open { path: path(), source })?;
        let file = ring.register_file(Arc::new(file)).map_err(|source| DiskError::Register { path: path(), source })?;
        self.sources.push(Source {
            model: package.id,
            file: FileRef::Registered(file),
            pages: package.pages.clone(),
            checksums: package.checksums.clone(),
            blocks_per_page: self.page_bytes / CHECKSUM_BLOCK_BYTES,
        });
        Ok(caching)
    }

    /// The pages, for copies to devices.
    pub fn pages(&self) -> &HostPages {
        &self.pages
    }

    /// Gives the pages back, for another disk.
    pub fn into_pages(self) -> HostPages {
        self.pages
    }

    /// Starts a read.
    ///
    /// # Panics
    /// If more reads are under way than the disk was made for, or the model has no package here.
    pub fn submit(&mut self, ring: &mut Ring, op: &DiskOp, now: Nanos) {
        let DiskOp::Read { ticket, model, page, to, bytes } = *op;
        let Some(source) = self.sources.iter().position(|source| source.model == model) else {
            panic!("model {model} has no package here");
        };
        let Some(place) = self.readings.iter().position(Option::is_none) else {
            panic!("more than {} reads under way", self.readings.len());
        };
        // Whole blocks, since a checksum covers a whole block.
        let blocks = (bytes as usize).div_ceil(CHECKSUM_BLOCK_BYTES).max(1);
        let offset = self.sources[source].pages[page as usize].offset;
        let reading = Reading { ticket, source, page: page as usize, to, blocks, checked: 0, begin: now };
        self.readings[place] = Some(reading);
        let lease = self.pages.take_out(to);
        let range = 0..blocks * CHECKSUM_BLOCK_BYTES;
        let read = Op::Read { file: self.sources[source].file.clone(), offset, lease, range };
        let pushed = ring.push(DOMAIN << 56 | place as u64, read);
        assert!(pushed.is_ok(), "the ring holds every read: {pushed:?}");
    }

    /// Takes a completion of the ring that belongs to the disk.
    pub fn complete(&mut self, completion: Completion, now: Nanos) {
        let place = (completion.user & 0xffff_ffff) as usize;
        let Some(reading) = self.readings[place] else { unreachable!("a read completes once") };
        let Some(lease) = completion.lease else { unreachable!("a read gives its lease back") };
        self.pages.put_back(reading.to, lease);
        let wanted = reading.blocks * CHECKSUM_BLOCK_BYTES;
        match completion.result {
            Ok(bytes) if bytes as usize == wanted => self.checking.push_back(place),
            // A short read of a file whose length was checked when it was opened: it has changed since.
            Ok(_) => self.finish(place, Some((EIO, 0)), now),
            Err(error) => {
                let errno = error.raw_os_error().and_then(|code| u32::try_from(code).ok()).unwrap_or(EIO);
                self.finish(place, Some((errno, 0)), now);
            }
        }
    }

    /// Checks one block, if one waits: bounded work, so that nothing else on the thread is late.
    /// Says whether there is more to check.
    pub fn check_one(&mut self, now: Nanos) -> bool {
        let Some(&place) = self.checking.front() else { return false };
        let Some(reading) = &mut self.readings[place] else { unreachable!("a read is checked once") };
        let source = &self.sources[reading.source];
        let begin = reading.checked * CHECKSUM_BLOCK_BYTES;
        let block = &self.pages.unchecked(reading.to)[begin..begin + CHECKSUM_BLOCK_BYTES];
        let wanted = source.checksums[reading.page * source.blocks_per_page + reading.checked];
        let right = crc32c::crc32c(block) == wanted;
        reading.checked += 1;
        let (whole, bad) = (reading.checked == reading.blocks, reading.checked - 1);
        if !right {
            self.checking.pop_front();
            self.finish(place, Some((0, bad)), now);
        } else if whole {
            self.checking.pop_front();
            self.finish(place, None, now);
        }
        !self.checking.is_empty()
    }

    /// The next read that has ended.
    pub fn poll(&mut self) -> Option<DiskDone> {
        self.done.pop_front()
    }

    fn finish(&mut self, place: usize, fault: Option<(u32, usize)>, now: Nanos) {
        let Some(reading) = self.readings[place].take() else { unreachable!("a read ends once") };
        let source = &self.sources[reading.source];
        let outcome = match fault {
            None => {
                self.pages.fill(reading.to);
                DiskOutcome::Ok
            }
            Some((errno, block)) => {
                let block = reading.page * source.blocks_per_page + block;
                DiskOutcome::Fault { errno, block: u32::try_from(block).unwrap_or(u32::MAX) }
            }
        };
        self.done.push_back(DiskDone {
            ticket: reading.ticket,
            outcome,
            span: Span { begin: reading.begin, end: now },
        });
    }
}
