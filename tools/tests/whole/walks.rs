//! The walks of the design over the real processes: the assertions are those that the simulator's
//! records are judged by.

use std::path::Path;

use runtime::base::{ModelId, Nanos};
use runtime::gateway::Answer;
use runtime::host::profiles::short;
use runtime::host::recording;
use runtime::order::record::{End, Step};
use runtime::order::walk;
use runtime::package::Package;
use runtime::profile::Profile;

use super::heavy;
use super::held_gateway::HeldGateway;
use super::house::{House, text};
use super::trio::{Trio, start_controller, start_worker};

/// However slow the machine, an input that is sent comes before anybody gives up on it.
const PATIENT: [&str; 2] = ["--input-patience-ms", "4000"];
/// The same, and nothing is loaded before somebody asks for it.
const COLD: [&str; 4] = ["--input-patience-ms", "4000", "--preload", "false"];

/// How often the batch of three is tried for.
const ATTEMPTS: u64 = 5;

fn read(path: &Path) -> Vec<Step> {
    recording::read(path).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn check(steps: &[Step], walk: Result<(), walk::WalkError>) {
    if let Err(error) = walk.and_then(|()| walk::whole(steps)) {
        steps.iter().for_each(|step| println!("{:>16} {:?}", step.at.0, step.event));
        panic!("{error}");
    }
}

/// A cold request and a warm one after it, and nothing else.
#[track_caller]
fn check_cold_then_warm(steps: &[Step]) {
    let requests = walk::requests(steps);
    let [cold, warm] = requests[..] else { panic!("two requests were sent: {requests:?}") };
    check(steps, walk::cold_infer(steps, cold));
    check(steps, walk::warm_infer(steps, warm));
    assert!(walk::warm_infer(steps, cold).is_err(), "the first request is not warm");
}

#[test]
fn one_process_walks_cold_then_warm() {
    let house = House::new(&[1]);
    let record = house.path("record");
    let server = house.serve_with(&[&COLD[..], &["--record", text(&record)]].concat());
    house.infer(&server.gateway, 1, &[]).succeeded();
    house.infer(&server.gateway, 1, &[]).succeeded();
    server.program.end();
    check_cold_then_warm(&read(&record));
}

#[test]
fn three_processes_walk_cold_then_warm() {
    let house = House::new(&[1]);
    let record = house.path("ROLE.record");
    let trio = Trio::start(&house, &[&COLD[..], &["--record", text(&record)]].concat());
    house.infer(&trio.door, 1, &[]).succeeded();
    house.infer(&trio.door, 1, &[]).succeeded();
    trio.gateway.end();
    trio.worker.end();
    trio.controller.end();
    let parts = ["gateway", "controller", "worker"].map(|role| read(&house.path(&format!("{role}.record"))));
    check_cold_then_warm(&recording::merge(parts));
}

#[test]
fn a_load_that_fails_is_planned_again() {
    let house = House::new(&[1]);
    let record = house.path("record");
    // The first copy to the device is one of weights: nobody can ask before the model is on its way.
    let faults = "cuMemcpyHtoDAsync_v2@1=fail:719";
    let server = house.serve_with(&[&PATIENT[..], &["--faults", faults, "--record", text(&record)]].concat());
    house.infer(&server.gateway, 1, &[]).succeeded();
    house.assert_right(&house.path("y.npy"), 1);
    server.program.end();
    let steps = read(&record);
    check(&steps, walk::load_again(&steps, walk::requests(&steps)[0]));
}

/// Has the profiles say that `heavy` takes less than it does on any machine, and that a batch of the
/// other model costs little more than one: so the controller orders the batch while `heavy` still runs.
fn shorten_profiles(house: &House, heavy: u64) {
    for entry in std::fs::read_dir(house.path("profiles")).expect("the worker has measured") {
        let path = entry.expect("a folder can be read").path();
        let bytes = std::fs::read(&path).expect("a profile can be read");
        let mut profile: Profile = serde_json::from_slice(&bytes).expect("a profile is JSON");
        for plan in &mut profile.plans {
            let batch = u64::from(plan.batch);
            let is_heavy = profile.architecture.0 == heavy;
            plan.durations.fill(if is_heavy { Nanos::millis(20) } else { Nanos::micros(900 + 100 * batch) });
        }
        let bytes = serde_json::to_vec(&profile).expect("a profile is JSON");
        std::fs::write(&path, bytes).expect("a profile can be written");
    }
}

/// What is recorded where three requests are asked for while the device is busy, one of which is taken
/// back once its batch is ordered, and one of which has its input sent only when the batch has run.
fn three_behind_a_busy_device(house: &House, [tiny, heavy]: [ModelId; 2]) -> Vec<Step> {
    let bytes = house.input().len() * 4;
    let record = |role: &str| {
        let record = house.path(role);
        [&PATIENT[..], &["--record", text(&record)]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let (controller, address) = start_controller(house, &record("controller.record"));
    let worker = start_worker(house, &address, &record("worker.record"));
    let mut gateway = HeldGateway::start(&address, 2);
    // Both models are on the device from here on.
    gateway.ask(1, tiny, bytes, false);
    assert_eq!(gateway.answer(1), Answer::Ok);
    house.wait_for("workers", &address, |workers| {
        gateway.catch_up();
        workers[0]["devices"][0]["models"].as_u64() == Some(2)
    });
    let infers = || house.ctl("status", &address)["actions"]["infers"].as_u64().expect("a count");
    let before = infers();
    gateway.ask(2, heavy, heavy::BYTES, false);
    gateway.ask(3, tiny, bytes, false);
    gateway.ask(4, tiny, bytes, false);
    gateway.ask(5, tiny, bytes, true);
    (2..=5).for_each(|number| gateway.until_placed(number));
    house.wait_for("status", &address, |status| {
        gateway.catch_up();
        status["actions"]["infers"].as_u64() >= Some(before + 2)
    });
    gateway.withdraw(4);
    assert_eq!([2, 3].map(|number| gateway.answer(number)), [Answer::Ok; 2]);
    gateway.release();
    assert_eq!(gateway.answer(5), Answer::Ok);
    worker.end();
    controller.end();
    let parts = [gateway.steps(), read(&house.path("controller.record")), read(&house.path("worker.record"))];
    recording::merge(parts)
}

#[test]
fn a_batch_of_three_bound_late_one_withdrawn_one_without_input() {
    let house = House::new(&[1]);
    house.add_heavy();
    let packages = [house.package(1), house.path("models/heavy.cwk")];
    let [tiny, heavy] = packages.map(|path| Package::open(path).expect("the package is whole"));
    let (controller, address) = start_controller(&house, &[]);
    // Measures.
    start_worker(&house, &address, &[]).end();
    controller.end();
    shorten_profiles(&house, short(&heavy.architecture));

    // What the controller measures may have it bind otherwise: then it is tried again.
    for attempt in 1.. {
        let steps = three_behind_a_busy_device(&house, [tiny.id, heavy.id]);
        let [.., before, kept, withdrawn, missing] = walk::requests(&steps)[..] else { panic!("requests were sent") };
        let walked = walk::late_batch(&steps, kept, withdrawn, missing);
        if walked.is_err() && attempt < ATTEMPTS {
            continue;
        }
        check(&steps, walked);
        check(&steps, walk::ended(&steps, before, End::Ok).map(drop));
        return check(&steps, walk::ended(&steps, missing, End::Ok).map(drop));
    }
}
