//! Goodput under load, against a rule without overhead that admits on the same arrivals.

use super::physics::{Physics, Seeded};
use super::world::{Ends, World};
use crate::base::Nanos;
use crate::scheduler::Config;

const RATES: [f64; 9] = [0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0];
const LENGTH: Nanos = Nanos::seconds(20);

/// First in, first out, batch 1, no overhead, admitting iff expected start + bound <= deadline.
fn reference(arrivals: &[Nanos], services: &[Nanos], slo: Nanos) -> u64 {
    let mut sorted = services.to_vec();
    sorted.sort_unstable();
    let (expected, bound) = (sorted[sorted.len() / 2], sorted[sorted.len() * 99 / 100]);
    // Expected ends of what was admitted, from the real end of the last one known to have ended.
    let mut ends: Vec<Nanos> = Vec::new();
    let (mut in_time, mut next) = (0, 0);
    for &arrival in arrivals {
        let done = ends.iter().rposition(|&end| end <= arrival);
        let queued = ends.len() - done.map_or(0, |done| done + 1);
        let begun = done.map_or(Nanos::ZERO, |done| ends[done]);
        let mut start = begun;
        for _ in 0..queued {
            start = (start + expected).max(arrival);
        }
        let deadline = arrival + slo;
        if start.max(arrival) + bound <= deadline {
            let end = ends.last().copied().unwrap_or_default().max(arrival) + services[next];
            next += 1;
            ends.push(end);
            in_time += u64::from(end <= deadline);
            if ends.len() > 64 {
                ends.drain(..32);
            }
        }
    }
    in_time
}

fn at_rate(rate: f64, physics: &Physics, slo: Nanos, seed: u64) -> (Ends, u64, u64) {
    let mut random = Seeded(seed);
    let mean = physics.one.0 as f64 / rate;
    let mut at = 0.0;
    let arrivals: Vec<Nanos> = std::iter::from_fn(|| {
        at += random.exponential(mean);
        (at < LENGTH.0 as f64).then_some(Nanos(at as u64))
    })
    .collect();
    let services: Vec<Nanos> = arrivals.iter().map(|_| physics.jittered(physics.one, &mut random)).collect();
    let by_rule = reference(&arrivals, &services, slo);
    let mut world = World::new(physics.clone(), Config::default(), seed);
    world.worker_up(0);
    let warm = Nanos::seconds(1);
    world.run(warm);
    for (i, arrival) in arrivals.iter().enumerate() {
        world.run(warm + *arrival + Nanos::micros(30));
        world.ask((i % usize::from(physics.models)) as u16, slo);
    }
    world.run(warm + LENGTH + Nanos::seconds(2));
    assert!(world.open.is_empty());
    (world.ends, by_rule, LENGTH.0 / physics.one.0)
}

/// Rows of (rate, goodput as a share of the rule's, as a share of capacity, admitted but not in time).
fn table(physics: &Physics, slo: Nanos) -> Vec<(f64, f64, f64, f64)> {
    println!("slo {slo}: rate offered ok | rule share-of-rule share-of-capacity | rejected revoked late batch");
    let row = |rate: f64| {
        let (ends, by_rule, capacity) = at_rate(rate, physics, slo, 7 + (rate * 100.0) as u64);
        let share = ends.ok as f64 / by_rule as f64;
        let admitted = ends.asked - ends.rejected;
        let missed = (admitted - ends.ok) as f64 / admitted as f64;
        println!(
            "{rate:5.2} {:6} {:6} | {by_rule:6} {share:6.3} {:6.3} | {:6} {:4} {:4} {:5.2}",
            ends.asked,
            ends.ok,
            ends.ok as f64 / capacity as f64,
            ends.rejected,
            ends.revoked,
            ends.late,
            ends.items as f64 / ends.infers as f64,
        );
        (rate, share, ends.ok as f64 / capacity as f64, missed)
    };
    RATES.map(row).to_vec()
}

#[test]
fn at_twice_the_batch_1_time_goodput_stays_near_the_rules_at_every_rate() {
    for jitter in [0.002, 0.01, 0.03] {
        let physics = Physics { jitter, ..Physics::default() };
        for (rate, share, capacity, missed) in table(&physics, Nanos::millis(14)) {
            assert!(share >= 0.9, "{share:.3} of the rule's goodput at {rate}");
            assert!(missed <= 0.02, "{missed:.3} admitted but not in time at {rate}");
            assert!(rate < 1.5 || capacity >= 0.75, "{capacity:.3} of capacity at {rate}");
        }
    }
}

#[test]
fn where_batches_pay_goodput_exceeds_what_batch_1_can_serve() {
    let physics = Physics { marginal: 0.4, models: 2, ..Physics::default() };
    let rows = table(&physics, Nanos::millis(100));
    for (rate, _, capacity, missed) in rows {
        assert!(missed <= 0.02, "{missed:.3} admitted but not in time at {rate}");
        assert!(rate < 1.5 || capacity >= 1.2, "{capacity:.3} of batch-1 capacity at {rate}");
    }
}
