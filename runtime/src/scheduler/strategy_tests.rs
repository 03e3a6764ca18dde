use super::*;
use crate::base::ShapeId;
use crate::profile::{Architecture, DeviceKind, Percentile, PlanSamples, Profile};

fn store(plans: &[(u8, u64)]) -> (ProfileStore, Entry) {
    let mut store = ProfileStore::new(Percentile::P99);
    let plan = |&(batch, ms): &(u8, u64)| PlanSamples {
        shape: 0,
        batch,
        durations: vec![Nanos::millis(ms); 100],
        disturbed: 0,
    };
    store.seed(&Profile {
        architecture: Architecture(0),
        device_kind: DeviceKind(0),
        plans: plans.iter().map(plan).collect(),
        loads: vec![],
        fetches: vec![],
    });
    let entry = store.entry(Architecture(0), ShapeId(0), DeviceKind(0)).unwrap();
    (store, entry)
}

fn link(entry: Entry, model: usize, due: u64, ready: u64) -> Link {
    let due = Due { at: Nanos::millis(due), spread: Nanos::ZERO };
    Link { key: due.at, due, ready: Nanos::millis(ready), group: (model, 0), entry }
}

fn chain(links: &[Link]) -> Chain {
    let mut chain = Chain::new();
    chain.fill(links.iter().copied());
    chain
}

fn cost(expected: u64, bound: u64) -> Cost {
    let batch = BatchSize::ALL[0];
    Cost { batch, expected: Nanos::millis(expected), bound: Nanos::millis(bound) }
}

fn probe(place: usize) -> Probe {
    Probe { place, reserve: cost(0, 0) }
}

const NOW: Start = Start { at: Nanos::ZERO, variance: 0 };

#[test]
fn batches_gather_over_what_stands_between() {
    let (store, entry) = store(&[(1, 10), (2, 12)]);
    let mut chain = chain(&[link(entry, 0, 100, 0), link(entry, 1, 101, 0), link(entry, 0, 102, 0)]);
    let gathered = chain.first(&store, Nanos::ZERO, Policy::Gather).unwrap();
    assert_eq!((gathered.members.as_slice(), gathered.cost.batch.get()), (&[0, 2][..], 2));
    let in_order = chain.first(&store, Nanos::ZERO, Policy::InOrder).unwrap();
    assert_eq!(in_order.members.as_slice(), &[0]);
    assert_eq!(chain.run(&store, NOW, Policy::Gather, None).end, Nanos::millis(22));
    assert_eq!(chain.run(&store, NOW, Policy::InOrder, None).end, Nanos::millis(30));
}

#[test]
fn a_batch_is_no_larger_than_its_tightest_member_allows_or_its_gain_pays_for() {
    let (mut store, mut entry) = self::store(&[(1, 10), (2, 12)]);
    let links = |entry| [link(entry, 0, 11, 0), link(entry, 0, 99, 0)];
    assert_eq!(chain(&links(entry)).first(&store, Nanos::ZERO, Policy::Gather).unwrap().members.len(), 1);
    (store, entry) = self::store(&[(1, 5), (2, 10)]);
    assert_eq!(chain(&links(entry)).first(&store, Nanos::ZERO, Policy::Gather).unwrap().members.len(), 1);
}

#[test]
fn what_is_not_ready_is_passed_by() {
    let (store, entry) = store(&[(1, 10)]);
    let mut chain = chain(&[link(entry, 0, 60, 40), link(entry, 1, 100, 0), link(entry, 2, 100, 0)]);
    assert_eq!(chain.first(&store, Nanos::ZERO, Policy::InOrder).unwrap().members.as_slice(), &[1]);
    let verdict = chain.run(&store, NOW, Policy::InOrder, None);
    assert_eq!((verdict.in_time, verdict.end), (true, Nanos::millis(50)));
}

#[test]
fn a_probe_must_not_make_another_late() {
    let (store, entry) = store(&[(1, 10)]);
    let mut chain = chain(&[link(entry, 0, 10, 0), link(entry, 0, 25, 0)]);
    let early = chain.insert(link(entry, 1, 20, 0));
    assert_eq!(early, 1);
    assert!(!chain.run(&store, NOW, Policy::InOrder, Some(probe(early))).in_time, "the last one ends at 30");
    chain.remove(early);
    let late = chain.insert(link(entry, 1, 30, 0));
    let verdict = chain.run(&store, NOW, Policy::InOrder, Some(probe(late)));
    assert_eq!((verdict.in_time, verdict.probe), (true, Nanos::millis(30)));
    // What is late already, ahead of the probe, is no reason to refuse the probe.
    let start = Start { at: Nanos::millis(1), ..NOW };
    assert!(!chain.run(&store, start, Policy::InOrder, None).in_time);
}

#[test]
fn the_spread_of_what_is_ahead_adds_as_squares_do() {
    let (store, entry) = store(&[(1, 10)]);
    let mut chain = chain(&[link(entry, 0, 12, 0)]);
    let mut in_time = |ms: u64| {
        let start = Start { at: Nanos::ZERO, variance: Nanos::millis(ms).0.pow(2) };
        chain.run(&store, start, Policy::Gather, Some(probe(0))).in_time
    };
    assert!(in_time(2) && !in_time(3));
}

#[test]
fn what_must_wait_leaves_its_batch_room_to_grow() {
    let (store, entry) = store(&[(1, 10), (2, 12), (4, 40)]);
    let reserve = |slack| room_to_grow(store.costs(entry), Nanos::millis(slack)).map(|cost| cost.bound);
    assert_eq!([15, 23, 24, 99].map(reserve), [10, 10, 12, 12].map(|ms| Some(Nanos::millis(ms))));
    let mut chain = chain(&[link(entry, 1, 20, 0), link(entry, 0, 21, 0)]);
    let verdict = |chain: &mut Chain, reserve| {
        chain.run(&store, NOW, Policy::InOrder, Some(Probe { place: 1, reserve: cost(reserve, reserve) })).in_time
    };
    assert!(verdict(&mut chain, 11) && !verdict(&mut chain, 12));
}
