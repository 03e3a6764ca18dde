//! Files that are not what they should be, and starts that can't succeed.

use std::fs;
use std::path::Path;
use std::process::Command;

use runtime::package::header::{HEADER_BYTES, Header};
use runtime::package::{Contents, Package, PackageWriter};

use super::house::{House, text};
use super::model;

/// Starts a server that must fail over the folder's models.
#[track_caller]
fn serve_fails(house: &House, words: &[&str]) {
    let arguments = house.serve_arguments("127.0.0.1:0");
    house.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).failed_saying(words);
}

/// Writes the package at `path` again, with pages of another size.
fn write_with_pages_of(bytes: u32, path: &Path) {
    let Package { name, target, inputs, outputs, plans, labels, card, .. } =
        Package::open(path).expect("written by import");
    let contents = Contents { name, target, page_bytes: bytes, inputs, outputs, plans, labels, card, page_count: 1 };
    let mut writer = PackageWriter::create(path, contents).expect("a temporary file can be written");
    writer.push_page(&vec![0; bytes as usize]).expect("a temporary file can be written");
    writer.finish().expect("a temporary file can be written");
}

#[test]
fn a_server_refuses_broken_packages_by_name() {
    let house = House::new(&[1]);
    let path = house.package(1);
    let whole = fs::read(&path).expect("written by import");
    let header = Header::parse(&whole[..HEADER_BYTES]).expect("written by import");
    let flipped = |at: u64| {
        let mut bytes = whole.clone();
        bytes[usize::try_from(at).expect("a small file")] ^= 1;
        bytes
    };
    let broken: [(Vec<u8>, &str); 9] = [
        (Vec::new(), "cut off"),
        (whole[..100].to_vec(), "cut off"),
        (whole[..HEADER_BYTES + 10].to_vec(), ""),
        (whole[..whole.len() - 1].to_vec(), ""),
        (b"not a package, but long enough to hold a magic number".to_vec(), "not a Clockwork package"),
        (flipped(200), "header is corrupt"),
        (flipped(header.sections.plans.offset + 8), "plans section is corrupt"),
        (flipped(header.sections.names.offset), "names section is corrupt"),
        (flipped(header.sections.checksums.offset), "checksums section is corrupt"),
    ];
    for (bytes, word) in &broken {
        fs::write(&path, bytes).expect("a temporary file can be written");
        serve_fails(&house, &["tiny-1.cwk", word]);
        house.run(&["run", text(&path)]).failed_saying(&["tiny-1.cwk", word]);
    }
    // One of another page size, sound in itself.
    fs::write(&path, &whole).expect("a temporary file can be written");
    write_with_pages_of(1 << 20, &path);
    serve_fails(&house, &["tiny-1.cwk", "pages of 1048576 bytes", "2097152"]);
    // The same model twice, and no folder at all.
    fs::write(&path, &whole).expect("a temporary file can be written");
    house.write("models/twin.cwk", &whole);
    serve_fails(&house, &["tiny-1.cwk", "twin.cwk", "same model"]);
    fs::remove_dir_all(house.path("models")).expect("a temporary folder can be removed");
    serve_fails(&house, &["models folder", text(&house.path("models"))]);
}

#[test]
fn a_start_that_cannot_succeed_says_why() {
    let house = House::new(&[1]);
    let mut server = house.serve(1);
    let taken = house.serve_arguments(&server.gateway);
    let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
    house.run(&taken).failed_saying(&["can't listen at", &server.gateway]);
    house.run(&["controller", "--listen", &server.controller]).failed_saying(&["can't listen at", &server.controller]);
    house.assert_serves(&mut server, 1);

    house
        .run(&["serve", "--gateway-listen", "127.0.0.1:0", "--controller-listen", "127.0.0.1:0"])
        .failed_saying(&["models"]);
    house.run(&["serve", "--slots", "many"]).failed_saying(&["--slots", "many"]);
    let elsewhere = house.run(&["controller", "--listen", "192.0.2.1:7071"]);
    elsewhere.failed_saying(&["can't listen at 192.0.2.1:7071", "this machine has no such address"]);
    let config = house.write("clockwork.toml", b"[gateway]\nreqests = 3\n");
    house.run(&["serve", "--config", text(&config)]).failed_saying(&["clockwork.toml", "reqests"]);
    house.run(&["serve", "--config", text(&house.path("no.toml"))]).failed_saying(&["no.toml"]);
    let few = house.serve_arguments("127.0.0.1:0").into_iter().chain(["--device-pages", "0"].map(str::to_owned));
    let few: Vec<String> = few.collect();
    house.run(&few.iter().map(String::as_str).collect::<Vec<_>>()).failed_saying(&["device"]);
}

#[test]
fn a_server_without_models_says_so() {
    let house = House::new(&[]);
    let arguments = house.serve_arguments("127.0.0.1:0");
    let mut server = house.start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    server.wait_for("ready");
    assert!(server.value("model").starts_with("none: "));
    let door = server.value("gateway");
    house.infer(&door, 1, &[]).failed_saying(&["no model `tiny-1`"]);
    assert!(server.runs());
}

