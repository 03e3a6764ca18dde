//! The workers as the rest of the world meets them: orders and inputs in, results and outputs out.

use super::World;
use super::happening::{Connection, Happening, Life, Machine, Told};
use super::worker::{Effect, Worker};
use crate::base::{Nanos, RequestId, SlotId};
use crate::sim::check::Violation;
use crate::worker::{HostEvent, Receive};

impl World {
    /// Tells a worker something, and others what it says to that.
    pub(super) fn tell_worker(&mut self, worker: usize, told: Told) -> Result<(), Violation> {
        let mut effects = std::mem::take(&mut self.effects);
        self.workers[worker].tell(self.agenda.now(), told, &mut effects);
        for effect in effects.drain(..) {
            self.on_effect(worker, effect)?;
        }
        self.effects = effects;
        self.arm(Machine::Host(worker));
        (0..self.workers[worker].cores.len()).for_each(|core| self.arm(Machine::Core(worker, core)));
        self.check_pages(worker)
    }

    fn on_effect(&mut self, worker: usize, effect: Effect) -> Result<(), Violation> {
        let now = self.agenda.now();
        match effect {
            Effect::Step(at, step) => self.trace.write(at, step),
            Effect::Later(at, told) => {
                let life = self.workers[worker].life;
                self.agenda.put(at, Happening::Done { worker, life, told });
            }
            Effect::Result(result) => {
                self.check.answered_action(self.workers[worker].id, &result)?;
                if let Some(connection) = self.workers[worker].connection {
                    let at = self.links.results[worker].send(now, 0).whole;
                    self.agenda.put(at, Happening::Result { worker, connection, result });
                }
            }
            Effect::Output { request, slot, bytes, stages } => {
                let gateway = usize::from(request.gateway.0);
                let delivery = self.links.output(worker, gateway).send(now, bytes);
                let life = self.workers[worker].life;
                self.agenda.put(delivery.sent, Happening::OutputSent { worker, life, slot });
                if let Some(connection) = self.workers[worker].connection {
                    let output = Happening::Output { worker, connection, request, slot, bytes, stages };
                    self.agenda.put(delivery.whole, output);
                }
            }
            Effect::Freed(slot) => {
                if let Some(connection) = self.workers[worker].connection {
                    let at = self.links.results[worker].send(now, 0).whole;
                    self.agenda.put(at, Happening::Freed { worker, connection, slot });
                }
            }
        }
        Ok(())
    }

    /// Something of the controller arrived.
    pub(super) fn on_at_worker(
        &mut self,
        worker: usize,
        connection: Connection,
        event: HostEvent,
    ) -> Result<(), Violation> {
        if self.workers[worker].connection != Some(connection) {
            return Ok(());
        }
        if let HostEvent::Action(action) = &event {
            self.check.delivered(self.workers[worker].id, action);
        }
        self.tell_worker(worker, Told::Host(event))
    }

    /// The head of an input arrived.
    pub(super) fn on_input(&mut self, worker: usize, whole: Nanos, ended: Happening) {
        let Happening::InputEnded { connection, request, slot, bytes, .. } = ended else {
            unreachable!("a receive ends as one")
        };
        let place = &mut self.workers[worker];
        let connected = place.connection == Some(connection);
        if connected && place.host.accept_input(slot, request, bytes) == Receive::Accept {
            self.agenda.put(whole, ended);
        }
    }

    /// A receive into a slot ends: whole, or with its connection.
    pub(super) fn on_input_ended(
        &mut self,
        worker: usize,
        connection: Connection,
        (request, slot, bytes): (RequestId, SlotId, u32),
    ) -> Result<(), Violation> {
        let whole = self.workers[worker].connection == Some(connection);
        self.tell_worker(worker, Told::Host(HostEvent::InputEnded { slot, request, bytes, whole }))
    }

    /// An output left, or was thrown away.
    pub(super) fn on_output_sent(&mut self, worker: usize, slot: SlotId) -> Result<(), Violation> {
        self.tell_worker(worker, Told::Host(HostEvent::OutputSent { slot }))
    }

    /// Whether this process of the worker still runs.
    pub(super) fn lives(&self, worker: usize, life: Life) -> bool {
        self.workers[worker].life == life
    }

    /// Some worker is lost: its process, or only its connections.
    pub(super) fn on_loss(&mut self) -> Result<(), Violation> {
        self.plan_loss();
        let chosen = self.losses.up_to(self.workers.len() as u64 - 1);
        let worker = usize::try_from(chosen).unwrap_or(0);
        let crashes = self.losses.chance(self.config.losses.crashes);
        let Some(connection) = self.workers[worker].connection.take() else { return Ok(()) };
        let now = self.agenda.now();
        self.agenda.put(now + self.config.server_link.delay, Happening::Lost { worker, connection });
        self.agenda.put(now + self.config.losses.down, Happening::Return { worker });
        if crashes {
            self.check.crashed(self.workers[worker].id);
            self.workers[worker].crash(&self.config);
            return Ok(());
        }
        self.tell_worker(worker, Told::Host(HostEvent::Reset))
    }

    /// Puts the next loss on the agenda, while the load lasts.
    pub(super) fn plan_loss(&mut self) {
        let every = self.config.losses.every;
        if every == Nanos::ZERO {
            return;
        }
        let at = self.agenda.now().max(self.load_from) + Nanos(self.losses.up_to(2 * every.0));
        if at < self.load_from + self.config.length {
            self.agenda.put(at, Happening::Loss);
        }
    }

    /// A lost worker comes back once it is quiet.
    pub(super) fn on_return(&mut self, worker: usize) {
        if self.workers[worker].is_quiet() {
            self.connect(worker);
        } else {
            self.agenda.put(self.agenda.now() + Nanos::millis(1), Happening::Return { worker });
        }
    }

    /// A worker opens a connection to the controller.
    pub(super) fn connect(&mut self, worker: usize) {
        let now = self.agenda.now();
        self.links.reconnect(worker, now);
        let (connection, up) = self.workers[worker].connect(&self.config);
        let at = self.links.results[worker].send(now, 0).whole;
        self.agenda.put(at, Happening::Hello { worker, connection, up: Box::new(up) });
    }

    /// Pages are conserved. Those of transfers under way are neither free nor held.
    fn check_pages(&self, worker: usize) -> Result<(), Violation> {
        let place: &Worker = &self.workers[worker];
        let within = |held: u32, free: u32, total: u32| {
            let violation = Violation::Pages { worker: place.id, held, free, total };
            if held + free <= total { Ok(()) } else { Err(violation) }
        };
        // Counting what is held looks at every model: only where something may have changed.
        if self.check.transfers() == 0 {
            return Ok(());
        }
        within(place.host_pages_held(), place.host.free_pages(), self.config.host_pages)?;
        (0..place.cores.len()).try_for_each(|core| {
            within(place.device_pages_held(core), place.cores[core].free_pages(), self.config.device_pages)
        })
    }
}
