//! The gateways' processes, and the clients in front of them.

use std::collections::BTreeMap;

use super::World;
use super::happening::{Connection, Happening, Machine};
use crate::base::{Nanos, RequestId, SlotId, WorkerId};
use crate::gateway::{Answer, ClientId, Core, Event, Outbox, Output, Request, steps};
use crate::order::record::End;
use crate::order::{Span, Stages};
use crate::scheduler::{self, Ask};
use crate::sim::check::Violation;
use crate::sim::clock::Clock;
use crate::sim::inventory;
use crate::sim::workload::{Sender, Sending};

/// One gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) clock: Clock,
    pub(super) core: Core,
    /// The client's number of each request that holds a place.
    numbers: BTreeMap<u64, u64>,
}

impl Gateway {
    pub(super) fn new(core: Core, clock: Clock) -> Gateway {
        Gateway { clock, core, numbers: BTreeMap::new() }
    }
}

/// One request as its client sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    model: u16,
    gateway: usize,
    sending: Sending,
    sent_at: Nanos,
    /// On the gateway's clock, once it arrived there.
    deadline: Nanos,
    /// Its name at the gateway, once it holds a place there.
    request: Option<RequestId>,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) senders: Vec<Sender>,
    calls: BTreeMap<u64, Call>,
    next: u64,
}

impl Clients {
    pub(super) fn new(senders: Vec<Sender>) -> Clients {
        Clients { senders, calls: BTreeMap::new(), next: 0 }
    }
}

impl World {
    /// Puts a model's next request of an open loop on the agenda, while the load lasts.
    pub(super) fn plan_open(&mut self, model: u16) {
        if let Some(sending) = self.clients.senders[usize::from(model)].next_open()
            && sending.at < self.config.length
        {
            self.agenda.put(self.load_from + sending.at, Happening::Send { model, sending });
        }
    }

    /// Puts a request of a closed loop on the agenda, while the load lasts.
    pub(super) fn plan_closed(&mut self, model: u16, after: Nanos) {
        let at = (self.agenda.now() + after).since(self.load_from);
        if at < self.config.length {
            let sending = self.clients.senders[usize::from(model)].next_closed(at);
            self.agenda.put(self.load_from + at, Happening::Send { model, sending });
        }
    }

    /// A client sends.
    pub(super) fn on_send(&mut self, model: u16, sending: Sending) {
        let now = self.agenda.now();
        let number = self.clients.next;
        self.clients.next += 1;
        let gateway = usize::try_from(number).unwrap_or(0) % self.gateways.len();
        let call = Call { model, gateway, sending, sent_at: now, deadline: Nanos::MAX, request: None };
        self.clients.calls.insert(number, call);
        self.check.sent(number, now);
        let bytes = self.config.models[usize::from(model)].input_bytes;
        let delivery = self.links.requests[gateway].send(now, bytes);
        self.agenda.put(delivery.head, Happening::Arrive { number, whole: delivery.whole });
        if let Some(after) = sending.withdraw_after {
            self.agenda.put(now + after, Happening::ChangeMind { number });
        }
        if self.clients.senders[usize::from(model)].closed().is_none() {
            self.plan_open(model);
        }
    }

    /// A request's head is at its gateway.
    pub(super) fn on_arrive(&mut self, number: u64, whole: Nanos) -> Result<(), Violation> {
        let Some(call) = self.clients.calls.get_mut(&number) else { unreachable!("request {number} was sent") };
        let (gateway, model) = (call.gateway, usize::from(call.model));
        let arrival = self.gateways[gateway].clock.read(self.agenda.now());
        self.last_arrival = self.agenda.now();
        let slo = self.clients.senders[model].slo();
        call.deadline = arrival + slo;
        let bytes = self.config.models[model].input_bytes;
        let request = Request {
            client: CLIENT,
            correlation: number,
            model: inventory::model_id(model),
            shape: inventory::SHAPE,
            payload_bytes: bytes,
            arrival,
            slo,
        };
        self.tell_gateway(gateway, Event::Request(request), Some((number, whole)))
    }

