//! What can be wrong with a package, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A section of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionName {
    /// The fixed header.
    Header,
    /// Tensors, shape variants, plans.
    Plans,
    /// Names of tensors.
    Names,
    /// JSON for people and clients.
    Card,
    /// Checksums of the weights.
    Checksums,
    /// The page list.
    Pages,
    /// The weight pages.
    Weights,
}

impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SectionName::Header => "header",
            SectionName::Plans => "plans",
            SectionName::Names => "names",
            SectionName::Card => "card",
            SectionName::Checksums => "checksums",
            SectionName::Pages => "page list",
            SectionName::Weights => "weights",
        })
    }
}

/// What is wrong with the bytes of a package.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The file or section ends too early.
    #[error("{what} is cut off: {wanted} bytes wanted, {found} there")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes that it needs.
        wanted: u64,
        /// Bytes that are left.
        found: u64,
    },
    /// Not a package at all.
    #[error("not a Clockwork package: it begins with {found:02x?}")]
    Magic {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// Made by another version of the importer.
    #[error("package version {found} is not supported, only {supported}: import the model again")]
    Version {
        /// Version of the package.
        found: u32,
        /// Version that this program reads.
        supported: u32,
    },
    /// The header does not match its checksum.
    #[error("header is corrupt: checksum {found:08x}, computed {computed:08x}")]
    HeaderChecksum {
        /// The checksum that the header carries.
        found: u32,
        /// The checksum of what is there.
        computed: u32,
    },
    /// A section does not match its digest.
    #[error("{section} section is corrupt: its digest does not match the header's")]
    SectionDigest {
        /// The section.
        section: SectionName,
    },
    /// The header's parts do not match the package's digest.
    #[error("the package's digest does not match its header")]
    PackageDigest,
    /// A section lies where it must not.
    #[error("{section} section of {bytes} bytes at offset {offset} does not lie where it must")]
    Placement {
        /// The section.
        section: SectionName,
        /// Where the header says it begins.
        offset: u64,
        /// How long the header says it is.
        bytes: u64,
    },
    /// A number above its limit.
    #[error("{found} {what}, but the limit is {limit}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The number found.
        found: u64,
        /// The largest that is allowed.
        limit: u64,
    },
    /// A number that means nothing.
    #[error("{what} has the unknown or impossible value {found}")]
    Value {
        /// What the number stands for.
        what: &'static str,
        /// The number found.
        found: u64,
    },
    /// Bytes after the end of what a section holds.
    #[error("{bytes} bytes are left over at the end of the {section} section")]
    LeftOver {
        /// The section.
        section: SectionName,
        /// How many.
        bytes: u64,
    },
    /// A name that is not UTF-8, or empty.
    #[error("{what} is empty or not UTF-8")]
    Name {
        /// What the name stands for.
        what: &'static str,
    },
    /// A card that is no JSON object.
    #[error("the card is not a JSON object: {reason}")]
    Card {
        /// What the JSON reader says.
        reason: String,
    },
    /// Two plans for the same shape variant and batch size, or plans out of order.
    #[error("the plan of shape variant {shape}, batch {batch} is out of order or there twice")]
    PlanOrder {
        /// Shape variant.
        shape: u8,
        /// Batch size.
        batch: u8,
    },
    /// A shape variant whose tensors are too large, or have a dimension of 0.
    #[error("the tensors of shape variant {shape} are empty or exceed {limit} bytes an item")]
    Area {
        /// Shape variant.
        shape: u8,
        /// The limit.
        limit: u64,
    },
    /// A block of the weights does not match its checksum.
    #[error("block {block} of the weights is corrupt: checksum {found:08x} wanted, computed {computed:08x}")]
    WeightChecksum {
        /// Which block of 256 KiB.
        block: u32,
        /// The checksum that the package carries.
        found: u32,
        /// The checksum of what is there.
        computed: u32,
    },
}

/// Why a package can't be read or written.
#[derive(Debug, Error)]
pub enum PackageError {
    /// The operating system refused.
    #[error("{path}: can't {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room for the package.
    #[error("{path}: disk full: a package of {wanted} bytes does not fit; nothing was left behind")]
    DiskFull {
        /// The package that was to be written.
        path: PathBuf,
        /// How long it would have been, in bytes.
        wanted: u64,
    },
    /// The bytes are wrong.
    #[error("{path}: at offset {offset}: {fault}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// What was to be written is not a valid package.
    #[error("{path}: can't be written: {fault}")]
    Unwritable {
        /// The package that was to be written.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
}
