//! What one model does when requests come one at a time: its batch-1 times, its capacity.

use runtime::base::Nanos;
use runtime::client::{Client, Ending};
use runtime::profile::{DurationWindow, Percentile};

use crate::counts::{Counts, Reader};
use crate::loadgen::stages::start_wait;
use crate::loadgen::{AfterRefusal, Load, LoadError, Run, Workload, run};

/// Requests that come before any that count: caches, clocks and profiles settle.
const WARM_UP: u64 = 20;

/// One request of a closed loop of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single {
    /// When it was sent, counted from the start of the run.
    pub at: Nanos,
    /// Its latency at the client.
    pub latency: Nanos,
    /// Its exec.
    pub exec: Nanos,
    /// From input and order being there to the start of the exec.
    pub start_wait: Nanos,
    /// What its exec was expected to take: the median of the 101 before it. None for the first.
    pub expected: Option<Nanos>,
    /// What the kernel counted of the compute threads, from the end before it to its own.
    pub counts: Counts,
}

/// Sends one request at a time, until `length` has passed or `requests` have ended; those in time.
/// `reader`, if any, is read at each end: before the next request, so that it costs no latency.
///
/// # Errors
/// [`LoadError`]; [`LoadError::NoAnswers`] if no request was answered in time.
pub fn one_at_a_time(
    client: Client,
    workload: &Workload,
    slo: Nanos,
    length: Nanos,
    requests: Option<u64>,
    mut reader: Option<&mut Reader>,
) -> Result<(Client, Vec<Single>), LoadError> {
    let load = Load::Closed { clients: 1, after_refusal: AfterRefusal::SendAtOnce };
    let alone = Workload { load, slo, ..workload.clone() };
    let warm_up = Run { length, seed: 0, requests: Some(WARM_UP) };
    let (client, _) = run(client, std::slice::from_ref(&alone), &warm_up, &mut |_| {})?;
    let mut window = DurationWindow::default();
    let mut singles = Vec::new();
    let spec = Run { length, seed: 0, requests };
    let mut count = || reader.as_mut().map(|reader| reader.since_before()).unwrap_or_default();
    count();
    let (client, _) = run(client, std::slice::from_ref(&alone), &spec, &mut |sample| {
        let counts = count();
        if sample.ending == Ending::Ok {
            let exec = sample.timing.stages.exec.duration();
            singles.push(Single {
                at: sample.intended,
                latency: sample.timing.latency(),
                exec,
                start_wait: start_wait(&sample.timing),
                expected: window.expected(),
                counts,
            });
            window.record(exec);
        }
    })?;
    if singles.is_empty() {
        return Err(LoadError::NoAnswers { what: "one request at a time" });
    }
    Ok((client, singles))
}

/// Batch-1 times of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Requests answered per second, one at a time.
    pub per_second: f64,
    /// Exec times, in the order in which they were measured.
    pub services: Vec<Nanos>,
    /// Their median.
    pub expected: Nanos,
    /// Their 99th percentile, or 1.5 times the largest while there are few.
    pub bound: Nanos,
}

impl Capacity {
    /// The capacity that these requests, the only ones of their time, show.
    ///
    /// # Panics
    /// If there are none.
    #[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run are below 2^53")]
    pub fn of(singles: &[Single]) -> Capacity {
        let services: Vec<Nanos> = singles.iter().map(|single| single.exec).collect();
        let mut window = DurationWindow::default();
        services.iter().for_each(|&service| window.record(service));
        let bound = window.bound(Percentile::P99);
        let (Some(bound), Some(expected)) = (bound, median(&services)) else { unreachable!("there are requests") };
        let busy: u64 = singles.iter().map(|single| single.latency.0).sum();
        Capacity { per_second: singles.len() as f64 * 1e9 / busy as f64, services, expected, bound }
    }
}

/// The median; none of none.
pub fn median<T: Copy + Ord>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}
