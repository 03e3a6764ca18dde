//! The controller's role: the scheduler, and a session with each worker and gateway.

mod peers;
mod status;

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use sys::uring::Completion;

use super::config::Config;
use super::role::{Io, Poll, Role, clock};
use super::serve::recorder;
use crate::base::{Nanos, RequestId, WorkerId};
use crate::net::{LinkId, NetError, NetEvent, Owner};
use crate::order::record::Record;
use crate::profile::Percentile;
use crate::scheduler::{self, Event, Outbox, Output, Scheduler, steps};
use crate::wire::{Message, ModelEntry, Refusal};

use peers::{Gateways, Workers};

/// The controller's role.
#[derive(Debug)]
pub struct Controller {
    config: Config,
    scheduler: scheduler::Core,
    epoch: u64,
    workers: Workers,
    gateways: Gateways,
    models: Vec<ModelEntry>,
    /// Links of `ctl` and whoever else only asks.
    observers: Vec<LinkId>,
    started: Nanos,
    record: Record,
}

impl Controller {
    /// Listens for gateways, workers and observers.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn start(config: &Config, now: Nanos, io: &mut Io, owner: Owner) -> Result<(Controller, SocketAddr), NetError> {
        let listener = io.net.listen(&mut io.ring, config.controller.listen, owner)?;
        let settings = scheduler::Config {
            percentile: percentile(config.controller.bound_percentile),
            max_requests: usize::from(config.gateway.requests).max(256) * crate::base::limits::MAX_GATEWAYS,
            preload: config.controller.preload,
            input_patience: Nanos::millis(config.controller.input_patience_ms.into()),
            ..scheduler::Config::default()
        };
        let controller = Controller {
            config: config.clone(),
            scheduler: scheduler::Core::new(settings),
            epoch: epoch(),
            workers: Workers::default(),
            gateways: Gateways::default(),
            models: Vec::new(),
            observers: Vec::new(),
            started: now,
            record: recorder(config),
        };
        Ok((controller, io.net.address(listener)))
    }

    fn tell(&mut self, now: Nanos, event: Event, io: &mut Io) {
        let mut out = Outbox::new();
        self.scheduler.handle(now, event, &mut out);
        for output in out.drain(..) {
            if self.record.is_on() {
                let at = clock();
                steps::write(&output, |time| time, |step| self.record.write(at, step));
            }
            self.carry_out(output, io);
        }
    }

    fn carry_out(&mut self, output: Output, io: &mut Io) {
        match output {
            Output::Place { request, worker, slot } => {
                self.send_gateway(request, &Message::Place { request, worker, slot }, io);
            }
            Output::Reject { request, reason } => {
                self.send_gateway(request, &Message::Reject { request, refusal: Refusal::Rejected(reason) }, io);
            }
            Output::Revoke { request, reason } => {
                self.send_gateway(request, &Message::Reject { request, refusal: Refusal::Revoked(reason) }, io);
            }
            Output::Fail { request, status } => {
                self.send_gateway(request, &Message::Reject { request, refusal: Refusal::Failed(status) }, io);
            }
            Output::Action { worker, action } => {
                let ordered = self.workers.session(worker).map(|(link, session)| (link, session.send(action)));
                match ordered {
                    Some((link, Ok(action))) => send_or_close(link, &Message::Action(action), io),
                    // The scheduler's mirror and the session disagree: start over with that worker.
                    Some((link, Err(_))) => io.net.close(link),
                    None => {}
                }
            }
            Output::Cancel { worker, action } => self.send_worker(worker, &Message::Cancel { action }, io),
            Output::Discard { worker, slot } => self.send_worker(worker, &Message::Discard { slot }, io),
        }
    }

    /// A message that does not fit ends the link: a gateway or worker that is so far behind is lost.
    fn send_gateway(&mut self, request: RequestId, message: &Message, io: &mut Io) {
        if let Some(link) = self.gateways.link(request.gateway) {
            send_or_close(link, message, io);
        }
    }

    fn send_worker(&mut self, worker: WorkerId, message: &Message, io: &mut Io) {
        if let Some((link, _)) = self.workers.session(worker) {
            send_or_close(link, message, io);
        }
    }

    fn on_message(&mut self, now: Nanos, link: LinkId, message: Message, io: &mut Io) {
        match message {
            Message::Hello(hello) => self.on_hello(now, link, *hello, io),
            Message::Sync(sync) => self.on_sync(now, link, sync, io),
            Message::Inventory(inventory) => self.on_inventory(now, link, *inventory, io),
            Message::Ask { .. } | Message::Withdraw { .. } | Message::Ended { .. } => {
                self.on_gateway(now, link, message, io);
            }
            Message::Result(result) => {
                let received = self.workers.session_of(link).map(|(worker, session)| (worker, session.receive(result)));
                match received {
                    Some((worker, Ok(result))) => self.tell(now, Event::Result(worker, result), io),
                    _ => io.net.close(link),
                }
            }
            Message::Freed { slots } => match self.workers.session_of(link) {
                Some((worker, _)) => {
                    let slots: ArrayVec<_, { scheduler::FREED_SLOTS }> = slots.into_iter().collect();
                    self.tell(now, Event::Freed(worker, slots), io);
                }
                None => io.net.close(link),
            },
            Message::StatusQuery { id, topic } => self.on_status(now, link, id, topic, io),
            other => {
                let fault = crate::wire::PeerFault::Unexpected { kind: other.kind() as u16, role: 0 };
                io.net.cut_off(link, fault);
            }
        }
    }

    fn on_gateway(&mut self, now: Nanos, link: LinkId, message: Message, io: &mut Io) {
        let Some((id, clock)) = self.gateways.of(link) else { return io.net.close(link) };
        let own = |request: RequestId| request.gateway == id;
        let event = match message {
            Message::Ask { request, model, shape, slo, arrival, return_bound } if own(request) => {
                let Some(arrival) = clock.to_ours(arrival) else { return io.net.close(link) };
                // A clock that is a little off must not move an arrival into the future.
                let ask = scheduler::Ask { request, model, shape, arrival: arrival.min(now), slo, return_bound };
                Event::Ask(ask)
            }
            Message::Withdraw { id } if own(RequestId::from_bits(id)) => Event::Withdraw(RequestId::from_bits(id)),
            Message::Ended { request, end, at } if own(request) => {
                let Some(at) = clock.to_ours(at) else { return io.net.close(link) };
                Event::Ended { request, end, at: at.min(now) }
            }
            other => {
                let fault = crate::wire::PeerFault::Unexpected { kind: other.kind() as u16, role: 0 };
                return io.net.cut_off(link, fault);
            }
        };
        self.tell(now, event, io);
    }

    fn on_closed(&mut self, now: Nanos, link: LinkId, io: &mut Io) {
        self.observers.retain(|observer| *observer != link);
        if let Some(gateway) = self.gateways.remove(link) {
            self.tell(now, Event::GatewayLost(gateway), io);
        }
        if let Some(worker) = self.workers.remove(link) {
            self.tell(now, Event::WorkerLost(worker), io);
            for gateway in self.gateways.links() {
                send_or_close(gateway, &Message::Peer { worker, address: None }, io);
            }
        }
    }
}

