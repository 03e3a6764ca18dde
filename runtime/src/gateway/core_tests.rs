use arrayvec::ArrayVec;
use proptest::prelude::*;

use super::*;
use crate::base::{DeviceId, GatewayId, ShapeId};
use crate::package::{TensorSpec, TensorType};

const MODEL: ModelId = ModelId(7);
const WORKER: WorkerId = WorkerId(1);
const SLOT: SlotId = SlotId { device: DeviceId(0), class: 0, index: 0, generation: 1 };
const CLIENT: ClientId = ClientId { index: 0, generation: 1 };

fn tensor(name: &str, kind: TensorType, dim: u32) -> TensorSpec {
    let shapes = vec![ArrayVec::from_iter([dim]), ArrayVec::from_iter([2 * dim])];
    TensorSpec { name: name.into(), kind, shapes }
}

fn gateway(requests: usize) -> Core {
    let patience = Nanos::millis(50);
    let mut gateway = Core::new(Config { requests, models: 4, patience, ..Config::default() });
    let inputs = vec![tensor("a", TensorType::F32, 10), tensor("b", TensorType::U8, 5)];
    let outputs = vec![tensor("c", TensorType::F32, 2)];
    let model = CatalogModel { model: MODEL, name: "net".into(), inputs, outputs };
    assert_eq!(say(&mut gateway, 0, Event::Catalog(Box::new(model))), []);
    gateway
}

fn say(gateway: &mut Core, at: u64, event: Event) -> Vec<Output> {
    let mut out = Outbox::new();
    gateway.handle(Nanos::micros(at), event, &mut out);
    out.into_iter().collect()
}

/// A request that came at 0, due at `slo` microseconds.
fn request(correlation: u64, payload_bytes: u32, slo: u64) -> Request {
    let (arrival, slo) = (Nanos::ZERO, Nanos::micros(slo));
    Request { client: CLIENT, correlation, model: MODEL, shape: ShapeId(0), payload_bytes, arrival, slo }
}

/// A request that was received, asked for and placed at 10 microseconds.
fn placed(gateway: &mut Core, slo: u64) -> RequestId {
    let said = say(gateway, 0, Event::Request(request(1, 128, slo)));
    let [Output::Receive { request, bytes: 128, .. }] = said[..] else { panic!("{said:?}") };
    let said = say(gateway, 5, Event::PayloadWhole(request));
    assert!(matches!(said[..], [Output::Ask { .. }]), "{said:?}");
    let said = say(gateway, 10, Event::Place { request, worker: WORKER, slot: SLOT });
    assert_eq!(said, [Output::Input { request, worker: WORKER, slot: SLOT }]);
    assert_eq!(say(gateway, 11, Event::InputSent(request)), []);
    request
}

fn output(request: RequestId) -> Event {
    Event::Output { request, worker: WORKER, slot: SLOT, bytes: 64, stages: Stages::default() }
}

fn responded(said: &[Output]) -> Option<Answer> {
    said.iter().find_map(|output| match output {
        Output::Respond { answer, .. } => Some(*answer),
        _ => None,
    })
}

#[test]
fn an_ok_is_one_only_when_it_is_sent_in_time() {
    for (sent, end) in [(1_000, End::Ok), (1_001, End::Late)] {
        let mut gateway = gateway(4);
        let request = placed(&mut gateway, 1_000);
        assert_eq!(responded(&say(&mut gateway, 900, output(request))), Some(Answer::Ok));
        assert_eq!(gateway.ends().ended(), 0);
        assert_eq!(
            say(&mut gateway, sent, Event::Sent(request)),
            [Output::Ended { request, end, at: Nanos::micros(900) }]
        );
        let ends = gateway.ends();
        assert_eq!((ends.ok, ends.late, gateway.held()), (u64::from(end == End::Ok), u64::from(end == End::Late), 0));
    }
}

#[test]
fn an_output_that_cannot_be_sent_in_time_is_late_at_once() {
    let mut gateway = gateway(4);
    let request = placed(&mut gateway, 1_000);
    // The unmeasured bound is 100 us.
    assert_eq!(responded(&say(&mut gateway, 901, output(request))), Some(Answer::Late));
    assert_eq!((gateway.ends().late, say(&mut gateway, 950, Event::Sent(request)).len()), (1, 0));
}

