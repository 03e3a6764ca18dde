//! The fixed first 4 KiB of a package.

use std::fmt;

use bytemuck::{Pod, Zeroable};

use super::error::Fault;
use crate::base::ModelId;
use crate::base::limits::MAX_NAME_BYTES;

/// How every package begins.
pub const MAGIC: [u8; 8] = *b"CLOCKWRK";
/// The version that this program reads and writes.
pub const VERSION: u32 = 1;
/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 4096;

/// A BLAKE3 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of those bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// Its first 64 bits, read little-endian.
    pub fn model_id(&self) -> ModelId {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        ModelId(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a section lies and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Section {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
}

/// The sections of a package, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Sections {
    /// Tensors, shape variants, plans.
    pub plans: Section,
    /// Names of tensors.
    pub names: Section,
    /// JSON for people and clients.
    pub card: Section,
    /// Checksums of the weights.
    pub checksums: Section,
    /// The page list.
    pub pages: Section,
    /// The weight pages.
    pub weights: Section,
}

/// Bytes of the header that mean nothing yet and are zero.
const RESERVED_BYTES: usize = HEADER_BYTES - 24 - size_of::<Sections>() - 32 - MAX_NAME_BYTES - 4;

/// The header as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// A [`super::Target`] as its number.
    pub target: u16,
    /// Length of the name in bytes.
    pub name_bytes: u16,
    /// Length of a page in bytes.
    pub page_bytes: u32,
    /// Number of weight pages.
    pub page_count: u32,
    /// Where everything else lies.
    pub sections: Sections,
    /// The package's digest: BLAKE3 of this header with this field and the checksum zero.
    pub digest: Digest,
    /// The model's name, UTF-8, padded with zeros.
    pub name: [u8; MAX_NAME_BYTES],
    /// Zero.
    pub reserved: [u8; RESERVED_BYTES],
    /// CRC32C of all bytes of the header before this one.
    pub checksum: u32,
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES, "the header fills its 4 KiB");

impl Header {
    /// Fills in digest and checksum, the last step of writing.
    pub fn seal(&mut self) {
        self.digest = self.computed_digest();
        self.checksum = self.computed_checksum();
    }

    /// The digest that this header should carry.
    pub fn computed_digest(&self) -> Digest {
        let mut copy = *self;
        copy.digest = Digest::zeroed();
        copy.checksum = 0;
        Digest::of(bytemuck::bytes_of(&copy))
    }

    fn computed_checksum(&self) -> u32 {
        crc32c::crc32c(&bytemuck::bytes_of(self)[..HEADER_BYTES - size_of::<u32>()])
    }

    /// The header in those bytes, with magic, version, checksum and digest checked, in that order.
    ///
    /// # Errors
    /// The first [`Fault`] found.
    pub fn parse(bytes: &[u8]) -> Result<Header, Fault> {
        let found = bytes.len() as u64;
        let Some(magic) = bytes.first_chunk::<8>() else {
            return Err(Fault::Truncated { what: "the header", wanted: HEADER_BYTES as u64, found });
        };
        if *magic != MAGIC {
            return Err(Fault::Magic { found: *magic });
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(Fault::Truncated { what: "the header", wanted: HEADER_BYTES as u64, found });
        };
        let header: Header = bytemuck::pod_read_unaligned(bytes);
        if header.version != VERSION {
            return Err(Fault::Version { found: header.version, supported: VERSION });
        }
        let computed = header.computed_checksum();
        if header.checksum != computed {
            return Err(Fault::HeaderChecksum { found: header.checksum, computed });
        }
        if header.digest != header.computed_digest() {
            return Err(Fault::PackageDigest);
        }
        if header.reserved.iter().any(|&byte| byte != 0) {
            return Err(Fault::Value { what: "a reserved byte of the header", found: 1 });
        }
        Ok(header)
    }

    /// The model's name.
    ///
    /// # Errors
    /// [`Fault::Name`] if it is empty, too long, or not UTF-8.
    pub fn name(&self) -> Result<&str, Fault> {
        let fault = Fault::Name { what: "the model's name" };
        let (name, padding) = self.name.split_at_checked(usize::from(self.name_bytes)).ok_or(fault.clone())?;
        if name.is_empty() || padding.iter().any(|&byte| byte != 0) {
            return Err(fault);
        }
        std::str::from_utf8(name).map_err(|_| fault)
    }
}
