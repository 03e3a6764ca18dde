//! The test vectors of `docs/protocol.md`, read from the page itself.
//!
//! A vector is a fenced block that begins with `vector NAME` or `vector-in NAME`. It holds bytes in
//! hexadecimal, `00*24` standing for 24 times `00`, and `#` begins a remark. What a `vector` shows
//! is what this side sends and reads; a `vector-in` is only read, since it is shorter than ours.

use std::net::SocketAddr;

use clockwork_runtime::base::{
    ActionId, BatchSize, DeviceId, GatewayId, ModelId, Nanos, RequestId, ShapeId, SlotId, WorkerId,
};
use clockwork_runtime::order::Window;
use clockwork_runtime::order::record::End;
use clockwork_runtime::order::{Action, ActionKind, ActionResult, Item, ItemOutcome, Reject, Span, Stages, Status};
use clockwork_runtime::package::{TensorSpec, TensorType};
use clockwork_runtime::wire::message::{SyncAnswer, Topic};
use clockwork_runtime::wire::{
    Catalog, Hello, Message, ModelEntry, Name, Outcome, PeerFault, PeerRole, Refusal, Response, Sync, Welcome,
    next_frame,
};

use crate::round_trip::frame;

const PAGE: &str = include_str!("../../../docs/protocol.md");

struct Vector {
    name: String,
    sent: bool,
    bytes: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let blocks = PAGE.split("```vector").skip(1);
    let vector = |block: &str| {
        let (head, rest) = block.split_once('\n').unwrap();
        let text = rest.split("```").next().unwrap();
        let (sent, name) = match head.strip_prefix("-in ") {
            Some(name) => (false, name),
            None => (true, head.trim()),
        };
        let words = text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
        Vector { name: name.to_owned(), sent, bytes: words.flat_map(bytes).collect() }
    };
    blocks.map(vector).collect()
}

fn bytes(word: &str) -> Vec<u8> {
    let (hex, times) = word.split_once('*').map_or((word, 1), |(hex, times)| (hex, times.parse().unwrap()));
    let digits: Vec<_> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    digits.repeat(times)
}

/// Bytes as the page writes them.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let zeros = bytes[at..].iter().take_while(|&&byte| byte == 0).count();
        if zeros > 8 {
            text += &format!("00*{zeros} ");
            at += zeros;
        } else {
            text += &format!("{:02x} ", bytes[at]);
            at += 1;
        }
    }
    text
}

const REQUEST: RequestId = RequestId { gateway: GatewayId(1), index: 2, generation: 3 };
const SLOT: SlotId = SlotId { device: DeviceId(0), class: 1, index: 4, generation: 5 };
const MODEL: ModelId = ModelId(0x0123_4567_89ab_cdef);

fn stages() -> Stages {
    let span = |begin, end| Span { begin: Nanos(begin), end: Nanos(end) };
    Stages { received: Nanos(100), input: span(90, 95), exec: span(110, 160), output: span(161, 165) }
}

fn response(outcome: Outcome, stages: Stages, payload: u32) -> Message {
    Message::Response(Response { id: 42, outcome, arrival: Nanos(1000), answered: Nanos(9000), stages, payload })
}

fn hello() -> Message {
    Message::Hello(Box::new(Hello {
        role: PeerRole::Client,
        version_min: 1,
        version_max: 1,
        features: 0,
        id: 0,
        epoch: 0,
        requests: 64,
        worker: None,
        clock: 0,
    }))
}

fn catalog() -> Message {
    let tensor = |name: &str, dims: [u32; 2]| TensorSpec {
        name: name.to_owned(),
        kind: TensorType::F32,
        shapes: vec![dims.into_iter().collect()],
    };
    let entry = ModelEntry {
        model: MODEL,
        name: Name::from("tiny").unwrap(),
        class: 0,
        shapes: 1,
        inputs: vec![tensor("x", [3, 5])],
        outputs: vec![tensor("y", [2, 1])],
    };
    Message::Catalog(Box::new(Catalog { id: 41, index: 0, total: 1, entry: Some(entry) }))
}

fn infer() -> Message {
    let items = [Item { request: REQUEST, slot: SLOT }].into_iter().collect();
    let batch = BatchSize::new(2).unwrap();
    Message::Action(Action {
        id: ActionId(77),
        model: MODEL,
        window: Window { earliest: Nanos(10), ready_by: Nanos(20), latest: Nanos(30) },
        expected_start: Nanos(12),
        expected_duration: Nanos(50),
        kind: ActionKind::Infer { device: DeviceId(0), shape: ShapeId(0), batch, items },
    })
}

