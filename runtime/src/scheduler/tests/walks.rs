//! Single walks through the scheduler, message by message.

use super::physics::Physics;
use super::world::World;
use crate::base::{ModelId, Nanos};
use crate::order::{ActionKind, Reject, Status};
use crate::profile::SizedSample;
use crate::scheduler::{Config, Event, Output, WorkerUp};

fn words(said: &[Output]) -> Vec<&'static str> {
    let word = |output: &Output| match output {
        Output::Place { .. } => "PLACE",
        Output::Reject { .. } => "REJECT",
        Output::Revoke { .. } => "REVOKE",
        Output::Fail { .. } => "FAIL",
        Output::Cancel { .. } => "CANCEL",
        Output::Discard { .. } => "DISCARD",
        Output::Action { action, .. } => match action.kind {
            ActionKind::Fetch => "FETCH",
            ActionKind::Drop => "DROP",
            ActionKind::Load { .. } => "LOAD",
            ActionKind::Unload { .. } => "UNLOAD",
            ActionKind::Infer { .. } => "INFER",
        },
    };
    said.iter().map(word).collect()
}

fn world(physics: Physics, preload: bool) -> World {
    let mut world = World::new(physics, Config { preload, ..Config::default() }, 1).keep();
    world.worker_up(0);
    world.run(Nanos::seconds(1));
    world
}

#[test]
fn a_warm_infer() {
    let mut world = world(Physics::default(), true);
    assert_eq!(words(&world.said), ["FETCH", "LOAD"]);
    world.said.clear();
    world.ask(0, Nanos::millis(14));
    world.run(Nanos::seconds(2));
    assert_eq!(words(&world.said), ["PLACE", "INFER"]);
    assert_eq!((world.ends.ok, world.core_slots_out()), (1, 0));
}

#[test]
fn a_workers_first_transfers_are_expected_to_take_what_it_measured() {
    let physics = Physics { pages_per_model: 3, ..Physics::default() };
    let mut world = World::new(physics.clone(), Config::default(), 1).keep();
    let sample = |duration| vec![SizedSample { pages: 3, duration }];
    let (fetches, loads) = (sample(Nanos::millis(60)), sample(Nanos::millis(9)));
    world.worker_up_as(WorkerUp { fetches, loads, ..physics.worker(0, 0) });
    world.run(Nanos::seconds(1));
    let ordered = world.said.iter().filter_map(|said| match said {
        Output::Action { action, .. } => Some(action.expected_duration),
        _ => None,
    });
    assert_eq!(words(&world.said), ["FETCH", "LOAD"]);
    assert_eq!(ordered.collect::<Vec<_>>(), [Nanos::millis(60), Nanos::millis(9)]);
}

#[test]
fn a_cold_start_that_fits_is_admitted() {
    let mut world = world(Physics::default(), false);
    world.ask(0, Nanos::millis(100));
    world.run(Nanos::seconds(2));
    assert_eq!(words(&world.said), ["PLACE", "FETCH", "LOAD", "INFER"]);
    assert_eq!(world.ends.ok, 1);
}

#[test]
fn a_cold_start_that_does_not_fit_is_refused_and_loads_for_the_next() {
    let mut world = world(Physics::default(), false);
    world.ask(0, Nanos::millis(14));
    let Some(Output::Reject { reason: Reject::WouldBeLate { predicted }, .. }) = world.said.first() else {
        panic!("{:?}", world.said)
    };
    assert!(*predicted > Nanos::millis(14), "{predicted}");
    world.run(Nanos::seconds(2));
    world.ask(0, Nanos::millis(14));
    world.run(Nanos::seconds(3));
    assert_eq!(words(&world.said), ["REJECT", "FETCH", "LOAD", "PLACE", "INFER"]);
    assert_eq!(world.ends.ok, 1);
}

#[test]
fn three_requests_behind_a_running_one_share_the_plan_for_four() {
    let mut world = world(Physics { marginal: 0.2, ..Physics::default() }, true);
    world.said.clear();
    world.ask(0, Nanos::millis(100));
    world.run(world.now + Nanos::millis(1));
    let requests: Vec<_> = (0..3).map(|_| world.ask(0, Nanos::millis(100))).collect();
    world.run(Nanos::seconds(2));
    let batch = world.said.iter().filter_map(|output| match output {
        Output::Action { action, .. } => match &action.kind {
            ActionKind::Infer { batch, items, .. } => Some((batch.get(), items.clone())),
            _ => None,
        },
        _ => None,
    });
    let batches: Vec<_> = batch.collect();
    assert_eq!(batches.len(), 2);
    assert_eq!(batches[1].0, 4);
    assert_eq!(batches[1].1.iter().map(|item| item.request).collect::<Vec<_>>(), requests);
    assert_eq!(world.ends.ok, 4);
}

