//! The controller's process: the scheduler, and a session for each worker.

use super::World;
use super::happening::{Connection, Happening, Machine};
use crate::base::{ActionId, Nanos, RequestId, SlotId, WorkerId};
use crate::controller::{ClockSync, Credits, SessionFault, Stamps, WorkerSession};
use crate::gateway;
use crate::order::{Action, ActionResult};
use crate::scheduler::{self, Ask, Core, Event, Outbox, Output, Scheduler, WorkerUp, steps};
use crate::sim::check::Violation;
use crate::sim::clock::Clock;
use crate::worker::HostEvent;

/// Exchanges of stamps before a worker is used.
const EXCHANGES_BEFORE_USE: u32 = 4;
/// Epoch of every controller of a run.
const EPOCH: u64 = 1;

/// One worker's connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) session: WorkerSession,
    exchanges: u32,
    /// What it has, until its clock is known well enough.
    pub(super) up: Option<Box<WorkerUp>>,
}

/// The controller.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) clock: Clock,
    pub(super) scheduler: Core,
    pub(super) sessions: Vec<Option<Session>>,
    gateways: Vec<ClockSync>,
}

impl Controller {
    pub(super) fn new(config: scheduler::Config, clock: Clock, gateways: usize, workers: usize) -> Controller {
        Controller {
            clock,
            scheduler: Core::new(config),
            sessions: (0..workers).map(|_| None).collect(),
            gateways: vec![ClockSync::new(); gateways],
        }
    }
}

impl World {
    /// The session of this connection; none if it is an earlier one's.
    fn session(&mut self, worker: usize, connection: Connection) -> Option<&mut Session> {
        self.controller.sessions[worker].as_mut().filter(|session| session.connection == connection)
    }

    /// Tells the scheduler something, and others what it says to that.
    pub(super) fn tell_scheduler(&mut self, event: Event) -> Result<(), Violation> {
        let now = self.controller.clock.read(self.agenda.now());
        let mut out = Outbox::new();
        self.controller.scheduler.handle(now, event, &mut out);
        for said in out.drain(..) {
            // The record is on simulated time, as that of one machine is on its one clock.
            let (at, clock) = (self.agenda.now(), self.controller.clock);
            steps::write(&said, |time| clock.when(time), |step| self.trace.write(at, step));
            match said {
                Output::Place { request, worker, slot } => self.on_place(request, worker, slot)?,
                Output::Reject { request, reason } => {
                    self.check.forget(request);
                    self.send_gateway(request, gateway::Event::Reject { request, reason });
                }
                Output::Revoke { request, reason } => {
                    self.send_gateway(request, gateway::Event::Revoke { request, reason });
                }
                Output::Fail { request, status } => {
                    self.send_gateway(request, gateway::Event::Fail { request, status });
                }
                Output::Action { worker, action } => self.on_order(worker, action)?,
                Output::Cancel { worker, action } => self.send_worker(worker, HostEvent::Cancel(action)),
                Output::Discard { worker, slot } => self.send_worker(worker, HostEvent::Discard(slot)),
            }
        }
        self.arm(Machine::Controller);
        Ok(())
    }

    fn on_place(&mut self, request: RequestId, worker: WorkerId, slot: SlotId) -> Result<(), Violation> {
        self.check.placed(worker, slot, request)?;
        self.send_gateway(request, gateway::Event::Place { request, worker, slot });
        Ok(())
    }

    fn send_gateway(&mut self, request: RequestId, event: gateway::Event) {
        let gateway = usize::from(request.gateway.0);
        let at = self.links.down[gateway].send(self.agenda.now(), 0).whole;
        self.agenda.put(at, Happening::AtGateway { gateway, event });
    }

    fn on_order(&mut self, worker: WorkerId, action: Action) -> Result<(), Violation> {
        self.check.ordered(worker, &action)?;
        let place = usize::from(worker.0);
        let Some(session) = &mut self.controller.sessions[place] else {
            return Err(Violation::Session(SessionFault::NoClock { worker }));
        };
        let action = session.session.send(action)?;
        self.send_worker(worker, HostEvent::Action(action));
        Ok(())
    }

    /// Sends a worker something; what is for one that is lost is lost.
    fn send_worker(&mut self, worker: WorkerId, event: HostEvent) {
        let worker = usize::from(worker.0);
        let Some(session) = &self.controller.sessions[worker] else { return };
        let connection = session.connection;
        let at = self.links.orders[worker].send(self.agenda.now(), 0).whole;
        self.agenda.put(at, Happening::AtWorker { worker, connection, event });
    }

