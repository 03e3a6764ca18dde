//! Which thread runs on which core, decided once at start and printed.

use std::fmt;

use super::config::{Config, PlacementChoice};

/// Where roles and compute threads run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// How the roles are laid out.
    pub layout: Layout,
    /// The cores of the compute threads; empty where they are not pinned.
    pub compute_cores: Vec<usize>,
}

/// How the roles are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All roles in turn on one thread that sleeps between events.
    Dense {
        /// Its core; `None` where there is but one.
        core: Option<usize>,
    },
    /// A core for each role; roles spin.
    Full {
        /// Core of the gateway.
        gateway: usize,
        /// Core of the controller.
        controller: usize,
        /// Core of the worker with its device.
        worker: usize,
    },
}

/// Roles that want a core of their own in the layout `full`.
const ROLES: usize = 3;

impl Placement {
    /// Lays roles and `threads` compute threads on `cores` as `config` wants it.
    pub fn of(config: &Config, cores: &[usize], threads: usize) -> Placement {
        let wanted: Vec<usize> = config.worker.compute_cores.iter().map(|&core| usize::from(core)).collect();
        Placement::choose(config.placement, cores, threads, &wanted)
    }

    /// Lays roles and `threads` compute threads on `cores`. `wanted_cores` names the compute cores
    /// where the configuration does.
    ///
    /// Compute threads get the last cores: the first ones take most interrupts.
    pub fn choose(choice: PlacementChoice, cores: &[usize], threads: usize, wanted_cores: &[usize]) -> Placement {
        let compute_cores = if !wanted_cores.is_empty() {
            wanted_cores.to_vec()
        } else if cores.len() > threads {
            cores[cores.len() - threads..].to_vec()
        } else {
            Vec::new()
        };
        let free: Vec<usize> = cores.iter().copied().filter(|core| !compute_cores.contains(core)).collect();
        let full = match choice {
            PlacementChoice::Auto => free.len() > ROLES,
            PlacementChoice::Dense => false,
            PlacementChoice::Full => free.len() >= ROLES,
        };
        let layout = match free.as_slice() {
            [.., gateway, controller, worker] if full => {
                Layout::Full { gateway: *gateway, controller: *controller, worker: *worker }
            }
            free => Layout::Dense { core: free.last().copied() },
        };
        Placement { layout, compute_cores }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.layout {
            Layout::Dense { core: Some(core) } => write!(f, "dense: roles on core {core}")?,
            Layout::Dense { core: None } => write!(f, "dense: roles not pinned, too few cores")?,
            Layout::Full { gateway, controller, worker } => {
                write!(f, "full: gateway on core {gateway}, controller on {controller}, worker on {worker}")?;
            }
        }
        match self.compute_cores.as_slice() {
            [] => write!(f, "; compute not pinned"),
            cores => write!(f, "; compute on {cores:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cores_are_dense_with_compute_alone() {
        let placement = Placement::choose(PlacementChoice::Auto, &[0, 1], 1, &[]);
        assert_eq!(placement, Placement { layout: Layout::Dense { core: Some(0) }, compute_cores: vec![1] });
    }

    #[test]
    fn one_core_pins_nothing() {
        let placement = Placement::choose(PlacementChoice::Full, &[0], 1, &[]);
        assert_eq!(placement, Placement { layout: Layout::Dense { core: Some(0) }, compute_cores: vec![] });
    }

    #[test]
    fn many_cores_give_each_role_its_own() {
        let placement = Placement::choose(PlacementChoice::Auto, &[0, 1, 2, 3, 4, 5], 1, &[]);
        assert_eq!(placement.layout, Layout::Full { gateway: 2, controller: 3, worker: 4 });
        assert_eq!(placement.compute_cores, [5]);
    }

    #[test]
    fn named_cores_are_kept_free_of_roles() {
        let placement = Placement::choose(PlacementChoice::Full, &[0, 1, 2, 3], 1, &[0]);
        assert_eq!(placement.layout, Layout::Full { gateway: 1, controller: 2, worker: 3 });
    }
}
