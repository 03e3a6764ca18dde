//! The walks of the design, in the simulator.

use clockwork_runtime as runtime;
use runtime::base::Nanos;
use runtime::order::record::{End, Step};
use runtime::order::walk;
use runtime::sim::{Pace, Sending, SimConfig, World};
use runtime::worker::Lane;

/// One worker that batches well, asked for exactly these.
fn config(sendings: Vec<Sending>, slo: Nanos, warm: bool) -> SimConfig {
    let mut config = SimConfig::single(Nanos::millis(10), Pace::Listed(sendings), slo, Nanos::millis(50));
    config.architectures = vec![[10, 11, 12, 16, 24].map(|time| Some(Nanos::millis(time)))];
    config.scheduler.preload = warm;
    config.record = 100_000;
    config
}

fn steps(config: SimConfig) -> Vec<Step> {
    let mut world = World::new(config).expect("the settings are within their limits");
    match world.run() {
        Ok(_) => world.recorded(),
        Err(broken) => panic!("{broken}"),
    }
}

fn check(steps: &[Step], walk: Result<(), walk::WalkError>) {
    if let Err(error) = walk.and_then(|()| walk::whole(steps)) {
        steps.iter().for_each(|step| println!("{:>16} {:?}", step.at.0, step.event));
        panic!("{error}");
    }
}

fn after_ms(ms: u64) -> Sending {
    Sending::at(Nanos::millis(ms))
}

#[test]
fn a_warm_infer() {
    let steps = steps(config(vec![after_ms(1)], Nanos::millis(20), true));
    check(&steps, walk::warm_infer(&steps, walk::requests(&steps)[0]));
}

#[test]
fn a_cold_fetch_load_and_infer() {
    let steps = steps(config(vec![after_ms(1)], Nanos::millis(200), false));
    check(&steps, walk::cold_infer(&steps, walk::requests(&steps)[0]));
}

#[test]
fn a_batch_of_three_bound_late_one_withdrawn_one_without_input() {
    let withdrawn = Sending { withdraw_after: Some(Nanos::millis(13)), ..after_ms(3) };
    let missing = Sending { input_held: Nanos::millis(300), ..after_ms(4) };
    let steps = steps(config(vec![after_ms(1), after_ms(2), withdrawn, missing], Nanos::millis(60), true));
    let [first, kept, withdrawn, missing] = walk::requests(&steps)[..] else { panic!("four requests were sent") };
    check(&steps, walk::late_batch(&steps, kept, withdrawn, missing));
    check(&steps, walk::ended(&steps, first, End::Ok).map(drop));
}

#[test]
fn a_load_that_fails_is_planned_again() {
    let mut config = config(vec![after_ms(1)], Nanos::millis(500), false);
    config.device_faults.certain = vec![(Lane::Weights, 1)];
    let steps = steps(config);
    check(&steps, walk::load_again(&steps, walk::requests(&steps)[0]));
}

#[test]
fn a_walk_that_did_not_happen_is_not_found() {
    let steps = steps(config(vec![after_ms(1)], Nanos::millis(20), true));
    let request = walk::requests(&steps)[0];
    assert!(walk::cold_infer(&steps, request).is_err());
    assert!(walk::load_again(&steps, request).is_err());
    assert!(walk::late_batch(&steps, request, request, request).is_err());
    let swapped: Vec<Step> = steps.iter().rev().copied().collect();
    assert!(walk::warm_infer(&swapped, request).is_err());
    assert!(walk::whole(&steps[..steps.len() / 2]).is_err());
}
