//! The load generator against a gateway that speaks the protocol.

#![allow(clippy::unwrap_used, reason = "a test stops where it goes wrong")]

#[path = "../../runtime/tests/fake_gateway/mod.rs"]
mod fake_gateway;

use std::time::Duration;

use clockwork_bench as bench;

use bench::arrivals::Spacing;
use bench::counts::Reader;
use bench::loadgen::{AfterRefusal, Load, LoadError, Row, Run, Tally, Workload, input, run};
use fake_gateway::{Rule, model, start};
use runtime::base::{Nanos, ShapeId};
use runtime::client::Client;

fn workload(load: Load, slo: Nanos) -> Workload {
    let entry = model();
    let payloads = input::payloads(&entry, ShapeId(0), 3, 1).unwrap();
    Workload { name: entry.name.to_string(), model: entry.model, shape: ShapeId(0), slo, load, payloads }
}

fn open(per_second: f64) -> Load {
    Load::Open { spacing: Spacing::Poisson, per_second }
}

fn closed(clients: usize) -> Load {
    Load::Closed { clients, after_refusal: AfterRefusal::WaitForDeadline }
}

fn drive(rule: Rule, credit: u32, load: Load, slo: Nanos, length: Nanos) -> (Workload, Tally) {
    let client = Client::connect(&start(rule, credit).to_string()).unwrap();
    let workload = workload(load, slo);
    let spec = Run { length, seed: 5, requests: None };
    let (_, mut tallies) = run(client, std::slice::from_ref(&workload), &spec, &mut |_| {}).unwrap();
    (workload, tallies.remove(0))
}

fn assert_each_has_one_end(tally: &Tally) {
    assert_eq!(tally.offered, tally.ends() + tally.unsent + tally.unanswered, "{tally:?}");
}

#[test]
fn an_open_loop_offers_its_rate_and_counts_each_request_once() {
    let length = Nanos::millis(500);
    let (workload, tally) = drive(Rule::Echo, 64, open(400.0), Nanos::seconds(5), length);
    assert!((140..260).contains(&tally.offered), "{}", tally.offered);
    assert_eq!(tally.ok, tally.offered);
    assert_each_has_one_end(&tally);
    let row = Row::new(&workload, length, &tally);
    assert_eq!((row.ok_share, row.latency_ns.count), (1.0, tally.ok));
    assert!(row.stages_ns.gateway.count == tally.ok && row.send_lateness_ns.count == tally.offered);
}

#[test]
fn under_overload_refusals_are_counted_by_reason_and_sends_go_on() {
    // Ten times what the server can do: the schedule must not wait for it.
    let length = Nanos::millis(400);
    let service = Duration::from_millis(5);
    let (workload, tally) = drive(Rule::Serve(service), 4096, open(2_000.0), Nanos::millis(20), length);
    assert_each_has_one_end(&tally);
    assert!((650..950).contains(&tally.offered), "{}", tally.offered);
    assert!(tally.rejected > tally.offered / 2, "{tally:?}");
    assert_eq!(tally.reasons.get("would-be-late"), Some(&tally.rejected));
    let row = Row::new(&workload, length, &tally);
    assert_eq!(row.time_to_refusal_ns.count, tally.rejected);
    assert!(serde_json::to_string(&row).unwrap().contains("\"goodput_per_second\""));
}

#[test]
fn what_finds_no_place_is_unsent_and_what_has_no_end_unanswered() {
    let (_, tally) = drive(Rule::Ignore, 3, open(200.0), Nanos::millis(1), Nanos::millis(200));
    assert_eq!(tally.unanswered, 3);
    assert_eq!(tally.unsent, tally.offered - 3);
    assert!(tally.offered > 10);
}

#[test]
fn a_closed_loop_keeps_as_many_open_as_it_has_clients() {
    let (_, tally) = drive(Rule::Serve(Duration::from_millis(2)), 64, closed(2), Nanos::seconds(5), Nanos::millis(200));
    assert_each_has_one_end(&tally);
    assert_eq!(tally.ok, tally.offered);
    // One of two always waits for the other's service.
    assert!(tally.latency.percentiles().p50 >= 2_000_000, "{:?}", tally.latency.percentiles());
    assert!((10..=102).contains(&tally.offered), "{}", tally.offered);
}

