//! How predictable one model is on an otherwise idle machine.

use runtime::base::Nanos;
use runtime::client::Client;
use serde::Serialize;

use crate::capacity::{Single, one_at_a_time};
use crate::counts::{COLUMNS, Counts, Reader};
use crate::loadgen::row::percentile_cells;
use crate::loadgen::{LoadError, Workload};
use crate::summary::{Durations, Percentiles};
use crate::table::Table;

/// How many of the worst predictions are listed.
const WORST: usize = 10;

/// What was measured. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The model's name.
    pub model: String,
    /// Requests that count.
    pub requests: usize,
    /// The exec.
    pub exec_ns: Percentiles,
    /// 99.99th percentile over median of the exec, less 1.
    pub exec_spread_p9999: f64,
    /// From input and order being there to the start of the exec.
    pub start_lateness_ns: Percentiles,
    /// Exec longer than expected (median of the 101 before), by how much.
    pub under_predicted_ns: Percentiles,
    /// Exec shorter than expected, by how much.
    pub over_predicted_ns: Percentiles,
    /// The latency at the client.
    pub latency_ns: Percentiles,
    /// The process whose compute threads the kernel was asked about, if one was found.
    pub process: Option<u32>,
    /// What the kernel counted during one request: the median of all.
    pub median_counts: Counts,
    /// The worst predictions, worst first.
    pub worst: Vec<Worst>,
}

/// One of the worst predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Worst {
    /// When it was sent, counted from the start of the run.
    pub at_ns: u64,
    /// What the exec took.
    pub exec_ns: u64,
    /// What it was expected to take.
    pub expected_ns: u64,
    /// What the kernel counted meanwhile.
    pub counts: Counts,
}

/// Sends `requests` requests one at a time, and reads the kernel's counts at the end of each.
///
/// # Errors
/// [`LoadError`].
pub fn predict(
    client: Client,
    workload: &Workload,
    requests: u64,
    mut reader: Reader,
) -> Result<(Client, Prediction), LoadError> {
    // The count ends the run; the length is only what it may take at most.
    let at_most = Nanos(workload.slo.0.saturating_mul(requests));
    let (client, singles) = one_at_a_time(client, workload, workload.slo, at_most, Some(requests), Some(&mut reader))?;
    Ok((client, Prediction { process: reader.process(), ..summarise(&workload.name, &singles) }))
}

fn summarise(model: &str, singles: &[Single]) -> Prediction {
    let of = |durations: &mut dyn Iterator<Item = Nanos>| {
        let mut set = Durations::new();
        durations.for_each(|duration| set.record(duration));
        set.percentiles()
    };
    let predicted = || singles.iter().filter_map(|single| Some((single, single.expected?)));
    let mut worst: Vec<Worst> = predicted()
        .map(|(single, expected)| Worst {
            at_ns: single.at.0,
            exec_ns: single.exec.0,
            expected_ns: expected.0,
            counts: single.counts,
        })
        .collect();
    worst.sort_by_key(|worst| std::cmp::Reverse(worst.exec_ns.abs_diff(worst.expected_ns)));
    worst.truncate(WORST);
    let under = predicted().filter(|(single, expected)| single.exec >= *expected);
    let over = predicted().filter(|(single, expected)| single.exec < *expected);
    Prediction {
        model: model.to_owned(),
        requests: singles.len(),
        exec_ns: of(&mut singles.iter().map(|single| single.exec)),
        exec_spread_p9999: spread(singles),
        start_lateness_ns: of(&mut singles.iter().map(|single| single.start_wait)),
        under_predicted_ns: of(&mut under.map(|(single, expected)| single.exec - expected)),
        over_predicted_ns: of(&mut over.map(|(single, expected)| expected - single.exec)),
        latency_ns: of(&mut singles.iter().map(|single| single.latency)),
        process: None,
        median_counts: Counts::median(&singles.iter().map(|single| single.counts).collect::<Vec<_>>()),
        worst,
    }
}

/// 99.99th percentile over median, less 1, from the durations themselves: a histogram is too coarse.
#[expect(clippy::cast_precision_loss, reason = "durations are below 2^53")]
fn spread(singles: &[Single]) -> f64 {
    let mut execs: Vec<u64> = singles.iter().map(|single| single.exec.0).collect();
    execs.sort_unstable();
    let at = |index: usize| execs.get(index).copied().unwrap_or(0) as f64;
    let last = (execs.len() * 9_999).div_ceil(10_000).saturating_sub(1);
    at(last) / at(execs.len() / 2).max(1.0) - 1.0
}

impl Prediction {
    /// As people read it.
    pub fn table(&self) -> String {
        let mut table = Table::new(&["model", "duration", "count", "p50", "p99", "p99.9", "max"]);
        for (name, of) in [
            ("exec", self.exec_ns),
            ("lateness of the start", self.start_lateness_ns),
            ("exec longer than expected, by", self.under_predicted_ns),
            ("exec shorter than expected, by", self.over_predicted_ns),
            ("latency at the client", self.latency_ns),
        ] {
            table.row(percentile_cells(&self.model, name, of));
        }
        let mut worst = Table::new(&[&["worst predictions, sent at", "exec", "expected"], COLUMNS.as_slice()].concat());
        for Worst { at_ns, exec_ns, expected_ns, counts } in &self.worst {
            let times = [at_ns, exec_ns, expected_ns].map(|&ns| Nanos(ns).to_string());
            worst.row(times.into_iter().chain(counts.cells()));
        }
        let median = ["median of all".to_owned(), Nanos(self.exec_ns.p50).to_string(), "-".to_owned()];
        worst.row(median.into_iter().chain(self.median_counts.cells()));
        let source = match self.process {
            Some(process) => {
                format!("counts: the kernel's, of the compute threads of process {process} and their cores")
            }
            None => {
                "counts: n/a, no process with compute threads here, or several; name the server's by --pid".to_owned()
            }
        };
        format!(
            "{table}\nexec: p99.99 is {:.2}% above the median of {} requests\n\n{worst}{source}\n",
            self.exec_spread_p9999 * 100.0,
            self.requests
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_predictions_come_first_and_errors_keep_their_side() {
        let single = |at, exec, expected| Single {
            at: Nanos(at),
            latency: Nanos(exec + 10),
            exec: Nanos(exec),
            start_wait: Nanos(5),
            expected,
            counts: Counts { interrupts: Some(at), ..Counts::default() },
        };
        let said =
            summarise("m", &[single(1, 100, None), single(2, 130, Some(Nanos(100))), single(3, 40, Some(Nanos(100)))]);
        assert_eq!((said.under_predicted_ns.max, said.over_predicted_ns.max), (30, 60));
        assert_eq!(said.worst.iter().map(|worst| worst.at_ns).collect::<Vec<_>>(), [3, 2]);
        assert_eq!((said.requests, said.exec_ns.count), (3, 3));
        assert_eq!((said.worst[0].counts.interrupts, said.median_counts.interrupts), (Some(3), Some(2)));
        let table = said.table();
        assert!(table.contains("median of all") && table.contains("n/a") && table.contains("--pid"), "{table}");
    }
}
