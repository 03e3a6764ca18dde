//! The demo: trained models read and classify what the repository carries, then hold their
//! deadlines under load.

pub mod answers;
pub mod error;
pub mod inputs;
pub mod load;
pub mod models;

pub use error::DemoError;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::base::Nanos;
use runtime::client::{Client, LookupError, now};
use runtime::host::{self, Config, Parts, Server};
use runtime::wire::ModelEntry;

use crate::print::say;

/// How long a server that was found running may take to list its models.
const PATIENCE: Nanos = Nanos::seconds(20);
/// How often it is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Longest answer: a text line of 640 pixels has 80 steps of 6625 classes.
const PAYLOAD_BYTES: u32 = 4 << 20;
/// Requests that the gateway holds at once.
const PLACES: u16 = 64;
/// Slots of each size class.
const SLOTS: u16 = 24;

/// Where the demo's files lie, and where its packages are kept.
#[derive(Clone, Debug)]
pub struct Places {
    /// Folder with `models`, `inputs` and `cards`.
    pub assets: PathBuf,
    /// Folder for packages, made once.
    pub cache: PathBuf,
}

/// A server to talk to.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// Where clients connect.
    pub gateway: SocketAddr,
    /// Where questions about the server are answered.
    pub controller: SocketAddr,
}

/// Starts everything in this process and shows it, for `length` under each load.
///
/// # Errors
/// [`DemoError`].
pub fn run(places: &Places, length: Nanos) -> Result<(), DemoError> {
    let packages = models::packages(places)?;
    let server = serve(&packages)?;
    let address = address(&server)?;
    show(address, places, length)
}

/// Shows a running server that has the demo's models.
///
/// # Errors
/// [`DemoError`].
pub fn show(address: Address, places: &Places, length: Nanos) -> Result<(), DemoError> {
    let mut client = Client::connect(&address.gateway.to_string())?;
    let answered = answers::show(&mut client, places)?;
    load::show(client, address, &answered, length)
}

fn serve(packages: &Path) -> Result<Server, DemoError> {
    let mut config = Config::default();
    // Ports that the system chooses: a demo stands in nobody's way.
    config.gateway.listen.set_port(0);
    config.controller.listen.set_port(0);
    config.gateway.payload_bytes = PAYLOAD_BYTES;
    // A laptop's memory: each place and each slot holds a whole text line's answer twice.
    config.gateway.requests = PLACES;
    config.worker.slots = SLOTS;
    config.worker.models = Some(packages.to_owned());
    let mut server = host::start(&config, Parts::ALL, |step| say!("  {step}"))?;
    server.until_ready()?;
    say!("{}", server.report.placement.trim_end());
    Ok(server)
}

fn address(server: &Server) -> Result<Address, DemoError> {
    let (Some(gateway), Some(controller)) = (server.report.gateway, server.report.controller) else {
        return Err(DemoError::NoAddress);
    };
    Ok(Address { gateway, controller })
}

/// The model of that name, as soon as the server lists it.
fn model(client: &mut Client, name: &str) -> Result<ModelEntry, DemoError> {
    let until = now() + PATIENCE;
    loop {
        match client.model(name) {
            Err(LookupError::Unknown { .. }) if now() < until => std::thread::sleep(ASK_EVERY),
            found => return Ok(found?),
        }
    }
}
