//! Opening a package: everything but the weights is read and checked.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::card::Card;
use super::codec::Placed;
use super::error::{Fault, PackageError, SectionName};
use super::header::{Digest, HEADER_BYTES, Header, Section};
use super::labels::Labels;
use super::page_ref::PageRef;
use super::plan::{Plan, Target, TensorSpec};
use super::plan_codec::{self, Plans};
use super::slot::SlotLayout;
use crate::base::limits::{
    CHECKSUM_BLOCK_BYTES, MAX_CARD_BYTES, MAX_LABELS_BYTES, MAX_PAGES_PER_MODEL, MAX_PLANS_BYTES,
    MAX_TENSOR_NAME_BYTES, MAX_TENSORS, PAGE_BYTES_RANGE,
};
use crate::base::{BatchSize, ModelId, ShapeId};

/// Longest names section, in bytes.
const MAX_NAMES_BYTES: usize = 2 * MAX_TENSORS * (MAX_TENSOR_NAME_BYTES + size_of::<u32>()) + MAX_LABELS_BYTES;

/// A package that was opened: all that it says, and where its weights lie.
#[derive(Clone, Debug)]
pub struct Package {
    /// The file.
    pub path: PathBuf,
    /// The model's name.
    pub name: String,
    /// The model: the first 64 bits of [`Package::digest`].
    pub id: ModelId,
    /// Digest of the whole package.
    pub digest: Digest,
    /// Digest of the plans section. Packages with the same share graphs and kernels.
    pub architecture: Digest,
    /// Whom it is made for.
    pub target: Target,
    /// Length of a weight page in bytes.
    pub page_bytes: u32,
    /// Input tensors.
    pub inputs: Vec<TensorSpec>,
    /// Output tensors.
    pub outputs: Vec<TensorSpec>,
    /// Plans, ascending by shape variant, then by batch size.
    pub plans: Vec<Plan>,
    /// What each launch of the plans computes, if the package says so.
    pub labels: Labels,
    /// For people and clients.
    pub card: Card,
    /// Where each weight page lies.
    pub pages: Vec<PageRef>,
    /// CRC32C of each block of [`CHECKSUM_BLOCK_BYTES`] of the weights, page after page.
    pub checksums: Vec<u32>,
}

impl Package {
    /// Opens the package at `path`. The weights are not read; [`super::WeightReader`] does that.
    ///
    /// # Errors
    /// [`PackageError::Io`] if the file can't be read, [`PackageError::Malformed`] with the first fault
    /// and its offset if its bytes are wrong. Never panics, whatever the bytes.
    pub fn open(path: impl AsRef<Path>) -> Result<Package, PackageError> {
        let path = path.as_ref();
        let io = |source| PackageError::Io { path: path.to_owned(), action: "read", source };
        let file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut head = Vec::with_capacity(HEADER_BYTES);
        (&file).take(HEADER_BYTES as u64).read_to_end(&mut head).map_err(io)?;
        let malformed = |(offset, fault)| PackageError::Malformed { path: path.to_owned(), offset, fault };
        let header = Header::parse(&head).map_err(|fault| malformed((0, fault)))?;
        check_layout(&header, file_bytes).map_err(malformed)?;
        let read = |section: &Section| read_section(&file, section).map_err(io);
        let sections = SectionBytes {
            plans: read(&header.sections.plans)?,
            names: read(&header.sections.names)?,
            card: read(&header.sections.card)?,
            checksums: read(&header.sections.checksums)?,
            pages: read(&header.sections.pages)?,
        };
        assemble(path, &header, sections, file_bytes).map_err(malformed)
    }

    /// The plan for that shape variant and batch size, if there is one.
    pub fn plan(&self, shape: ShapeId, batch: BatchSize) -> Option<&Plan> {
        self.plans.get(self.place(shape, batch)?)
    }

    /// What each launch of that plan computes; nothing if the package does not say, or has no such plan.
    pub fn computes(&self, shape: ShapeId, batch: BatchSize) -> impl Iterator<Item = &str> {
        let plan = self.place(shape, batch).into_iter();
        plan.flat_map(move |plan| (0..self.plans[plan].launches.len()).filter_map(move |i| self.labels.of(plan, i)))
    }

    fn place(&self, shape: ShapeId, batch: BatchSize) -> Option<usize> {
        self.plans.iter().position(|plan| plan.shape == shape && plan.batch == batch)
    }

    /// How many shape variants there are, at least 1.
    pub fn shape_variants(&self) -> usize {
        self.inputs.first().map_or(0, |input| input.shapes.len())
    }

    /// Where the tensors of one item lie in its slot; none if there is no such shape variant.
    pub fn slot_layout(&self, shape: ShapeId) -> Option<SlotLayout> {
        SlotLayout::new(&self.inputs, &self.outputs, shape)
    }

    /// The largest workspace of any plan, in bytes.
    pub fn workspace_bytes(&self) -> u32 {
        self.plans.iter().map(|plan| plan.workspace_bytes).max().unwrap_or(0)
    }
}

/// Bytes of the sections, as read.
struct SectionBytes {
    plans: Vec<u8>,
    names: Vec<u8>,
    card: Vec<u8>,
    checksums: Vec<u8>,
    pages: Vec<u8>,
}