    /// A client changes its mind, if it has no answer yet.
    pub(super) fn on_change_mind(&mut self, number: u64) {
        let Some(call) = self.clients.calls.get(&number) else { return };
        let gateway = call.gateway;
        let at = self.links.requests[gateway].send(self.agenda.now(), 0).whole;
        self.agenda.put(at, Happening::Withdraw { number });
    }

    /// A client's change of mind is at its gateway.
    pub(super) fn on_withdraw(&mut self, number: u64) -> Result<(), Violation> {
        let Some(call) = self.clients.calls.get(&number) else { return Ok(()) };
        self.tell_gateway(call.gateway, Event::Withdraw { client: CLIENT, correlation: number }, None)
    }

    /// Tells a gateway something, and others what it says to that. `arriving` is the request whose
    /// head just came, and when its payload will have.
    pub(super) fn tell_gateway(
        &mut self,
        gateway: usize,
        event: Event,
        arriving: Option<(u64, Nanos)>,
    ) -> Result<(), Violation> {
        let now = self.gateways[gateway].clock.read(self.agenda.now());
        let mut out = Outbox::new();
        self.gateways[gateway].core.handle(now, event, &mut out);
        for said in out.drain(..) {
            let clock = self.gateways[gateway].clock;
            if let Some(step) = steps::step(&said, |time| clock.when(time)) {
                self.trace.write(self.agenda.now(), step);
            }
            self.on_gateway_output(gateway, said, arriving)?;
        }
        self.arm(Machine::Gateway(gateway));
        Ok(())
    }

    fn on_gateway_output(
        &mut self,
        gateway: usize,
        said: Output,
        arriving: Option<(u64, Nanos)>,
    ) -> Result<(), Violation> {
        match said {
            Output::Receive { request, .. } => {
                let Some((number, whole)) = arriving else { unreachable!("{request} is received without arriving") };
                self.gateways[gateway].numbers.insert(request.to_bits(), number);
                if let Some(call) = self.clients.calls.get_mut(&number) {
                    call.request = Some(request);
                }
                self.agenda.put(whole, Happening::AtGateway { gateway, event: Event::PayloadWhole(request) });
            }
            Output::Drain { .. } => {}
            Output::Ask { request, model, shape, arrival, slo, return_bound } => {
                let ask = Ask { request, model, shape, arrival, slo, return_bound };
                self.send_controller(gateway, scheduler::Event::Ask(ask));
            }
            Output::Input { request, worker, slot } => self.send_input(gateway, request, worker, slot),
            Output::Respond { correlation, request, answer, .. } => self.respond(correlation, request, answer)?,
            Output::Refuse { correlation, .. } => {
                self.check.answered(correlation)?;
                self.check.ended(End::Rejected);
                self.close(correlation, self.config.client_link.delay, false);
            }
            Output::Withdraw(request) => self.send_controller(gateway, scheduler::Event::Withdraw(request)),
            Output::Ended { request, end, at } => {
                self.send_controller(gateway, scheduler::Event::Ended { request, end, at });
            }
            Output::CutOff(_) => return Err(Violation::CutOff),
        }
        Ok(())
    }

    fn send_controller(&mut self, gateway: usize, event: scheduler::Event) {
        let at = self.links.up[gateway].send(self.agenda.now(), 0).whole;
        self.agenda.put(at, Happening::FromGateway { gateway, event });
    }

