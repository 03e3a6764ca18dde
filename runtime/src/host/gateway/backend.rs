//! The gateway's other side: the controller that decides, and the workers that payloads go to.

use std::net::SocketAddr;

use super::{Gateway, INPUT_TAG, Incoming, RETRY};
use crate::base::limits::MAX_WORKERS;
use crate::base::{Nanos, RequestId, SlotId, WorkerId};
use crate::controller::clock_sync::{ClockSync, Stamps};
use crate::gateway::{CatalogModel, Event};
use crate::host::role::{Io, Poll, clock};
use crate::net::{LinkId, PayloadOut};
use crate::order::{Span, Stages};
use crate::wire::handshake::VERSION;
use crate::wire::message::SyncAnswer;
use crate::wire::{Catalog, Hello, Message, PeerFault, PeerRole, Refusal, Sync};

/// How often a worker's clock is compared.
const SYNC_PERIOD: Nanos = Nanos::millis(500);

/// A worker that inputs go to.
#[derive(Debug)]
pub(super) struct WorkerLink {
    worker: WorkerId,
    address: SocketAddr,
    /// None while there is no connection.
    link: Option<LinkId>,
    /// It has answered HELLO: before that no input may go to it.
    welcomed: bool,
    retry_at: Nanos,
    clock: ClockSync,
    sync_at: Nanos,
}

/// Who is at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Controller,
    Worker(WorkerId),
}

/// Links to controller and workers.
#[derive(Debug)]
pub(super) struct Backend {
    controller: Option<LinkId>,
    retry_at: Nanos,
    enlisted: bool,
    /// All models of the controller's listing have come.
    listed: bool,
    id: u16,
    epoch: u64,
    workers: Vec<WorkerLink>,
}

impl Backend {
    pub(super) fn new() -> Backend {
        Backend {
            controller: None,
            retry_at: Nanos::ZERO,
            enlisted: false,
            listed: false,
            id: 0,
            epoch: 0,
            workers: Vec::with_capacity(MAX_WORKERS),
        }
    }

    /// Whether requests can be asked for and their inputs sent.
    pub(super) fn is_ready(&self) -> bool {
        self.enlisted && self.listed && self.workers.iter().all(|worker| worker.welcomed)
    }

    pub(super) fn peer(&self, link: LinkId) -> Option<Peer> {
        if self.controller == Some(link) {
            return Some(Peer::Controller);
        }
        let worker = self.workers.iter().find(|worker| worker.link == Some(link))?;
        Some(Peer::Worker(worker.worker))
    }

    pub(super) fn closed(&mut self, now: Nanos, link: LinkId) {
        if self.controller == Some(link) {
            (self.controller, self.enlisted, self.retry_at) = (None, false, now + RETRY);
        }
        for worker in self.workers.iter_mut().filter(|worker| worker.link == Some(link)) {
            (worker.link, worker.welcomed, worker.retry_at) = (None, false, now + RETRY);
        }
    }
}

impl Gateway {
    /// Opens what should be open; says when it wants to try again.
    pub(super) fn connect(&mut self, now: Nanos, io: &mut Io) -> Poll {
        let owner = self.owner;
        let mut next = Poll::Idle;
        if self.backend.controller.is_none() {
            if self.backend.retry_at <= now {
                self.backend.controller = io.net.connect(&mut io.ring, self.config.controller, owner).ok();
                self.backend.retry_at = now + RETRY;
            }
            next = Poll::At(self.backend.retry_at);
        }
        for worker in &mut self.backend.workers {
            match worker.link {
                None if worker.retry_at <= now => {
                    worker.link = io.net.connect(&mut io.ring, worker.address, owner).ok();
                    worker.retry_at = now + RETRY;
                    next = next.min(Poll::At(worker.retry_at));
                }
                None => next = next.min(Poll::At(worker.retry_at)),
                Some(_) if !worker.welcomed => {}
                Some(link) => {
                    if worker.sync_at <= now {
                        worker.sync_at = now + SYNC_PERIOD;
                        let question = Sync { id: 0, origin: clock(), answer: None };
                        let _ = io.net.send(link, &Message::Sync(question), None);
                    }
                    next = next.min(Poll::At(worker.sync_at));
                }
            }
        }
        next
    }