fn read_section(file: &File, section: &Section) -> io::Result<Vec<u8>> {
    let length = usize::try_from(section.bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, section.offset)?;
    Ok(bytes)
}

/// Sections stand one after the other, each within its limit, and end with the file.
fn check_layout(header: &Header, file_bytes: u64) -> Result<(), Placed> {
    let page_bytes = header.page_bytes as usize;
    if !PAGE_BYTES_RANGE.contains(&page_bytes) || !page_bytes.is_power_of_two() {
        return Err((0, Fault::Value { what: "the page size", found: page_bytes as u64 }));
    }
    let pages = header.page_count as usize;
    if pages > MAX_PAGES_PER_MODEL {
        return Err((0, Fault::Count { what: "weight pages", found: pages as u64, limit: MAX_PAGES_PER_MODEL as u64 }));
    }
    let sections = &header.sections;
    let blocks = pages * (page_bytes / CHECKSUM_BLOCK_BYTES);
    let up_to = [
        (SectionName::Plans, &sections.plans, MAX_PLANS_BYTES),
        (SectionName::Names, &sections.names, MAX_NAMES_BYTES),
        (SectionName::Card, &sections.card, MAX_CARD_BYTES),
    ];
    let exactly = [
        (SectionName::Checksums, &sections.checksums, blocks * size_of::<u32>()),
        (SectionName::Pages, &sections.pages, pages * size_of::<PageRef>()),
        (SectionName::Weights, &sections.weights, pages * page_bytes),
    ];
    let mut end = HEADER_BYTES as u64;
    let mut check = |name, section: &Section, fits: bool| {
        let begin = if name == SectionName::Weights { end.next_multiple_of(PageRef::ALIGNMENT) } else { end };
        if section.offset != begin || !fits {
            let Section { offset, bytes, .. } = *section;
            return Err((0, Fault::Placement { section: name, offset, bytes }));
        }
        end = begin + section.bytes;
        if end > file_bytes {
            let found = file_bytes.saturating_sub(begin);
            return Err((begin, Fault::Truncated { what: "a section", wanted: section.bytes, found }));
        }
        Ok(())
    };
    for (name, section, limit) in up_to {
        check(name, section, section.bytes <= limit as u64)?;
    }
    for (name, section, length) in exactly {
        check(name, section, section.bytes == length as u64)?;
    }
    if end < file_bytes {
        return Err((end, Fault::LeftOver { section: SectionName::Weights, bytes: file_bytes - end }));
    }
    Ok(())
}

fn assemble(path: &Path, header: &Header, bytes: SectionBytes, file_bytes: u64) -> Result<Package, Placed> {
    let sections = &header.sections;
    for (section, place, bytes) in [
        (SectionName::Plans, &sections.plans, &bytes.plans),
        (SectionName::Names, &sections.names, &bytes.names),
        (SectionName::Card, &sections.card, &bytes.card),
        (SectionName::Checksums, &sections.checksums, &bytes.checksums),
        (SectionName::Pages, &sections.pages, &bytes.pages),
    ] {
        if Digest::of(bytes) != place.digest {
            return Err((place.offset, Fault::SectionDigest { section }));
        }
    }
    let mut plans = plan_codec::decode(&bytes.plans, sections.plans.offset)?;
    let labels = plan_codec::decode_names(&bytes.names, sections.names.offset, &mut plans)?;
    let Plans { target, page_bytes, inputs, outputs, plans } = plans;
    if target as u16 != header.target || page_bytes != header.page_bytes {
        return Err((0, Fault::Value { what: "the target or page size", found: u64::from(header.target) }));
    }
    Ok(Package {
        path: path.to_owned(),
        name: header.name().map_err(|fault| (0, fault))?.to_owned(),
        id: header.digest.model_id(),
        digest: header.digest,
        architecture: sections.plans.digest,
        target,
        page_bytes,
        inputs,
        outputs,
        plans,
        labels,
        card: Card::new(bytes.card).map_err(|fault| (sections.card.offset, fault))?,
        pages: decode_pages(&bytes.pages, sections.pages.offset, u64::from(page_bytes), file_bytes)?,
        checksums: bytes.checksums.chunks_exact(size_of::<u32>()).map(bytemuck::pod_read_unaligned).collect(),
    })
}

fn decode_pages(bytes: &[u8], offset: u64, page_bytes: u64, file_bytes: u64) -> Result<Vec<PageRef>, Placed> {
    let mut at = offset;
    let mut pages = Vec::with_capacity(bytes.len() / size_of::<PageRef>());
    for bytes in bytes.chunks_exact(size_of::<PageRef>()) {
        let page: PageRef = bytemuck::pod_read_unaligned(bytes);
        let inside = page.offset.checked_add(page_bytes).is_some_and(|end| end <= file_bytes);
        if page.file != 0 || page.reserved != 0 || !page.offset.is_multiple_of(PageRef::ALIGNMENT) || !inside {
            return Err((at, Fault::Value { what: "the place of a page", found: page.offset }));
        }
        pages.push(page);
        at += size_of::<PageRef>() as u64;
    }
    Ok(pages)
}
