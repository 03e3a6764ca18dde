//! A process of three is killed while requests are under way: every request ends once, the others go
//! on, and a new process takes its place.

use std::collections::BTreeMap;

use runtime::base::ModelId;
use runtime::order::Reject;
use runtime::package::Package;
use runtime::wire::{Outcome, Refusal};

use super::heavy;
use super::house::House;
use super::raw::Raw;
use super::trio::{Trio, start_gateway, start_worker};

/// Requests that are under way when it happens; all fit the places, and not all fit the device.
const REQUESTS: u64 = 4;

fn house() -> (House, ModelId) {
    let house = House::new(&[1]);
    house.add_heavy();
    let model = Package::open(house.path("models/heavy.cwk")).expect("the package is whole").id;
    (house, model)
}

/// Sends the requests and waits until all are admitted and the first was ordered.
fn busy(house: &House, trio: &Trio, model: ModelId) -> Raw {
    house.infer(&trio.door, 1, &[]).succeeded();
    let mut client = Raw::welcome(&trio.door);
    (0..REQUESTS).for_each(|id| client.ask(id, model, heavy::BYTES));
    house.wait_for("status", &trio.address, |status| {
        status["requests"]["admitted"].as_u64() == Some(1 + REQUESTS) && status["actions"]["infers"].as_u64() >= Some(2)
    });
    client
}

#[test]
fn a_killed_worker_revokes_its_requests_and_another_takes_its_place() {
    let (house, model) = house();
    let mut trio = Trio::start(&house, &[]);
    let mut client = busy(&house, &trio, model);
    drop(trio.worker);

    let mut ends = BTreeMap::new();
    for _ in 0..REQUESTS {
        let (id, outcome) = client.answer();
        assert_eq!(ends.insert(id, outcome), None, "request {id} ends once");
    }
    let lost = Outcome::Refused(Refusal::Revoked(Reject::WorkerLost));
    assert_eq!(ends.keys().copied().collect::<Vec<_>>(), (0..REQUESTS).collect::<Vec<_>>());
    assert_eq!(ends[&(REQUESTS - 1)], lost, "the last cannot have been served: {ends:?}");
    assert!(ends.values().all(|&end| end == lost || end == Outcome::Done { late: false }), "{ends:?}");

    assert!(trio.controller.runs() && trio.gateway.runs());
    house.infer(&trio.door, 1, &[]).failed_saying(&["tiny-1"]);
    trio.worker = start_worker(&house, &trio.address, &[]);
    house.wait_until_served(&trio.door, 1);
    house.assert_right(&house.path("y.npy"), 1);
    // The same connection is served too.
    client.ask(77, model, heavy::BYTES);
    assert_eq!(client.answer(), (77, Outcome::Done { late: false }));
}

#[test]
fn a_killed_gateway_gives_its_slots_back_and_another_takes_its_place() {
    let (house, model) = house();
    let mut trio = Trio::start(&house, &[]);
    let client = busy(&house, &trio, model);
    drop((client, trio.gateway));

    // Nobody waits for them: what was not ordered yet is given up, the slots of all come back.
    let status = house.wait_for("status", &trio.address, |status| {
        status["requests"]["open"].as_u64() == Some(0) && status["gateways"].as_u64() == Some(0)
    });
    assert!(status["requests"]["withdrawn"].as_u64() >= Some(REQUESTS - 2), "{status}");
    assert!(status["actions"]["infers"].as_u64() < Some(1 + REQUESTS), "{status}");
    house.wait_for("workers", &trio.address, |workers| workers[0]["devices"][0]["slots_out"].as_u64() == Some(0));
    assert!(trio.controller.runs() && trio.worker.runs());

    (trio.gateway, trio.door) = start_gateway(&house, &trio.address, &[]);
    house.infer(&trio.door, 1, &[]).succeeded();
    house.assert_right(&house.path("y.npy"), 1);
    let faults = house.ctl("status", &trio.address)["actions"]["faults"].as_u64();
    assert_eq!(faults, Some(0), "controller and worker agree");
}
