//! Processes made of roles: `serve` runs all in one, the others one each, on the same threads and links.

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};

use sys::memory::LockState;
use thiserror::Error;

use super::config::{Config, ConfigError};
use super::controller::Controller;
use super::gateway::{Gateway, GatewayError};
use super::orders::{Notice, Orders};
use super::placement::{Layout, Placement};
use super::recording::RecordingError;
use super::role::{Role, Station, Waiting, clock};
use super::server::{Ender, Server, Thread};
use super::worker::{self, StartError, WorkerReport};
use crate::base::limits::RECORD_STEPS;
use crate::net::{NetError, Owner};
use crate::order::record::Record;

/// Which roles a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The controller.
    pub controller: bool,
    /// A gateway.
    pub gateway: bool,
    /// A worker.
    pub worker: bool,
}

impl Parts {
    /// All roles in one process.
    pub const ALL: Parts = Parts { controller: true, gateway: true, worker: true };
    /// Only the controller.
    pub const CONTROLLER: Parts = Parts { controller: true, gateway: false, worker: false };
    /// Only a gateway.
    pub const GATEWAY: Parts = Parts { controller: false, gateway: true, worker: false };
    /// Only a worker.
    pub const WORKER: Parts = Parts { controller: false, gateway: false, worker: true };
}

