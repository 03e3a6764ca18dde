//! Servers in this process, and a client that keeps them busy while their threads are counted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use runtime::base::{Nanos, ShapeId};
use runtime::client::{Client, Ended, Ending, Request, now};
use runtime::host::{self, Config, Parts, Server};
use runtime::wire::ModelEntry;
use sys::thread::{ThreadCounters, registered};
use tempfile::TempDir;

/// One server at a time: the threads of another would be counted too.
static TURN: Mutex<()> = Mutex::new(());

/// Requests that are out at once in a burst: more than the largest batch.
const BURST: usize = 24;
/// How long a request may take. The scheduler lets a batch grow for a share of it, so it is not as
/// long as patience would have it; what comes late on a slow machine is not counted.
const SLO: Nanos = Nanos::seconds(4);
/// How long anything may take before a test gives up: far more than any machine needs.
const PATIENCE: Nanos = Nanos::seconds(120);

/// A model to import, with flags of `import`.
type Wanted<'a> = (PathBuf, Vec<&'a str>);

/// A folder of packages.
pub struct Serving {
    folder: TempDir,
    names: Vec<String>,
}

/// What keeps the servers busy.
pub struct Load {
    client: Client,
    models: Vec<(ModelEntry, Vec<Vec<Vec<u8>>>)>,
    /// Where the next request goes.
    turn: usize,
    /// Whether all memory of the process is locked. Where it may not be, the servers say so, and the
    /// kernel may fault anything in at any time: then only allocations are judged.
    locked: bool,
}

impl Serving {
    /// Imports what is `wanted`.
    pub fn new<'a>(wanted: impl FnOnce(&Path) -> Vec<Wanted<'a>>) -> Serving {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let import = |(onnx, flags): Wanted<'_>| {
            let name = onnx.file_stem().expect("a file has a name").to_str().expect("which is text").to_owned();
            let package = folder.path().join(format!("{name}.cwk"));
            let mut command = Command::new(env!("CARGO_BIN_EXE_clockwork"));
            command.args(["import", "--no-tune"]).arg(&onnx).arg("-o").arg(package).args(["--name", &name]).args(flags);
            let done = command.output().expect("the binary starts");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            name
        };
        let names = wanted(folder.path()).into_iter().map(import).collect();
        Serving { folder, names }
    }

    /// Starts a server for each of `parts`, and a client once every model is served.
    pub fn with(&self, parts: &[Parts], measure: impl FnOnce(&mut Load)) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut config = self.config();
        let mut servers = Vec::new();
        let mut gateway = None;
        for &part in parts {
            let server = host::start(&config, part, |_| ()).expect("the server starts");
            gateway = gateway.or(server.report.gateway);
            if let Some(address) = server.report.controller {
                (config.gateway.controller, config.worker.controller) = (address, address);
            }
            servers.push(server);
        }
        let address = gateway.expect("one is the gateway").to_string();
        let locked = servers.iter().all(|server| server.report.unlocked.is_none());
        measure(&mut Load::new(&address, &self.names, locked));
        servers.into_iter().rev().map(Server::stop).for_each(|stopped| stopped.expect("it served to the end"));
    }

    fn config(&self) -> Config {
        let loopback = "127.0.0.1:0".parse().expect("an address");
        let mut config = Config::default();
        (config.gateway.listen, config.controller.listen, config.worker.listen) = (loopback, loopback, loopback);
        (config.gateway.requests, config.gateway.payload_bytes) = (64, 4 << 20);
        config.worker.models = Some(self.folder.path().to_owned());
        let bytes = |name: &String| {
            let package = self.folder.path().join(format!("{name}.cwk"));
            std::fs::metadata(package).expect("the package was made").len()
        };
        let pages = self.names.iter().map(|name| bytes(name) / (2 << 20) + 1).sum::<u64>().max(24);
        let pages = u32::try_from(pages).expect("as many as memory holds");
        (config.worker.host_pages, config.worker.device_pages, config.worker.slots) = (pages, pages, 32);
        config
    }
}

impl Load {
    /// Connects, and waits until every model has answered.
    fn new(address: &str, names: &[String], locked: bool) -> Load {
        let mut client = Client::connect(address).expect("the gateway listens");
        let models = names.iter().map(|name| known(&mut client, name)).collect();
        Load { client, models, turn: 0, locked }
    }

