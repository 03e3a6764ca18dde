//! What a server is for: right answers, from one process or from three.

use std::fs;

use runtime::order::Reject;
use runtime::package::Package;
use runtime::wire::{Message, Outcome, Refusal};
use serde_json::Value;

use super::heavy;
use super::house::{House, text};
use super::raw::{Raw, frame};
use super::trio::Trio;

#[test]
fn one_process_answers_and_tells_about_itself() {
    let house = House::new(&[1, 2]);
    let mut server = house.serve(1);
    house.assert_serves(&mut server, 1);
    house.assert_serves(&mut server, 2);

    // The server's answer is that of a run without it, to the last bit.
    let alone = house.path("alone.npy");
    let (input, output) = (format!("x={}", text(&house.path("x.npy"))), format!("y={}", text(&alone)));
    let package = house.package(2);
    house.run(&["run", text(&package), "--input", &input, "--output", &output]).succeeded();
    house.assert_right(&alone, 2);
    assert_eq!(fs::read(&alone).expect("written"), fs::read(house.path("y.npy")).expect("written"));

    let printed = house.infer(&server.gateway, 1, &["--json"]).succeeded();
    let printed: Value = serde_json::from_str(&printed).expect("infer --json prints JSON");
    let (latency, slo) = (printed["latency_ns"].as_u64(), printed["slo_ns"].as_u64());
    assert_eq!(slo, Some(20_000_000_000));
    assert!(latency > Some(0) && latency <= slo, "{printed}");

    let ask = |topic: &str| house.ctl(topic, &server.controller);
    let status = ask("status");
    assert_eq!((status["models"].as_u64(), status["workers"].as_u64()), (Some(2), Some(1)), "{status}");
    let requests = &status["requests"];
    assert!(requests["served"].as_u64() >= Some(4), "{status}");
    assert_eq!(requests["failed"].as_u64(), Some(0), "{status}");
    let models = ask("models");
    let mut names: Vec<&str> = models.as_array().into_iter().flatten().filter_map(|row| row["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["tiny-1", "tiny-2"]);
    let workers = ask("workers");
    assert_eq!((workers[0]["up"].as_bool(), workers[0]["devices"][0]["pages"].as_u64()), (Some(true), Some(16)));
    let config = ask("config");
    assert!(config["toml"].as_str().is_some_and(|toml| toml.contains("payload_bytes = 1048576")), "{config}");
    assert!(config["toml"].as_str().is_some_and(|toml| !toml.contains(":7071")), "only what is in force: {config}");
    for topic in ["status", "models", "workers", "config"] {
        let said = house.run(&["ctl", topic, "--server", &server.controller]).succeeded();
        assert!(!said.trim().is_empty(), "ctl {topic} says something");
    }
}

#[test]
fn three_processes_answer_as_one_does() {
    let house = House::new(&[1]);
    let mut trio = Trio::start(&house, &[]);
    house.infer(&trio.door, 1, &[]).succeeded();
    house.assert_right(&house.path("y.npy"), 1);
    let split = fs::read(house.path("y.npy")).expect("written");
    assert!(trio.controller.runs() && trio.worker.runs() && trio.gateway.runs());
    drop(trio);

    let mut server = house.serve(1);
    house.assert_serves(&mut server, 1);
    assert_eq!(split, fs::read(house.path("y.npy")).expect("written"), "the same bits");
}

#[test]
fn a_request_that_is_taken_back_is_answered_so() {
    let house = House::new(&[1]);
    house.add_heavy();
    let heavy = Package::open(house.path("models/heavy.cwk")).expect("the package is whole").id;
    let server = house.serve(1);
    let mut client = Raw::welcome(&server.gateway);
    // The device is busy with the first ones while the last is taken back.
    (0..4).for_each(|id| client.ask(id, heavy, heavy::BYTES));
    client.send(&frame(&Message::Withdraw { id: 3 }));
    let mut answers: Vec<_> = (0..4).map(|_| client.answer()).collect();
    answers.sort_by_key(|(id, _)| *id);
    let done = Outcome::Done { late: false };
    let withdrawn = Outcome::Refused(Refusal::Rejected(Reject::Withdrawn));
    assert_eq!(answers, [(0, done), (1, done), (2, done), (3, withdrawn)]);
    let status = house.ctl("status", &server.controller);
    assert_eq!(status["requests"]["withdrawn"].as_u64(), Some(1), "{status}");
}