fn result() -> Message {
    let outcome = ItemOutcome {
        item: Item { request: REQUEST, slot: SLOT },
        status: Status::DeviceFault { code: 700 },
        input_held: true,
    };
    Message::Result(ActionResult {
        action: ActionId(77),
        status: Status::DeviceFault { code: 700 },
        items: [outcome].into_iter().collect(),
        stages: stages(),
    })
}

/// What the page's vectors mean, by name.
fn meanings() -> Vec<(&'static str, Message)> {
    let welcome = Welcome { version: 1, features: 0, id: 0, epoch: 0, requests: 64, payload_bytes: 64 << 20 };
    let late = Refusal::Rejected(Reject::WouldBeLate { predicted: Nanos::millis(120) });
    let ask = Message::Ask {
        request: REQUEST,
        model: MODEL,
        shape: ShapeId(0),
        slo: Nanos::millis(100),
        arrival: Nanos(1000),
        return_bound: Nanos(500),
    };
    let answer = SyncAnswer { received: Nanos(2000), sent: Nanos(2001) };
    vec![
        ("HELLO of a client", hello()),
        ("HELLO of a client, shortest", hello()),
        ("WELCOME of a gateway", Message::Welcome(welcome)),
        ("LOOKUP", Message::Lookup { id: 41, model: ModelId(0), name: Name::from("tiny").unwrap() }),
        ("CATALOG", catalog()),
        ("CATALOG, unknown", Message::Catalog(Box::new(Catalog { id: 41, index: 0, total: 0, entry: None }))),
        ("REQUEST", Message::Request { id: 42, model: MODEL, shape: ShapeId(0), slo: Nanos::millis(100), payload: 64 }),
        ("RESPONSE, in time", response(Outcome::Done { late: false }, stages(), 64)),
        ("RESPONSE, would be late", response(Outcome::Refused(late), Stages::default(), 0)),
        ("WITHDRAW", Message::Withdraw { id: 42 }),
        ("PEER", Message::Peer { worker: WorkerId(3), address: Some(SocketAddr::from(([10, 0, 0, 7], 7102))) }),
        ("ASK", ask),
        ("PLACE", Message::Place { request: REQUEST, worker: WorkerId(3), slot: SLOT }),
        ("REJECT", Message::Reject { request: REQUEST, refusal: Refusal::Revoked(Reject::WorkerLost) }),
        ("ENDED", Message::Ended { request: REQUEST, end: End::Revoked, at: Nanos(9000) }),
        ("INPUT", Message::Input { request: REQUEST, slot: SLOT, payload: 64 }),
        ("OUTPUT", Message::Output { request: REQUEST, slot: SLOT, stages: stages(), payload: 64 }),
        ("ACTION, INFER", infer()),
        ("CANCEL", Message::Cancel { action: ActionId(77) }),
        ("DISCARD", Message::Discard { slot: SLOT }),
        ("RESULT", result()),
        ("FREED", Message::Freed { slots: [SLOT].into_iter().collect() }),
        ("SYNC, question", Message::Sync(Sync { id: 9, origin: Nanos(1000), answer: None })),
        ("SYNC, answer", Message::Sync(Sync { id: 9, origin: Nanos(1000), answer: Some(answer) })),
        ("STATUS_QUERY", Message::StatusQuery { id: 1, topic: Topic::Models }),
        ("STATUS_REPLY", Message::StatusReply { id: 1, payload: 2 }),
        ("FAULT", Message::Fault(PeerFault::BadVersion { found: 2, own: 1 })),
        ("GOODBYE", Message::Goodbye),
    ]
}

#[test]
fn the_page_shows_the_bytes_that_are_sent_and_read() {
    let vectors = vectors();
    for (name, message) in meanings() {
        let shown = vectors.iter().find(|vector| vector.name == name);
        let bytes = hex(&frame(&message));
        let Some(vector) = shown else { panic!("docs/protocol.md lacks this vector:\n```vector {name}\n{bytes}\n```") };
        let read = next_frame(&vector.bytes);
        assert_eq!(read.map(|frame| frame.map(|frame| frame.message)), Ok(Some(message)), "{name}: should be {bytes}");
        assert!(!vector.sent || hex(&vector.bytes) == bytes, "{name}: shown {}\nsent {bytes}", hex(&vector.bytes));
    }
    assert_eq!(vectors.len(), meanings().len(), "a vector of the page has no meaning here");
}

#[test]
fn the_page_names_every_kind_with_its_number() {
    for kind in clockwork_runtime::wire::Kind::ALL {
        let name: String = format!("{kind:?}")
            .char_indices()
            .flat_map(|(at, letter)| {
                let gap = if at > 0 && letter.is_uppercase() { "_" } else { "" };
                gap.chars().chain(letter.to_uppercase()).collect::<Vec<_>>()
            })
            .collect();
        let row = format!("| {} | {name} |", kind as u16);
        assert!(PAGE.contains(&row), "docs/protocol.md lacks the row {row}");
    }
}
