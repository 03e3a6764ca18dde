//! Where buffers lie in the workspace: buffers whose lives don't overlap share bytes.

/// A buffer's length and life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Length in bytes, a multiple of 64.
    pub bytes: usize,
    /// The first step that touches it.
    pub first: usize,
    /// The last step that touches it.
    pub last: usize,
}

/// A workspace laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Where each buffer begins, in bytes.
    pub offsets: Vec<usize>,
    /// Length of the whole, in bytes.
    pub bytes: usize,
}

/// Lays out buffers greedily: the largest first, each into the tightest gap that is free for its
/// whole life. Equal sizes go in order of their index, so the result follows from the input alone.
pub fn lay_out(lives: &[Life]) -> Workspace {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(lives[i].bytes), i));
    let mut offsets = vec![0; lives.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut bytes = 0;
    for i in order {
        let mut neighbours: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&other| lives[other].first <= lives[i].last && lives[i].first <= lives[other].last)
            .map(|&other| (offsets[other], offsets[other] + lives[other].bytes))
            .collect();
        neighbours.sort_unstable();
        offsets[i] = tightest_gap(&neighbours, lives[i].bytes);
        bytes = bytes.max(offsets[i] + lives[i].bytes);
        placed.push(i);
    }
    Workspace { offsets, bytes }
}

/// The start of the smallest gap between sorted ranges that holds `bytes`, else their end.
fn tightest_gap(taken: &[(usize, usize)], bytes: usize) -> usize {
    let mut end = 0;
    let mut best: Option<(usize, usize)> = None;
    for &(from, to) in taken {
        if from >= end + bytes && best.is_none_or(|(size, _)| from - end < size) {
            best = Some((from - end, end));
        }
        end = end.max(to);
    }
    best.map_or(end, |(_, start)| start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(bytes: usize, first: usize, last: usize) -> Life {
        Life { bytes, first, last }
    }

    #[test]
    fn a_chain_needs_its_two_largest_neighbours() {
        let lives = [life(128, 0, 1), life(256, 1, 2), life(64, 2, 3), life(256, 3, 4)];
        let laid = lay_out(&lives);
        assert_eq!(laid.bytes, 384);
    }

    #[test]
    fn buffers_that_live_together_never_overlap() {
        let lives: Vec<Life> = (0..60).map(|i| life(64 * (1 + i * 7 % 11), i / 2, i / 2 + i % 5)).collect();
        let laid = lay_out(&lives);
        for (i, a) in lives.iter().enumerate() {
            for (j, b) in lives.iter().enumerate().skip(i + 1) {
                let together = a.first <= b.last && b.first <= a.last;
                let (x, y) = (laid.offsets[i], laid.offsets[j]);
                assert!(!together || x + a.bytes <= y || y + b.bytes <= x, "buffers {i} and {j} overlap");
            }
        }
    }
}
