//! Reading weight pages through the file system, each block checked.
//!
//! The serving path reads them by direct I/O; this is for tools that run a model by themselves.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::error::{Fault, PackageError};
use super::read::Package;
use crate::base::limits::CHECKSUM_BLOCK_BYTES;

/// Reads the weight pages of a package.
#[derive(Debug)]
pub struct WeightReader<'a> {
    package: &'a Package,
    file: File,
}

impl<'a> WeightReader<'a> {
    /// A reader of that package's pages.
    ///
    /// # Errors
    /// [`PackageError::Io`] if its file can't be opened.
    pub fn new(package: &'a Package) -> Result<WeightReader<'a>, PackageError> {
        let file = File::open(&package.path).map_err(|source| PackageError::Io {
            path: package.path.clone(),
            action: "open",
            source,
        })?;
        Ok(WeightReader { package, file })
    }

    /// Reads page `page` into `into` and compares each block with its checksum.
    ///
    /// # Errors
    /// [`PackageError::Io`] if the file can't be read, [`Fault::WeightChecksum`] if a block is corrupt.
    ///
    /// # Panics
    /// If there is no such page, or `into` is not one page long.
    pub fn read_page(&self, page: usize, into: &mut [u8]) -> Result<(), PackageError> {
        let Package { path, pages, page_bytes, .. } = self.package;
        assert_eq!(into.len(), *page_bytes as usize, "a page is read whole");
        let offset = pages[page].offset;
        self.file.read_exact_at(into, offset).map_err(|source| PackageError::Io {
            path: path.clone(),
            action: "read",
            source,
        })?;
        check_page(self.package, page, into).map_err(|(block, fault)| PackageError::Malformed {
            path: path.clone(),
            offset: offset + (block * CHECKSUM_BLOCK_BYTES) as u64,
            fault,
        })
    }
}

/// Compares each block of page `page` with its checksum; gives the first bad block of the page.
///
/// # Errors
/// The block's number within the page and a [`Fault::WeightChecksum`].
///
/// # Panics
/// If there is no such page.
pub fn check_page(package: &Package, page: usize, bytes: &[u8]) -> Result<(), (usize, Fault)> {
    let blocks = package.page_bytes as usize / CHECKSUM_BLOCK_BYTES;
    let first = page * blocks;
    let wanted = &package.checksums[first..first + blocks];
    for (block, (bytes, &found)) in bytes.chunks_exact(CHECKSUM_BLOCK_BYTES).zip(wanted).enumerate() {
        let computed = crc32c::crc32c(bytes);
        if computed != found {
            let number = u32::try_from(first + block).unwrap_or(u32::MAX);
            return Err((block, Fault::WeightChecksum { block: number, found, computed }));
        }
    }
    Ok(())
}
