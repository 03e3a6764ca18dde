//! The client library against a gateway that speaks the protocol.
#![allow(clippy::unwrap_used, reason = "a test stops where it goes wrong")]

// The name that every other crate knows it by; `fake_gateway` is shared with them.
extern crate clockwork_runtime as runtime;

mod fake_gateway;

use std::time::Duration;

use fake_gateway::{Rule, start};
use runtime::base::{Nanos, ShapeId};
use runtime::client::{Client, ConnectError, Control, Ending, InferError, LookupError, Request, SendError, now};
use runtime::order::{Reject, Status};
use runtime::wire::message::Topic;
use runtime::wire::{ModelEntry, Outcome, PeerFault, Refusal};

const SLO: Nanos = Nanos::seconds(30);
const INPUT: &[&[u8]] = &[b"hello"];

fn connect(rule: Rule, credit: u32) -> (Client, ModelEntry) {
    let mut client = Client::connect(&start(rule, credit).to_string()).unwrap();
    let model = client.model("echo").unwrap();
    (client, model)
}

fn request(model: &ModelEntry, slo: Nanos) -> Request<'_> {
    Request { model, shape: ShapeId(0), inputs: INPUT, slo }
}

#[test]
fn an_answer_in_time_has_outputs_and_times() {
    let (mut client, model) = connect(Rule::Echo, 4);
    let answer = client.infer(request(&model, SLO)).unwrap();
    assert_eq!(answer.outputs, [b"hello"]);
    assert!(answer.timing.latency() < SLO);
    assert_eq!(answer.timing.deadline, answer.timing.sent + SLO);
}

#[test]
fn an_answer_after_the_deadline_is_late_whatever_the_gateway_says() {
    // The gateway calls it in time; it comes within the grace after the deadline, or not at all.
    let (mut client, model) = connect(Rule::After(Duration::from_millis(8)), 4);
    let error = client.infer(request(&model, Nanos::millis(2))).unwrap_err();
    assert!(matches!(error, InferError::Late { .. } | InferError::NoAnswer { .. }), "{error}");
}

#[test]
fn what_is_not_answered_by_its_deadline_is_withdrawn_and_its_end_is_nobodys() {
    let (mut client, model) = connect(Rule::Ignore, 1);
    let error = client.infer(request(&model, Nanos::millis(5))).unwrap_err();
    assert!(matches!(error, InferError::NoAnswer { slo: Nanos(5_000_000) }), "{error}");
    // The gateway answers the withdrawal; then the one place is free again.
    let deadline = now() + SLO;
    while client.open_count() > 0 && now() < deadline {
        assert_eq!(client.receive(now()).unwrap(), None);
    }
    client.send(request(&model, SLO)).unwrap();
}

#[test]
fn each_refusal_keeps_its_reason() {
    let end = |outcome| {
        let (mut client, model) = connect(Rule::End(outcome), 4);
        client.infer(request(&model, SLO)).unwrap_err()
    };
    let late = Reject::WouldBeLate { predicted: Nanos::millis(34) };
    let rejected = end(Outcome::Refused(Refusal::Rejected(late)));
    assert!(rejected.to_string().contains("34.00 ms"), "{rejected}");
    let revoked = end(Outcome::Refused(Refusal::Revoked(Reject::WorkerLost)));
    assert!(matches!(revoked, InferError::Revoked(Reject::WorkerLost)));
    let failed = end(Outcome::Refused(Refusal::Failed(Status::DeviceFault { code: 700 })));
    assert!(failed.to_string().contains("700"), "{failed}");
    assert!(matches!(end(Outcome::Expired), InferError::NoAnswer { .. }));
}

#[test]
fn many_requests_are_open_at_once_and_no_more_than_granted() {
    let (mut client, model) = connect(Rule::After(Duration::from_millis(1)), 8);
    let mut open: Vec<_> = (0..8).map(|_| client.send(request(&model, SLO)).unwrap()).collect();
    assert!(matches!(client.send(request(&model, SLO)), Err(SendError::Full { limit: 8 })));
    while !open.is_empty() {
        let ended = client.receive(now() + SLO).unwrap().expect("every request ends");
        assert_eq!(ended.finished.ending, Ending::Ok);
        open.retain(|ticket| *ticket != ended.finished.ticket);
    }
    assert_eq!(client.open_count(), 0);
}

#[test]
fn a_withdrawn_request_ends_so() {
    let (mut client, model) = connect(Rule::Ignore, 2);
    let ticket = client.send(request(&model, SLO)).unwrap();
    client.withdraw(ticket).unwrap();
    let ended = client.receive(now() + SLO).unwrap().expect("it ends");
    assert_eq!((ended.finished.ticket, ended.finished.ending), (ticket, Ending::Withdrawn));
}

#[test]
fn wrong_requests_are_named_before_they_are_sent() {
    let (mut client, model) = connect(Rule::Echo, 2);
    let short = Request { inputs: &[b"hell"], ..request(&model, SLO) };
    let error = client.infer(short).unwrap_err();
    assert!(error.to_string().contains("takes 5 bytes"), "{error}");
    let unknown = client.model("nobody").unwrap_err();
    assert!(matches!(&unknown, LookupError::Unknown { name } if name == "nobody"), "{unknown}");
    assert!(matches!(client.model(&"x".repeat(65)), Err(LookupError::Name { .. })));
}

#[test]
fn a_lost_connection_is_said_at_once() {
    let (mut client, model) = connect(Rule::HangUp, 2);
    let error = client.infer(request(&model, SLO)).unwrap_err();
    assert!(error.to_string().contains("closed the connection"), "{error}");
    let (mut client, model) = connect(Rule::CutOff(PeerFault::UnknownKind { kind: 99 }), 2);
    let error = client.infer(request(&model, SLO)).unwrap_err();
    assert!(error.to_string().contains("unknown kind 99"), "{error}");
}

#[test]
fn connecting_says_what_is_wrong_and_what_to_do() {
    assert!(matches!(Client::connect("no-port"), Err(ConnectError::Address { .. })));
    // A port that was just given back has no listener.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Client::connect(&free.to_string()).unwrap_err();
    assert!(error.to_string().contains("clockwork serve"), "{error}");
    // Something else listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or_default();
    });
    let error = Client::connect(&address.to_string()).unwrap_err();
    assert!(error.to_string().contains("not a Clockwork peer"), "{error}");
}

#[test]
fn a_server_tells_about_itself() {
    let mut control = Control::connect(&start(Rule::Echo, 1).to_string()).unwrap();
    assert_eq!(control.query(Topic::Models).unwrap(), "{\"topic\": \"Models\"}");
}