    pub(super) fn greet(&mut self, link: LinkId, io: &mut Io) {
        let hello = Hello {
            role: PeerRole::Gateway,
            version_min: VERSION,
            version_max: VERSION,
            features: 0,
            id: self.backend.id,
            epoch: self.backend.epoch,
            requests: self.config.requests.into(),
            worker: None,
            clock: sys::clock::identity(),
        };
        if io.net.send(link, &Message::Hello(Box::new(hello)), None).is_err() {
            io.net.close(link);
        }
    }

    /// Before the controller has said WELCOME nothing goes to it: those requests end by their deadline.
    pub(super) fn send_controller(&mut self, message: &Message, io: &mut Io) {
        let Some(link) = self.backend.controller.filter(|_| self.backend.enlisted) else { return };
        if io.net.send(link, message, None).is_err() {
            io.net.close(link);
        }
    }

    pub(super) fn send_input(&mut self, now: Nanos, request: RequestId, worker: WorkerId, slot: SlotId, io: &mut Io) {
        let known = self.backend.workers.iter().find(|known| known.worker == worker);
        let bytes = self.core.input_bytes(request).unwrap_or(0);
        let place = &mut self.places[usize::from(request.index)];
        // A worker that is gone takes no input, nor does a link that is full of others: the scheduler
        // learns that it is missing and plans again.
        let welcomed = known.filter(|known| known.welcomed);
        let Some(link) = welcomed.and_then(|known| known.link).filter(|_| bytes > 0 && place.input.get().is_some())
        else {
            return self.tell(now, Event::InputSent(request), io);
        };
        let payload =
            PayloadOut { tag: INPUT_TAG | request.to_bits(), lease: place.input.take(), bytes: bytes as usize };
        let message = Message::Input { request, slot, payload: bytes };
        if let Err(error) = io.net.send(link, &message, Some(payload)) {
            if let Some(lease) = error.payload {
                self.places[usize::from(request.index)].input.put(lease);
            }
            self.tell(now, Event::InputSent(request), io);
        }
    }

    pub(super) fn on_backend(&mut self, now: Nanos, link: LinkId, peer: Peer, message: Message, io: &mut Io) {
        let kind = message.kind();
        match (peer, message) {
            (_, Message::Sync(Sync { id, origin, answer: None })) => {
                let answer = Some(SyncAnswer { received: now, sent: clock() });
                let _ = io.net.send(link, &Message::Sync(Sync { id, origin, answer }), None);
            }
            (Peer::Worker(worker), Message::Sync(Sync { origin, answer: Some(answer), .. })) => {
                let stamps =
                    Stamps { sent: origin, peer_received: answer.received, peer_sent: answer.sent, received: now };
                if let Some(known) = self.backend.workers.iter_mut().find(|known| known.worker == worker) {
                    known.clock.record(stamps);
                }
            }
            (Peer::Worker(worker), Message::Welcome(_)) => {
                self.backend
                    .workers
                    .iter_mut()
                    .filter(|known| known.worker == worker)
                    .for_each(|known| known.welcomed = true);
            }
            (Peer::Controller, Message::Welcome(welcome)) => {
                (self.backend.id, self.backend.epoch) = (welcome.id, welcome.epoch);
                self.backend.enlisted = true;
                self.core.enlist(crate::base::GatewayId(welcome.id));
            }
            (Peer::Controller, Message::Catalog(catalog)) => self.on_catalog(now, *catalog, io),
            (Peer::Controller, Message::Peer { worker, address }) => self.on_peer(worker, address, io),
            (Peer::Controller, Message::Place { request, worker, slot }) => {
                self.tell(now, Event::Place { request, worker, slot }, io);
            }
            (Peer::Controller, Message::Reject { request, refusal }) => {
                let event = match refusal {
                    Refusal::Rejected(reason) => Event::Reject { request, reason },
                    Refusal::Revoked(reason) => Event::Revoke { request, reason },
                    Refusal::Failed(status) => Event::Fail { request, status },
                };
                self.tell(now, event, io);
            }
            (Peer::Worker(worker), Message::Output { request, slot, stages, payload }) => {
                self.on_output(now, link, (worker, slot), request, stages, payload, io);
            }
            _ => io.net.cut_off(link, PeerFault::Unexpected { kind: kind as u16, role: 0 }),
        }
    }

