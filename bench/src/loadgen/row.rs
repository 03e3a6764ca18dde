//! The one form of a result: a row.

use std::collections::BTreeMap;
use std::fmt::Write;

use runtime::base::Nanos;
use serde::Serialize;

use super::stages::StageTimes;
use super::tally::Tally;
use super::workload::Workload;
use crate::summary::Percentiles;
use crate::table::Table;

/// What became of one workload in one run. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The model's name.
    pub model: String,
    /// What was sent, in words.
    pub load: String,
    /// How long each request might take.
    pub slo_ns: u64,
    /// How long requests were sent.
    pub seconds: f64,
    /// Requests that were meant to be sent; the sum of the ends that follow.
    pub offered: u64,
    /// In time, on the gateway's clock.
    pub ok: u64,
    /// Answered late, or not by the deadline.
    pub late: u64,
    /// Never admitted.
    pub rejected: u64,
    /// Admitted, then refused before exec.
    pub revoked: u64,
    /// Failed at the worker.
    pub failed: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// Not sent: as many requests were open as the server grants.
    pub unsent: u64,
    /// Without an end when the run was over.
    pub unanswered: u64,
    /// Of the OK: whole here only after intended send + SLO.
    pub ok_late_here: u64,
    /// OK / offered; 0 where nothing was offered.
    pub ok_share: f64,
    /// OK per second.
    pub goodput_per_second: f64,
    /// Refusals and failures by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// From the intended send to the whole answer.
    pub latency_ns: Percentiles,
    /// From the intended send to the refusal.
    pub time_to_refusal_ns: Percentiles,
    /// From the intended send to handing the request to the socket.
    pub send_lateness_ns: Percentiles,
    /// Requests that found the socket full.
    pub socket_full: u64,
    /// What the server says of the answered requests.
    pub stages_ns: StageTimes,
}

impl Row {
    /// The row of a workload that was sent for `length`.
    #[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run are below 2^53")]
    pub fn new(workload: &Workload, length: Nanos, tally: &Tally) -> Row {
        let seconds = length.0 as f64 / 1e9;
        let per = |count: u64, whole: f64| if whole > 0.0 { count as f64 / whole } else { 0.0 };
        Row {
            model: workload.name.clone(),
            load: workload.load.to_string(),
            slo_ns: workload.slo.0,
            seconds,
            offered: tally.offered,
            ok: tally.ok,
            late: tally.late,
            rejected: tally.rejected,
            revoked: tally.revoked,
            failed: tally.failed,
            withdrawn: tally.withdrawn,
            unsent: tally.unsent,
            unanswered: tally.unanswered,
            ok_late_here: tally.ok_late_here,
            ok_share: per(tally.ok, tally.offered as f64),
            goodput_per_second: per(tally.ok, seconds),
            reasons: tally.reasons.clone(),
            latency_ns: tally.latency.percentiles(),
            time_to_refusal_ns: tally.time_to_refusal.percentiles(),
            send_lateness_ns: tally.send_lateness.percentiles(),
            socket_full: tally.socket_full,
            stages_ns: tally.stages.percentiles(),
        }
    }
}

/// Rows as people read them: ends, then durations, then the server's stages.
pub fn table(rows: &[Row]) -> String {
    let mut text = ends(rows);
    text.push('\n');
    text.push_str(&durations(rows));
    for row in rows.iter().filter(|row| !row.reasons.is_empty()) {
        let reasons: Vec<String> = row.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let written = write!(text, "\n{}: refused or failed: {}\n", row.model, reasons.join(", "));
        written.unwrap_or_else(|_| unreachable!("writing to a String does not fail"));
    }
    for row in rows.iter().filter(|row| row.unsent > 0 || row.socket_full > 0) {
        let written = write!(
            text,
            "\n{}: {} not sent because the server grants no more open requests; {} met a full socket\n",
            row.model, row.unsent, row.socket_full
        );
        written.unwrap_or_else(|_| unreachable!("writing to a String does not fail"));
    }
    text
}

/// Head of a column, and its cell in a row.
type Column = (&'static str, fn(&Row) -> String);

const COUNTS: [Column; 9] = [
    ("model", |row| row.model.clone()),
    ("load", |row| row.load.clone()),
    ("slo", |row| Nanos(row.slo_ns).to_string()),
    ("offered", |row| row.offered.to_string()),
    ("ok", |row| row.ok.to_string()),
    ("late", |row| row.late.to_string()),
    ("rejected", |row| row.rejected.to_string()),
    ("revoked", |row| row.revoked.to_string()),
    ("failed", |row| row.failed.to_string()),
];
const UNANSWERED: Column = ("unanswered", |row| (row.unanswered + row.unsent + row.withdrawn).to_string());
const GOOD: [Column; 2] = [
    ("in time", |row| format!("{:.1}%", row.ok_share * 100.0)),
    ("goodput/s", |row| format!("{:.1}", row.goodput_per_second)),
];
const LATE_HERE: Column = ("ok, late here", |row| row.ok_late_here.to_string());
const LATENCIES: [Column; 3] = [
    ("latency p50", |row| time(row.latency_ns, row.latency_ns.p50)),
    ("p99", |row| time(row.latency_ns, row.latency_ns.p99)),
    ("refusal p99", |row| time(row.time_to_refusal_ns, row.time_to_refusal_ns.p99)),
];

fn time(of: Percentiles, ns: u64) -> String {
    if of.count > 0 { Nanos(ns).to_string() } else { "-".to_owned() }
}

fn of_columns(rows: &[Row], columns: &[&[Column]]) -> String {
    let columns = columns.concat();
    let mut table = Table::new(&columns.iter().map(|(head, _)| *head).collect::<Vec<_>>());
    for row in rows {
        table.row(columns.iter().map(|(_, cell)| cell(row)));
    }
    table.to_string()
}

/// Rows in short: ends, latency and time to refusal.
pub fn brief(rows: &[Row]) -> String {
    of_columns(rows, &[&COUNTS, &GOOD, &LATENCIES])
}

fn ends(rows: &[Row]) -> String {
    of_columns(rows, &[&COUNTS, &[UNANSWERED], &GOOD, &[LATE_HERE]])
}

fn durations(rows: &[Row]) -> String {
    let mut table = Table::new(&["model", "duration", "count", "p50", "p99", "p99.9", "max"]);
    for row in rows {
        let stages = &row.stages_ns;
        let lines = [
            ("latency, from the intended send", row.latency_ns),
            ("time to refusal", row.time_to_refusal_ns),
            ("own send lateness", row.send_lateness_ns),
            ("server: in the gateway", stages.gateway),
            ("server: input copy", stages.input),
            ("server: wait for the lane", stages.wait),
            ("server: exec", stages.exec),
            ("server: output copy", stages.output),
            ("network and send lateness", stages.elsewhere),
        ];
        for (name, of) in lines.into_iter().filter(|(_, of)| of.count > 0) {
            table.row(percentile_cells(&row.model, name, of));
        }
    }
    table.to_string()
}

/// The cells of one line of percentiles.
pub fn percentile_cells(model: &str, name: &str, of: Percentiles) -> [String; 7] {
    let time = |ns: u64| Nanos(ns).to_string();
    [model.to_owned(), name.to_owned(), of.count.to_string(), time(of.p50), time(of.p99), time(of.p999), time(of.max)]
}
