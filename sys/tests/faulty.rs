//! The fault injector. Its rules are the process's, so the tests of this file take turns.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use clockwork_sys::cpu::CpuConfig;
use clockwork_sys::cuda::*;
use clockwork_sys::{clock, memory::HostLease};
use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Rules that end with the test.
struct Turn(#[allow(dead_code)] MutexGuard<'static, ()>);

impl Drop for Turn {
    fn drop(&mut self) {
        Faults::process().clear();
    }
}

fn turn() -> Turn {
    Turn(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn context() -> Context {
    let config = CpuConfig { device_memory_bytes: 16 << 20, scratch_bytes: 4096, ..CpuConfig::default() };
    Faults::process().cpu(&config).unwrap().context(0).unwrap()
}

fn copy(context: &Context, stream: &mut Stream) -> Result<Finished, StreamError> {
    let from: HostLease = context.alloc_host(1 << 14).unwrap();
    let to = context.alloc_device(1 << 14).unwrap();
    stream.copy_in(7, from, to, CopyPart::first(1 << 14))?;
    stream.synchronize().unwrap();
    Ok(stream.poll().unwrap())
}

#[test]
fn the_call_that_a_rule_names_fails_and_no_other() {
    let _turn = turn();
    let context = context();
    let fault = Fault::Fail(DriverCode(700));
    Faults::process().set(1, &[FaultRule { entry: "cuMemcpyHtoDAsync_v2", when: When::Nth(3), fault }]);
    let mut stream = Stream::new(&context, 4).unwrap();
    for number in 1..=5 {
        let copied = copy(&context, &mut stream);
        assert_eq!(copied.is_err(), number == 3);
        if let Err(refused) = copied {
            assert!(refused.leases.is_some(), "what the device never saw comes back");
            let StreamCause::Driver(error) = refused.cause else { panic!("{}", refused.cause) };
            assert_eq!((error.call, error.code), ("cuMemcpyHtoDAsync_v2", DriverCode(700)));
            assert_eq!(error.name, "unknown code", "the cpu driver does not know this one");
        }
    }
    assert_eq!(Faults::process().injected(), 1);
}

#[test]
fn an_operation_that_went_in_partly_is_waited_for() {
    let _turn = turn();
    let context = context();
    let mut stream = Stream::new(&context, 4).unwrap();
    // The copy is in, its completion word is not.
    let fault = Fault::Fail(DriverCode::INVALID_VALUE);
    let rule = FaultRule { entry: "cuStreamWriteValue32_v2", when: When::Nth(1), fault };
    Faults::process().set(1, &[rule]);
    let refused = copy(&context, &mut stream).unwrap_err();
    assert!(refused.leases.is_some());
    drop(refused);
    assert_eq!(stream.in_flight(), 0);
    assert_eq!(copy(&context, &mut stream).unwrap().ticket, 7);

    // Now the device can't be waited for either: the leases are leaked, not freed.
    let cannot = FaultRule { entry: "cuStreamSynchronize", when: When::Nth(1), fault };
    Faults::process().set(1, &[rule, cannot]);
    let refused = copy(&context, &mut stream).unwrap_err();
    assert!(refused.leases.is_none());
    Faults::process().clear();
    stream.synchronize().unwrap();
    assert_eq!(context.memory().unwrap().0, (16 << 20) - (1 << 14), "leaked");
}

#[test]
fn chances_depend_on_the_seed_alone() {
    let _turn = turn();
    let context = context();
    let fault = Fault::Fail(DriverCode::OUT_OF_MEMORY);
    let rule = FaultRule { entry: "cuMemAlloc_v2", when: When::Chance(300_000), fault };
    let run = |seed| -> Vec<bool> {
        Faults::process().set(seed, &[rule]);
        (0..200).map(|_| context.alloc_device(4096).is_err()).collect()
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    let failed = first.iter().filter(|failed| **failed).count();
    assert!((30..90).contains(&failed), "{failed} of 200 at 30%");
}

#[test]
fn calls_slow_down_and_stall_until_the_rules_change() {
    let _turn = turn();
    let context = context();
    let slow = Fault::Slow(2_000_000);
    let rule = FaultRule { entry: "cuMemGetInfo_v2", when: When::From(1), fault: slow };
    Faults::process().set(1, &[rule]);
    let begin = clock::now_ns();
    context.memory().unwrap();
    assert!(clock::now_ns() - begin >= 2_000_000);

    let stall = FaultRule { fault: Fault::Stall, ..rule };
    Faults::process().set(1, &[stall]);
    let (send, receive) = std::sync::mpsc::channel();
    let stalled = std::thread::spawn(move || {
        context.memory().unwrap();
        send.send(()).unwrap();
    });
    while Faults::process().injected() == 0 {
        std::thread::yield_now();
    }
    assert!(receive.try_recv().is_err(), "the call can't return before the rules change");
    Faults::process().clear();
    receive.recv().unwrap();
    stalled.join().unwrap();
}

#[test]
#[should_panic(expected = "no entry point is called cuFly")]
fn a_rule_for_an_unknown_entry_point_is_refused() {
    let _turn = turn();
    let fault = Fault::Stall;
    Faults::process().set(1, &[FaultRule { entry: "cuFly", when: When::Nth(1), fault }]);
}

#[test]
fn start_up_that_fails_is_reported() {
    let _turn = turn();
    let fault = Fault::Fail(DriverCode(3));
    Faults::process().set(1, &[FaultRule { entry: "cuInit", when: When::Nth(1), fault }]);
    let opened = Faults::process().cpu(&CpuConfig::default());
    let Err(OpenError::Driver(error)) = opened else { panic!("cuInit was made to fail") };
    assert_eq!((error.call, error.code), ("cuInit", DriverCode(3)));
}