/// Why a process can't start, or stopped.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network can't be used.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The gateway can't start.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The worker can't start.
    #[error(transparent)]
    Worker(#[from] Box<StartError>),
    /// The record can't be written.
    #[error(transparent)]
    Record(#[from] RecordingError),
    /// A thread can't be started.
    #[error("starting thread {name}: {source}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A thread panicked: an invariant is broken, and nothing that it says can be trusted.
    #[error("thread {name} panicked")]
    Panicked {
        /// Its name.
        name: &'static str,
    },
}

/// What a process found and decided while starting, for people.
#[derive(Clone, Debug, Default)]
pub struct ServeReport {
    /// Where clients connect.
    pub gateway: Option<SocketAddr>,
    /// Where gateways, workers and `ctl` connect.
    pub controller: Option<SocketAddr>,
    /// Where gateways send inputs.
    pub worker: Option<SocketAddr>,
    /// Which thread runs where.
    pub placement: String,
    /// The worker's findings.
    pub models: Option<WorkerReport>,
    /// Why the memory of the process is not locked, where it is not.
    pub unlocked: Option<String>,
}

type Roles = Vec<(Owner, Box<dyn Role + Send>)>;

/// A station that is being filled with roles.
struct Crew {
    name: &'static str,
    station: Station,
    roles: Roles,
    core: Option<usize>,
    waiting: Waiting,
}

impl Crew {
    fn new(name: &'static str, core: Option<usize>, waiting: Waiting) -> Result<Crew, NetError> {
        Ok(Crew { name, station: Station::new()?, roles: Vec::new(), core, waiting })
    }

    fn launch(mut self, orders: &Orders, notices: &Sender<Notice>) -> Result<Thread, ServeError> {
        let (name, bell, orders, last_words) =
            (self.name, self.station.bell.clone(), orders.clone(), LastWords(notices.clone()));
        let run = move || {
            sys::thread::name_current(self.name);
            sys::thread::register_current(self.name);
            sys::thread::touch_stack();
            // The placement was chosen among the cores that this process may use; a core that is
            // taken from it meanwhile leaves the thread where the kernel puts it.
            let _pinned = self.core.map(sys::thread::pin_current);
            self.station.run(&mut self.roles, self.waiting, &orders, &last_words.0)?;
            Ok(self.roles.iter_mut().map(|(_, role)| role.take_record()).collect())
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let handle = handle.map_err(|source| ServeError::Thread { name, source })?;
        Ok(Thread { name, bell, handle: Some(handle) })
    }
}

/// Says that a thread has ended, however it does.
struct LastWords(Sender<Notice>);

impl Drop for LastWords {
    fn drop(&mut self) {
        // Nobody listens any more where the end was ordered.
        let _ = self.0.send(Notice::Ended);
    }
}

pub(super) const GATEWAY: Owner = Owner(0);
pub(super) const CONTROLLER: Owner = Owner(1);
pub(super) const WORKER: Owner = Owner(2);

/// Starts a process of `parts`; `progress` is told what takes time.
///
/// # Errors
/// [`ServeError`] says what is wrong and what to do.
pub fn start(config: &Config, parts: Parts, progress: impl FnMut(&str)) -> Result<Server, ServeError> {
    config.check()?;
    let mut config = config.clone();
    let cores = sys::thread::cores();
    let threads = if parts.worker { usize::from(config.worker.threads) } else { 0 };
    let placement = Placement::of(&config, &cores, threads);
    let mut report = ServeReport { placement: placement.to_string(), ..ServeReport::default() };
    let mut crews = crews(&placement, parts)?;

    if parts.controller {
        let crew = crew_of(&mut crews, CONTROLLER);
        let (controller, address) = Controller::start(&config, clock(), &mut crew.station.io, CONTROLLER)?;
        crew.roles.push((CONTROLLER, Box::new(controller)));
        report.controller = Some(address);
        config.gateway.controller = address;
        config.worker.controller = address;
    }
    if parts.gateway {
        let crew = crew_of(&mut crews, GATEWAY);
        let (gateway, address) = Gateway::start(&config.gateway, recorder(&config), &mut crew.station.io, GATEWAY)?;
        crew.roles.push((GATEWAY, Box::new(gateway)));
        report.gateway = Some(address);
    }
    if parts.worker {
        let crew = crew_of(&mut crews, WORKER);
        let started = worker::start(&config.worker, &placement, recorder(&config), &mut crew.station, WORKER, progress)
            .map_err(Box::new)?;
        crew.roles.push((WORKER, Box::new(started.worker)));
        report.worker = Some(started.address);
        report.models = Some(started.report);
    }
    // All that was taken so far, touched or not, and, where it may be, what the threads take first.
    if let LockState::Refused { reason } = sys::memory::keep_resident() {
        report.unlocked = Some(reason);
    }
    let (sender, notices) = channel();
    let owners = crews.iter().flat_map(|crew| crew.roles.iter().map(|(owner, _)| *owner)).collect();
    let (orders, ender, record) = (Orders::default(), Ender(sender.clone()), config.record);
    let mut server = Server { report, owners, threads: Vec::new(), orders, notices, ender, record };
    for crew in crews.into_iter().filter(|crew| !crew.roles.is_empty()) {
        server.threads.push(crew.launch(&server.orders, &sender)?);
    }
    Ok(server)
}

/// A record of one role: off unless a file for it was named.
pub(super) fn recorder(config: &Config) -> Record {
    Record::new(if config.record.is_some() { RECORD_STEPS } else { 0 })
}

/// One crew in the layout `dense`, one for each role in `full`, in the order of the owners.
fn crews(placement: &Placement, parts: Parts) -> Result<Vec<Crew>, NetError> {
    match placement.layout {
        Layout::Dense { core } => Ok(vec![Crew::new("roles", core, Waiting::Sleep)?]),
        Layout::Full { gateway, controller, worker } => {
            let wanted = [
                ("gateway", gateway, parts.gateway),
                ("controller", controller, parts.controller),
                ("worker", worker, parts.worker),
            ];
            wanted
                .into_iter()
                .map(|(name, core, runs)| {
                    Crew::new(name, Some(core), if runs { Waiting::Spin } else { Waiting::Sleep })
                })
                .collect()
        }
    }
}

fn crew_of(crews: &mut [Crew], owner: Owner) -> &mut Crew {
    let place = if crews.len() == 1 { 0 } else { usize::from(owner.0) };
    &mut crews[place]
}