pub(super) fn send_or_close(link: LinkId, message: &Message, io: &mut Io) {
    if io.net.send(link, message, None).is_err() {
        io.net.close(link);
    }
}

impl Role for Controller {
    fn on_net(&mut self, now: Nanos, event: NetEvent, io: &mut Io) {
        match event {
            NetEvent::Accepted { .. } | NetEvent::Connected { .. } => {}
            NetEvent::Message { link, message } => self.on_message(now, link, message, io),
            NetEvent::Payload { link, .. } => unreachable!("no peer of a controller sends payload: {link:?}"),
            // A status reply's memory goes with it.
            NetEvent::Sent { .. } => {}
            NetEvent::Closed { link, .. } => self.on_closed(now, link, io),
        }
    }

    fn owns(&self, _user: u64) -> bool {
        false
    }

    fn on_completion(&mut self, _now: Nanos, _completion: Completion, _io: &mut Io) {
        unreachable!("a controller puts nothing but links into the ring");
    }

    fn poll(&mut self, now: Nanos, io: &mut Io) -> Poll {
        // One tick a turn: what it starts must reach the network before the next.
        let due = self.scheduler.due();
        if due.is_some_and(|due| due <= now) {
            self.tell(now, Event::Tick, io);
        }
        let next = Poll::due(self.scheduler.due());
        next.min(self.synchronise(now, io)).min(self.publish(io))
    }

    /// Its listener stands: whoever connects is served.
    fn is_ready(&self) -> bool {
        true
    }

    fn refuse(&mut self, now: Nanos, io: &mut Io) {
        self.tell(now, Event::Drain, io);
    }

    fn is_quiet(&self) -> bool {
        self.scheduler.open() == 0
    }

    fn take_record(&mut self) -> Record {
        std::mem::replace(&mut self.record, Record::new(0))
    }
}

/// Hundredths of a percent; the configuration has been checked against its bounds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 50 and 100 percent")]
fn percentile(percent: f64) -> Percentile {
    Percentile::new((percent * 100.0).round() as u16).unwrap_or(Percentile::MAX)
}

/// Higher than that of every controller started before on a machine whose wall clock goes forward.
fn epoch() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