    /// Sends a request's inputs to the worker that it is placed on; to one that is lost they get lost.
    fn send_input(&mut self, gateway: usize, request: RequestId, id: WorkerId, slot: SlotId) {
        let worker = usize::from(id.0);
        let sent = Happening::AtGateway { gateway, event: Event::InputSent(request) };
        let Some(connection) = self.workers[worker].connection else {
            self.agenda.put(self.agenda.now(), sent);
            return;
        };
        let number = self.gateways[gateway].numbers.get(&request.to_bits());
        let Some(call) = number.and_then(|number| self.clients.calls.get(number)) else {
            unreachable!("{request} holds a place and so has a client")
        };
        let (bytes, held) = (self.config.models[usize::from(call.model)].input_bytes, call.sending.input_held);
        let delivery = self.links.input(gateway, worker).send(self.agenda.now(), bytes);
        self.agenda.put(delivery.sent, sent);
        let whole = delivery.whole + held;
        self.agenda.put(delivery.head, Happening::Input { worker, connection, request, slot, bytes, whole });
    }

    /// A gateway answers a request that holds a place.
    fn respond(&mut self, number: u64, request: RequestId, answer: Answer) -> Result<(), Violation> {
        self.check.answered(number)?;
        let Some(call) = self.clients.calls.get(&number) else { unreachable!("request {number} is open") };
        let bytes = match answer {
            Answer::Ok => self.config.models[usize::from(call.model)].output_bytes,
            _ => 0,
        };
        let gateway = call.gateway;
        let delivery = self.links.answers[gateway].send(self.agenda.now(), bytes);
        self.agenda.put(delivery.sent, Happening::Sent { number, request, end: answer.end() });
        Ok(())
    }

    /// The last byte of an answer left its gateway: now its end is known.
    pub(super) fn on_sent(&mut self, number: u64, request: RequestId, said: End) -> Result<(), Violation> {
        let Some(call) = self.clients.calls.get(&number) else { unreachable!("request {number} is answered once") };
        let (gateway, now) = (call.gateway, self.agenda.now());
        let in_time = self.gateways[gateway].clock.read(now) <= call.deadline;
        let end = if said == End::Ok && !in_time { End::Late } else { said };
        self.check.ended(end);
        self.check.forget(request);
        self.close(number, self.config.client_link.delay, end == End::Ok);
        self.tell_gateway(gateway, Event::Sent(request), None)
    }

    /// The client has its answer after `travel`.
    fn close(&mut self, number: u64, travel: Nanos, in_time: bool) {
        let Some(call) = self.clients.calls.remove(&number) else { return };
        if let Some(request) = call.request {
            self.gateways[call.gateway].numbers.remove(&request.to_bits());
        }
        let answered = Happening::Answered { model: call.model, sent_at: call.sent_at, in_time };
        self.agenda.put(self.agenda.now() + travel, answered);
    }

    /// A client has its answer.
    pub(super) fn on_answered(&mut self, model: u16, sent_at: Nanos, in_time: bool) {
        if in_time {
            self.tally.latencies.push(self.agenda.now().since(sent_at));
        }
        if self.clients.senders[usize::from(model)].closed().is_some() {
            self.plan_closed(model, self.clients.senders[usize::from(model)].think());
        }
    }

    /// An output is whole at its gateway.
    pub(super) fn on_output(
        &mut self,
        worker: usize,
        connection: Connection,
        (request, slot): (RequestId, SlotId),
        bytes: u32,
        stages: Stages,
    ) -> Result<(), Violation> {
        if self.workers[worker].connection != Some(connection) {
            return Ok(());
        }
        let gateway = usize::from(request.gateway.0);
        let (from, to) = (self.workers[worker].clock, self.gateways[gateway].clock);
        let point = |at: Nanos| if at == Nanos::ZERO { at } else { to.read(from.when(at)) };
        let span = |span: Span| Span { begin: point(span.begin), end: point(span.end) };
        let stages = Stages {
            received: point(stages.received),
            input: span(stages.input),
            exec: span(stages.exec),
            output: span(stages.output),
        };
        let worker = self.workers[worker].id;
        self.tell_gateway(gateway, Event::Output { request, worker, slot, bytes, stages }, None)
    }
}

/// The one client connection of each gateway, over which all requests come.
const CLIENT: ClientId = ClientId { index: 0, generation: 0 };
