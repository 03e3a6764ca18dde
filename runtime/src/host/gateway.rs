//! The gateway's role: clients on one side, controller and workers on the other, payloads in between.

mod backend;
mod clients;

use std::net::SocketAddr;

use sys::memory::{HostLease, MemoryError};
use sys::uring::Completion;

use super::config::GatewayConfig;
use super::role::{Io, Poll, Role, clock};
use crate::base::{Nanos, RequestId, SlotId, WorkerId};
use crate::device::Held;
use crate::gateway::{self, Answer, Core, Event, Outbox, Output, steps};
use crate::net::{LinkId, NetError, NetEvent, Owner, PayloadOut};
use crate::order::Stages;
use crate::order::record::Record;
use crate::wire::{Message, Outcome, PeerRole, Refusal, Response};

use backend::Backend;
use clients::Clients;

/// How long after losing its controller a gateway tries again.
const RETRY: Nanos = Nanos::millis(500);

/// Payload memory of one place of the slab.
#[derive(Debug)]
struct Place {
    input: Held<HostLease>,
    output: Held<HostLease>,
    /// The request whose output lies in `output`, or is on its way there.
    output_of: Option<RequestId>,
}

/// What the payload is that a link is receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Incoming {
    /// A request's inputs.
    Input(RequestId),
    /// A request's outputs, with the stages that they went through.
    Output { request: RequestId, from: (WorkerId, SlotId), bytes: u32, stages: Stages },
}

/// The gateway's role.
#[derive(Debug)]
pub struct Gateway {
    owner: Owner,
    config: GatewayConfig,
    core: Core,
    clients: Clients,
    backend: Backend,
    places: Vec<Place>,
    incoming: Vec<(LinkId, Incoming)>,
    record: Record,
}

/// The highest bits of a tag say which payload it is.
const INPUT_TAG: u64 = 0;
const OUTPUT_TAG: u64 = 1 << 63;