#[test]
fn flipped_weights_fail_their_model_and_no_other() {
    let house = House::new(&[1, 2]);
    // The profile is measured over sound files: the bit flips later, as bits on disks do.
    let mut sound = house.serve(1);
    house.assert_serves(&mut sound, 2);
    drop(sound);
    let path = house.package(2);
    let first = Package::open(&path).expect("the package is whole").pages[0].offset;
    let mut bytes = fs::read(&path).expect("written by import");
    bytes[usize::try_from(first).expect("a small file") + 5] ^= 0x10;
    fs::write(&path, &bytes).expect("a temporary file can be written");

    let mut server = house.serve(1);
    for _ in 0..3 {
        house
            .infer(&server.gateway, 2, &["--slo", "2s"])
            .failed_saying(&["tiny-2", "block 0 of the package does not match its checksum"]);
        house.assert_serves(&mut server, 1);
    }
    let said = house.run(&["ctl", "status", "--server", &server.controller, "--json"]).succeeded();
    let status: serde_json::Value = serde_json::from_str(&said).expect("ctl --json prints JSON");
    assert!(status["actions"]["fetches"].as_u64() >= Some(2), "{status}");
    let said = house.run(&["ctl", "models", "--server", &server.controller]).succeeded();
    assert!(said.contains("does not match its checksum"), "{said}");
    // A run without a server finds the same.
    house.run(&["run", text(&path)]).failed_saying(&["tiny-2.cwk"]);
}

#[test]
fn an_import_that_cannot_succeed_says_why_and_leaves_nothing() {
    let house = House::new(&[1]);
    let onnx = house.path("tiny-1.onnx");
    let nowhere = house.path("nowhere/tiny.cwk");
    house.run(&["import", "--no-tune", text(&onnx), "-o", text(&nowhere)]).failed_saying(&[text(&nowhere)]);
    // A folder stands where the package should be.
    let folder = house.path("models");
    house.run(&["import", "--no-tune", text(&onnx), "-o", text(&folder)]).failed_saying(&[text(&folder)]);
    // A file where a folder should be, which not even root may write into.
    let inside = onnx.join("tiny.cwk");
    house.run(&["import", "--no-tune", text(&onnx), "-o", text(&inside)]).failed_saying(&[text(&inside)]);

    let package = house.path("new.cwk");
    let garbage = house.write("garbage.onnx", &[0xff; 333]);
    let empty = house.write("empty.onnx", b"");
    let whole = fs::read(&onnx).expect("written before");
    let cut = house.write("cut.onnx", &whole[..whole.len() / 2]);
    let words = house.write("words.onnx", b"this is no model at all\n");
    for file in [&garbage, &empty, &cut, &words, &house.path("missing.onnx")] {
        house.run(&["import", "--no-tune", text(file), "-o", text(&package)]).failed_saying(&[text(file)]);
        assert!(!package.exists(), "{} left a package", file.display());
    }
    house.run(&["import", "--no-tune", text(&onnx), "-o", text(&package), "--outputs", "z"]).failed_saying(&["`z`"]);
    house
        .run(&["import", "--no-tune", text(&onnx), "-o", text(&package), "--shape", "x=1x4x16x16"])
        .failed_saying(&["x"]);
    assert!(!package.exists(), "a failed import leaves no package");
}

#[test]
fn names_of_tensors_are_as_long_as_they_can_be_asked_for() {
    let house = House::new(&[1]);
    let (onnx, package) = (house.path("long.onnx"), house.path("models/tiny-2.cwk"));
    let (longest, too_long) = ("n".repeat(64), "ü".repeat(33));
    for (x, y, role) in [(too_long.as_str(), "y", "input"), ("x", too_long.as_str(), "output")] {
        model::write_named(&onnx, 2, x, y);
        let import = ["import", "--no-tune", text(&onnx), "-o", text(&package), "--name", "tiny-2"];
        house.run(&import).failed_saying(&[role, &too_long, "66 bytes", "64"]);
        assert!(!package.exists(), "a failed import leaves no package");
    }
    model::write_named(&onnx, 2, &longest, &longest.replace('n', "m"));
    house.run(&["import", "--no-tune", text(&onnx), "-o", text(&package), "--name", "tiny-2"]).succeeded();
    let mut server = house.serve(2);
    house.assert_serves(&mut server, 1);
    house.assert_serves(&mut server, 2);
}

/// Runs the binary in a shell that lets no file grow beyond about a megabyte: the kernel then refuses
/// writes as a full disk does, and needs no rights to do so.
fn run_with_little_room(arguments: &[&str]) -> std::process::Output {
    // Signal 25, SIGXFSZ, ends whoever does not ignore it; ignored, the write fails.
    let script = r#"trap '' 25; ulimit -f 1000; exec "$0" "$@""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_clockwork")]).args(arguments);
    shell.output().expect("a shell can be started")
}

#[test]
fn an_import_without_room_names_file_and_bytes_and_leaves_nothing() {
    let house = House::new(&[1]);
    let onnx = house.path("tiny-1.onnx");
    let wanted = fs::metadata(house.package(1)).expect("imported before").len();
    assert!(wanted > 1_000 * 1_024, "{wanted} bytes would fit");
    fs::create_dir(house.path("full")).expect("a temporary folder can be made");
    let package = house.path("full/tiny-1.cwk");
    let import = ["import", "--no-tune", text(&onnx), "-o", text(&package)];
    let full = run_with_little_room(&import);
    let errors = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(1), "{errors}");
    for word in [text(&package), "disk full", &format!("{wanted} bytes"), "nothing was left behind"] {
        assert!(errors.contains(word), "`{word}` is missing: {errors}");
    }
    let left: Vec<_> = fs::read_dir(house.path("full")).expect("a folder is readable").collect();
    assert!(left.is_empty(), "{left:?}");

    // What was there before stays as it was.
    fs::copy(house.package(1), &package).expect("a temporary file can be written");
    assert_eq!(run_with_little_room(&import).status.code(), Some(1));
    assert_eq!(fs::read(&package).expect("kept"), fs::read(house.package(1)).expect("imported before"));
    assert_eq!(fs::read_dir(house.path("full")).expect("a folder is readable").count(), 1);
}
