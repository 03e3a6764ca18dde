//! The check: no launch of a checked plan touches memory that is not the plan's.

use super::{Kernel, KernelId, Launch, entry};
use crate::operand::{ALIGNMENT, MAX_BATCH, Space};
use crate::params::{Access, BlockError, Enter, EnterPixels, EnterWhole, Leave, LeaveWhole, Region};
use thiserror::Error;

/// How large the memory is that a plan may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spaces {
    /// Pages of weights of an instance.
    pub weight_pages: u32,
    /// Bytes of one page.
    pub page_bytes: u32,
    /// Bytes of each place's input area.
    pub input_bytes: u32,
    /// Bytes of each place's output area.
    pub output_bytes: u32,
    /// Bytes of the workspace.
    pub workspace_bytes: u32,
    /// Places of the batch, at most [`MAX_BATCH`].
    pub batch: u32,
}

/// Why a plan is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// It has no launches.
    #[error("the plan has no launches")]
    Empty,
    /// Its batch is beyond the limit.
    #[error("the plan is for a batch of {batch}, allowed is 1 to {MAX_BATCH}")]
    Batch {
        /// The batch.
        batch: u32,
    },
    /// A launch is refused.
    #[error("launch {index} ({kernel}): {cause}")]
    Launch {
        /// Place in the plan, from 0.
        index: usize,
        /// The kernel's name, or `?`.
        kernel: &'static str,
        /// What is wrong.
        cause: LaunchError,
    },
}

/// Why a launch is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LaunchError {
    /// No kernel has that number.
    #[error("no kernel has the number {}", .0.0)]
    UnknownKernel(KernelId),
    /// The block has not the size of the kernel's.
    #[error("the parameter block has {given} bytes, the kernel takes {wanted}")]
    BlockBytes {
        /// Bytes given.
        given: usize,
        /// Bytes wanted.
        wanted: usize,
    },
    /// The block contradicts itself.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// An operand names no space.
    #[error("{operand}: {space} names no space")]
    UnknownSpace {
        /// The operand's name.
        operand: &'static str,
        /// The number.
        space: u32,
    },
    /// An operand lies in a space that this kernel must not use so.
    #[error("{operand}: this kernel does not {} {space:?}", if *.written { "write to" } else { "read from" })]
    WrongSpace {
        /// The operand's name.
        operand: &'static str,
        /// The space.
        space: Space,
        /// Whether it is written.
        written: bool,
    },
    /// An operand does not start at a multiple of [`ALIGNMENT`].
    #[error("{operand}: offset {offset} is no multiple of {ALIGNMENT}")]
    Misaligned {
        /// The operand's name.
        operand: &'static str,
        /// The offset, in bytes.
        offset: u32,
    },
    /// An operand has no rows in a page.
    #[error("{operand}: 0 rows in a page")]
    NoRows {
        /// The operand's name.
        operand: &'static str,
    },
    /// An operand reaches beyond the last page of its space.
    #[error("{operand}: reaches page {page}, {space:?} has {pages}")]
    BeyondPages {
        /// The operand's name.
        operand: &'static str,
        /// The space.
        space: Space,
        /// The last page touched.
        page: u64,
        /// Pages that there are.
        pages: u32,
    },
    /// An operand reaches beyond the end of a page.
    #[error("{operand}: ends at byte {end} of a page of {bytes} bytes in {space:?}")]
    BeyondPage {
        /// The operand's name.
        operand: &'static str,
        /// The space.
        space: Space,
        /// One beyond the last byte touched.
        end: u64,
        /// Bytes of the page.
        bytes: u32,
    },
    /// What is written overlaps what else is used.
    #[error("{written} is written across {other}")]
    Overlap {
        /// The written operand.
        written: &'static str,
        /// The other.
        other: &'static str,
    },
}

/// One launch, bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckedLaunch {
    /// The kernel's name in images.
    pub(super) kernel: &'static str,
    /// Tiles.
    pub(super) grid: u32,
    /// The parameter block.
    pub(super) block: Box<[u8]>,
}

/// A plan of which every operand of every launch was bounded against its space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPlan {
    spaces: Spaces,
    launches: Vec<CheckedLaunch>,
}

impl CheckedPlan {
    /// Checks every launch against `spaces`.
    ///
    /// # Errors
    /// The first launch that contradicts itself, or would touch memory beyond its space, or of a
    /// space that isn't its kernel's to use, or that it writes while reading.
    pub fn new(launches: &[Launch], spaces: Spaces) -> Result<CheckedPlan, PlanError> {
        if spaces.batch == 0 || spaces.batch as usize > MAX_BATCH {
            return Err(PlanError::Batch { batch: spaces.batch });
        }
        if launches.is_empty() {
            return Err(PlanError::Empty);
        }
        let launches = launches.iter().enumerate().map(|(index, launch)| {
            let kernel = entry(launch.kernel).map_or("?", |entry| entry.name);
            check(launch, &spaces).map_err(|cause| PlanError::Launch { index, kernel, cause })
        });
        Ok(CheckedPlan { spaces, launches: launches.collect::<Result<_, _>>()? })
    }

