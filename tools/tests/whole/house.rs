//! A folder with models, servers over it, and clients of these.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::heavy;
use super::model::{self, IN, OUT, SIDE};
use super::program::{Done, PATIENCE, Program, run};

/// Little memory, so that a server starts at once.
pub const SMALL_GATEWAY: [&str; 4] = ["--requests", "16", "--payload-bytes", "1048576"];
/// The same for a worker.
pub const SMALL_WORKER: [&str; 6] = ["--host-pages", "16", "--device-pages", "16", "--slots", "8"];

/// A folder of a test. Its models are `tiny-1` (seed 1) and so on.
pub struct House {
    folder: TempDir,
}

/// A server and where it is.
pub struct Server {
    pub program: Program,
    pub gateway: String,
    pub controller: String,
}

impl House {
    /// A folder with the models of these seeds and an input.
    pub fn new(seeds: &[u32]) -> House {
        let house = House { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        fs::create_dir(house.path("models")).expect("a temporary folder can be made");
        for &seed in seeds {
            house.import(seed);
        }
        let data: Vec<u8> = house.input().iter().flat_map(|x| x.to_le_bytes()).collect();
        house.write("x.npy", &model::npy("<f4", &[1, IN, SIDE, SIDE], &data));
        house
    }

    fn import(&self, seed: u32) {
        let onnx = self.path(&format!("tiny-{seed}.onnx"));
        model::write(&onnx, seed);
        self.run(&["import", "--no-tune", text(&onnx), "-o", text(&self.package(seed))]).succeeded();
    }

    /// Adds the model that keeps a device busy, as `heavy`.
    pub fn add_heavy(&self) {
        let onnx = self.path("heavy.onnx");
        heavy::write(&onnx);
        self.run(&["import", "--no-tune", text(&onnx), "-o", text(&self.path("models/heavy.cwk"))]).succeeded();
    }

    /// The numbers in `x.npy`.
    pub fn input(&self) -> Vec<f32> {
        model::numbers(77, IN * SIDE * SIDE)
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The package of a seed.
    pub fn package(&self, seed: u32) -> PathBuf {
        self.path(&format!("models/tiny-{seed}.cwk"))
    }

    /// Writes a file into the folder and says where.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a temporary file can be written");
        path
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Done {
        run(self.folder.path(), arguments)
    }

    /// Starts the binary.
    pub fn start(&self, arguments: &[&str]) -> Program {
        Program::start(self.folder.path(), arguments)
    }

    /// Starts the binary with an output that nobody reads.
    pub fn start_unread(&self, arguments: &[&str]) -> Program {
        Program::start_unread(self.folder.path(), arguments)
    }

    /// The arguments of a `serve` over the models, on free ports.
    pub fn serve_arguments(&self, gateway: &str) -> Vec<String> {
        let [models, profiles] = ["models", "profiles"].map(|name| text(&self.path(name)).to_owned());
        let mut arguments = ["serve", "--models", &models, "--profiles", &profiles].to_vec();
        arguments.extend(["--gateway-listen", gateway, "--controller-listen", "127.0.0.1:0"]);
        arguments.extend(SMALL_GATEWAY);
        arguments.extend(SMALL_WORKER);
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// A server of all roles that has served the model of `seed` once. The first request is served:
    /// a server that says that it is ready is.
    pub fn serve(&self, seed: u32) -> Server {
        let server = self.serve_with(&[]);
        self.infer(&server.gateway, seed, &[]).succeeded();
        server
    }

    /// A server of all roles, with more arguments.
    pub fn serve_with(&self, more: &[&str]) -> Server {
        let arguments = self.serve_arguments("127.0.0.1:0");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let mut program = self.start(&arguments);
        program.wait_for("ready");
        let (gateway, controller) = (program.value("gateway"), program.value("controller"));
        Server { program, gateway, controller }
    }

    /// What the controller says about a topic.
    pub fn ctl(&self, topic: &str, controller: &str) -> Value {
        let said = self.run(&["ctl", topic, "--server", controller, "--json"]).succeeded();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("ctl {topic}: {error}: {said}"))
    }

    /// Asks the controller until what it says is as wanted.
    pub fn wait_for(&self, topic: &str, controller: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let said = self.ctl(topic, controller);
            if wanted(&said) {
                return said;
            }
            assert!(Instant::now() < until, "the controller still says {said}");
        }
    }

    /// Asks until an answer comes: after a worker has come, the others are told of it.
    pub fn wait_until_served(&self, gateway: &str, seed: u32) {
        let until = Instant::now() + PATIENCE;
        loop {
            let done = self.infer(gateway, seed, &[]);
            if done.status.success() {
                return;
            }
            assert!(Instant::now() < until, "no answer: {}", done.errors);
        }
    }

    /// Asks the model of `seed` about `x.npy`, with more arguments. The answer goes to `y.npy`.
    pub fn infer(&self, gateway: &str, seed: u32, more: &[&str]) -> Done {
        self.infer_file(gateway, &format!("tiny-{seed}"), &self.path("x.npy"), more)
    }

    /// Asks a model about a file.
    pub fn infer_file(&self, gateway: &str, model: &str, input: &Path, more: &[&str]) -> Done {
        let output = self.path("y.npy");
        let mut arguments = ["infer", model, "--server", gateway, "--input", text(input)].to_vec();
        arguments.extend(["--output", text(&output)]);
        if !more.contains(&"--slo") {
            arguments.extend(["--slo", "20s"]);
        }
        arguments.extend(more);
        self.run(&arguments)
    }

    /// Checks that the server still answers, and rightly.
    #[track_caller]
    pub fn assert_serves(&self, server: &mut Server, seed: u32) {
        assert!(server.program.runs(), "the server has ended");
        let output = self.path("y.npy");
        let _ = fs::remove_file(&output);
        self.infer(&server.gateway, seed, &[]).succeeded();
        self.assert_right(&output, seed);
    }

    /// Checks an answer against the definition of the model.
    #[track_caller]
    pub fn assert_right(&self, output: &Path, seed: u32) {
        let (found, wanted) = (model::read_npy(output), model::expected(seed, &self.input()));
        assert_eq!(found.len(), OUT * SIDE * SIDE);
        for (index, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            assert!((found - wanted).abs() < 1e-4, "{index}: {found} instead of {wanted}");
        }
        assert!(wanted.iter().any(|&wanted| wanted > 0.1), "the model does something");
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}