impl Gateway {
    /// Takes the payload memory of every place, and listens for clients.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn start(
        config: &GatewayConfig,
        record: Record,
        io: &mut Io,
        owner: Owner,
    ) -> Result<(Gateway, SocketAddr), GatewayError> {
        let (count, bytes) = (usize::from(config.requests), config.payload_bytes as usize);
        let memory = |source| GatewayError::Memory { places: count, bytes, source };
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let (input, output) =
                (HostLease::locked(bytes).map_err(memory)?, HostLease::locked(bytes).map_err(memory)?);
            places.push(Place {
                input: Held::new("a request's input", input),
                output: Held::new("a request's output", output),
                output_of: None,
            });
        }
        let settings =
            gateway::Config { requests: count, payload_bytes: config.payload_bytes, ..gateway::Config::default() };
        let listener = io.net.listen(&mut io.ring, config.listen, owner)?;
        let address = io.net.address(listener);
        let gateway = Gateway {
            owner,
            config: config.clone(),
            core: Core::new(settings),
            clients: Clients::new(),
            backend: Backend::new(),
            places,
            incoming: Vec::with_capacity(2 * count),
            record,
        };
        Ok((gateway, address))
    }

    /// Tells the core what happened and does what it says.
    fn tell(&mut self, now: Nanos, event: Event, io: &mut Io) {
        let mut out = Outbox::new();
        self.core.handle(now, event, &mut out);
        for output in out.drain(..) {
            if self.record.is_on()
                && let Some(step) = steps::step(&output, |time| time)
            {
                self.record.write(clock(), step);
            }
            self.carry_out(now, output, io);
        }
    }

    fn carry_out(&mut self, now: Nanos, output: Output, io: &mut Io) {
        match output {
            Output::Receive { client, request, bytes } => {
                let Some(link) = self.clients.link(client) else { return };
                if bytes == 0 {
                    return self.tell(now, Event::PayloadWhole(request), io);
                }
                let lease = self.places[usize::from(request.index)].input.take();
                self.incoming.push((link, Incoming::Input(request)));
                io.net.receive_into(link, lease);
            }
            Output::Drain { client, bytes } => {
                if let Some(link) = self.clients.link(client).filter(|_| bytes > 0) {
                    io.net.drain(link);
                }
            }
            Output::Ask { request, model, shape, arrival, slo, return_bound } => {
                let ask = Message::Ask { request, model, shape, slo, arrival, return_bound };
                self.send_controller(&ask, io);
            }
            Output::Input { request, worker, slot } => self.send_input(now, request, worker, slot, io),
            Output::Respond { client, correlation, request, answer, stages } => {
                self.respond(now, Some(request), client, correlation, answer, stages, io);
            }
            Output::Refuse { client, correlation, reason } => {
                self.respond(now, None, client, correlation, Answer::Rejected(reason), Stages::default(), io);
            }
            Output::Withdraw(request) => self.send_controller(&Message::Withdraw { id: request.to_bits() }, io),
            Output::Ended { request, end, at } => self.send_controller(&Message::Ended { request, end, at }, io),
            Output::CutOff(client) => {
                if let Some(link) = self.clients.link(client) {
                    io.net.close(link);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one output")]
    fn respond(
        &mut self,
        now: Nanos,
        request: Option<RequestId>,
        client: gateway::ClientId,
        correlation: u64,
        answer: Answer,
        stages: Stages,
        io: &mut Io,
    ) {
        let payload = request.filter(|_| answer == Answer::Ok).and_then(|request| self.take_output(request));
        let bytes = payload.as_ref().map_or(0, |payload| payload.bytes);
        let response = Response {
            id: correlation,
            outcome: outcome(answer),
            // A request that holds no place was refused as it came.
            arrival: request.and_then(|request| self.core.arrival(request)).unwrap_or(now),
            answered: now,
            stages,
            payload: u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        let sent = match self.clients.link(client) {
            Some(link) => io.net.send(link, &Message::Response(response), payload),
            None => {
                Err(crate::net::SendError { cause: crate::net::SendCause::Closed, payload: payload.map(|p| p.lease) })
            }
        };
        let Some(request) = request else { return };
        match sent {
            // A payload's end comes as an event; a bare frame counts as sent when it is queued.
            Ok(()) if bytes > 0 => {}
            Ok(()) => self.tell(now, Event::Sent(request), io),
            Err(error) => {
                if let Some(lease) = error.payload {
                    self.places[usize::from(request.index)].output.put(lease);
                }
                self.tell(now, Event::Sent(request), io);
                if let Some(link) = self.clients.link(client) {
                    io.net.close(link);
                }
            }
        }
    }

    /// The output that came for a request, if it still lies in its place.
    fn take_output(&mut self, request: RequestId) -> Option<PayloadOut> {
        let bytes = self.core.output_bytes(request)? as usize;
        let place = &mut self.places[usize::from(request.index)];
        if place.output_of != Some(request) || bytes == 0 {
            return None;
        }
        place.output_of = None;
        Some(PayloadOut { tag: OUTPUT_TAG | request.to_bits(), lease: place.output.take(), bytes })
    }

    fn on_payload(&mut self, now: Nanos, link: LinkId, lease: HostLease, whole: bool, io: &mut Io) {
        let Some(found) = self.incoming.iter().position(|(from, _)| *from == link) else {
            unreachable!("only what was announced is received")
        };
        let (_, incoming) = self.incoming.swap_remove(found);
        match incoming {
            Incoming::Input(request) => {
                self.places[usize::from(request.index)].input.put(lease);
                if whole {
                    self.tell(now, Event::PayloadWhole(request), io);
                }
            }
            Incoming::Output { request, from: (worker, slot), bytes, stages } => {
                let place = &mut self.places[usize::from(request.index)];
                place.output.put(lease);
                if whole {
                    place.output_of = Some(request);
                    self.tell(now, Event::Output { request, worker, slot, bytes, stages }, io);
                }
            }
        }
    }

    fn on_sent(&mut self, now: Nanos, tag: u64, lease: HostLease, io: &mut Io) {
        let request = RequestId::from_bits(tag & !OUTPUT_TAG);
        let place = &mut self.places[usize::from(request.index)];
        if tag & OUTPUT_TAG == OUTPUT_TAG {
            place.output.put(lease);
            self.tell(now, Event::Sent(request), io);
        } else {
            place.input.put(lease);
            self.tell(now, Event::InputSent(request), io);
        }
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Ok => Outcome::Done { late: false },
        Answer::Late => Outcome::Expired,
        Answer::Rejected(reason) => Outcome::Refused(Refusal::Rejected(reason)),
        Answer::Revoked(reason) => Outcome::Refused(Refusal::Revoked(reason)),
        Answer::Failed(status) => Outcome::Refused(Refusal::Failed(status)),
        Answer::Withdrawn => Outcome::Refused(Refusal::Rejected(crate::order::Reject::Withdrawn)),
    }
}

impl Role for Gateway {
    fn on_net(&mut self, now: Nanos, event: NetEvent, io: &mut Io) {
        match event {
            NetEvent::Accepted { .. } => {}
            NetEvent::Connected { link } => self.greet(link, io),
            NetEvent::Message { link, message } => match self.backend.peer(link) {
                Some(peer) => self.on_backend(now, link, peer, message, io),
                None => self.on_client(now, link, message, io),
            },
            NetEvent::Payload { link, lease, whole } => self.on_payload(now, link, lease, whole, io),
            NetEvent::Sent { tag, lease, .. } => self.on_sent(now, tag, lease, io),
            NetEvent::Closed { link, .. } => {
                if let Some(client) = self.clients.remove(link) {
                    self.tell(now, Event::ClientGone(client), io);
                } else {
                    self.backend.closed(now, link);
                }
            }
        }
    }

    fn owns(&self, _user: u64) -> bool {
        false
    }

    fn on_completion(&mut self, _now: Nanos, _completion: Completion, _io: &mut Io) {
        unreachable!("a gateway puts nothing but links into the ring");
    }

    fn poll(&mut self, now: Nanos, io: &mut Io) -> Poll {
        while self.core.due().is_some_and(|due| due <= now) {
            self.tell(now, Event::Tick, io);
        }
        let connecting = self.connect(now, io);
        Poll::due(self.core.due()).min(connecting)
    }

    /// It has its catalog, and every worker has welcomed it.
    fn is_ready(&self) -> bool {
        self.backend.is_ready()
    }

    fn refuse(&mut self, now: Nanos, io: &mut Io) {
        self.tell(now, Event::Drain, io);
    }

    fn is_quiet(&self) -> bool {
        self.core.held() == 0
    }

    fn take_record(&mut self) -> Record {
        std::mem::replace(&mut self.record, Record::new(0))
    }
}

/// Why a gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The slab can't be taken.
    #[error(
        "slab of {places} requests with {bytes} bytes each way: {source}; set gateway.requests or gateway.payload_bytes lower"
    )]
    Memory {
        /// Places wanted.
        places: usize,
        /// Bytes of each.
        bytes: usize,
        /// Why not.
        source: MemoryError,
    },
    /// It can't listen.
    #[error(transparent)]
    Net(#[from] NetError),
}

/// Whether a peer of this role may be a client of a gateway.
fn is_client(role: PeerRole) -> bool {
    matches!(role, PeerRole::Client | PeerRole::Control)
}