#[test]
fn what_is_unanswered_at_its_deadline_is_late() {
    let mut gateway = gateway(4);
    let request = placed(&mut gateway, 1_000);
    assert_eq!(gateway.due(), Some(Nanos::micros(1_000)));
    let said = say(&mut gateway, 1_000, Event::Tick);
    assert_eq!(responded(&said), Some(Answer::Late));
    assert_eq!(said[1], Output::Ended { request, end: End::Late, at: Nanos::micros(1_000) });
    assert_eq!(say(&mut gateway, 1_010, output(request)), [], "its output comes too late");
    say(&mut gateway, 1_020, Event::Sent(request));
    assert_eq!((gateway.ends().late, gateway.held()), (1, 0));
}

#[test]
fn the_gateway_refuses_what_needs_no_scheduler() {
    let mut gateway = gateway(1);
    let refused = |gateway: &mut Core, request: Request| {
        let said = say(gateway, 0, Event::Request(request));
        let [Output::Refuse { reason, .. }, Output::Drain { bytes, .. }] = said[..] else { panic!("{said:?}") };
        assert_eq!(bytes, request.payload_bytes);
        reason
    };
    let good = request(1, 128, 1_000);
    assert_eq!(refused(&mut gateway, Request { model: ModelId(8), ..good }), Reject::UnknownModel);
    assert_eq!(refused(&mut gateway, Request { shape: ShapeId(2), ..good }), Reject::BadInput { tensor: 0 });
    for (bytes, tensor) in [(63, 0), (127, 1), (129, 1)] {
        assert_eq!(refused(&mut gateway, request(1, bytes, 9)), Reject::BadInput { tensor });
    }
    say(&mut gateway, 0, Event::Request(good));
    assert_eq!(refused(&mut gateway, good), Reject::Overloaded);
    assert_eq!((gateway.ends().requests, gateway.ends().rejected), (7, 6));
}

#[test]
fn a_deadline_that_has_passed_is_not_asked_for() {
    let mut gateway = gateway(1);
    let said = say(&mut gateway, 0, Event::Request(request(1, 128, 100)));
    let [Output::Receive { request, .. }] = said[..] else { panic!("{said:?}") };
    let answer = responded(&say(&mut gateway, 50, Event::PayloadWhole(request)));
    assert_eq!(answer, Some(Answer::Rejected(Reject::WouldBeLate { predicted: Nanos::micros(150) })));
}

#[test]
fn a_place_is_not_used_again_while_it_is_read() {
    let mut gateway = gateway(1);
    let request = placed(&mut gateway, 1_000);
    say(&mut gateway, 20, Event::Place { request, worker: WORKER, slot: SLOT });
    let said = say(&mut gateway, 30, Event::Withdraw { client: CLIENT, correlation: 1 });
    assert_eq!((responded(&said), &said[1]), (Some(Answer::Withdrawn), &Output::Withdraw(request)));
    assert_eq!((gateway.ends().withdrawn, gateway.held()), (1, 1));
    say(&mut gateway, 35, Event::Sent(request));
    assert_eq!((gateway.ends().ended(), gateway.held()), (1, 1), "its input is still being sent");
    say(&mut gateway, 40, Event::InputSent(request));
    assert_eq!(gateway.held(), 0);
    assert_eq!(say(&mut gateway, 50, Event::Withdraw { client: CLIENT, correlation: 1 }), [], "it has ended");
}

#[test]
fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let mut gateway = gateway(1);
    let request = placed(&mut gateway, 1_000);
    say(&mut gateway, 100, Event::Revoke { request, reason: Reject::WorkerLost });
    assert_eq!(gateway.ends().revoked, 1);
    assert_eq!(say(&mut gateway, 50_100, Event::Tick), [Output::CutOff(CLIENT)]);
    say(&mut gateway, 50_200, Event::ClientGone(CLIENT));
    assert_eq!((gateway.ends().ended(), gateway.held()), (1, 0));
}

