//! Writing a package: whole, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytemuck::Zeroable;

use super::card::Card;
use super::error::{Fault, PackageError};
use super::header::{Digest, HEADER_BYTES, Header, MAGIC, Section, Sections, VERSION};
use super::labels::Labels;
use super::page_ref::PageRef;
use super::plan::{Plan, Target, TensorSpec};
use super::plan_codec::{self, Plans};
use crate::base::ModelId;
use crate::base::limits::{CHECKSUM_BLOCK_BYTES, MAX_NAME_BYTES, MAX_PAGES_PER_MODEL, PAGE_BYTES_RANGE};

/// What a package is to say.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The model's name: 1 to [`MAX_NAME_BYTES`] bytes.
    pub name: String,
    /// Whom it is for.
    pub target: Target,
    /// Length of a weight page in bytes.
    pub page_bytes: u32,
    /// Input tensors.
    pub inputs: Vec<TensorSpec>,
    /// Output tensors.
    pub outputs: Vec<TensorSpec>,
    /// Plans, ascending by shape variant, then by batch size.
    pub plans: Vec<Plan>,
    /// What each launch of the plans computes, or nothing.
    pub labels: Labels,
    /// For people and clients.
    pub card: Card,
    /// How many weight pages will follow.
    pub page_count: u32,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The model.
    pub id: ModelId,
    /// Digest of the plans section.
    pub architecture: Digest,
    /// Length of the package in bytes.
    pub bytes: u64,
}

/// Writes a package into a temporary file beside its path, page by page; [`PackageWriter::finish`]
/// makes it durable and gives it its name. Dropped before that, it leaves nothing.
///
/// [`PackageWriter::complete`] stops before the name, for whoever wants to look at it first.
#[derive(Debug)]
pub struct PackageWriter {
    path: PathBuf,
    temporary: Temporary,
    header: Header,
    small: SmallSections,
    weights: blake3::Hasher,
    checksums: Vec<u32>,
}

/// A package that is whole, under a temporary name. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Complete {
    writer: PackageWriter,
    written: Written,
}

impl Complete {
    /// The file under its temporary name: it can be opened as a package.
    pub fn path(&self) -> &Path {
        &self.writer.temporary.path
    }

    /// Makes the package durable and gives it its name.
    ///
    /// # Errors
    /// [`PackageError::DiskFull`] or [`PackageError::Io`]; then nothing is left behind.
    pub fn publish(mut self) -> Result<Written, PackageError> {
        self.writer.make_durable()?;
        Ok(self.written)
    }
}

/// Sections that are known before the first page.
#[derive(Debug)]
struct SmallSections {
    plans: Vec<u8>,
    names: Vec<u8>,
    card: Vec<u8>,
}

/// A file that is removed unless it was renamed.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing can be done about a failure here; the name says that the file is temporary.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl PackageWriter {
    /// Begins to write a package at `path`.
    ///
    /// # Errors
    /// [`PackageError::Unwritable`] if a limit is exceeded, [`PackageError::Io`] or
    /// [`PackageError::DiskFull`] if the temporary file can't be made.
    pub fn create(path: impl AsRef<Path>, contents: Contents) -> Result<PackageWriter, PackageError> {
        let path = path.as_ref().to_owned();
        let (header, small) =
            prepare(contents).map_err(|fault| PackageError::Unwritable { path: path.clone(), fault })?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|source| PackageError::Io { path: temporary.clone(), action: "create", source })?;
        let temporary = Temporary { path: temporary, file, kept: false };
        Ok(PackageWriter { path, temporary, header, small, weights: blake3::Hasher::new(), checksums: Vec::new() })
    }

    /// Appends the next weight page.
    ///
    /// # Errors
    /// [`PackageError::DiskFull`] or [`PackageError::Io`].
    ///
    /// # Panics
    /// If `page` is not one page long, or more pages come than were announced.
    pub fn push_page(&mut self, page: &[u8]) -> Result<(), PackageError> {
        assert_eq!(page.len(), self.header.page_bytes as usize, "a page is written whole");
        let blocks = page.len() / CHECKSUM_BLOCK_BYTES;
        let number = self.checksums.len() / blocks;
        assert!(number < self.header.page_count as usize, "more pages than announced");
        self.weights.update(page);
        self.checksums.extend(page.chunks_exact(CHECKSUM_BLOCK_BYTES).map(crc32c::crc32c));
        self.write_at(page, self.header.sections.weights.offset + (number * page.len()) as u64)
    }

    /// Writes what remains, makes the file durable and gives it its name.
    ///
    /// # Errors
    /// [`PackageError::DiskFull`] or [`PackageError::Io`]; then nothing is left behind.
    ///
    /// # Panics
    /// If fewer pages came than were announced.
    pub fn finish(self) -> Result<Written, PackageError> {
        self.complete()?.publish()
    }

    /// Writes what remains, under a temporary name.
    ///
    /// # Errors
    /// [`PackageError::DiskFull`] or [`PackageError::Io`]; then nothing is left behind.
    ///
    /// # Panics
    /// If fewer pages came than were announced.
    pub fn complete(mut self) -> Result<Complete, PackageError> {
        let page_count = self.header.page_count as usize;
        let blocks = self.header.page_bytes as usize / CHECKSUM_BLOCK_BYTES;
        assert_eq!(self.checksums.len(), page_count * blocks, "all announced pages were written");
        let mut sections = self.header.sections;
        let checksums: Vec<u8> = self.checksums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        let first = sections.weights.offset;
        let page_bytes = u64::from(self.header.page_bytes);
        let pages: Vec<PageRef> = (0..page_count as u64).map(|n| PageRef::own(first + n * page_bytes)).collect();
        for (section, bytes) in [
            (&mut sections.plans, &self.small.plans[..]),
            (&mut sections.names, &self.small.names),
            (&mut sections.card, &self.small.card),
            (&mut sections.checksums, &checksums),
            (&mut sections.pages, bytemuck::cast_slice(&pages)),
        ] {
            assert_eq!(section.bytes, bytes.len() as u64, "the layout was computed from these lengths");
            section.digest = Digest::of(bytes);
            self.write_at(bytes, section.offset)?;
        }
        sections.weights.digest = Digest(*self.weights.finalize().as_bytes());
        self.header.sections = sections;
        self.header.seal();
        let header = self.header;
        self.write_at(bytemuck::bytes_of(&header), 0)?;
        let total = total_bytes(&header);
        self.temporary.file.set_len(total).map_err(|source| self.refused("extend", source))?;
        let written = Written { id: header.digest.model_id(), architecture: sections.plans.digest, bytes: total };
        Ok(Complete { writer: self, written })
    }

    /// Lets a test write to a file that refuses.
    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) {
        self.temporary.file = file;
    }

    fn make_durable(&mut self) -> Result<(), PackageError> {
        self.temporary.file.sync_all().map_err(|source| self.refused("sync", source))?;
        fs::rename(&self.temporary.path, &self.path).map_err(|source| self.refused("rename", source))?;
        self.temporary.kept = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| self.refused("sync", source))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), PackageError> {
        self.temporary.file.write_all_at(bytes, offset).map_err(|source| self.refused("write", source))
    }

    fn refused(&self, action: &'static str, source: io::Error) -> PackageError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                PackageError::DiskFull { path, wanted: total_bytes(&self.header) }
            }
            _ => PackageError::Io { path, action, source },
        }
    }
}

