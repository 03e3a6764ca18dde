//! Does it keep its promise under load? One model, Poisson arrivals from far below its capacity to
//! far above, each rate beside what simple rules reach on the very same arrivals.

use runtime::base::Nanos;
use runtime::client::Client;
use serde::Serialize;

use crate::arrivals::{Spacing, arrivals};
use crate::capacity::{Capacity, median, one_at_a_time};
use crate::loadgen::{Load, LoadError, Row, Run, Workload, run};
use crate::probe::fixed_work;
use crate::reference::{clairvoyant_rule, reference_rule};
use crate::table::Table;

/// SLO while capacity is measured: nothing is refused.
const LOOSE: Nanos = Nanos::seconds(10);

/// What is swept, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Offered rates as shares of capacity.
    pub shares: Vec<f64>,
    /// Time at each rate.
    pub length: Nanos,
    /// Time in which capacity is measured, once a repeat.
    pub capacity_length: Nanos,
    /// How often all rates are gone through; each repeat begins with another one.
    pub repeats: usize,
    /// The deadline; twice the median batch-1 time if unset.
    pub slo: Option<Nanos>,
    /// Seed of the arrivals.
    pub seed: u64,
    /// Core of the fixed work; wherever the kernel puts it if unset.
    pub probe_core: Option<usize>,
}

impl Default for Sweep {
    fn default() -> Sweep {
        Sweep {
            shares: vec![0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0],
            length: Nanos::seconds(20),
            capacity_length: Nanos::seconds(5),
            repeats: 5,
            slo: None,
            seed: 1,
            probe_core: None,
        }
    }
}

/// One rate in one repeat.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Which repeat, from 0.
    pub repeat: usize,
    /// Offered rate as a share of capacity.
    pub share: f64,
    /// Capacity of this repeat, in requests per second.
    pub capacity_per_second: f64,
    /// The fixed work just before, in nanoseconds.
    pub probe_ns: u64,
    /// What became of the requests.
    pub row: Row,
    /// What the reference rule serves in time per second on the same arrivals.
    pub reference_per_second: f64,
    /// What the clairvoyant rule does.
    pub clairvoyant_per_second: f64,
}

/// Medians over the repeats of one rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Offered rate as a share of capacity.
    pub share: f64,
    /// Share of the offered requests that were answered in time.
    pub in_time: f64,
    /// Answers in time per second.
    pub goodput_per_second: f64,
    /// Goodput over that of the reference rule.
    pub of_reference: f64,
    /// Goodput over that of the clairvoyant rule.
    pub of_clairvoyant: f64,
    /// Goodput over capacity.
    pub of_capacity: f64,
    /// Share of the offered requests that were refused at arrival.
    pub rejected: f64,
    /// Admitted but not in time, as a share of those admitted.
    pub broken: f64,
    /// Requests revoked, in all repeats.
    pub revoked: u64,
    /// Requests late, in all repeats.
    pub late: u64,
    /// Requests called OK that were whole here after intended send + SLO, in all repeats.
    pub ok_late_here: u64,
    /// The fixed work, relative to the fastest of the sweep.
    pub probe: f64,
}

/// The whole sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// The deadline in nanoseconds.
    pub slo_ns: u64,
    /// Median batch-1 exec in nanoseconds.
    pub exec_ns: u64,
    /// Median capacity in requests per second.
    pub capacity_per_second: f64,
    /// Repeats.
    pub repeats: usize,
    /// Seconds at each rate.
    pub seconds: f64,
    /// Medians by rate.
    pub points: Vec<Point>,
    /// Every rate in every repeat.
    pub measured: Vec<Measured>,
}

