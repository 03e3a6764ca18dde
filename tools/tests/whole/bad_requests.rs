//! Requests that can't be answered are refused with a reason, and the server goes on.

use std::time::Instant;

use runtime::base::{ModelId, ShapeId};
use runtime::order::Reject;
use runtime::package::Package;
use runtime::wire::{Message, Outcome, Refusal};

use super::house::{House, text};
use super::model::{IN, SIDE, npy};
use super::program::PATIENCE;
use super::raw::{Raw, request};

/// Whether a refusal is the right one.
type Fits = fn(Reject) -> bool;

#[test]
fn what_cannot_be_answered_is_refused_with_a_reason() {
    let house = House::new(&[1]);
    let mut server = house.serve(1);
    let door = server.gateway.clone();
    let zeros = |elements: usize, bytes: usize| vec![0; elements * bytes];
    let item = IN * SIDE * SIDE;
    let good = house.path("x.npy");

    house.infer_file(&door, "nobody", &good, &[]).failed_saying(&["no model `nobody`"]);
    house.infer_file(&door, &"n".repeat(65), &good, &[]).failed_saying(&["at most 64 bytes"]);
    house.assert_serves(&mut server, 1);

    let shape = house.write("shape.npy", &npy("<f4", &[1, IN, SIDE, SIDE + 1], &zeros(IN * SIDE * (SIDE + 1), 4)));
    house.infer_file(&door, "tiny-1", &shape, &[]).failed_saying(&["shape.npy", "`x`", "17", "16"]);
    let batch = house.write("batch.npy", &npy("<f4", &[2, IN, SIDE, SIDE], &zeros(2 * item, 4)));
    house.infer_file(&door, "tiny-1", &batch, &[]).failed_saying(&["batch.npy", "`x`", "[2, 3, 16, 16]"]);
    let kind = house.write("kind.npy", &npy("<i4", &[1, IN, SIDE, SIDE], &zeros(item, 4)));
    house.infer_file(&door, "tiny-1", &kind, &[]).failed_saying(&["kind.npy", "`x`", "i32", "f32"]);
    let cut = house.write("cut.npy", &npy("<f4", &[1, IN, SIDE, SIDE], &zeros(item - 1, 4)));
    house.infer_file(&door, "tiny-1", &cut, &[]).failed_saying(&["cut.npy"]);
    let none = house.write("none.npy", b"not an array");
    house.infer_file(&door, "tiny-1", &none, &[]).failed_saying(&["none.npy"]);
    house.infer_file(&door, "tiny-1", &house.path("missing.npy"), &[]).failed_saying(&["missing.npy"]);
    house.infer(&door, 1, &["--input", text(&good)]).failed_saying(&["tiny-1", "1 inputs", "2 files"]);
    house.assert_serves(&mut server, 1);

    for slo in ["0ns", "1ns", "1us"] {
        let done = house.infer(&door, 1, &["--slo", slo]);
        done.failed_saying(&["tiny-1"]);
        house.assert_serves(&mut server, 1);
    }
    house.infer(&door, 1, &["--slo", "soon"]).failed_saying(&["soon", "is no duration"]);
    house.assert_serves(&mut server, 1);

    house.infer(&server.controller, 1, &[]).failed_saying(&["requests go to a gateway"]);
    house.run(&["ctl", "status", "--server", &server.gateway]).failed_saying(&["questions of `ctl` to a controller"]);
    house.assert_serves(&mut server, 1);

    // Nobody listens there: the server has gone. The kernel takes the sockets of a killed process
    // down a little later, and until then ends the connections itself.
    let controller = server.controller.clone();
    drop(server);
    let asks: [&[&str]; 2] =
        [&["infer", "tiny-1", "--server", &door, "--input", text(&good)], &["ctl", "status", "--server", &controller]];
    for (ask, address) in asks.into_iter().zip([&door, &controller]) {
        let until = Instant::now() + PATIENCE;
        let gone = loop {
            let done = house.run(ask);
            if done.errors.contains("can't connect") || Instant::now() > until {
                break done;
            }
        };
        gone.failed_saying(&[address, "is a server running there?"]);
    }
}

#[test]
fn requests_that_no_client_of_ours_sends_are_refused_with_a_reason() {
    let house = House::new(&[1]);
    let mut server = house.serve(1);
    let model = Package::open(house.package(1)).expect("the package is whole").id;
    let bytes = u32::try_from(house.input().len() * 4).expect("small");
    let mut raw = Raw::welcome(&server.gateway);
    let too_long = 1_048_576 + 1;
    let unknown = ModelId(model.0 ^ 1);
    let cases: [(ModelId, u8, u32, Fits); 6] = [
        (unknown, 0, bytes, |reject| reject == Reject::UnknownModel),
        (model, 0, bytes - 4, |reject| matches!(reject, Reject::BadInput { .. })),
        (model, 0, bytes + 4, |reject| matches!(reject, Reject::BadInput { .. })),
        (model, 0, too_long, |reject| matches!(reject, Reject::BadInput { .. })),
        (model, 0, 0, |reject| matches!(reject, Reject::BadInput { .. })),
        (model, 7, bytes, |reject| matches!(reject, Reject::BadInput { .. })),
    ];
    for (id, (model, shape, payload, fits)) in (100..).zip(cases) {
        raw.send(&request(id, model, ShapeId(shape), payload));
        raw.send(&vec![0; payload as usize]);
        match raw.next() {
            Some(Message::Response(response)) => {
                assert_eq!(response.id, id);
                let Outcome::Refused(Refusal::Rejected(reject)) = response.outcome else {
                    panic!("request {id}: {response:?}")
                };
                assert!(fits(reject), "request {id}: {reject:?}");
            }
            other => panic!("request {id}: {other:?}"),
        }
        house.assert_serves(&mut server, 1);
    }
    // The same connection is still good.
    raw.send(&request(7, model, ShapeId(0), bytes));
    raw.send(&vec![0; bytes as usize]);
    let answer = raw.next();
    assert!(
        matches!(&answer, Some(Message::Response(response)) if response.id == 7 && response.outcome == Outcome::Done { late: false }),
        "{answer:?}"
    );
}
