//! Many seeds, each another world with its own troubles: every invariant must hold in all of them.
#![allow(clippy::cast_possible_truncation, reason = "numbers that are drawn are small")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use clockwork_runtime as runtime;
use runtime::base::{BatchSize, Nanos};
use runtime::order::record::Step;
use runtime::sim::device::ExecTimes;
use runtime::sim::seeded::Seeded;
use runtime::sim::workload::zipf;
use runtime::sim::{Load, LossConfig, ModelConfig, Pace, Report, SimConfig, World};

const SEEDS: u64 = 200;
const SHARES: [f64; 7] = [0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0];

/// Exec times of an architecture: batch 1 takes `one`, each further item 20 to 100% of it; some
/// architectures have no plan beyond a size.
fn exec_times(stream: &mut Seeded, one: Nanos) -> ExecTimes {
    let share = 20 + stream.up_to(80);
    let sizes = 1 + stream.up_to(4);
    BatchSize::ALL.map(|size| {
        let further = size.items() as u64 - 1;
        ((size.ordinal() as u64) < sizes).then(|| one + Nanos(one.0 * share / 100 * further))
    })
}

/// A world with its own size, load and troubles.
fn troubled(seed: u64) -> SimConfig {
    let mut stream = Seeded::new(seed ^ 0x5eed);
    let mut pick = |most: u64| stream.up_to(most);
    let (workers, devices, gateways) = (1 + pick(2) as u16, 1 + pick(1) as u8, 1 + pick(1) as u16);
    let models = 1 + pick(11) as usize;
    let one = Nanos::micros(2_000 + pick(18_000));
    let share = SHARES[pick(SHARES.len() as u64 - 1) as usize];
    let rate = share * f64::from(workers) * f64::from(devices) * 1e9 / one.0 as f64;
    let (slo_factor, fault_kind, loss_kind) = (2 + pick(6), pick(3), pick(2));
    let architectures = vec![exec_times(&mut stream, one), exec_times(&mut stream, one)];
    let load = |share: f64, stream: &mut Seeded| Load {
        pace: match stream.up_to(3) {
            0 => Pace::Fixed(rate * share),
            1 => Pace::Closed { clients: 1 + stream.up_to(3) as u16, think: Nanos::millis(10) },
            _ => Pace::Poisson(rate * share),
        },
        slo: Nanos(one.0 * slo_factor) + Nanos::micros(stream.up_to(3_000)),
        withdrawn: if stream.chance(0.5) { 0.1 } else { 0.0 },
    };
    let shares = zipf(models, 0.9);
    let model = |&share: &f64| ModelConfig {
        architecture: stream.up_to(1) as u16,
        pages: 1 + stream.up_to(7) as u32,
        input_bytes: 64 * (1 + stream.up_to(3_000) as u32),
        output_bytes: 64 * (1 + stream.up_to(125) as u32),
        load: load(share, &mut stream),
    };
    let models: Vec<ModelConfig> = shares.iter().map(model).collect();
    let rare = if fault_kind == 0 { 0.02 } else { 0.0 };
    let base = SimConfig::single(one, Pace::Poisson(0.0), Nanos::millis(20), Nanos::seconds(2));
    let mut config = SimConfig {
        seed,
        workers,
        devices,
        gateways,
        architectures,
        models,
        requests: 8 + stream.up_to(250) as u16,
        slots: 1 + stream.up_to(40) as u16,
        host_pages: 8 + stream.up_to(60) as u32,
        device_pages: 8 + stream.up_to(40) as u32,
        losses: LossConfig {
            every: if loss_kind == 0 { Nanos::millis(400) } else { Nanos::ZERO },
            crashes: 0.5,
            down: Nanos::millis(60),
        },
        ..base
    };
    config.device_faults.weights = rare;
    config.device_faults.exec = rare;
    config.device_faults.input = rare;
    config.device_faults.output = rare;
    config.disk.fault_rate = rare;
    config.disk.checksum_rate = rare;
    config.device.spike_rate = if fault_kind == 1 { 0.01 } else { 0.0 };
    config
}

fn show(steps: &[Step]) {
    steps.iter().for_each(|step| println!("  {:>16} {:?}", step.at.0, step.event));
}

fn run(seed: u64) -> Report {
    let mut world = World::new(troubled(seed)).expect("the settings are within their limits");
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(Ok(report)) => report,
        Ok(Err(broken)) => panic!("{broken}"),
        Err(_) => {
            show(&world.trail());
            panic!("seed {seed}: a machine's own assertion failed after the steps above");
        }
    }
}

#[test]
fn every_invariant_holds_in_every_world() {
    let first = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = first.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = |thread: usize| seeds.clone().skip(thread).step_by(threads).map(run).collect::<Vec<Report>>();
    let share = &share;
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || share(thread))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a world broke, see above")).collect()
    });
    let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
    println!(
        "{} requests: {} in time, {} late, {} rejected, {} revoked, {} failed, {} withdrawn",
        sum(|r| r.requests),
        sum(|r| r.in_time),
        sum(|r| r.late),
        sum(|r| r.rejected),
        sum(|r| r.revoked),
        sum(|r| r.failed),
        sum(|r| r.withdrawn)
    );
    if first.is_none() {
        // A soak in which one of these never happened would prove nothing of it.
        assert!(sum(|r| r.in_time) > 0 && sum(|r| r.rejected) > 0 && sum(|r| r.revoked) > 0);
        assert!(sum(|r| r.failed) > 0 && sum(|r| r.withdrawn) > 0 && sum(|r| r.cold_starts) > 0);
    }
}
