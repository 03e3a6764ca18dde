//! The world of a run: every process, what lies between them, and the agenda that drives all.

mod controller;
mod gateway;
mod happening;
mod links;
mod plant;
mod settle;
mod worker;

use std::fmt;

use self::controller::Controller;
use self::gateway::{Clients, Gateway};
use self::happening::{Happening, Machine, Told};
use self::links::Links;
use self::worker::{Effect, Worker};
use super::agenda::Agenda;
use super::check::{Checker, Violation};
use super::clock::Clock;
use super::config::{START, SimConfig, SimError};
use super::inventory;
use super::report::Report;
use super::seeded::{Part, Seeded};
use super::trace::Trace;
use super::workload::Sender;
use crate::base::{GatewayId, Nanos};
use crate::controller::Stamps;
use crate::order::record::Step;
use crate::scheduler::{self, Scheduler};
use crate::worker::{DeviceEvent, HostEvent};
use crate::{gateway as gate, scheduler::Event};

/// Happenings at one moment beyond which time is said to stand still.
const MAX_AT_ONE_MOMENT: u64 = 1_000_000;

/// Durations that were gathered.
#[derive(Debug, Default)]
struct Tally {
    latencies: Vec<Nanos>,
    errors: Vec<Nanos>,
}

/// A run that broke an invariant.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Seed of the run.
    pub seed: u64,
    /// Simulated time.
    pub at: Nanos,
    /// What did not hold.
    pub violation: Violation,
    /// The last steps before.
    pub trail: Vec<Step>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} at {}: {}; the last steps were", self.seed, self.at, self.violation)?;
        self.trail.iter().try_for_each(|step| writeln!(f, "  {:>16} {:?}", step.at.0, step.event))
    }
}

impl std::error::Error for Broken {}

/// One run.
#[derive(Debug)]
pub struct World {
    config: SimConfig,
    agenda: Agenda<Happening>,
    links: Links,
    controller: Controller,
    gateways: Vec<Gateway>,
    workers: Vec<Worker>,
    clients: Clients,
    check: Checker,
    trace: Trace,
    tally: Tally,
    /// Simulated time at which the load begins.
    load_from: Nanos,
    /// When a request's head last came to a gateway.
    last_arrival: Nanos,
    timers: Seeded,
    losses: Seeded,
    /// When each machine is woken next: controller, gateways, then each worker's host and cores.
    armed: Vec<Option<Nanos>>,
    effects: Vec<Effect>,
    /// Happenings at the present moment.
    at_once: u64,
    settled: bool,
}

impl World {
    /// A world in which nothing has happened yet.
    ///
    /// # Errors
    /// The first setting that can't be run.
    pub fn new(config: SimConfig) -> Result<World, SimError> {
        config.check()?;
        let mut clocks = Seeded::part(config.seed, Part::Clocks, 0);
        let mut clock = || Clock::draw(&config.clocks, &mut clocks);
        let (gateways, workers) = (usize::from(config.gateways), usize::from(config.workers));
        let controller = Controller::new(scheduler_config(&config), clock(), gateways, workers);
        let gateways = (0..config.gateways).map(|number| Gateway::new(gateway_core(&config, number), clock()));
        let gateways: Vec<Gateway> = gateways.collect();
        let workers = (0..config.workers).map(|number| Worker::new(&config, number, clock())).collect();
        let sender = |(number, model): (u64, &super::ModelConfig)| Sender::new(model.load.clone(), config.seed, number);
        let senders = (0..).zip(&config.models).map(sender).collect();
        let machines = 1 + gateways.len() + usize::from(config.workers) * (1 + usize::from(config.devices));
        Ok(World {
            agenda: Agenda::new(START),
            links: Links::new(&config),
            controller,
            gateways,
            workers,
            clients: Clients::new(senders),
            check: Checker::default(),
            trace: Trace::new(config.record),
            tally: Tally::default(),
            load_from: START + config.warm_up,
            last_arrival: Nanos::ZERO,
            timers: Seeded::part(config.seed, Part::Timers, 0),
            losses: Seeded::part(config.seed, Part::Losses, 0),
            armed: vec![None; machines],
            effects: Vec::new(),
            at_once: 0,
            settled: false,
            config,
        })
    }