/// Runs the sweep; `progress` is told of each rate as it ends.
///
/// # Errors
/// [`LoadError`].
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run are below 2^53")]
pub fn sweep(
    mut client: Client,
    workload: &Workload,
    spec: &Sweep,
    progress: &mut dyn FnMut(&Measured),
) -> Result<Report, LoadError> {
    let mut slo = spec.slo;
    let mut measured = Vec::new();
    let mut execs = Vec::new();
    for repeat in 0..spec.repeats {
        let (back, singles) = one_at_a_time(client, workload, LOOSE, spec.capacity_length, None, None)?;
        client = back;
        let capacity = Capacity::of(&singles);
        execs.push(capacity.expected);
        let slo = *slo.get_or_insert(capacity.expected + capacity.expected);
        for step in 0..spec.shares.len() {
            let share = spec.shares[(step + repeat) % spec.shares.len()];
            let (back, point) = at_share(client, workload, spec, slo, (repeat, share), &capacity)?;
            client = back;
            progress(&point);
            measured.push(point);
        }
    }
    let points = spec.shares.iter().map(|&share| point(share, &measured)).collect();
    Ok(Report {
        model: workload.name.clone(),
        slo_ns: slo.unwrap_or(Nanos::ZERO).0,
        exec_ns: median(&execs).unwrap_or(Nanos::ZERO).0,
        capacity_per_second: middle(measured.iter().map(|point| point.capacity_per_second)),
        repeats: spec.repeats,
        seconds: spec.length.0 as f64 / 1e9,
        points,
        measured,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run are below 2^53")]
fn at_share(
    client: Client,
    workload: &Workload,
    spec: &Sweep,
    slo: Nanos,
    (repeat, share): (usize, f64),
    capacity: &Capacity,
) -> Result<(Client, Measured), LoadError> {
    let per_second = share * capacity.per_second;
    // Every repeat and rate has arrivals of its own.
    let seed = spec.seed.wrapping_mul(1_000_003) ^ (repeat as u64) << 32 ^ share.to_bits();
    let open = Workload { load: Load::Open { spacing: Spacing::Poisson, per_second }, slo, ..workload.clone() };
    let run_spec = Run { length: spec.length, seed, requests: None };
    let probe_ns = fixed_work(spec.probe_core).0;
    let (client, tallies) = run(client, std::slice::from_ref(&open), &run_spec, &mut |_| {})?;
    let times = arrivals(Spacing::Poisson, per_second, spec.length, run_spec.seed_of(0));
    let reference = reference_rule(&times, &capacity.services, slo, capacity.expected, capacity.bound);
    let clairvoyant = clairvoyant_rule(&times, &capacity.services, slo);
    let seconds = spec.length.0 as f64 / 1e9;
    let row = Row::new(&open, spec.length, &tallies[0]);
    let measured = Measured {
        repeat,
        share,
        capacity_per_second: capacity.per_second,
        probe_ns,
        row,
        reference_per_second: reference.in_time as f64 / seconds,
        clairvoyant_per_second: clairvoyant.in_time as f64 / seconds,
    };
    Ok((client, measured))
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run are below 2^53")]
fn point(share: f64, measured: &[Measured]) -> Point {
    let fastest = measured.iter().map(|one| one.probe_ns).min().unwrap_or(1).max(1) as f64;
    let of: Vec<&Measured> = measured.iter().filter(|one| one.share.total_cmp(&share).is_eq()).collect();
    let mid = |value: &dyn Fn(&Measured) -> f64| middle(of.iter().map(|one| value(one)));
    let sum = |value: &dyn Fn(&Row) -> u64| of.iter().map(|one| value(&one.row)).sum();
    Point {
        share,
        in_time: mid(&|one| one.row.ok_share),
        goodput_per_second: mid(&|one| one.row.goodput_per_second),
        of_reference: mid(&|one| ratio(one.row.goodput_per_second, one.reference_per_second)),
        of_clairvoyant: mid(&|one| ratio(one.row.goodput_per_second, one.clairvoyant_per_second)),
        of_capacity: mid(&|one| ratio(one.row.goodput_per_second, one.capacity_per_second)),
        rejected: mid(&|one| ratio(one.row.rejected as f64, one.row.offered as f64)),
        broken: mid(&|one| {
            let admitted = one.row.offered - one.row.rejected - one.row.unsent;
            ratio((admitted - one.row.ok.min(admitted)) as f64, admitted as f64)
        }),
        revoked: sum(&|row| row.revoked),
        late: sum(&|row| row.late),
        ok_late_here: sum(&|row| row.ok_late_here),
        probe: mid(&|one| one.probe_ns as f64 / fastest),
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The median of floats; 0 of none.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

impl Report {
    /// As people read it.
    pub fn table(&self) -> String {
        let mut table = Table::new(&[
            "offered",
            "in time",
            "goodput/s",
            "/ reference",
            "/ clairvoyant",
            "/ capacity",
            "rejected",
            "broken",
            "revoked",
            "late",
            "ok, late here",
            "probe",
        ]);
        for point in &self.points {
            let percent = |share: f64| format!("{:.1}%", share * 100.0);
            table.row([
                format!("{:.1}x", point.share),
                percent(point.in_time),
                format!("{:.1}", point.goodput_per_second),
                format!("{:.2}", point.of_reference),
                format!("{:.2}", point.of_clairvoyant),
                format!("{:.2}", point.of_capacity),
                percent(point.rejected),
                percent(point.broken),
                point.revoked.to_string(),
                point.late.to_string(),
                point.ok_late_here.to_string(),
                format!("{:.3}", point.probe),
            ]);
        }
        let (exec, slo) = (Nanos(self.exec_ns), Nanos(self.slo_ns));
        format!(
            "{}: batch-1 exec {exec}, capacity {:.1}/s, SLO {slo}; medians of {} repeats of {:.0} s\n\n{table}\n\
             broken: admitted but not in time, of those admitted. probe: fixed work, 1 is the fastest of the sweep.\n",
            self.model, self.capacity_per_second, self.repeats, self.seconds
        )
    }
}