#[test]
fn a_withdrawn_request_leaves_its_place_before_the_batch_is_bound_and_cancels_it_after() {
    let mut world = world(Physics::default(), true);
    world.said.clear();
    world.ask(0, Nanos::millis(100));
    world.run(world.now + Nanos::millis(1));
    let (now, queued) = (world.now, world.ask(0, Nanos::millis(100)));
    world.withdraw_at(queued, now + Nanos::millis(1));
    world.run(Nanos::seconds(2));
    assert_eq!(words(&world.said), ["PLACE", "INFER", "PLACE", "DISCARD"]);
    world.said.clear();
    let bound = world.ask(0, Nanos::millis(100));
    world.withdraw_at(bound, world.now);
    world.run(Nanos::seconds(3));
    assert_eq!(words(&world.said), ["PLACE", "INFER", "CANCEL", "DISCARD"]);
    assert_eq!((world.ends.withdrawn, world.core_slots_out()), (2, 0));
}

#[test]
fn weights_that_cannot_be_read_fail_their_request_and_refuse_the_next_by_name() {
    let mut world = world(Physics { faults: 1.0, ..Physics::default() }, false);
    world.ask(0, Nanos::seconds(1));
    world.run(Nanos::millis(1_040));
    assert_eq!(words(&world.said), ["PLACE", "FETCH", "FETCH", "DISCARD", "FAIL"]);
    let disk_fault = Status::DiskFault { errno: 5, block: 0 };
    assert!(matches!(world.said.last(), Some(Output::Fail { status, .. }) if *status == disk_fault));
    world.said.clear();
    world.ask(0, Nanos::seconds(1));
    let broken = Reject::BrokenModel { errno: 5, block: 0 };
    assert!(matches!(world.said[..], [Output::Reject { reason, .. }] if reason == broken), "{:?}", world.said);
    // Later it is looked at again, once.
    world.run(Nanos::seconds(3));
    world.said.clear();
    world.ask(0, Nanos::seconds(1));
    world.run(Nanos::seconds(3) + Nanos::millis(40));
    assert_eq!(words(&world.said), ["PLACE", "FETCH", "DISCARD", "FAIL"]);
}

#[test]
fn a_bound_from_bad_times_comes_down_though_it_refuses_everything() {
    let mut world = world(Physics { spikes: 0.2, ..Physics::default() }, true);
    for _ in 0..1_000 {
        world.ask(0, Nanos::millis(100));
        world.run(world.now + Nanos::millis(10));
    }
    world.physics.spikes = 0.0;
    // Enough for what the plan takes now, not for what it took.
    let (served, slo) = (world.ends.ok, Nanos::micros(8_500));
    world.ask(0, slo);
    assert_eq!(words(&world.said[world.said.len() - 2..]), ["INFER", "REJECT"]);
    for _ in 0..3_000 {
        world.run(world.now + Nanos::millis(40));
        world.ask(0, slo);
    }
    world.run(world.now + Nanos::millis(40));
    assert!(world.ends.ok - served > 1_000, "{} of 3,000", world.ends.ok - served);
    assert_eq!(world.ends.late, 0);
}

#[test]
fn delays_from_bad_times_are_forgotten_though_they_refuse_everything() {
    for bad in ["input", "handover"] {
        let mut world = world(Physics::default(), true);
        let delays = &mut world.core.devices[0].delays[0];
        let window = if bad == "input" { &mut delays.input } else { &mut delays.handover };
        for _ in 0..20 {
            window.record(Nanos::millis(30));
        }
        let slo = Nanos::millis(14);
        world.ask(0, slo);
        assert_eq!(words(&world.said[world.said.len() - 2..]), ["INFER", "REJECT"], "{bad}");
        for _ in 0..400 {
            world.run(world.now + Nanos::millis(40));
            world.ask(0, slo);
        }
        world.run(world.now + Nanos::millis(40));
        assert!(world.ends.ok > 200, "{bad}: {} of 400", world.ends.ok);
    }
}

