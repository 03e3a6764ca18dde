//! The measured peak of one core: what a kernel's speed is compared with.

use crate::cpu::micro::ROUND_FLOPS;
use crate::image::{InstructionSet, Unavailable, multiply_adds};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rounds that are timed together.
const ROUNDS: u64 = 100_000;

/// Floating-point operations per second of the core that this runs on, the best of what fits into
/// `budget`: multiply-adds from registers, nothing else.
///
/// # Errors
/// When this machine has not that instruction set.
pub fn flops_per_second(set: InstructionSet, budget: Duration) -> Result<f64, Unavailable> {
    let begin = Instant::now();
    let mut best = Duration::MAX;
    while best == Duration::MAX || begin.elapsed() < budget {
        let start = Instant::now();
        black_box(multiply_adds(set, black_box(ROUNDS))?);
        best = best.min(start.elapsed());
    }
    #[expect(clippy::cast_precision_loss, reason = "operations of one timing are far below 2^53")]
    let flops = (ROUNDS * ROUND_FLOPS) as f64;
    Ok(flops / best.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_does_something_and_no_core_does_more_than_physics_allows() {
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            let flops = flops_per_second(set, Duration::ZERO).expect("available");
            assert!((1e6..1e13).contains(&flops), "{}: {flops}", set.name());
        }
    }
}