    /// Something of a gateway arrived; times of an ASK become controller time here.
    pub(super) fn on_from_gateway(&mut self, gateway: usize, event: Event) -> Result<(), Violation> {
        let event = match event {
            Event::Ask(ask) => {
                let arrival = self.controller.gateways[gateway].to_ours(ask.arrival);
                let ask = Ask { arrival: arrival.unwrap_or(ask.arrival), ..ask };
                self.check.asked(ask.request, Nanos(ask.deadline().0.saturating_sub(ask.return_bound.0)));
                Event::Ask(ask)
            }
            Event::Ended { request, end, at } => {
                let ours = self.controller.gateways[gateway].to_ours(at);
                Event::Ended { request, end, at: ours.unwrap_or(at).min(self.controller.clock.read(self.agenda.now())) }
            }
            other => other,
        };
        self.tell_scheduler(event)
    }

    /// A worker introduces itself: compare clocks first.
    pub(super) fn on_hello(
        &mut self,
        worker: usize,
        connection: Connection,
        up: Box<WorkerUp>,
    ) -> Result<(), Violation> {
        let credits = Credits { disk: up.credits, weights: up.credits, exec: up.credits };
        let session = WorkerSession::new(up.worker, ClockSync::new(), credits, (EPOCH, EPOCH))?;
        self.controller.sessions[worker] = Some(Session { connection, session, exchanges: 0, up: Some(up) });
        self.ask_worker_time(worker, connection);
        Ok(())
    }

    /// Asks a worker for its time, unless the connection is gone.
    pub(super) fn ask_worker_time(&mut self, worker: usize, connection: Connection) {
        if self.session(worker, connection).is_none() {
            return;
        }
        let now = self.agenda.now();
        let origin = self.controller.clock.read(now);
        let at = self.links.orders[worker].send(now, 0).whole;
        self.agenda.put(at, Happening::AskWorker { worker, connection, origin });
    }

    /// A worker's stamps are back.
    pub(super) fn on_synced_worker(
        &mut self,
        worker: usize,
        connection: Connection,
        stamps: Stamps,
    ) -> Result<(), Violation> {
        let now = self.agenda.now();
        let received = self.controller.clock.read(now);
        let Some(session) = self.session(worker, connection) else { return Ok(()) };
        assert!(session.session.synchronise(Stamps { received, ..stamps }), "simulated stamps agree");
        session.exchanges += 1;
        if session.exchanges < EXCHANGES_BEFORE_USE {
            self.ask_worker_time(worker, connection);
            return Ok(());
        }
        let error = session.session.clock().error(received);
        let event = match session.up.take() {
            Some(up) => Event::WorkerUp(Box::new(WorkerUp { clock_error: error, ..*up })),
            None => Event::ClockError(self.workers[worker].id, error),
        };
        self.agenda.put(now + self.config.sync_period, Happening::SyncWorker { worker, connection });
        self.tell_scheduler(event)
    }

    /// Asks a gateway for its time.
    pub(super) fn ask_gateway_time(&mut self, gateway: usize) {
        let now = self.agenda.now();
        let origin = self.controller.clock.read(now);
        let at = self.links.down[gateway].send(now, 0).whole;
        self.agenda.put(at, Happening::AskGateway { gateway, origin });
    }

    /// A gateway's stamps are back.
    pub(super) fn on_synced_gateway(&mut self, gateway: usize, stamps: Stamps) {
        let now = self.agenda.now();
        let received = self.controller.clock.read(now);
        self.controller.gateways[gateway].record(Stamps { received, ..stamps });
        self.agenda.put(now + self.config.sync_period, Happening::SyncGateway { gateway });
    }

    /// A worker's answer arrived.
    pub(super) fn on_result(
        &mut self,
        worker: usize,
        connection: Connection,
        result: ActionResult,
    ) -> Result<(), Violation> {
        let Some(session) = self.session(worker, connection) else { return Ok(()) };
        let result = session.session.receive(result)?;
        self.note_prediction(result.action, &result);
        let id = self.workers[worker].id;
        self.tell_scheduler(Event::Result(id, result))
    }

    fn note_prediction(&mut self, action: ActionId, result: &ActionResult) {
        let expected = self.check.heard(action).filter(|_| result.status.is_ok());
        if let Some(expected) = expected {
            let end = result.stages.exec.end;
            self.tally.errors.push(end.since(expected.end).max(expected.end.since(end)));
        }
    }

    /// A slot came back.
    pub(super) fn on_freed(&mut self, worker: usize, connection: Connection, slot: SlotId) -> Result<(), Violation> {
        if self.session(worker, connection).is_none() {
            return Ok(());
        }
        let id = self.workers[worker].id;
        self.check.freed(id, slot)?;
        self.tell_scheduler(Event::Freed(id, std::iter::once(slot).collect()))
    }

    /// A worker's connection broke.
    pub(super) fn on_lost(&mut self, worker: usize, connection: Connection) -> Result<(), Violation> {
        let Some(session) = self.session(worker, connection) else { return Ok(()) };
        let was_used = session.up.is_none();
        self.controller.sessions[worker] = None;
        let id = self.workers[worker].id;
        self.check.lost(id);
        if was_used { self.tell_scheduler(Event::WorkerLost(id)) } else { Ok(()) }
    }
}
