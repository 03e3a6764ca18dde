//! How full the weight pages are.

use std::ops::Range;

use kernels::launch::Description;
use kernels::operand::Space;

use super::lifetimes::union;

/// Bytes of the weight pages, and those that no launch of any plan reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waste {
    /// Bytes of all pages.
    pub bytes: u64,
    /// Bytes that nobody reads: page ends and gaps between operands.
    pub unused: u64,
}

impl Waste {
    /// What `launches`, those of all plans, leave unread in `pages` pages.
    pub fn of<'a>(launches: impl Iterator<Item = &'a Description>, pages: usize, page_bytes: u32) -> Waste {
        let mut read: Vec<Vec<Range<u64>>> = vec![Vec::new(); pages];
        for region in launches.flat_map(|launch| &launch.regions) {
            if Space::from_u32(region.operand.space) != Some(Space::Weights) {
                continue;
            }
            let mut left = region.rows;
            let mut page = region.operand.page as usize;
            while left > 0 && page < pages {
                let here = if region.paged { left.min(u64::from(region.operand.rows_per_page.max(1))) } else { left };
                let first = u64::from(region.operand.offset) + region.first;
                read[page].push(first..first + (here - 1) * region.stride + region.row_bytes);
                left -= here;
                page += 1;
            }
        }
        let bytes = pages as u64 * u64::from(page_bytes);
        let used: u64 = read.into_iter().map(union).sum();
        Waste { bytes, unused: bytes.saturating_sub(used) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::operand::Operand;
    use kernels::params::{Access, Region};

    #[test]
    fn what_no_row_covers_is_unused() {
        let operand = Operand { space: Space::Weights as u32, page: 0, offset: 0, rows_per_page: 2 };
        let rows = Region {
            name: "weights",
            operand,
            first: 0,
            rows: 3,
            row_bytes: 40,
            stride: 40,
            paged: true,
            access: Access::Read,
        };
        let launch = Description { kernel: "conv", what: String::new(), flops: 0, tiles: 1, regions: vec![rows] };
        assert_eq!(Waste::of([&launch, &launch].into_iter(), 2, 100), Waste { bytes: 200, unused: 80 });
    }
}
