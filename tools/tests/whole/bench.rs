//! Experiments against a real server: what must hold on any machine, however fast or busy.

use serde_json::Value;

use super::house::{House, Server};

/// A sweep of two rates, below capacity and above it.
fn sweep(house: &House, server: &Server, slo: &str) -> Value {
    let short = ["--shares", "0.4,1.5", "--length", "2s", "--capacity-length", "1s", "--repeats", "1"];
    let arguments = ["bench", "sweep", "tiny-1", "--server", &server.gateway, "--slo", slo, "--json"];
    let said = house.run(&[arguments.as_slice(), &short].concat()).succeeded();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("bench sweep --json: {error}: {said}"))
}

/// Checks the sums and promises of a sweep; says how many requests were answered in time.
fn assert_sound(report: &Value) -> u64 {
    let shares = |list: &str| -> Vec<f64> {
        report[list].as_array().into_iter().flatten().filter_map(|one| one["share"].as_f64()).collect()
    };
    assert_eq!((shares("points"), shares("measured")), (vec![0.4, 1.5], vec![0.4, 1.5]), "{report}");
    assert!(report["capacity_per_second"].as_f64() > Some(0.0), "{report}");
    let mut all_ok = 0;
    for measured in report["measured"].as_array().into_iter().flatten() {
        let row = &measured["row"];
        let count = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no count `{name}`: {row}"));
        let ends = ["ok", "late", "rejected", "revoked", "failed", "withdrawn", "unsent", "unanswered"];
        assert!(count("offered") > 0, "{row}");
        assert_eq!(ends.map(count).iter().sum::<u64>(), count("offered"), "{row}");
        assert_eq!((count("failed"), count("withdrawn"), count("unanswered")), (0, 0, 0), "{row}");
        // No OK was stamped after its deadline, on the clock by which the gateway promises. The
        // histogram keeps three digits, and so may say a thousandth more.
        let longest = row["stages_ns"]["gateway"]["max"].as_u64().expect("a duration");
        assert!(longest <= count("slo_ns") + count("slo_ns") / 1_000, "{row}");
        all_ok += count("ok");
    }
    all_ok
}

#[test]
fn a_short_sweep_keeps_its_promises_on_any_machine() {
    let house = House::new(&[1]);
    let mut server = house.serve(1);
    assert!(assert_sound(&sweep(&house, &server, "2s")) > 0);
    // So short that some can't be kept: they are refused or late, but never called good.
    assert_sound(&sweep(&house, &server, "1ms"));
    house.assert_serves(&mut server, 1);
}

#[test]
fn the_worst_predictions_stand_beside_what_the_kernel_counted() {
    let house = House::new(&[1]);
    let server = house.serve(1);
    let pid = server.program.id().to_string();
    let bench = ["bench", "predict", "tiny-1", "--server", &server.gateway, "--requests", "200", "--pid"];
    let said = house.run(&[bench.as_slice(), &[&pid, "--json"]].concat()).succeeded();
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(report["process"].as_u64(), Some(server.program.id().into()), "{report}");
    let worst = report["worst"].as_array().expect("a list");
    assert_eq!(worst.len(), 10, "{report}");
    for counts in worst.iter().map(|worst| &worst["counts"]).chain([&report["median_counts"]]) {
        // Counts of the thread are told by every kernel, those of its core where it stays on one.
        assert!(counts["involuntary_switches"].is_u64() && counts["minor_faults"].is_u64(), "{counts}");
        assert!(counts["interrupts"].is_u64() || counts["interrupts"].is_null(), "{counts}");
    }
    let said = house.run(&[bench.as_slice(), &[&pid]].concat()).succeeded();
    for word in ["switches", "interrupts", "median of all", &format!("process {pid} ")] {
        assert!(said.contains(word), "`{word}` is missing: {said}");
    }
    // A process that computes nothing has nothing to tell.
    let own = std::process::id().to_string();
    let said = house.run(&[bench.as_slice(), &[&own]].concat()).succeeded();
    assert!(said.contains("n/a"), "{said}");
}