    /// Runs to the end of the load and until all is quiet.
    ///
    /// # Errors
    /// The first invariant that did not hold.
    ///
    /// # Panics
    /// If a machine's own assertion fails; [`World::trail`] still tells what came before.
    pub fn run(&mut self) -> Result<Report, Box<Broken>> {
        let ran = self.begin().and_then(|()| self.drive()).and_then(|()| self.check_end());
        ran.map_err(|violation| {
            let (seed, at, trail) = (self.config.seed, self.agenda.now(), self.trail());
            Box::new(Broken { seed, at, violation, trail })
        })?;
        Ok(self.report())
    }

    /// The last steps.
    pub fn trail(&self) -> Vec<Step> {
        self.trace.trail().copied().collect()
    }

    /// The recorded sequence, by simulated time.
    ///
    /// # Panics
    /// If [`SimConfig::record`] was too small to hold all steps.
    pub fn recorded(&self) -> Vec<Step> {
        assert_eq!(self.trace.dropped(), 0, "the record holds {} steps only", self.config.record);
        self.trace.recorded()
    }

    fn begin(&mut self) -> Result<(), Violation> {
        for number in 0..self.config.models.len() {
            let spec = inventory::spec(&self.config, number);
            self.tell_scheduler(Event::ModelRegistered(Box::new(spec)))?;
            for gateway in 0..self.gateways.len() {
                let catalog = inventory::catalog(&self.config, number);
                self.tell_gateway(gateway, gate::Event::Catalog(Box::new(catalog)), None)?;
            }
        }
        (0..self.gateways.len()).for_each(|gateway| self.ask_gateway_time(gateway));
        (0..self.workers.len()).for_each(|worker| self.connect(worker));
        for model in 0..u16::try_from(self.config.models.len()).unwrap_or(u16::MAX) {
            match self.clients.senders[usize::from(model)].closed() {
                Some(clients) => (0..clients).for_each(|_| self.plan_closed(model, Nanos::ZERO)),
                None => self.plan_open(model),
            }
        }
        self.plan_loss();
        self.agenda.put(self.load_from + self.config.length, Happening::Settle);
        Ok(())
    }

    fn drive(&mut self) -> Result<(), Violation> {
        while !self.settled {
            let before = self.agenda.now();
            let Some(happening) = self.agenda.take() else { unreachable!("clocks are compared for ever") };
            self.at_once = if self.agenda.now() == before { self.at_once + 1 } else { 0 };
            if self.at_once > MAX_AT_ONE_MOMENT {
                return Err(Violation::Stuck(MAX_AT_ONE_MOMENT));
            }
            self.on(happening)?;
        }
        Ok(())
    }

