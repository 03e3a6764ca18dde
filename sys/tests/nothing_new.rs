//! Nothing new on the path: once started, copies and launches neither allocate nor fault, on any
//! thread. One test, so that no other thread of this process can be mistaken for an engine.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use clockwork_sys::cpu::{CpuConfig, CpuEntry, CpuImage};
use clockwork_sys::cuda::*;
use clockwork_sys::memory::{HostLease, HostSource};
use clockwork_sys::thread::{self, CountingAllocator, ThreadCounters};
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Whether a kernel ran on a thread that keeps denormals.
static KEPT_DENORMALS: AtomicBool = AtomicBool::new(false);

/// Fills its scratch, so that a page of it that was not touched at start would fault.
unsafe extern "C" fn fill(_parameters: *const u8, tile: u32, scratch: *mut u8) {
    KEPT_DENORMALS.fetch_or(!thread::denormals_are_zero(), Ordering::Relaxed);
    // SAFETY: the image asks for as much scratch.
    unsafe { scratch.write_bytes(tile.to_le_bytes()[0], SCRATCH) };
}

const SCRATCH: usize = 1 << 20;
static ENTRIES: [CpuEntry; 1] = [CpuEntry::new(c"fill", fill, 0)];
static IMAGE: CpuImage = CpuImage::new(SCRATCH, &ENTRIES);

/// What goes round: host memory, device memory, the place of a binding, and what a launch holds.
struct Round {
    host: HostLease,
    device: DeviceLease,
    binding: SmallWrite,
    held: Vec<DeviceLease>,
}

fn finish(stream: &mut Stream) -> Returned {
    loop {
        if let Some(finished) = stream.poll() {
            finished.elapsed_ns.unwrap();
            return finished.leases;
        }
        std::thread::yield_now();
    }
}

/// Copies in, launches and copies out once.
fn go_round(round: Round, streams: &mut [Stream; 3], graph: &GraphExec) -> Round {
    let Round { host, device, binding, mut held } = round;
    let [inwards, exec, outwards] = streams;
    let part = CopyPart::first(host.len());
    inwards.copy_in(1, host, device, part).unwrap();
    let Returned::CopyIn { from: HostSource::Lease(host), to: device } = finish(inwards) else {
        panic!("a copy in gives back its leases")
    };
    held.push(device);
    // SAFETY: the kernel touches nothing but its scratch.
    unsafe { exec.launch(2, graph, Some(binding), held) }.unwrap();
    let Returned::Launch { binding: Some(binding), mut held, .. } = finish(exec) else {
        panic!("a launch gives back its leases")
    };
    let device = held.pop().unwrap();
    outwards.copy_out(3, device, host, part).unwrap();
    let Returned::CopyOut { from: device, to: host } = finish(outwards) else {
        panic!("a copy out gives back its leases")
    };
    Round { host, device, binding, held }
}

/// What the engines have done, but for their waits.
fn engines() -> Vec<ThreadCounters> {
    let engines = thread::registered().into_iter().filter(|thread| thread.name != CALLER);
    engines.map(without_waits).collect()
}

fn without_waits(thread: ThreadCounters) -> ThreadCounters {
    ThreadCounters { voluntary_switches: 0, involuntary_switches: 0, ..thread }
}

const CALLER: &str = "caller";

#[test]
fn neither_allocations_nor_faults_after_start_up() {
    let config = CpuConfig { compute_threads: 2, scratch_bytes: SCRATCH, ..CpuConfig::default() };
    let context = Driver::cpu(&config).unwrap().context(0).unwrap();
    let fill = Module::load(&context, &IMAGE).unwrap().function("fill").unwrap();
    let nodes = [KernelNode::tiles(&fill, 8, &[]), KernelNode::tiles(&fill, 3, &[])];
    let graph = GraphExec::build(&context, &nodes).unwrap();
    let mut streams = [4, 4, 4].map(|capacity| Stream::new(&context, capacity).unwrap());
    let bytes = 256;
    let mut round = Round {
        host: context.alloc_host(1 << 16).unwrap(),
        device: context.alloc_device(1 << 16).unwrap(),
        binding: SmallWrite {
            from: context.alloc_host(bytes).unwrap(),
            to: context.alloc_device(bytes).unwrap(),
            bytes,
        },
        held: Vec::with_capacity(4),
    };
    for _ in 0..100 {
        round = go_round(round, &mut streams, &graph);
    }

    thread::register_current(CALLER);
    let before = engines();
    let names: Vec<_> = before.iter().map(|engine| engine.name.as_str()).collect();
    assert_eq!(names, ["cpu0-comp0", "cpu0-comp1", "cpu0-copy-in", "cpu0-copy-out"]);
    let mine = ThreadCounters::current();
    for _ in 0..1000 {
        round = go_round(round, &mut streams, &graph);
    }
    assert_eq!(without_waits(ThreadCounters::current()), without_waits(mine));
    assert_eq!(engines(), before);
    assert!(!KEPT_DENORMALS.load(Ordering::Relaxed) || cfg!(not(target_arch = "x86_64")));
    drop(round);
    assert!(ThreadCounters::current().allocations.frees > 0, "this thread's frees are counted");
}
