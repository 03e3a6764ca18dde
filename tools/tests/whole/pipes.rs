//! Output that nobody reads any more: tools end quietly, as in `clockwork ctl models | head -1`, and
//! a server goes on.

use std::fs::File;
use std::io::pipe;
use std::process::{Command, Stdio};

use runtime::base::ShapeId;
use runtime::package::Package;

use super::house::{House, SMALL_WORKER, text};
use super::raw::{Raw, request};

/// Runs the binary with an output that is closed at the other end.
#[track_caller]
fn ends_quietly(arguments: &[&str]) {
    let (reader, writer) = pipe().expect("a pipe can be made");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_clockwork"));
    let ended = command.args(arguments).stdin(Stdio::null()).stdout(writer).output().expect("the binary starts");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), errors.as_ref()), (Some(0), ""), "{arguments:?}: {}", ended.status);
}

#[test]
fn tools_end_quietly_when_nobody_reads() {
    let house = House::new(&[1]);
    let server = house.serve(1);
    let (input, package) = (house.path("x.npy"), house.path("again.cwk"));
    let onnx = house.path("tiny-1.onnx");
    ends_quietly(&["ctl", "models", "--server", &server.controller]);
    ends_quietly(&["ctl", "config", "--server", &server.controller, "--json"]);
    ends_quietly(&["infer", "tiny-1", "--server", &server.gateway, "--input", text(&input), "--slo", "20s"]);
    ends_quietly(&["import", "--no-tune", text(&onnx), "-o", text(&package)]);
    // The report is the last thing: the package is whole.
    Package::open(&package).expect("what was imported is kept");

    // An output without room is an error, as it is for every tool.
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_clockwork"));
    let ended = command.args(["ctl", "models", "--server", &server.controller]).stdout(full).output();
    let ended = ended.expect("the binary starts");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(errors.contains("can't write the result") && !errors.contains("panicked"), "{errors}");
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn a_server_goes_on_when_nobody_reads_what_it_says() {
    let house = House::new(&[1]);
    let mut controller = house.start(&["controller", "--listen", "127.0.0.1:0"]);
    controller.wait_for("ready");
    let address = controller.value("controller");
    let mut gateway = house.start(&["gateway", "--controller", &address, "--gateway-listen", "127.0.0.1:0"]);
    // It is ready when it has a catalog, and so a worker.
    gateway.wait_for_prefix("gateway ");
    let [models, profiles] = ["models", "profiles"].map(|name| house.path(name));
    let mut arguments = vec!["worker", "--controller", &address, "--listen", "127.0.0.1:0"];
    arguments.extend(["--models", text(&models), "--profiles", text(&profiles)]);
    arguments.extend(SMALL_WORKER);
    let mut worker = house.start_unread(&arguments);
    house.wait_until_served(&gateway.value("gateway"), 1);
    assert!(worker.runs());
}

#[test]
fn a_server_goes_on_when_clients_do_not_wait_for_their_answers() {
    let house = House::new(&[1]);
    let mut server = house.serve(1);
    let package = Package::open(house.package(1)).expect("the package is whole");
    let input: Vec<u8> = house.input().iter().flat_map(|x| x.to_le_bytes()).collect();
    let bytes = u32::try_from(input.len()).expect("small");
    for id in 0..20 {
        let mut raw = Raw::welcome(&server.gateway);
        raw.send(&request(id, package.id, ShapeId(0), bytes));
        raw.send(&input);
    }
    house.assert_serves(&mut server, 1);
}
