//! Processes made of roles: `serve` runs all in one, the others one each, on the same threads and links.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use sys::doorbell::Doorbell;
use sys::memory::LockState;
use thiserror::Error;

use super::config::{Config, ConfigError};
use super::controller::Controller;
use super::gateway::{Gateway, GatewayError};
use super::placement::{Layout, Placement};
use super::role::{Role, Station, Waiting, clock};
use super::worker::{self, StartError, WorkerReport};
use crate::net::{NetError, Owner};

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

/// A running process. Dropping it stops its threads.
#[derive(Debug)]
pub struct Server {
    /// For people.
    pub report: ServeReport,
    threads: Vec<Thread>,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Thread {
    name: &'static str,
    bell: Doorbell,
    handle: Option<JoinHandle<Result<(), NetError>>>,
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

    fn launch(mut self, stop: &Arc<AtomicBool>) -> Result<Thread, ServeError> {
        let (name, bell, stop) = (self.name, self.station.bell.clone(), Arc::clone(stop));
        let run = move || {
            sys::thread::name_current(self.name);
            sys::thread::register_current(self.name);
            sys::thread::touch_stack();
            // The placement was chosen among the cores that this process may use; a core that is
            // taken from it meanwhile leaves the thread where the kernel puts it.
            let _pinned = self.core.map(sys::thread::pin_current);
            self.station.run(&mut self.roles, self.waiting, &stop)
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let handle = handle.map_err(|source| ServeError::Thread { name, source })?;
        Ok(Thread { name, bell, handle: Some(handle) })
    }
}

const GATEWAY: Owner = Owner(0);
const CONTROLLER: Owner = Owner(1);
const WORKER: Owner = Owner(2);

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
        let (gateway, address) = Gateway::start(&config.gateway, &mut crew.station.io, GATEWAY)?;
        crew.roles.push((GATEWAY, Box::new(gateway)));
        report.gateway = Some(address);
    }
    if parts.worker {
        let crew = crew_of(&mut crews, WORKER);
        let started =
            worker::start(&config.worker, &placement, &mut crew.station, WORKER, progress).map_err(Box::new)?;
        crew.roles.push((WORKER, Box::new(started.worker)));
        report.worker = Some(started.address);
        report.models = Some(started.report);
    }
    // All that was taken so far, touched or not, and, where it may be, what the threads take first.
    if let LockState::Refused { reason } = sys::memory::keep_resident() {
        report.unlocked = Some(reason);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut server = Server { report, threads: Vec::new(), stop: Arc::clone(&stop) };
    for crew in crews.into_iter().filter(|crew| !crew.roles.is_empty()) {
        server.threads.push(crew.launch(&stop)?);
    }
    Ok(server)
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

impl Server {
    /// Waits until a thread ends, which only a failure makes it do.
    ///
    /// # Errors
    /// What ended it.
    pub fn wait(mut self) -> Result<(), ServeError> {
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                join(thread.name, handle)?;
            }
        }
        Ok(())
    }

    /// Stops all threads and waits for them.
    ///
    /// # Errors
    /// What a thread failed with before.
    pub fn stop(mut self) -> Result<(), ServeError> {
        self.ring_out();
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                join(thread.name, handle)?;
            }
        }
        Ok(())
    }

    fn ring_out(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.iter().for_each(|thread| thread.bell.ring());
    }
}

fn join(name: &'static str, handle: JoinHandle<Result<(), NetError>>) -> Result<(), ServeError> {
    handle.join().map_err(|_| ServeError::Panicked { name })?.map_err(ServeError::from)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ring_out();
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                // A failure was either asked for by `stop` and `wait`, or nobody wants to hear of it.
                let _ = handle.join();
            }
        }
    }
}
