//! Which bytes of the workspace hold something that is still to be read, launch after launch.

use std::ops::Range;

use kernels::launch::Description;
use kernels::operand::Space;
use kernels::params::{Access, Region};

/// Bytes of the workspace from the launch that writes them to the last that reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Bytes of the workspace.
    pub bytes: Range<u64>,
    /// The launch that writes them, from 0.
    pub written: usize,
    /// The last launch that reads them before they are written again.
    pub last_read: usize,
}

/// The workspace over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// What lives in it, in the order of the launches that write.
    pub lifetimes: Vec<Lifetime>,
    /// The most bytes that are alive at once.
    pub most_alive: u64,
}

/// The bytes of a workspace region; none of another space's.
fn range(region: &Region) -> Option<Range<u64>> {
    if Space::from_u32(region.operand.space) != Some(Space::Workspace) {
        return None;
    }
    let first = u64::from(region.operand.offset) + region.first;
    Some(first..first + (region.rows - 1) * region.stride + region.row_bytes)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

impl Workspace {
    /// Follows what each launch writes to whoever reads it.
    pub fn of(launches: &[Description]) -> Workspace {
        let mut lifetimes = Vec::new();
        for (written, launch) in launches.iter().enumerate() {
            let writes = launch.regions.iter().filter(|region| region.access == Access::Write).filter_map(range);
            for bytes in writes {
                let last_read = last_read(launches, written, &bytes);
                lifetimes.push(Lifetime { bytes, written, last_read });
            }
        }
        let alive = |at: usize| {
            let held = lifetimes.iter().filter(|life| life.written <= at && at <= life.last_read);
            union(held.map(|life| life.bytes.clone()).collect())
        };
        let most_alive = (0..launches.len()).map(alive).max().unwrap_or(0);
        Workspace { lifetimes, most_alive }
    }
}

/// The last launch that reads any of `bytes` before all of it may have been written again.
fn last_read(launches: &[Description], written: usize, bytes: &Range<u64>) -> usize {
    let mut last = written;
    for (at, launch) in launches.iter().enumerate().skip(written + 1) {
        let touches = |write: bool| {
            let of_kind = launch.regions.iter().filter(move |region| (region.access == Access::Write) == write);
            of_kind.filter_map(range).any(|range| overlap(&range, bytes))
        };
        if touches(false) {
            last = at;
        }
        let covered = launch.regions.iter().filter(|region| region.access == Access::Write).filter_map(range);
        if covered.into_iter().any(|range| range.start <= bytes.start && bytes.end <= range.end) {
            break;
        }
    }
    last
}

/// Bytes that at least one of the ranges holds.
pub(super) fn union(mut ranges: Vec<Range<u64>>) -> u64 {
    ranges.sort_by_key(|range| range.start);
    let (mut sum, mut end) = (0, 0);
    for range in ranges {
        sum += range.end.max(end) - range.start.max(end);
        end = end.max(range.end);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::operand::Operand;

    fn region(offset: u32, bytes: u64, access: Access) -> Region {
        let operand = Operand::contiguous(Space::Workspace, 0, offset);
        Region { name: "x", operand, first: 0, rows: 1, row_bytes: bytes, stride: 0, paged: false, access }
    }

    fn launch(regions: Vec<Region>) -> Description {
        Description { kernel: "copy", what: String::new(), flops: 0, tiles: 1, regions }
    }

    #[test]
    fn what_is_written_lives_until_it_is_last_read() {
        let (read, write) = (Access::Read, Access::Write);
        let launches = [
            launch(vec![region(0, 64, write)]),
            launch(vec![region(0, 64, read), region(64, 128, write)]),
            launch(vec![region(64, 128, read), region(0, 64, write)]),
            launch(vec![region(0, 64, read)]),
        ];
        let space = Workspace::of(&launches);
        let ends: Vec<_> =
            space.lifetimes.iter().map(|life| (life.bytes.start, life.written, life.last_read)).collect();
        assert_eq!(ends, [(0, 0, 1), (64, 1, 2), (0, 2, 3)]);
        assert_eq!(space.most_alive, 192);
    }

    #[test]
    fn a_union_counts_each_byte_once() {
        assert_eq!(union(vec![0..10, 5..20, 30..31, 6..7]), 21);
    }
}
