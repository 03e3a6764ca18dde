//! Random events with faults and delayed rings: whatever happens, each action is answered once,
//! each slot comes back once, nothing runs outside its window or on another's data, and at the
//! end every page is free again.

use proptest::prelude::*;

use crate::world::World;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_whatever_happens(steps in prop::collection::vec(any::<(u8, u16, u16)>(), 1..500), reset: bool) {
        let mut world = World::new();
        for (what, first, second) in steps {
            world.step(what, first, second);
        }
        if reset {
            world.reset();
        }
        world.settle();
        world.free_everything();
    }
}

/// The random world is worth something only if everything happens in it.
#[test]
fn everything_that_can_happen_does() {
    let mut world = World::new();
    let mut state = 1u64;
    for _ in 0..400_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., a, b, c, d, what] = (state >> 16).to_be_bytes();
        world.step(what, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    }
    let missing: Vec<_> = [
        ("FETCH", "Ok TooLate NoPages Busy BadAction Cancelled DiskFault"),
        ("DROP", "Ok NotResident Busy BadAction"),
        ("LOAD", "Ok TooLate NotResident NoPages Busy BadAction Cancelled DeviceFault"),
        ("UNLOAD", "Ok NotResident Busy BadAction"),
        ("INFER", "Ok TooLate NotResident InputMissing BadAction Cancelled DeviceFault"),
    ]
    .into_iter()
    .flat_map(|(verb, words)| words.split(' ').map(move |word| (verb, word.to_owned())))
    .filter(|end| !world.ends.contains_key(end))
    .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}; seen: {:?}", world.ends);
    world.settle();
    world.free_everything();
}
