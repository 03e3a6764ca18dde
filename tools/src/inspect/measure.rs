//! How long each launch of a plan takes, one after the other on one device.

use std::time::{Duration, Instant};

use kernels::image::InstructionSet;
use kernels::peak::flops_per_second;
use runtime::base::{BatchSize, ShapeId};
use runtime::package::Package;
use sys::cpu::CpuConfig;

use crate::solo::{Cut, Solo, SoloError};

/// Time in which the core's peak is looked for.
const PEAK_BUDGET: Duration = Duration::from_millis(100);
/// How long an engine waits for the next launch before it sleeps.
const AWAKE_NS: u64 = 100_000_000;
/// Fewest counted runs.
const MIN_RUNS: usize = 5;

/// Measured times of one plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// Median of each launch, in nanoseconds.
    pub launches_ns: Vec<u64>,
    /// Runs that the medians are of.
    pub runs: usize,
    /// Peak of one core, in floating-point operations per second.
    pub peak_flops: f64,
}

impl Times {
    /// Runs the plan launch by launch until `budget` is spent; the first run is not counted.
    ///
    /// # Errors
    /// [`SoloError`].
    pub fn measure(
        package: &Package,
        shape: ShapeId,
        batch: BatchSize,
        threads: usize,
        budget: Duration,
    ) -> Result<Times, SoloError> {
        // An engine that falls asleep between two launches has its waking counted in the second.
        let config = CpuConfig { compute_threads: threads, spin_ns: AWAKE_NS, ..CpuConfig::default() };
        let mut solo = Solo::load_on(package, shape, batch, InstructionSet::best(), &config, Cut::EachLaunch)?;
        solo.run()?;
        let mut samples: Vec<Vec<u64>> = Vec::new();
        let (begin, mut runs) = (Instant::now(), 0);
        while runs < MIN_RUNS || begin.elapsed() < budget {
            solo.run_parts(|index, elapsed| match samples.get_mut(index) {
                Some(known) => known.push(elapsed),
                None => samples.push(vec![elapsed]),
            })?;
            runs += 1;
        }
        let peak_flops = flops_per_second(InstructionSet::best(), PEAK_BUDGET)?;
        Ok(Times { launches_ns: samples.into_iter().map(median).collect(), runs, peak_flops })
    }
}

fn median(mut samples: Vec<u64>) -> u64 {
    samples.sort_unstable();
    samples[samples.len() / 2]
}
