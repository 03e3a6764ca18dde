//! A fixed piece of work, timed: what the machine itself did to a measurement.

use runtime::base::Nanos;
use runtime::client::now;

use runtime::sim::seeded::Seeded;

/// Steps of one probe: some milliseconds on any core of the last ten years.
const STEPS: u64 = 4_000_000;
/// Probes of which the fastest counts, so that one interruption does not.
const TRIES: usize = 3;

/// The fastest of a few runs of the fixed work, on `core` if that is one of the process's, by a
/// thread of its own.
pub fn fixed_work(core: Option<usize>) -> Nanos {
    let once = || {
        let begin = now();
        let mut stream = Seeded::new(1);
        let sum = (0..STEPS).fold(0u64, |sum, _| sum.wrapping_add(stream.next_u64()));
        std::hint::black_box(sum);
        now().since(begin)
    };
    let fastest = || (0..TRIES).map(|_| once()).min().unwrap_or(Nanos::ZERO);
    let pinned = || {
        let is_pinned = core.is_none_or(sys::thread::pin_current);
        is_pinned.then(fastest)
    };
    let measured = std::thread::scope(|scope| scope.spawn(pinned).join());
    // A core that the process may not use leaves the work where the caller is.
    measured.ok().flatten().unwrap_or_else(fastest)
}