    fn on(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Send { model, sending } => self.on_send(model, sending),
            Happening::Arrive { number, whole } => self.on_arrive(number, whole)?,
            Happening::ChangeMind { number } => self.on_change_mind(number),
            Happening::Withdraw { number } => self.on_withdraw(number)?,
            Happening::AtGateway { gateway, event } => self.tell_gateway(gateway, event, None)?,
            Happening::Output { worker, connection, request, slot, bytes, stages } => {
                self.on_output(worker, connection, (request, slot), bytes, stages)?;
            }
            Happening::Sent { number, request, end } => self.on_sent(number, request, end)?,
            Happening::Answered { model, sent_at, in_time } => self.on_answered(model, sent_at, in_time),
            Happening::FromGateway { gateway, event } => self.on_from_gateway(gateway, event)?,
            Happening::Hello { worker, connection, up } => self.on_hello(worker, connection, up)?,
            Happening::Result { worker, connection, result } => self.on_result(worker, connection, result)?,
            Happening::Freed { worker, connection, slot } => self.on_freed(worker, connection, slot)?,
            Happening::Lost { worker, connection } => self.on_lost(worker, connection)?,
            Happening::AtWorker { worker, connection, event } => self.on_at_worker(worker, connection, event)?,
            Happening::Input { worker, connection, request, slot, bytes, whole } => {
                let life = self.workers[worker].life;
                let ended = Happening::InputEnded { worker, life, connection, request, slot, bytes };
                self.on_input(worker, whole, ended);
            }
            Happening::InputEnded { worker, life, connection, request, slot, bytes } if self.lives(worker, life) => {
                self.on_input_ended(worker, connection, (request, slot, bytes))?;
            }
            Happening::OutputSent { worker, life, slot } if self.lives(worker, life) => {
                self.on_output_sent(worker, slot)?;
            }
            Happening::Done { worker, life, told } if self.lives(worker, life) => self.tell_worker(worker, told)?,
            // An earlier process's operations end nowhere.
            Happening::InputEnded { .. } | Happening::OutputSent { .. } | Happening::Done { .. } => {}
            Happening::Loss => self.on_loss()?,
            Happening::Return { worker } => self.on_return(worker),
            Happening::Wake(machine) => self.on_wake(machine)?,
            Happening::Settle => self.on_settle()?,
            compared => self.on_clocks(compared)?,
        }
        Ok(())
    }

    fn on_clocks(&mut self, happening: Happening) -> Result<(), Violation> {
        let now = self.agenda.now();
        match happening {
            Happening::SyncWorker { worker, connection } => self.ask_worker_time(worker, connection),
            Happening::AskWorker { worker, connection, origin } => {
                if self.workers[worker].connection == Some(connection) {
                    let stamps = stamped(origin, self.workers[worker].clock.read(now));
                    let at = self.links.results[worker].send(now, 0).whole;
                    self.agenda.put(at, Happening::SyncedWorker { worker, connection, stamps });
                }
            }
            Happening::SyncedWorker { worker, connection, stamps } => {
                self.on_synced_worker(worker, connection, stamps)?;
            }
            Happening::SyncGateway { gateway } => self.ask_gateway_time(gateway),
            Happening::AskGateway { gateway, origin } => {
                let stamps = stamped(origin, self.gateways[gateway].clock.read(now));
                let at = self.links.up[gateway].send(now, 0).whole;
                self.agenda.put(at, Happening::SyncedGateway { gateway, stamps });
            }
            Happening::SyncedGateway { gateway, stamps } => self.on_synced_gateway(gateway, stamps),
            other => unreachable!("{other:?} is not about clocks"),
        }
        Ok(())
    }

    /// Makes sure that a machine is woken when it wants to be.
    fn arm(&mut self, machine: Machine) {
        let (due, clock) = match machine {
            Machine::Controller => (self.controller.scheduler.due(), self.controller.clock),
            Machine::Gateway(gateway) => (self.gateways[gateway].core.due(), self.gateways[gateway].clock),
            Machine::Host(worker) => (self.workers[worker].host.due(), self.workers[worker].clock),
            Machine::Core(worker, core) => (self.workers[worker].cores[core].due(), self.workers[worker].clock),
        };
        let Some(due) = due else { return };
        let place = self.place(machine);
        let due = clock.when(due);
        let now = self.agenda.now();
        if due == Nanos::MAX || self.armed[place].is_some_and(|armed| armed <= due.max(now)) {
            return;
        }
        let late = if due <= now { 0 } else { self.timers.up_to(self.config.timer_lateness.0) };
        let at = due.max(now) + Nanos(late);
        self.armed[place] = Some(at);
        self.agenda.put(at, Happening::Wake(machine));
    }

    fn place(&self, machine: Machine) -> usize {
        let of_worker = |worker: usize| 1 + self.gateways.len() + worker * (1 + usize::from(self.config.devices));
        match machine {
            Machine::Controller => 0,
            Machine::Gateway(gateway) => 1 + gateway,
            Machine::Host(worker) => of_worker(worker),
            Machine::Core(worker, core) => of_worker(worker) + 1 + core,
        }
    }

    fn on_wake(&mut self, machine: Machine) -> Result<(), Violation> {
        let place = self.place(machine);
        if self.armed[place] != Some(self.agenda.now()) {
            return Ok(()); // It was woken earlier for something sooner.
        }
        self.armed[place] = None;
        match machine {
            Machine::Controller => self.tell_scheduler(Event::Tick),
            Machine::Gateway(gateway) => self.tell_gateway(gateway, gate::Event::Tick, None),
            Machine::Host(worker) => self.tell_worker(worker, Told::Host(HostEvent::Tick)),
            Machine::Core(worker, core) => self.tell_worker(worker, Told::Core(core, DeviceEvent::Tick)),
        }
    }
}

/// A peer's stamps; the last one is made when they are back.
fn stamped(origin: Nanos, peer: Nanos) -> Stamps {
    Stamps { sent: origin, peer_received: peer, peer_sent: peer, received: Nanos::ZERO }
}

/// The scheduler's settings, with tables no larger than the run needs.
fn scheduler_config(config: &SimConfig) -> scheduler::Config {
    scheduler::Config {
        max_models: config.models.len(),
        max_workers: usize::from(config.workers),
        max_gateways: usize::from(config.gateways),
        max_requests: usize::from(config.gateways) * usize::from(config.requests),
        ..config.scheduler
    }
}

fn gateway_core(config: &SimConfig, number: u16) -> gate::Core {
    gate::Core::new(gate::Config {
        gateway: GatewayId(number),
        requests: usize::from(config.requests),
        models: config.models.len(),
        ..gate::Config::default()
    })
}
