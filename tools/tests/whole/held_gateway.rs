//! A gateway of the test: the gateway's own logic between a controller and a worker of the real
//! binary, with a hand on the inputs that it sends.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};

use runtime::base::{GatewayId, ModelId, Nanos, RequestId, ShapeId, SlotId, WorkerId};
use runtime::gateway::{Answer, CatalogModel, ClientId, Config, Core, Event, Outbox, Output, Request, steps};
use runtime::order::record::Step;
use runtime::wire::handshake::VERSION;
use runtime::wire::message::SyncAnswer;
use runtime::wire::{Hello, Message, PeerRole, Refusal, Sync};

use super::program::PATIENCE;
use super::raw::{Raw, frame};

/// Its only client, who is the test.
const CLIENT: ClientId = ClientId { index: 0, generation: 0 };
/// Time that its requests have: far more than any machine needs.
const SLO: Nanos = Nanos::seconds(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Controller,
    Worker,
}

/// The gateway.
pub struct HeldGateway {
    core: Core,
    controller: TcpStream,
    /// Frames for the controller that leave together: before anything is waited for.
    unsent: Vec<u8>,
    worker: Option<TcpStream>,
    worker_id: WorkerId,
    /// The worker has answered HELLO.
    welcomed: bool,
    epoch: u64,
    id: u16,
    come: Receiver<(Peer, Message)>,
    sender: Sender<(Peer, Message)>,
    /// By the test's number: payload length, and whether its input is held back.
    requests: BTreeMap<u64, (u32, bool)>,
    /// Inputs that are held back.
    held: Vec<(RequestId, SlotId, u32)>,
    names: BTreeMap<u64, u64>,
    placed: BTreeSet<u64>,
    answers: BTreeMap<u64, Answer>,
    steps: Vec<Step>,
}

fn now() -> Nanos {
    Nanos(sys::clock::now_ns())
}

fn hello(id: u16, epoch: u64) -> Vec<u8> {
    frame(&Message::Hello(Box::new(Hello {
        role: PeerRole::Gateway,
        version_min: VERSION,
        version_max: VERSION,
        features: 0,
        id,
        epoch,
        requests: 16,
        worker: None,
        clock: 0,
    })))
}

/// Connects, says HELLO, and passes on what comes.
fn connect(address: &str, peer: Peer, hello: &[u8], sender: &Sender<(Peer, Message)>) -> TcpStream {
    let mut raw = Raw::connect(address);
    raw.send(hello);
    let stream = raw.stream.try_clone().expect("a socket can be shared");
    let sender = sender.clone();
    std::thread::spawn(move || {
        while let Some(message) = raw.next() {
            if sender.send((peer, message)).is_err() {
                return;
            }
        }
    });
    stream
}

impl HeldGateway {
    /// Connects to a controller, and waits until it can ask for `models` of them.
    pub fn start(controller: &str, models: usize) -> HeldGateway {
        let (sender, come) = channel();
        let mut gateway = HeldGateway {
            core: Core::new(Config { requests: 16, ..Config::default() }),
            controller: connect(controller, Peer::Controller, &hello(0, 0), &sender),
            unsent: Vec::new(),
            worker: None,
            worker_id: WorkerId(0),
            welcomed: false,
            epoch: 0,
            id: 0,
            come,
            sender,
            requests: BTreeMap::new(),
            held: Vec::new(),
            names: BTreeMap::new(),
            placed: BTreeSet::new(),
            answers: BTreeMap::new(),
            steps: Vec::new(),
        };
        let mut listed = 0;
        while listed < models || !gateway.welcomed {
            listed += usize::from(gateway.next());
        }
        gateway
    }

    /// Asks for a request of zeros; with `hold`, its input stays here until it is released. What is asked without
    /// waiting in between reaches the controller at once.
    pub fn ask(&mut self, number: u64, model: ModelId, bytes: usize, hold: bool) {
        let bytes = u32::try_from(bytes).expect("small");
        self.requests.insert(number, (bytes, hold));
        let (shape, arrival) = (ShapeId(0), now());
        self.tell(Event::Request(Request {
            client: CLIENT,
            correlation: number,
            model,
            shape,
            payload_bytes: bytes,
            arrival,
            slo: SLO,
        }));
    }

    /// Takes a request back.
    pub fn withdraw(&mut self, number: u64) {
        self.tell(Event::Withdraw { client: CLIENT, correlation: number });
    }

    /// Goes on until a request is answered.
    pub fn answer(&mut self, number: u64) -> Answer {
        loop {
            if let Some(&answer) = self.answers.get(&number) {
                return answer;
            }
            self.next();
        }
    }

    /// Sends the inputs that were held back.
    pub fn release(&mut self) {
        for (request, slot, bytes) in std::mem::take(&mut self.held) {
            self.send_input(request, slot, bytes);
        }
    }

