//! Reads of weight pages: direct I/O from a package into locked host pages, every block checked.

mod measure;
mod pages;
mod reader;

pub use measure::{FetchError, FetchMeasure};
pub use pages::{HostPages, PagesError};
pub use reader::{Disk, DiskDone, DiskError, is_disk_completion};
