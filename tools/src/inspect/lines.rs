//! Launches as they are shown: the parts in which a batch goes through one are one line.

use kernels::launch::Description;
use kernels::operand::Space;

/// Launches that do the same for the same nodes with the same weights: the parts of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Their places in the plan, from 0, ascending.
    pub launches: Vec<usize>,
}

impl Line {
    /// The lines of a plan, in the order of their first launches. `computes` names the nodes of each launch;
    /// without names each launch is a line.
    pub fn of(launches: &[Description], computes: &[String]) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for (index, launch) in launches.iter().enumerate() {
            let same = |line: &&mut Line| {
                let first = line.launches[0];
                is_part(launch, &launches[first]) && computes.get(index).is_some_and(|nodes| *nodes == computes[first])
            };
            match lines.iter_mut().find(same) {
                Some(line) => line.launches.push(index),
                None => lines.push(Line { launches: vec![index] }),
            }
        }
        lines
    }

    /// The sum over its launches.
    pub fn sum(&self, of: impl Fn(usize) -> u64) -> u64 {
        self.launches.iter().map(|&launch| of(launch)).sum()
    }
}

fn is_part(one: &Description, other: &Description) -> bool {
    let weights = |launch: &Description| {
        let held = launch.regions.iter().map(|region| region.operand);
        held.filter(|operand| operand.space == Space::Weights as u32).collect::<Vec<_>>()
    };
    one.kernel == other.kernel && one.what == other.what && weights(one) == weights(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::operand::Operand;
    use kernels::params::{Access, Region};

    fn launch(kernel: &'static str, page: u32) -> Description {
        let operand = Operand::contiguous(Space::Weights, page, 0);
        let (first, rows, row_bytes, stride) = (0, 1, 64, 64);
        let access = Access::Read;
        let weights = Region { name: "weights", operand, first, rows, row_bytes, stride, paged: true, access };
        Description { kernel, what: "2x16x8x8".to_owned(), flops: 3, tiles: 1, regions: vec![weights] }
    }

    #[test]
    fn parts_are_one_line_and_neighbours_with_other_weights_or_nodes_are_not() {
        let launches = [launch("conv", 0), launch("pool", 0), launch("conv", 0), launch("pool", 0), launch("conv", 1)];
        let names = ["a", "b", "a", "c", "a"].map(str::to_owned);
        let lines: Vec<Vec<usize>> = Line::of(&launches, &names).into_iter().map(|line| line.launches).collect();
        assert_eq!(lines, [vec![0, 2], vec![1], vec![3], vec![4]]);
        assert_eq!(Line::of(&launches, &names)[0].sum(|launch| launches[launch].flops), 6);
        assert_eq!(Line::of(&launches, &[]).len(), 5);
    }
}
