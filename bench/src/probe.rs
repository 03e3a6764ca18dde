//! A fixed piece of work, timed: what the machine itself did to a measurement.

use runtime::base::Nanos;
use runtime::client::now;

use crate::seeded::Seeded;

/// Steps of one probe: some milliseconds on any core of the last ten years.
const STEPS: u64 = 4_000_000;
/// Probes of which the fastest counts, so that one interruption does not.
const TRIES: usize = 3;

/// The fastest of a few runs of the fixed work on the calling thread.
pub fn fixed_work() -> Nanos {
    let once = || {
        let begin = now();
        let mut stream = Seeded::new(1);
        let sum = (0..STEPS).fold(0u64, |sum, _| sum.wrapping_add(stream.next_u64()));
        std::hint::black_box(sum);
        now().since(begin)
    };
    (0..TRIES).map(|_| once()).min().unwrap_or(Nanos::ZERO)
}
