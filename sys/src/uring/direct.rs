//! Opening files past the page cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What offset, length and address of direct reads are multiples of: enough for every disk that
/// we know.
pub const DIRECT_ALIGNMENT: usize = 4096;

/// Whether reads of a file go through the page cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caching {
    /// They don't.
    Direct,
    /// They do, since the file system refused otherwise.
    Buffered {
        /// What the file system said.
        reason: String,
    },
}

/// Opens `path` for reading with `O_DIRECT`, or without where the file system has no such thing.
///
/// # Errors
/// When the file can't be opened at all.
pub fn open_direct(path: &Path) -> io::Result<(File, Caching)> {
    let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path);
    match direct {
        Ok(file) => Ok((file, Caching::Direct)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            let file = File::open(path)?;
            Ok((file, Caching::Buffered { reason: error.to_string() }))
        }
        Err(error) => Err(error),
    }
}