    fn on_catalog(&mut self, now: Nanos, catalog: Catalog, io: &mut Io) {
        self.backend.listed |= catalog.index + 1 >= catalog.total;
        let Some(entry) = catalog.entry else { return };
        if self.core.model(entry.model).is_some() {
            return;
        }
        let model = CatalogModel {
            model: entry.model,
            name: entry.name.to_string(),
            inputs: entry.inputs,
            outputs: entry.outputs,
        };
        self.tell(now, Event::Catalog(Box::new(model)), io);
    }

    fn on_peer(&mut self, worker: WorkerId, address: Option<SocketAddr>, io: &mut Io) {
        let old = self.backend.workers.iter().position(|known| known.worker == worker);
        if let Some(old) = old {
            let gone = self.backend.workers.swap_remove(old);
            if let Some(link) = gone.link {
                io.net.close(link);
            }
        }
        if let Some(address) = address
            && self.backend.workers.len() < MAX_WORKERS
        {
            self.backend.workers.push(WorkerLink {
                worker,
                address,
                link: None,
                welcomed: false,
                retry_at: Nanos::ZERO,
                clock: ClockSync::new(),
                sync_at: Nanos::ZERO,
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    fn on_output(
        &mut self,
        now: Nanos,
        link: LinkId,
        from: (WorkerId, SlotId),
        request: RequestId,
        stages: Stages,
        bytes: u32,
        io: &mut Io,
    ) {
        // A gateway that is gone may have had requests of the same names: their outputs come here.
        if self.core.placed_at(request) != Some(from) {
            return if bytes > 0 {
                io.net.drain(link)
            };
        }
        let stages = self.in_own_time(from.0, stages);
        if bytes == 0 {
            let (worker, slot) = from;
            return self.tell(now, Event::Output { request, worker, slot, bytes, stages }, io);
        }
        let wanted = self.core.output_bytes(request) == Some(bytes);
        let place = self.places.get_mut(usize::from(request.index)).filter(|_| wanted);
        // An output that nobody waits for any more, or one too many, is read and thrown away.
        match place.filter(|place| place.output.get().is_some_and(|lease| lease.len() >= bytes as usize)) {
            None => io.net.drain(link),
            Some(place) => {
                place.output_of = None;
                let lease = place.output.take();
                self.incoming.push((link, Incoming::Output { request, from, bytes, stages }));
                io.net.receive_into(link, lease);
            }
        }
    }

    /// Stages of a worker in gateway time; all zero while its clock is unknown.
    fn in_own_time(&self, worker: WorkerId, stages: Stages) -> Stages {
        let Some(known) = self.backend.workers.iter().find(|known| known.worker == worker) else {
            return Stages::default();
        };
        let point = |at: Nanos| {
            if at == Nanos::ZERO { at } else { known.clock.to_ours(at).unwrap_or(Nanos::ZERO) }
        };
        let span = |span: Span| Span { begin: point(span.begin), end: point(span.end) };
        Stages {
            received: point(stages.received),
            input: span(stages.input),
            exec: span(stages.exec),
            output: span(stages.output),
        }
    }
}
