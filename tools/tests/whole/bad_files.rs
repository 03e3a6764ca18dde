//! Files that are not what they should be, and starts that can't succeed.

use std::fs;

use runtime::package::Package;
use runtime::package::header::{HEADER_BYTES, Header};

use super::house::{House, text};

/// Starts a server that must fail over the folder's models.
#[track_caller]
fn serve_fails(house: &House, words: &[&str]) {
    let arguments = house.serve_arguments("127.0.0.1:0");
    house.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).failed_saying(words);
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
    let config = house.write("clockwork.toml", b"[gateway]\nreqests = 3\n");
    house.run(&["serve", "--config", text(&config)]).failed_saying(&["clockwork.toml", "reqests"]);
    house.run(&["serve", "--config", text(&house.path("no.toml"))]).failed_saying(&["no.toml"]);
    let few = house.serve_arguments("127.0.0.1:0").into_iter().chain(["--device-pages", "0"].map(str::to_owned));
    let few: Vec<String> = few.collect();
    house.run(&few.iter().map(String::as_str).collect::<Vec<_>>()).failed_saying(&["device"]);
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
    house.run(&["import", text(&onnx), "-o", text(&nowhere)]).failed_saying(&[text(&nowhere)]);
    // A folder stands where the package should be.
    let folder = house.path("models");
    house.run(&["import", text(&onnx), "-o", text(&folder)]).failed_saying(&[text(&folder)]);
    // A file where a folder should be, which not even root may write into.
    let inside = onnx.join("tiny.cwk");
    house.run(&["import", text(&onnx), "-o", text(&inside)]).failed_saying(&[text(&inside)]);

    let package = house.path("new.cwk");
    let garbage = house.write("garbage.onnx", &[0xff; 333]);
    let empty = house.write("empty.onnx", b"");
    let whole = fs::read(&onnx).expect("written before");
    let cut = house.write("cut.onnx", &whole[..whole.len() / 2]);
    let words = house.write("words.onnx", b"this is no model at all\n");
    for file in [&garbage, &empty, &cut, &words, &house.path("missing.onnx")] {
        house.run(&["import", text(file), "-o", text(&package)]).failed_saying(&[text(file)]);
        assert!(!package.exists(), "{} left a package", file.display());
    }
    house.run(&["import", text(&onnx), "-o", text(&package), "--outputs", "z"]).failed_saying(&["`z`"]);
    house.run(&["import", text(&onnx), "-o", text(&package), "--shape", "x=1x4x16x16"]).failed_saying(&["x"]);
    assert!(!package.exists(), "a failed import leaves no package");
}
