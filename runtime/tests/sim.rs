//! The simulator over many seeds: every invariant holds, and a run is a function of its seed.

use clockwork_runtime as runtime;
use runtime::base::Nanos;
use runtime::sim::{Pace, Report, SimConfig, World};

fn run(config: SimConfig) -> Report {
    let mut world = World::new(config).expect("the settings are within their limits");
    match world.run() {
        Ok(report) => report,
        Err(broken) => panic!("{broken}"),
    }
}

fn single(rate: f64, seconds: u64) -> SimConfig {
    let batch_one = Nanos::millis(10);
    SimConfig::single(batch_one, Pace::Poisson(rate), Nanos::millis(20), Nanos::seconds(seconds))
}

#[test]
fn an_idle_server_answers_everything_in_time() {
    let report = run(single(10.0, 10));
    println!("{}", report.table());
    assert_eq!(report.late + report.revoked + report.failed, 0);
    assert!(report.in_time * 100 >= report.requests * 95, "{report:?}");
}

#[test]
fn equal_seeds_give_equal_runs() {
    let digest = |seed| run(SimConfig { seed, ..single(80.0, 2) }).digest;
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn more_than_the_clients_link_carries_is_refused_and_no_violation() {
    // A gateway's link carries some 2,000 of these payloads a second: the last comes 12 s after its time.
    let report = run(single(26_000.0, 1));
    assert_eq!(report.rejected + report.in_time + report.revoked, report.requests, "{report:?}");
    assert!(report.requests > 25_000 && report.in_time > 100, "{report:?}");
}
