//! Profiles: measured before serving, renewed by a command, and what can't be measured is said.

use std::fs;
use std::path::PathBuf;

use runtime::package::Package;
use serde_json::Value;

use super::house::{House, text};

impl House {
    /// `clockwork profile --json` over what `more` names.
    fn profile(&self, more: &[&str]) -> Value {
        let profiles = self.path("profiles");
        let mut arguments = vec!["profile", "--json", "--profiles", text(&profiles)];
        arguments.extend(["--host-pages", "16", "--device-pages", "16", "--slots", "8"]);
        arguments.extend(more);
        let said = self.run(&arguments).succeeded();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("profile --json: {error}: {said}"))
    }

    /// The only profile that is kept.
    fn sidecar(&self) -> PathBuf {
        let mut files = fs::read_dir(self.path("profiles")).expect("profiles are kept");
        let only = files.next().expect("there is one").expect("a folder entry is readable").path();
        assert!(files.next().is_none(), "equal plans have one profile");
        only
    }

    fn kept(&self) -> Value {
        serde_json::from_slice(&fs::read(self.sidecar()).expect("a profile is readable")).expect("profiles are JSON")
    }
}

/// The rows of an action.
fn rows<'a>(report: &'a Value, action: &str) -> Vec<&'a Value> {
    report["rows"].as_array().into_iter().flatten().filter(|row| row["action"] == action).collect()
}

#[test]
fn the_command_measures_plans_and_transfers_and_keeps_them() {
    let house = House::new(&[1, 2]);
    let models = house.path("models");
    let first = house.profile(&["--models", text(&models)]);
    let infers = rows(&first, "infer");
    assert_eq!(infers[0]["batch"], 1);
    for row in rows(&first, "fetch").iter().chain(&rows(&first, "load")).chain(&infers) {
        assert!(row["now"]["expected_ns"].as_u64() > Some(0), "{row}");
        assert!(row["now"]["bound_ns"].as_u64() >= row["now"]["expected_ns"].as_u64(), "{row}");
        assert!(row["now"]["samples"].as_u64() > Some(0) && row["now"]["disturbed"].is_u64(), "{row}");
        assert!(row["before"]["expected_ns"].is_null(), "{row}");
    }
    assert_eq!((rows(&first, "fetch").len(), rows(&first, "load").len()), (1, 1));
    assert_eq!(first["alike"][0].as_array().map(Vec::len), Some(2), "both models run the same plans");

    // What one run measured is what the next one finds, also by the package alone.
    let package = house.package(2);
    let second = house.profile(&[text(&package)]);
    assert_eq!(rows(&second, "infer").len(), infers.len());
    for (row, before) in second["rows"].as_array().into_iter().flatten().zip(first["rows"].as_array().expect("rows")) {
        assert_eq!((&row["before"], &row["model"]), (&before["now"], &Value::from("tiny-2")));
    }
    // A server measures nothing again.
    let kept = house.kept();
    let mut server = house.serve(1);
    house.assert_serves(&mut server, 2);
    assert_eq!(house.kept(), kept);
    drop(server);

    let models = text(&models);
    let profiles = house.path("profiles");
    let said = house.run(&["profile", "--models", models, "--profiles", text(&profiles)]).succeeded();
    for word in ["tiny-1", "batch 1", "fetch 1 pages", "load 1 pages", "expected before", "compute"] {
        assert!(said.contains(word), "`{word}` is missing: {said}");
    }
    house.run(&["profile", text(&house.path("none.cwk"))]).failed_saying(&["none.cwk"]);
    house.run(&["profile", text(&package), "--models", models]).failed_saying(&["--models"]);
    house.run(&["profile"]).failed_saying(&["--models"]);
}

#[test]
fn a_profile_without_transfers_gets_them_and_keeps_its_plans() {
    let house = House::new(&[1]);
    drop(house.serve(1));
    let mut kept = house.kept();
    kept["fetches"] = Value::Array(Vec::new());
    for plan in kept["plans"].as_array_mut().expect("plans were measured") {
        // As an earlier version wrote it.
        plan.as_object_mut().expect("a plan").remove("disturbed");
    }
    fs::write(house.sidecar(), kept.to_string()).expect("a temporary file can be written");
    drop(house.serve(1));
    let again = house.kept();
    assert!(again["fetches"][0]["duration"].as_u64() > Some(0), "{again}");
    for (plan, before) in again["plans"].as_array().into_iter().flatten().zip(kept["plans"].as_array().expect("plans"))
    {
        assert_eq!(plan["durations"], before["durations"]);
    }
}

#[test]
fn weights_that_cannot_be_read_are_named_at_start_and_the_others_served() {
    let house = House::new(&[1, 2]);
    let path = house.package(1);
    let first = Package::open(&path).expect("the package is whole").pages[0].offset;
    let mut bytes = fs::read(&path).expect("written by import");
    bytes[usize::try_from(first).expect("a small file") + 5] ^= 0x10;
    fs::write(&path, &bytes).expect("a temporary file can be written");
    let mut server = house.serve(2);
    assert!(server.program.said().contains("not fetched tiny-1: block 0"), "{}", server.program.said());
    house.assert_serves(&mut server, 2);
    house.infer(&server.gateway, 1, &["--slo", "2s"]).failed_saying(&["tiny-1"]);
}