#[test]
fn an_input_that_comes_late_is_waited_for_while_there_is_time() {
    let mut world = world(Physics { one: Nanos::micros(100), ..Physics::default() }, true);
    // Long enough that one delay more moves no bound.
    for _ in 0..1_200 {
        world.ask(0, Nanos::millis(14));
        world.run(world.now + Nanos::millis(2));
    }
    let served = world.ends.ok;
    world.said.clear();
    world.physics.input = Nanos::millis(200);
    world.ask(0, Nanos::seconds(3));
    world.run(world.now + Nanos::seconds(4));
    assert_eq!((world.ends.ok, world.ends.revoked), (served + 1, 0), "{:?}", words(&world.said));
    let infers = words(&world.said).iter().filter(|word| **word == "INFER").count();
    assert!((2..40).contains(&infers), "{:?}", words(&world.said));
}

#[test]
fn a_lost_worker_is_replaced_by_another_that_has_time() {
    let mut world = world(Physics::default(), true);
    world.worker_up(1);
    world.run(Nanos::seconds(2));
    world.said.clear();
    world.ask(0, Nanos::millis(200));
    world.worker_lost(0);
    assert_eq!(words(&world.said), ["PLACE", "INFER", "PLACE", "FETCH"]);
    world.run(Nanos::seconds(3));
    assert_eq!(world.ends.ok, 1);
    world.ask(0, Nanos::millis(200));
    world.worker_lost(1);
    let last = world.said.last().cloned();
    assert!(matches!(last, Some(Output::Revoke { reason: Reject::WorkerLost, .. })), "{last:?}");
}

#[test]
fn a_lost_gateway_waits_for_nothing() {
    let mut world = world(Physics::default(), true);
    world.run(Nanos::seconds(1));
    world.said.clear();
    let asked: Vec<_> = (0..6).map(|_| world.ask(0, Nanos::seconds(10))).collect();
    let gateway = asked[0].gateway;
    assert_eq!(world.core.open(), 6);
    world.deliver(Event::GatewayLost(gateway));
    world.open.clear();
    // What was bound stays so until its result; the rest is given up and its slots come back.
    world.run(world.now + Nanos::millis(1));
    assert!(!world.core.is_forgetting(gateway));
    world.run(world.now + Nanos::seconds(5));
    let infers = words(&world.said).iter().filter(|word| **word == "INFER").count();
    assert!(infers < 6, "{:?}", words(&world.said));
    assert_eq!((world.core.open(), world.core_slots_out()), (0, 0));
}

#[test]
fn refusals_say_why() {
    let mut world = World::new(Physics::default(), Config::default(), 1).keep();
    let reason = |world: &World| match world.said.last() {
        Some(Output::Reject { reason, .. }) => *reason,
        other => panic!("{other:?}"),
    };
    world.ask(0, Nanos::millis(100));
    assert_eq!(reason(&world), Reject::NoDevice);
    world.worker_up(0);
    world.run(Nanos::seconds(1));
    world.ask(9, Nanos::millis(100));
    assert_eq!(reason(&world), Reject::UnknownModel);
    (0..32).for_each(|_| _ = world.ask(0, Nanos::seconds(10)));
    world.ask(0, Nanos::seconds(10));
    assert_eq!(reason(&world), Reject::Overloaded);
    world.deliver(Event::Drain);
    world.ask(0, Nanos::millis(100));
    assert_eq!(reason(&world), Reject::Draining);
    world.run(Nanos::seconds(10));
    assert_eq!((world.ends.ok, world.ends.rejected), (32, 4));
}

#[test]
fn the_least_recently_used_model_makes_room() {
    let mut world = world(Physics { models: 3, device_pages: 6, ..Physics::default() }, true);
    world.ask(1, Nanos::millis(100));
    world.run(world.now + Nanos::millis(500));
    world.said.clear();
    world.ask(2, Nanos::millis(100));
    world.run(Nanos::seconds(3));
    assert_eq!(words(&world.said), ["PLACE", "FETCH", "UNLOAD", "LOAD", "INFER"]);
    let Some(Output::Action { action, .. }) = world.said.get(2) else { panic!("{:?}", world.said) };
    assert_eq!(action.model, ModelId(0));
    assert_eq!(world.ends.ok, 2);
}

impl World {
    fn core_slots_out(&self) -> usize {
        use crate::scheduler::Scheduler as _;
        self.core.status().devices.iter().map(|device| device.slots_out).sum()
    }
}
