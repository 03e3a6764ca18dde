//! `clockwork sim`: arguments, JSON, and goodput beside the reference rules on the same arrivals.

use bench::arrivals::{Spacing as Gaps, arrivals};
use bench::reference::{clairvoyant_rule, reference_rule};
use clap::Parser;
use runtime::sim::Sending;
use runtime::sim::device::{DeviceFaults, DeviceModel, DeviceTimes};
use runtime::sim::seeded::Seeded;
use runtime::worker::ArchitectureId;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: SimArgs,
}

fn parse(line: &str) -> SimArgs {
    Line::try_parse_from(std::iter::once("sim").chain(line.split_whitespace())).expect("the line parses").args
}

#[test]
fn the_json_has_every_field_that_is_promised() {
    let args = parse("--seconds 1 --models 3 --workers 2 --devices 2 --rate 200");
    let report = simulate(config(&args).expect("within limits")).expect("invariants hold");
    let json = serde_json::to_value(&report).expect("a report is JSON");
    let fields = [
        "requests",
        "in_time",
        "late",
        "rejected",
        "revoked",
        "failed",
        "withdrawn",
        "goodput_rps",
        "cold_starts",
        "latency_ns",
        "prediction_error_ns",
        "simulated_s",
        "wall_s",
        "digest",
    ];
    for field in fields {
        assert!(json.get(field).is_some(), "{field} is missing: {json}");
    }
    assert!(report.in_time > 0 && report.wall_s > 0.0);
}

#[test]
fn what_can_not_be_run_is_named() {
    let error = |line: &str| config(&parse(line)).and_then(simulate).expect_err(line).to_string();
    assert_eq!(error("--workers 0"), "workers: 0 is not within 1 to 64");
    assert_eq!(error("--models 0"), "--models 0: wanted 1 to 4096");
    assert_eq!(error("--models 99999999999"), "--models 99999999999: wanted 1 to 4096");
    assert_eq!(error("--zipf=-1"), "--zipf -1: wanted 0 to 10");
    assert_eq!(error("--batch-times 1,2,3,4,5,6"), "--batch-times has 6 times: wanted 1 to 5");
    assert_eq!(error("--batch-times 0"), "architecture 0 has no plan for a batch of 1, or one that takes no time");
    assert_eq!(error("--fault-rate 2"), "--fault-rate 2: wanted 0 to 1");
    assert_eq!(error("--host-pages 4000000000"), "host pages: 4000000000 is not within 1 to 1048576");
    assert_eq!(error("--device-pages 0"), "device pages: 0 is not within 1 to 1048576");
    assert_eq!(error("--seconds 0"), "seconds: 0 is not within 1 to 1000000000000000");
}

const ONE: Nanos = Nanos::millis(10);
const SLO: Nanos = Nanos::millis(20);
const LENGTH: Nanos = Nanos::seconds(20);

/// What the device takes for one item, as the run's own device model has it.
fn services(exec: ExecTimes) -> Vec<Nanos> {
    let mut device = DeviceModel::new(DeviceTimes::default(), vec![exec], DeviceFaults::default(), Seeded::new(77));
    (0..1_000).map(|_| device.exec(ArchitectureId(0), BatchSize::ONE)).collect()
}

#[test]
fn goodput_is_at_least_nine_tenths_of_the_reference_rule() {
    println!("share  sent   in time  reference  clairvoyant  of reference  of capacity  revoked  late");
    for share in [0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0] {
        let times = arrivals(Gaps::Poisson, share * 100.0, LENGTH, 5);
        let list = times.iter().copied().map(Sending::at).collect();
        let config = SimConfig::single(ONE, Pace::Listed(list), SLO, LENGTH);
        let mut services = services(config.architectures[0]);
        let reference = |services: &mut Vec<Nanos>| {
            let mut sorted = services.clone();
            sorted.sort_unstable();
            let (expected, bound) = (sorted[sorted.len() / 2], sorted[sorted.len() * 99 / 100]);
            (reference_rule(&times, services, SLO, expected, bound), clairvoyant_rule(&times, services, SLO))
        };
        let (rule, clairvoyant) = reference(&mut services);
        let report = simulate(config).expect("invariants hold");
        let of = |n: u64, m: u64| n as f64 / m as f64;
        println!(
            "{share:<6} {:<6} {:<8} {:<10} {:<12} {:<13.3} {:<12.3} {:<8} {}",
            report.requests,
            report.in_time,
            rule.in_time,
            clairvoyant.in_time,
            of(report.in_time, rule.in_time),
            of(report.in_time, 2_000),
            report.revoked,
            report.late
        );
        assert_eq!(report.requests, times.len() as u64);
        assert!(report.in_time * 10 >= rule.in_time * 9, "at {share}: {report:?} beside {rule:?}");
        assert!((report.revoked + report.failed + report.late) * 50 <= report.in_time, "at {share}: {report:?}");
    }
}
