//! Invariants over random arrivals, withdrawals, faults and losses; `World` asserts each message.

use proptest::prelude::*;

use super::physics::{Physics, Seeded};
use super::world::{Ends, World};
use crate::base::Nanos;
use crate::scheduler::{Config, Scheduler as _};

/// Random load on two workers for two simulated seconds, then quiet.
fn chaos(physics: Physics, seed: u64, losses: bool) -> (Ends, World) {
    let models = u64::from(physics.models);
    let mut world = World::new(physics, Config::default(), seed);
    world.worker_up(0);
    world.worker_up(1);
    let mut random = Seeded(!seed);
    let mut at = Nanos::millis(20);
    let mut loss = Nanos::millis(300);
    while at < Nanos::seconds(2) {
        at += Nanos(random.exponential(3e6) as u64);
        world.run(at);
        let slo = Nanos::millis(8 + random.below(120));
        let request = world.ask(random.below(models) as u16, slo);
        if random.below(10) == 0 {
            world.withdraw_at(request, at + Nanos(random.below(slo.0)));
        }
        if losses && at > loss {
            loss = at + Nanos::millis(150);
            let worker = random.below(2) as u16;
            world.worker_lost(worker);
            world.worker_up(worker);
        }
    }
    world.run(at + Nanos::seconds(3));
    (world.ends, world)
}

fn check(ends: &Ends, world: &World) {
    assert!(world.open.is_empty(), "requests without an end: {:?}", world.open);
    let sum = ends.ok + ends.late + ends.rejected + ends.revoked + ends.failed + ends.withdrawn;
    assert_eq!(sum, ends.asked, "{ends:?}");
    let status = world.core.status();
    let counters = status.counters;
    assert_eq!(counters.asks, counters.admitted + counters.rejected);
    let ended = counters.served + counters.revoked + counters.failed + counters.withdrawn;
    assert_eq!((counters.open, counters.admitted), (0, ended), "{counters:?}");
    assert_eq!(counters.faults, 0, "{counters:?}");
    for device in &status.devices {
        assert_eq!((device.booked, device.committed, device.slots_out), (0, 0, 0), "{device:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_request_ends_once_and_slots_come_back(seed: u64, devices in 1u8..3, models in 1u16..12, slots in 2u16..40) {
        let physics = Physics { devices, models, slots, device_pages: 12, host_pages: 24, ..Physics::default() };
        let (ends, world) = chaos(physics, seed, false);
        check(&ends, &world);
        prop_assert!(ends.ok > 0, "{ends:?}");
    }

    #[test]
    fn also_when_actions_fail_and_workers_are_lost(seed: u64, faults in 0.0..0.3, models in 1u16..8) {
        let physics = Physics { faults, models, devices: 2, device_pages: 12, host_pages: 24, ..Physics::default() };
        let (ends, world) = chaos(physics, seed, true);
        check(&ends, &world);
    }

    #[test]
    fn a_run_is_reproduced_from_its_seed(seed: u64) {
        let physics = Physics { faults: 0.05, models: 4, ..Physics::default() };
        prop_assert_eq!(chaos(physics.clone(), seed, true).0, chaos(physics, seed, true).0);
    }
}
