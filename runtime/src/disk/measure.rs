//! Measuring at start: what a FETCH takes from this disk, before HELLO.

use sys::uring::{Ring, RingConfig, RingError};
use thiserror::Error;

use super::reader::{Disk, DiskError};
use super::{HostPages, is_disk_completion};
use crate::base::{ModelId, Nanos};
use crate::package::Package;
use crate::worker::{DiskOp, DiskOutcome, DiskTicket, HostConfig, HostPage};

/// Why a FETCH can't be measured.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The ring can't be made, or failed.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The package can't be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A page can't be read.
    #[error("block {block} of the weights can't be read: {}", std::io::Error::from_raw_os_error(*errno))]
    Read {
        /// Which block of 256 KiB.
        block: u32,
        /// The system's error number.
        errno: i32,
    },
    /// A page is not what it was when the package was written.
    #[error("block {block} of the weights is corrupt: it does not match its checksum; import the model again")]
    Corrupt {
        /// Which block of 256 KiB.
        block: u32,
    },
}

/// Fetches whole packages into the first host pages, as a worker does that serves nothing yet, on a
/// ring of its own: the thread that serves is not the one that starts.
#[derive(Debug)]
pub struct FetchMeasure {
    ring: Ring,
    disk: Disk,
    /// Most reads under way.
    reads: u32,
    packages: Vec<ModelId>,
}

impl FetchMeasure {
    /// Measures into `pages`, which no one else uses meanwhile.
    ///
    /// # Errors
    /// [`FetchError::Ring`].
    pub fn new(pages: HostPages, page_bytes: usize, packages: usize) -> Result<FetchMeasure, FetchError> {
        let outstanding = HostConfig::READS_OUTSTANDING;
        let [reads, files] = [outstanding, packages.max(1)].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let ring = Ring::new(RingConfig { operations: 2 * reads, files, buffers: 0 })?;
        Ok(FetchMeasure { ring, disk: Disk::new(pages, page_bytes, outstanding), reads, packages: Vec::new() })
    }

    /// The pages: after a FETCH the first of them hold the package's weights.
    pub fn pages(&self) -> &HostPages {
        self.disk.pages()
    }

    /// Gives the pages back.
    pub fn into_pages(self) -> HostPages {
        self.disk.into_pages()
    }

    /// Fetches all pages of a package: from the first read to the check of the last block.
    ///
    /// # Errors
    /// [`FetchError`]; what was read until then is thrown away.
    ///
    /// # Panics
    /// If there are fewer host pages than the package has.
    pub fn fetch(&mut self, package: &Package) -> Result<Nanos, FetchError> {
        if !self.packages.contains(&package.id) {
            self.disk.add(&mut self.ring, package)?;
            self.packages.push(package.id);
        }
        let pages = u32::try_from(package.pages.len()).unwrap_or(u32::MAX);
        let begin = now();
        let (mut issued, mut ended, mut failed) = (0, 0, None);
        while ended < issued || (issued < pages && failed.is_none()) {
            while issued < pages && issued - ended < self.reads && failed.is_none() {
                let (ticket, to) = (DiskTicket(u64::from(issued)), HostPage(issued));
                let read = DiskOp::Read { ticket, model: package.id, page: issued, to, bytes: package.page_bytes };
                self.disk.submit(&mut self.ring, &read, now());
                issued += 1;
            }
            let checking = self.disk.check_one(now());
            while let Some(done) = self.disk.poll() {
                ended += 1;
                failed = failed.or_else(|| fault(done.outcome));
            }
            let idle = !checking && ended < issued;
            if idle {
                self.ring.wait(None)?
            } else {
                self.ring.submit()?
            }
            while let Some(completion) = self.ring.next() {
                assert!(is_disk_completion(completion.user), "nothing else is in this ring");
                self.disk.complete(completion, now());
            }
        }
        failed.map_or_else(|| Ok(now().since(begin)), Err)
    }
}

fn fault(outcome: DiskOutcome) -> Option<FetchError> {
    match outcome {
        DiskOutcome::Ok => None,
        DiskOutcome::Fault { errno: 0, block } => Some(FetchError::Corrupt { block }),
        DiskOutcome::Fault { errno, block } => Some(FetchError::Read { block, errno: errno.cast_signed() }),
    }
}

fn now() -> Nanos {
    Nanos(sys::clock::now_ns())
}