#[test]
fn a_client_that_goes_takes_its_requests_with_it() {
    let mut gateway = gateway(200);
    for correlation in 0..200 {
        let said = say(&mut gateway, 0, Event::Request(request(correlation, 128, 1_000)));
        let [Output::Receive { request, .. }] = said[..] else { panic!("{said:?}") };
        say(&mut gateway, 1, Event::PayloadWhole(request));
    }
    let mut told = say(&mut gateway, 2, Event::ClientGone(CLIENT)).len();
    while gateway.due().is_some_and(|due| due <= Nanos::micros(2)) {
        told += say(&mut gateway, 2, Event::Tick).len();
    }
    assert_eq!((told, gateway.ends().withdrawn, gateway.held()), (200, 200, 0));
}

proptest! {
    #[test]
    fn each_request_ends_once(steps in prop::collection::vec((0u8..12, 0usize..8, 0u64..400), 1..300)) {
        let mut gateway = gateway(6);
        let (mut now, mut known) = (0, Vec::<RequestId>::new());
        let mut oks = 0;
        for (kind, which, pause) in steps {
            now += pause;
            let pick = known.get(which % known.len().max(1)).copied();
            let id = pick.unwrap_or(RequestId { gateway: GatewayId(0), index: 3, generation: 9 });
            let arrival = Nanos::micros(now);
            let event = match kind {
                0..3 => Event::Request(Request { arrival, ..request(now, 128, 1_000) }),
                3 | 4 => Event::PayloadWhole(id),
                5 => Event::Place { request: id, worker: WORKER, slot: SLOT },
                6 => Event::InputSent(id),
                7 => output(id),
                8 | 9 => Event::Sent(id),
                10 => Event::Tick,
                _ if which == 0 => Event::ClientGone(CLIENT),
                _ if which == 1 => Event::Fail { request: id, status: Status::Busy },
                _ if which == 2 => Event::Reject { request: id, reason: Reject::Overloaded },
                _ => Event::Revoke { request: id, reason: Reject::Overloaded },
            };
            for said in say(&mut gateway, now, event) {
                match said {
                    Output::Receive { request, .. } => known.push(request),
                    Output::Ended { end: End::Ok, .. } => oks += 1,
                    _ => {}
                }
            }
        }
        while gateway.due().is_some_and(|due| due < Nanos::seconds(9)) && gateway.held() > 0 {
            now += 100_000;
            for said in say(&mut gateway, now, Event::Tick) {
                if let Output::CutOff(client) = said {
                    say(&mut gateway, now, Event::ClientGone(client));
                }
            }
        }
        known.iter().for_each(|&id| (0..300).for_each(|_| _ = say(&mut gateway, now, Event::InputSent(id))));
        let ends = gateway.ends();
        prop_assert_eq!((ends.ended(), gateway.held(), ends.ok), (ends.requests, 0, oks));
    }
}

#[test]
fn an_output_from_elsewhere_than_its_request_was_placed_is_nobodys() {
    let mut gateway = gateway(4);
    let request = placed(&mut gateway, 1_000);
    let (bytes, stages) = (64, Stages::default());
    let older = SlotId { generation: SLOT.generation - 1, ..SLOT };
    let other = WorkerId(WORKER.0 + 1);
    assert_eq!(say(&mut gateway, 100, Event::Output { request, worker: WORKER, slot: older, bytes, stages }), []);
    assert_eq!(say(&mut gateway, 100, Event::Output { request, worker: other, slot: SLOT, bytes, stages }), []);
    assert_eq!(responded(&say(&mut gateway, 200, output(request))), Some(Answer::Ok));
}

#[test]
fn draining_refuses_what_is_new_and_answers_what_it_holds() {
    let mut gateway = gateway(4);
    let held = placed(&mut gateway, 1_000);
    assert_eq!(say(&mut gateway, 100, Event::Drain), []);
    let said = say(&mut gateway, 100, Event::Request(request(2, 128, 1_000)));
    let reason = Reject::Draining;
    let refuse = Output::Refuse { client: CLIENT, correlation: 2, reason };
    assert_eq!(said, [refuse, Output::Drain { client: CLIENT, bytes: 128 }]);
    assert_eq!(responded(&say(&mut gateway, 200, output(held))), Some(Answer::Ok));
    assert_eq!(gateway.held(), 1);
    say(&mut gateway, 201, Event::Sent(held));
    assert_eq!((gateway.held(), gateway.ends().ok, gateway.ends().rejected), (0, 1, 1));
}