    /// What it was checked against.
    pub fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    /// Launches.
    pub fn len(&self) -> usize {
        self.launches.len()
    }

    /// Never true: an empty plan is refused.
    pub fn is_empty(&self) -> bool {
        self.launches.is_empty()
    }

    pub(super) fn launches(&self) -> &[CheckedLaunch] {
        &self.launches
    }
}

fn check(launch: &Launch, spaces: &Spaces) -> Result<CheckedLaunch, LaunchError> {
    let entry = entry(launch.kernel).ok_or(LaunchError::UnknownKernel(launch.kernel))?;
    if launch.block.len() != entry.block_bytes {
        return Err(LaunchError::BlockBytes { given: launch.block.len(), wanted: entry.block_bytes });
    }
    let mut regions = Vec::new();
    let grid = (entry.inspect)(&launch.block, &mut |region| regions.push(region))?;
    for region in &regions {
        bound(region, launch.kernel, spaces)?;
    }
    for (i, written) in regions.iter().enumerate().filter(|(_, r)| r.access == Access::Write) {
        for (j, other) in regions.iter().enumerate() {
            let in_place = other.access == Access::ReadInPlace && is_same(written, other);
            if i != j && !in_place && overlap(written, other) {
                return Err(LaunchError::Overlap { written: written.name, other: other.name });
            }
        }
    }
    Ok(CheckedLaunch { kernel: entry.name, grid, block: launch.block.clone() })
}

/// Bounds one region against its space.
fn bound(region: &Region, kernel: KernelId, spaces: &Spaces) -> Result<(), LaunchError> {
    let Region { name: operand, operand: at, .. } = *region;
    let space = Space::from_u32(at.space).ok_or(LaunchError::UnknownSpace { operand, space: at.space })?;
    let written = region.access == Access::Write;
    let copies_in = kernel == Enter::ID || kernel == EnterWhole::ID;
    let enters = copies_in || kernel == EnterPixels::ID;
    let leaves = kernel == Leave::ID || kernel == LeaveWhole::ID;
    let allowed = match (space, written) {
        (Space::Weights, false) => !copies_in && !leaves,
        (Space::Weights, true) => false,
        (Space::Input, false) => enters,
        (Space::Output, true) => leaves,
        (Space::Input, true) | (Space::Output, false) => false,
        (Space::Workspace, false) => !enters,
        (Space::Workspace, true) => !leaves,
    };
    if !allowed {
        return Err(LaunchError::WrongSpace { operand, space, written });
    }
    if at.offset % ALIGNMENT != 0 {
        return Err(LaunchError::Misaligned { operand, offset: at.offset });
    }
    if at.rows_per_page == 0 {
        return Err(LaunchError::NoRows { operand });
    }
    let (pages, bytes) = match space {
        Space::Weights => (spaces.weight_pages, spaces.page_bytes),
        Space::Input => (spaces.batch, spaces.input_bytes),
        Space::Output => (spaces.batch, spaces.output_bytes),
        Space::Workspace => (1, spaces.workspace_bytes),
    };
    let last = region.rows - 1;
    let per_page = if region.paged { u64::from(at.rows_per_page) } else { u64::MAX };
    let page = u64::from(at.page) + last / per_page;
    if page >= u64::from(pages) {
        return Err(LaunchError::BeyondPages { operand, space, page, pages });
    }
    // A checked block keeps each of these below 2^35, and their product's extent below 2^33.
    let end = (u64::from(at.offset) + region.first)
        .saturating_add(last.min(per_page - 1).saturating_mul(region.stride))
        .saturating_add(region.row_bytes);
    if end > u64::from(bytes) {
        return Err(LaunchError::BeyondPage { operand, space, end, bytes });
    }
    Ok(())
}

fn is_same(a: &Region, b: &Region) -> bool {
    let same_rows = a.rows == b.rows && a.row_bytes == b.row_bytes && (a.rows == 1 || a.stride == b.stride);
    same_rows && a.operand.space == b.operand.space && start(a) == start(b)
}

/// First byte within the page.
fn start(region: &Region) -> u64 {
    u64::from(region.operand.offset) + region.first
}

/// Whether two regions may share a byte. Exact for rows at one common distance, as the items of
/// a batch have in a shared tensor; else their whole ranges count.
fn overlap(a: &Region, b: &Region) -> bool {
    // What is written lies in the workspace, or in the output, which nobody reads.
    if a.operand.space != b.operand.space {
        return false;
    }
    let end = |r: &Region| start(r) + (r.rows - 1) * r.stride + r.row_bytes;
    if end(a) <= start(b) || end(b) <= start(a) {
        return false;
    }
    let stride = if a.rows > 1 { a.stride } else { b.stride };
    let common = (a.rows == 1 || a.stride == stride) && (b.rows == 1 || b.stride == stride);
    if !common || stride == 0 || a.row_bytes > stride || b.row_bytes > stride {
        return true;
    }
    let (first, second) = if start(a) <= start(b) { (a, b) } else { (b, a) };
    let apart = (start(second) - start(first)) % stride;
    apart < first.row_bytes || apart + second.row_bytes > stride
}