    /// Checks that once warm, `count` answers one by one and at least as many in bursts, some of them
    /// in a batch of `batch` or larger, leave no trace on any thread of the servers.
    pub fn assert_nothing_new(&mut self, count: usize, batch: usize) {
        self.keep_busy(count / 4, batch);
        let before = registered();
        let names: Vec<&str> = before.iter().map(|thread| thread.name.as_str()).collect();
        for wanted in ["roles", "cpu0-comp0"] {
            assert!(names.contains(&wanted), "`{wanted}` is not counted: {names:?}");
        }
        let counted = before.iter().all(|thread| thread.allocations.allocations > 0 || thread.name != "roles");
        assert!(counted, "a role allocates while it starts: {before:#?}");
        self.keep_busy(count, batch);
        let after = registered();
        assert_eq!(before.len(), after.len(), "no thread has come or gone");
        let pairs = before.iter().zip(&after);
        let new: Vec<String> = pairs.filter_map(|(before, after)| news(before, after, self.locked)).collect();
        assert!(new.is_empty(), "after {} answers: {new:#?}", 2 * count);
    }

    /// Gets `count` answers one by one and as many in bursts, and more until a batch was large enough.
    fn keep_busy(&mut self, count: usize, batch: usize) {
        let until = now() + PATIENCE;
        for (at_once, batch) in [(1, 1), (BURST, batch)] {
            let (mut answered, mut largest) = (0, 0);
            while answered < count || largest < batch {
                assert!(now() < until, "{answered} answers, {at_once} at once, in batches of up to {largest}");
                let begins = self.round(at_once);
                answered += begins.len();
                let batches = begins.chunk_by(|a, b| a == b).map(<[Nanos]>::len);
                largest = batches.max().unwrap_or(0).max(largest);
            }
        }
    }

    /// Sends `count` requests for one model and shape at once; tells when the exec of each began
    /// that was served, in order. Those that went through exec together began together.
    fn round(&mut self, count: usize) -> Vec<Nanos> {
        let (model, shapes) = &self.models[self.turn % self.models.len()];
        let place = self.turn / self.models.len() % shapes.len();
        self.turn += 1;
        let shape = ShapeId(u8::try_from(place).expect("a few shapes"));
        let inputs: Vec<&[u8]> = shapes[place].iter().map(Vec::as_slice).collect();
        for _ in 0..count {
            self.client.send(Request { model, shape, inputs: &inputs, slo: SLO }).expect("it can be sent");
        }
        let mut begins: Vec<Nanos> = (0..count).filter_map(|_| exec_begin(&mut self.client)).collect();
        begins.sort_unstable();
        begins
    }
}

/// When the exec of the next request began that ends, if it was served in time.
fn exec_begin(client: &mut Client) -> Option<Nanos> {
    let ended = client.receive(now() + PATIENCE).expect("the gateway is there");
    let Ended { finished, .. } = ended.expect("every request ends");
    (finished.ending == Ending::Ok).then_some(finished.timing.stages.exec.begin)
}

/// A model once it is served, with zero bytes for the inputs of each of its shapes.
fn known(client: &mut Client, name: &str) -> (ModelEntry, Vec<Vec<Vec<u8>>>) {
    let until = now() + PATIENCE;
    loop {
        if let Ok(model) = client.model(name) {
            let shapes = (0..model.shapes).map(|shape| inputs(&model, shape)).collect();
            return (model, shapes);
        }
        assert!(now() < until, "{name} is not served");
    }
}

fn inputs(model: &ModelEntry, shape: u8) -> Vec<Vec<u8>> {
    let area = runtime::client::payload::layout(model, ShapeId(shape)).expect("the model has it").inputs;
    area.fields.iter().map(|field| vec![0; field.bytes as usize]).collect()
}

/// What a thread did that it should not have done.
fn news(before: &ThreadCounters, after: &ThreadCounters, locked: bool) -> Option<String> {
    let differences = [
        ("allocations", before.allocations.allocations, after.allocations.allocations),
        ("frees", before.allocations.frees, after.allocations.frees),
        ("minor faults", before.minor_faults, after.minor_faults),
        ("major faults", before.major_faults, after.major_faults),
    ];
    let new: Vec<String> = differences
        .iter()
        .filter(|(what, before, after)| before != after && (locked || !what.contains("faults")))
        .map(|(what, before, after)| format!("{} {what}", after - before))
        .collect();
    (!new.is_empty() || before.id != after.id).then(|| format!("{} {}: {}", after.name, after.id, new.join(", ")))
}
