//! How a server ends: told to, it finishes what it has taken on and takes nothing more.

use runtime::base::ModelId;
use runtime::order::Reject;
use runtime::package::Package;
use runtime::wire::{Outcome, Refusal};
use serde_json::Value;

use super::heavy;
use super::house::House;
use super::raw::Raw;

/// A model that nobody has: refused at once, so that its refusal tells how the gateway is disposed.
const NOBODY: ModelId = ModelId(1);

/// Requests taken on when it is told to: the device has work for longer than it takes to ask once more.
const TAKEN: u64 = 6;

fn refused(reject: Reject) -> Outcome {
    Outcome::Refused(Refusal::Rejected(reject))
}

#[test]
fn a_server_that_is_told_to_end_finishes_and_refuses() {
    for signal in ["TERM", "INT"] {
        let house = House::new(&[1]);
        house.add_heavy();
        let heavy = Package::open(house.path("models/heavy.cwk")).expect("the package is whole").id;
        let mut server = house.serve(1);
        let mut client = Raw::welcome(&server.gateway);
        (1..=TAKEN).for_each(|id| client.ask(id, heavy, heavy::BYTES));
        // Beside the one that `serve` has asked for.
        let admitted = |status: &Value| status["requests"]["admitted"].as_u64() == Some(1 + TAKEN);
        house.wait_for("status", &server.controller, admitted);
        server.program.signal(signal);
        server.program.wait_for("ending      refusing what is new, finishing what was taken on");

        let mut other = Raw::welcome(&server.gateway);
        let mut id = 100;
        loop {
            other.ask(id, NOBODY, 4);
            let answer = other.answer();
            if answer != (id, refused(Reject::UnknownModel)) {
                assert_eq!(answer, (id, refused(Reject::Draining)));
                break;
            }
            id += 1;
        }
        let mut answers: Vec<_> = (1..=TAKEN).map(|_| client.answer()).collect();
        answers.sort_by_key(|(id, _)| *id);
        assert_eq!(answers, (1..=TAKEN).map(|id| (id, Outcome::Done { late: false })).collect::<Vec<_>>());
        assert_eq!((client.next(), other.next()), (None, None), "the server has closed");
        let said = server.program.finish().succeeded();
        assert!(said.ends_with("ended\n") && !said.contains("unfinished"), "{said}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let house = House::new(&[1]);
    house.add_heavy();
    let heavy = Package::open(house.path("models/heavy.cwk")).expect("the package is whole").id;
    let mut server = house.serve(1);
    let mut client = Raw::welcome(&server.gateway);
    (1..=TAKEN).for_each(|id| client.ask(id, heavy, heavy::BYTES));
    house.wait_for("status", &server.controller, |status| status["requests"]["asked"].as_u64() >= Some(1 + TAKEN));
    server.program.signal("TERM");
    server.program.wait_for("ending      refusing what is new, finishing what was taken on");
    server.program.signal("TERM");
    let done = server.program.finish();
    assert_eq!(done.status.code(), Some(128 + 15), "{}{}", done.said, done.errors);
    assert!(!done.said.contains("ended"), "{}", done.said);
}

#[test]
fn each_process_ends_when_it_is_told_to() {
    let house = House::new(&[1]);
    let trio = super::trio::Trio::start(&house, &[]);
    house.infer(&trio.door, 1, &[]).succeeded();
    trio.gateway.end();
    trio.worker.end();
    trio.controller.end();
    // One that waits for its controller can be told to end as well.
    let mut lonely = house.start(&["gateway", "--controller", "127.0.0.1:1", "--gateway-listen", "127.0.0.1:0"]);
    lonely.wait_for_prefix("gateway ");
    lonely.end();
}
