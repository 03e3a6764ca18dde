//! A gateway that speaks the protocol and nothing else: for tests of what talks to gateways.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test stops where it goes wrong")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use runtime::base::{ModelId, Nanos, ShapeId};
use runtime::client::connection::Connection;
use runtime::client::{now, payload};
use runtime::order::{Reject, Span, Stages};
use runtime::package::{Shape, TensorSpec, TensorType};
use runtime::wire::{Catalog, Message, ModelEntry, Name, Outcome, PeerFault, Refusal, Response, Welcome};

/// What the gateway does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Answers at once, the input's bytes as output.
    Echo,
    /// Answers so long after the request came, calling it in time.
    After(Duration),
    /// Ends it without an answer.
    End(Outcome),
    /// Says nothing unless it is withdrawn.
    Ignore,
    /// One server, first in, first out, each so long; refuses what would be late.
    Serve(Duration),
    /// Cuts the client off.
    CutOff(PeerFault),
    /// Closes the connection.
    HangUp,
}

/// One model: 5 bytes in, 5 bytes out.
pub fn model() -> ModelEntry {
    let tensor = |name: &str| TensorSpec {
        name: name.to_owned(),
        kind: TensorType::U8,
        shapes: vec![Shape::try_from([5].as_slice()).unwrap()],
    };
    ModelEntry {
        model: ModelId(0xfeed),
        name: Name::from("echo").unwrap(),
        class: 0,
        shapes: 1,
        inputs: vec![tensor("in")],
        outputs: vec![tensor("out")],
    }
}

/// Starts a gateway that follows `rule` with `credit` requests a client; it ends with the process.
pub fn start(rule: Rule, credit: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || serve(stream, rule, credit));
        }
    });
    address
}

/// Answers that are to be sent, by a thread of their own so that reading never waits.
struct Order {
    at: Nanos,
    response: Response,
    payload: Vec<u8>,
}

type Shared = Arc<Mutex<Connection>>;

fn lock(connection: &Shared) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap()
}

fn say(connection: &Shared, message: &Message, payload: Vec<u8>) -> bool {
    let mut connection = lock(connection);
    connection.queue(message, payload.into()).unwrap();
    connection.flush().is_ok()
}

fn answers(orders: &Receiver<Order>, out: &Shared) {
    while let Ok(order) = orders.recv() {
        std::thread::sleep(Duration::from_nanos(order.at.since(now()).0));
        let response = Response { answered: now(), ..order.response };
        if !say(out, &Message::Response(response), order.payload) {
            return;
        }
    }
}

fn serve(stream: TcpStream, rule: Rule, credit: u32) {
    let peer = stream.peer_addr().unwrap();
    let out = Arc::new(Mutex::new(Connection::new(stream.try_clone().unwrap(), peer).unwrap()));
    let mut connection = Connection::new(stream, peer).unwrap();
    let (sender, receiver) = channel();
    let answering = Arc::clone(&out);
    std::thread::spawn(move || answers(&receiver, &answering));
    let mut free_at = Nanos::ZERO;
    while let Ok(Some(message)) = connection.receive() {
        match message {
            Message::Hello(_) => {
                let welcome =
                    Welcome { version: 1, features: 0, id: 0, epoch: 0, requests: credit, payload_bytes: 1 << 20 };
                say(&out, &Message::Welcome(welcome), vec![]);
            }
            Message::Lookup { id, name, .. } => {
                let entry = (name.as_str() == "echo").then(model);
                let total = u32::from(entry.is_some());
                say(&out, &Message::Catalog(Box::new(Catalog { id, index: 0, total, entry })), vec![]);
            }
            Message::StatusQuery { id, topic } => {
                let text = format!("{{\"topic\": \"{topic:?}\"}}").into_bytes();
                let payload = u32::try_from(text.len()).unwrap();
                say(&out, &Message::StatusReply { id, payload }, text);
            }
            Message::Withdraw { id } => {
                let outcome = Outcome::Refused(Refusal::Revoked(Reject::Withdrawn));
                say(&out, &Message::Response(ended(id, outcome, now())), vec![]);
            }
            Message::Request { id, slo, .. } => match rule {
                Rule::HangUp => return lock(&out).stream().shutdown(std::net::Shutdown::Both).unwrap(),
                Rule::CutOff(fault) => {
                    say(&out, &Message::Fault(fault), vec![]);
                }
                rule => request(rule, id, slo, connection.payload(), &mut free_at, &sender),
            },
            other => panic!("a client said {other:?}"),
        }
    }
}

fn ended(id: u64, outcome: Outcome, arrival: Nanos) -> Response {
    Response { id, outcome, arrival, answered: arrival, stages: Stages::default(), payload: 0 }
}

fn request(rule: Rule, id: u64, slo: Nanos, input: &[u8], free_at: &mut Nanos, orders: &Sender<Order>) {
    let arrival = now();
    let nanos = |duration: Duration| Nanos(u64::try_from(duration.as_nanos()).unwrap());
    let done = |begin: Nanos, end: Nanos| {
        let payload = echo(input);
        let exec = Span { begin, end };
        let stages = Stages { received: arrival, input: Span { begin: arrival, end: arrival }, exec, output: exec };
        let bytes = u32::try_from(payload.len()).unwrap();
        let response =
            Response { stages, payload: bytes, ..ended(id, Outcome::Done { late: end > arrival + slo }, arrival) };
        Order { at: end, response, payload }
    };
    let order = match rule {
        Rule::Echo => done(arrival, arrival),
        Rule::After(wait) => Order {
            response: Response { outcome: Outcome::Done { late: false }, ..done(arrival, arrival).response },
            ..done(arrival, arrival + nanos(wait))
        },
        Rule::End(outcome) => Order { at: arrival, response: ended(id, outcome, arrival), payload: vec![] },
        Rule::Serve(service) => {
            let begin = arrival.max(*free_at);
            let end = begin + nanos(service);
            if end > arrival + slo {
                let predicted = end.since(arrival);
                let outcome = Outcome::Refused(Refusal::Rejected(Reject::WouldBeLate { predicted }));
                Order { at: Nanos::ZERO, response: ended(id, outcome, arrival), payload: vec![] }
            } else {
                *free_at = end;
                done(begin, end)
            }
        }
        Rule::Ignore | Rule::HangUp | Rule::CutOff(_) => return,
    };
    // The client may be gone: then nobody waits for the answer.
    orders.send(order).unwrap_or_default();
}

fn echo(input: &[u8]) -> Vec<u8> {
    let layout = payload::layout(&model(), ShapeId(0)).unwrap();
    input[..layout.outputs.bytes as usize].to_vec()
}