fn total_bytes(header: &Header) -> u64 {
    header.sections.weights.offset + header.sections.weights.bytes
}

/// The header with its layout but without digests, and the sections that are known already.
fn prepare(contents: Contents) -> Result<(Header, SmallSections), Fault> {
    let Contents { name, target, page_bytes, inputs, outputs, plans, labels, card, page_count } = contents;
    let name_fault =
        Fault::Count { what: "bytes of the model's name", found: name.len() as u64, limit: MAX_NAME_BYTES as u64 };
    let mut name_field = [0; MAX_NAME_BYTES];
    name_field.get_mut(..name.len()).ok_or(name_fault.clone())?.copy_from_slice(name.as_bytes());
    let name_bytes = u16::try_from(name.len()).map_err(|_| name_fault)?;
    let (page_length, pages) = (page_bytes as usize, page_count as usize);
    if !PAGE_BYTES_RANGE.contains(&page_length) || !page_length.is_power_of_two() {
        return Err(Fault::Value { what: "the page size", found: u64::from(page_bytes) });
    }
    if pages > MAX_PAGES_PER_MODEL {
        let limit = MAX_PAGES_PER_MODEL as u64;
        return Err(Fault::Count { what: "weight pages", found: u64::from(page_count), limit });
    }
    let said = Plans { target, page_bytes, inputs, outputs, plans };
    let plans = plan_codec::encode(&said)?;
    let names = plan_codec::encode_names(&said.inputs, &said.outputs, &said.plans, &labels)?;
    let small = SmallSections { plans, names, card: card.as_bytes().to_vec() };
    let header = Header {
        magic: MAGIC,
        version: VERSION,
        target: target as u16,
        name_bytes,
        page_bytes,
        page_count,
        sections: lay_out(&small, page_length, pages),
        name: name_field,
        ..Header::zeroed()
    };
    header.name()?;
    Ok((header, small))
}

/// Sections one after the other; the weights at the next multiple of the direct-I/O block.
fn lay_out(small: &SmallSections, page_bytes: usize, pages: usize) -> Sections {
    let mut end = HEADER_BYTES as u64;
    let mut place = |bytes: usize| {
        let section = Section { offset: end, bytes: bytes as u64, digest: Digest::zeroed() };
        end += section.bytes;
        section
    };
    let plans = place(small.plans.len());
    let names = place(small.names.len());
    let card = place(small.card.len());
    let checksums = place(pages * (page_bytes / CHECKSUM_BLOCK_BYTES) * size_of::<u32>());
    let page_list = place(pages * size_of::<PageRef>());
    let weights = Section {
        offset: end.next_multiple_of(PageRef::ALIGNMENT),
        bytes: (pages * page_bytes) as u64,
        digest: Digest::zeroed(),
    };
    Sections { plans, names, card, checksums, pages: page_list, weights }
}