#[test]
fn a_refused_closed_loop_client_waits_for_the_deadline_of_what_was_refused() {
    // A millisecond of service never fits a deadline of half of one.
    let slo = Nanos::millis(50);
    let (_, tally) = drive(Rule::Serve(Duration::from_secs(1)), 64, closed(1), slo, Nanos::millis(220));
    assert!((1..=5).contains(&tally.offered), "{}", tally.offered);
    assert_eq!(tally.rejected, tally.offered);
}

#[test]
fn a_number_of_requests_can_end_the_run() {
    let client = Client::connect(&start(Rule::Echo, 8).to_string()).unwrap();
    let workload = workload(closed(1), Nanos::seconds(5));
    let spec = Run { length: Nanos::seconds(60), seed: 1, requests: Some(100) };
    let mut samples = 0;
    let (client, tallies) = run(client, &[workload], &spec, &mut |sample| {
        assert!(sample.timing.latency() > Nanos::ZERO);
        samples += 1;
    })
    .unwrap();
    assert_eq!((tallies[0].ok, samples, client.open_count()), (100, 100, 0));
}

#[test]
fn what_the_server_does_not_grant_is_said_before_anything_is_sent() {
    let client = Client::connect(&start(Rule::Echo, 2).to_string()).unwrap();
    let spec = Run { length: Nanos::seconds(1), seed: 1, requests: None };
    let error = run(client, &[workload(closed(3), Nanos::seconds(1))], &spec, &mut |_| {}).unwrap_err();
    assert!(matches!(error, LoadError::TooManyClients { wanted: 3, granted: 2 }), "{error}");
}

#[test]
fn a_sweep_measures_capacity_and_stands_beside_its_reference_rules() {
    let client = Client::connect(&start(Rule::Serve(Duration::from_millis(3)), 256).to_string()).unwrap();
    let spec = bench::sweep::Sweep {
        shares: vec![0.3, 2.0],
        length: Nanos::millis(400),
        capacity_length: Nanos::millis(100),
        repeats: 2,
        // Wide enough that a thread of this test which is woken late makes no request late.
        slo: Some(Nanos::millis(100)),
        seed: 3,
        probe_core: None,
    };
    let mut points = 0;
    let report = bench::sweep::sweep(client, &workload(closed(1), Nanos::ZERO), &spec, &mut |_| points += 1).unwrap();
    assert_eq!((points, report.measured.len(), report.points.len()), (4, 4, 2));
    assert!((50.0..334.0).contains(&report.capacity_per_second), "{}", report.capacity_per_second);
    let [below, above] = report.points.as_slice() else { panic!("two rates") };
    assert!(below.in_time > 0.9 && above.rejected > 0.1, "{below:?} {above:?}");
    assert!(report.table().contains("2.0x") && serde_json::to_string(&report).is_ok());
}

#[test]
fn predictions_are_made_from_what_came_before() {
    let client = Client::connect(&start(Rule::Serve(Duration::from_millis(1)), 4).to_string()).unwrap();
    // The server of this test has no compute threads.
    let reader = Reader::new(Some(std::process::id()), None);
    let (_, said) = bench::predict::predict(client, &workload(closed(1), Nanos::seconds(5)), 50, reader).unwrap();
    assert_eq!((said.requests, said.worst.len()), (50, 10));
    // The gateway of this test states stages of exactly its service time.
    assert_eq!((said.exec_ns.count, said.under_predicted_ns.max), (50, 1));
    assert!(said.table().contains("lateness of the start"));
}

#[test]
fn a_rate_that_no_run_can_hold_is_refused() {
    for rate in [f64::INFINITY, 1e12] {
        let client = Client::connect(&start(Rule::Echo, 64).to_string()).unwrap();
        let workload = workload(open(rate), Nanos::seconds(1));
        let spec = Run { length: Nanos::seconds(1), seed: 5, requests: None };
        let refused = run(client, &[workload], &spec, &mut |_| {}).map(|_| ());
        assert!(matches!(refused, Err(LoadError::TooManyRequests { .. })), "{refused:?}");
    }
}