    /// Goes on until a request was placed, and its input sent or held back.
    pub fn until_placed(&mut self, number: u64) {
        while !self.placed.contains(&number) {
            self.next();
        }
    }

    /// Takes what has come already.
    pub fn catch_up(&mut self) {
        self.flush();
        while let Ok((peer, message)) = self.come.try_recv() {
            self.take(peer, message);
        }
        self.flush();
    }

    /// What it recorded.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.clone()
    }

    /// Takes the next message; whether it named a model.
    fn next(&mut self) -> bool {
        self.flush();
        let (peer, message) = self.come.recv_timeout(PATIENCE).expect("controller and worker go on");
        self.take(peer, message)
    }

    fn take(&mut self, peer: Peer, message: Message) -> bool {
        match (peer, message) {
            (_, Message::Sync(Sync { id, origin, answer: None })) => {
                let answer = Some(SyncAnswer { received: now(), sent: now() });
                self.send(peer, &Message::Sync(Sync { id, origin, answer }));
            }
            (Peer::Controller, Message::Welcome(welcome)) => {
                (self.id, self.epoch) = (welcome.id, welcome.epoch);
                self.core.enlist(GatewayId(welcome.id));
            }
            (Peer::Worker, Message::Welcome(_)) => self.welcomed = true,
            (Peer::Controller, Message::Peer { worker, address: Some(address) }) => {
                self.worker_id = worker;
                let hello = hello(self.id, self.epoch);
                self.worker = Some(connect(&address.to_string(), Peer::Worker, &hello, &self.sender));
            }
            (Peer::Controller, Message::Catalog(catalog)) => {
                let entry = catalog.entry.expect("a listing names models");
                self.tell(Event::Catalog(Box::new(CatalogModel {
                    model: entry.model,
                    name: entry.name.to_string(),
                    inputs: entry.inputs,
                    outputs: entry.outputs,
                })));
                return true;
            }
            (Peer::Controller, Message::Place { request, worker, slot }) => {
                self.tell(Event::Place { request, worker, slot });
            }
            (Peer::Controller, Message::Reject { request, refusal }) => self.tell(match refusal {
                Refusal::Rejected(reason) => Event::Reject { request, reason },
                Refusal::Revoked(reason) => Event::Revoke { request, reason },
                Refusal::Failed(status) => Event::Fail { request, status },
            }),
            (Peer::Worker, Message::Output { request, slot, stages, payload }) => {
                let worker = self.worker_id;
                self.tell(Event::Output { request, worker, slot, bytes: payload, stages });
            }
            (peer, other) => panic!("{other:?} of {peer:?}"),
        }
        false
    }

    fn send(&mut self, peer: Peer, message: &Message) {
        match (peer, &mut self.worker) {
            (Peer::Controller, _) => self.unsent.extend(frame(message)),
            (Peer::Worker, Some(worker)) => worker.write_all(&frame(message)).expect("the worker takes frames"),
            (Peer::Worker, None) => panic!("a worker is known before it is written to"),
        }
    }

    fn flush(&mut self) {
        self.controller.write_all(&self.unsent).expect("the controller takes frames");
        self.unsent.clear();
    }

    fn tell(&mut self, event: Event) {
        let mut out = Outbox::new();
        let at = now();
        self.core.handle(at, event, &mut out);
        for output in out {
            self.steps.extend(steps::step(&output, |time| time).map(|event| Step { at, event }));
            self.carry_out(output);
        }
    }

    fn send_input(&mut self, request: RequestId, slot: SlotId, payload: u32) {
        self.send(Peer::Worker, &Message::Input { request, slot, payload });
        let worker = self.worker.as_mut().expect("it was written to");
        worker.write_all(&vec![0; payload as usize]).expect("the worker takes inputs");
        self.tell(Event::InputSent(request));
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Receive { request, .. } => {
                let number = self.requests.keys().last().copied().expect("it was asked for");
                self.names.insert(request.to_bits(), number);
                self.tell(Event::PayloadWhole(request));
            }
            Output::Ask { request, model, shape, arrival, slo, return_bound } => {
                let ask = Message::Ask { request, model, shape, slo, arrival, return_bound };
                self.send(Peer::Controller, &ask);
            }
            Output::Input { request, slot, .. } => {
                let number = self.names[&request.to_bits()];
                self.placed.insert(number);
                match self.requests[&number] {
                    (bytes, true) => self.held.push((request, slot, bytes)),
                    (bytes, false) => self.send_input(request, slot, bytes),
                }
            }
            Output::Respond { correlation, request, answer, .. } => {
                self.answers.insert(correlation, answer);
                self.tell(Event::Sent(request));
            }
            Output::Withdraw(request) => self.send(Peer::Controller, &Message::Withdraw { id: request.to_bits() }),
            Output::Ended { request, end, at } => self.send(Peer::Controller, &Message::Ended { request, end, at }),
            Output::Refuse { .. } | Output::Drain { .. } | Output::CutOff(_) => panic!("{output:?}"),
        }
    }
}
