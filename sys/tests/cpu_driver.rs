//! The driver in this process, through the safe interface: what holds here holds on a GPU.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test may panic")]

use clockwork_sys::clock;
use clockwork_sys::cpu::{CopyEngines, CpuConfig, CpuEntry, CpuImage};
use clockwork_sys::cuda::*;
use clockwork_sys::doorbell::Doorbell;
use clockwork_sys::memory::{HostLease, HostSource};

const TILE_WORDS: usize = 16;

/// What both test kernels take.
#[repr(C)]
#[derive(Clone, Copy)]
struct Block {
    words: u64,
    operand: u64,
}

impl Block {
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.words.to_le_bytes());
        bytes[8..].copy_from_slice(&self.operand.to_le_bytes());
        bytes
    }
}

/// One tile is `TILE_WORDS` words at `words + tile * TILE_WORDS`; each becomes `f(word)`.
///
/// # Safety
/// `parameters` points to a `Block` whose words are the caller's for tile `tile`.
unsafe fn each_word(parameters: *const u8, tile: u32, f: impl Fn(u32, u32) -> u32) {
    // SAFETY: as the caller promises.
    unsafe {
        let block = *parameters.cast::<Block>();
        let words = std::ptr::with_exposed_provenance_mut::<u32>(block.words as usize);
        let words = words.add(tile as usize * TILE_WORDS);
        for word in std::slice::from_raw_parts_mut(words, TILE_WORDS) {
            *word = f(*word, block.operand as u32);
        }
    }
}

unsafe extern "C" fn add(parameters: *const u8, tile: u32, scratch: *mut u8) {
    // SAFETY: the tests hold what their blocks name; scratch belongs to the thread, so what is
    // written there is read back unharmed.
    unsafe {
        scratch.cast::<u32>().write(tile);
        each_word(parameters, tile, |word, operand| word.wrapping_add(operand));
        assert_eq!(scratch.cast::<u32>().read(), tile);
    }
}

unsafe extern "C" fn multiply(parameters: *const u8, tile: u32, _scratch: *mut u8) {
    // SAFETY: the tests hold what their blocks name.
    unsafe { each_word(parameters, tile, |word, operand| word.wrapping_mul(operand)) };
}

/// Sums all words into the first: reads what every tile of the node before has written.
unsafe extern "C" fn sum(parameters: *const u8, _tile: u32, _scratch: *mut u8) {
    // SAFETY: the tests hold what their blocks name, and the grid has one tile.
    unsafe {
        let block = *parameters.cast::<Block>();
        let words = std::ptr::with_exposed_provenance_mut::<u32>(block.words as usize);
        let words = std::slice::from_raw_parts_mut(words, block.operand as usize);
        words[0] = words.iter().fold(0, |sum, word| sum.wrapping_add(*word));
    }
}

static ENTRIES: [CpuEntry; 3] = [
    CpuEntry::new(c"add", add, size_of::<Block>()),
    CpuEntry::new(c"multiply", multiply, size_of::<Block>()),
    CpuEntry::new(c"sum", sum, size_of::<Block>()),
];
static IMAGE: CpuImage = CpuImage::new(64, &ENTRIES);
static GREEDY: CpuImage = CpuImage::new(1 << 40, &ENTRIES);

fn small() -> CpuConfig {
    CpuConfig { device_memory_bytes: 64 << 20, scratch_bytes: 1 << 16, ..CpuConfig::default() }
}

fn context(config: &CpuConfig) -> Context {
    Driver::cpu(config).unwrap().context(0).unwrap()
}

/// Waits for the oldest operation; polls copies, which does nothing where threads copy.
fn finish(stream: &mut Stream) -> Finished {
    loop {
        if let Some(finished) = stream.poll() {
            return finished;
        }
        stream.check().unwrap();
        std::thread::yield_now();
    }
}

fn finish_polled(context: &Context, stream: &mut Stream) -> Finished {
    loop {
        if let Some(finished) = stream.poll() {
            return finished;
        }
        context.driver().poll_copies(256 << 10);
        std::thread::yield_now();
    }
}

fn pattern(lease: &mut HostLease) {
    for (index, byte) in lease.iter_mut().enumerate() {
        *byte = (index * 7 % 251) as u8;
    }
}

fn round_trip(context: &Context, bytes: usize) {
    let mut stream = Stream::new(context, 4).unwrap();
    let mut from = context.alloc_host(bytes).unwrap();
    pattern(&mut from);
    let device = context.alloc_device(bytes).unwrap();
    stream.copy_in(1, from, device, CopyPart::first(bytes)).unwrap();
    let Returned::CopyIn { from, to: device } = finish_polled(context, &mut stream).leases else {
        panic!("a copy in gives back a copy in");
    };
    let HostSource::Lease(from) = from else { panic!("a lease gives back a lease") };
    let to = context.alloc_host(bytes).unwrap();
    stream.copy_out(2, device, to, CopyPart::first(bytes)).unwrap();
    let finished = finish_polled(context, &mut stream);
    assert_eq!(finished.ticket, 2);
    let Returned::CopyOut { to, .. } = finished.leases else {
        panic!("a copy out gives back a copy out");
    };
    assert!(*from == *to);
}

#[test]
fn what_is_copied_in_comes_out() {
    let threads = context(&small());
    let polled = context(&CpuConfig { copy_engines: CopyEngines::Polled, ..small() });
    for bytes in [1, 4096, 4097, 3 << 20] {
        round_trip(&threads, bytes);
        round_trip(&polled, bytes);
    }
}

/// Runs add(3), multiply(5), add(1) over `words` words on `threads` compute threads.
fn graph_of_three(threads: usize) {
    let context = context(&CpuConfig { compute_threads: threads, ..small() });
    let module = Module::load(&context, &IMAGE).unwrap();
    let (add, multiply) = (module.function("add").unwrap(), module.function("multiply").unwrap());
    let total = module.function("sum").unwrap();
    let tiles = 1000_u32;
    let count = tiles as usize * TILE_WORDS;
    let device = context.alloc_device(count * 4).unwrap();
    let block = |operand| Block { words: device.address(), operand }.bytes();
    let blocks = [block(3), block(5), block(1), block(count as u64)];
    let nodes = [
        KernelNode::tiles(&add, tiles, &blocks[0]),
        KernelNode::tiles(&multiply, tiles, &blocks[1]),
        KernelNode::tiles(&add, tiles, &blocks[2]),
        KernelNode::tiles(&total, 1, &blocks[3]),
    ];
    let graph = GraphExec::build(&context, &nodes).unwrap();
    assert_eq!(graph.nodes(), 4);

    let mut stream = Stream::new(&context, 8).unwrap();
    let mut host = context.alloc_host(count * 4).unwrap();
    for (index, word) in host.chunks_exact_mut(4).enumerate() {
        word.copy_from_slice(&(index as u32).to_le_bytes());
    }
    stream.copy_in(0, host, device, CopyPart::first(count * 4)).unwrap();
    let Returned::CopyIn { to: device, from } = finish(&mut stream).leases else { panic!() };
    let HostSource::Lease(host) = from else { panic!() };
    // SAFETY: the graph's blocks name the words of `device` only, which is held.
    unsafe { stream.launch(1, &graph, None, vec![device]) }.unwrap();
    let finished = finish(&mut stream);
    assert!(finished.elapsed_ns.unwrap() > 0);
    let Returned::Launch { mut held, .. } = finished.leases else { panic!() };
    stream.copy_out(2, held.pop().unwrap(), host, CopyPart::first(count * 4)).unwrap();
    let Returned::CopyOut { to: host, .. } = finish(&mut stream).leases else { panic!() };

    let expected = |index: usize| (index as u32 + 3).wrapping_mul(5).wrapping_add(1);
    let word = |index: usize| u32::from_le_bytes(host[index * 4..][..4].try_into().unwrap());
    let sum = (0..count).fold(0_u32, |sum, index| sum.wrapping_add(expected(index)));
    assert_eq!(word(0), sum);
    assert!((1..count).all(|index| word(index) == expected(index)));
}

#[test]
fn a_graph_runs_its_kernels_in_order_on_any_number_of_threads() {
    for threads in [1, 2, 3] {
        graph_of_three(threads);
    }
}

#[test]
fn a_binding_is_written_before_the_launch_of_its_own_operation() {
    let context = context(&small());
    let module = Module::load(&context, &IMAGE).unwrap();
    let add = module.function("add").unwrap();
    let device = context.alloc_device(TILE_WORDS * 4).unwrap();
    let block = Block { words: device.address(), operand: 1 }.bytes();
    let nodes = [KernelNode::tiles(&add, 1, &block)];
    let graph = GraphExec::build(&context, &nodes).unwrap();
    let mut stream = Stream::new(&context, 16).unwrap();
    let mut place = Some(device);
    for round in 0..50_u8 {
        let mut from = context.alloc_host(TILE_WORDS * 4).unwrap();
        from.fill(round);
        let Some(to) = place.take() else { panic!("each round gives it back") };
        let bytes = TILE_WORDS * 4;
        // SAFETY: the kernel's only memory is that of the binding.
        let launched = unsafe { stream.launch(0, &graph, Some(SmallWrite { from, to, bytes }), Vec::new()) };
        launched.unwrap();
        let Returned::Launch { binding: Some(write), .. } = finish(&mut stream).leases else {
            panic!("a launch gives back its binding")
        };
        stream.copy_out(1, write.to, write.from, CopyPart::first(4)).unwrap();
        let Returned::CopyOut { from, to } = finish(&mut stream).leases else { panic!() };
        let written = u32::from_le_bytes([round; 4]);
        assert_eq!(u32::from_le_bytes(to[..4].try_into().unwrap()), written + 1);
        place = Some(from);
    }
}

#[test]
fn operations_complete_in_the_order_in_which_they_were_put_in() {
    let context = context(&small());
    let mut stream = Stream::new(&context, 64).unwrap();
    let host = context.alloc_host(64 << 14).unwrap().split_into(64, 1 << 14).unwrap();
    let device = context.alloc_device(64 << 14).unwrap().split_into(64, 1 << 14).unwrap();
    for (ticket, (from, to)) in (0..).zip(host.into_iter().zip(device)) {
        stream.copy_in(ticket, from, to, CopyPart::first(1 << 14)).unwrap();
    }
    let seen: Vec<u64> = (0..64).map(|_| finish(&mut stream).ticket).collect();
    assert_eq!(seen, (0..64).collect::<Vec<_>>());
    assert_eq!(stream.in_flight(), 0);
    assert!(stream.poll().is_none());
}

#[test]
fn a_full_stream_gives_the_leases_back() {
    let context = context(&CpuConfig { copy_engines: CopyEngines::Polled, ..small() });
    let mut stream = Stream::new(&context, 2).unwrap();
    let host = context.alloc_host(3 << 14).unwrap().split_into(3, 1 << 14).unwrap();
    let device = context.alloc_device(3 << 14).unwrap().split_into(3, 1 << 14).unwrap();
    // Nobody polls, so nothing completes.
    let mut refused = None;
    for (from, to) in host.into_iter().zip(device) {
        refused = stream.copy_in(0, from, to, CopyPart::first(1 << 14)).err();
    }
    let refused = refused.unwrap();
    assert!(matches!(refused.cause, StreamCause::Full { capacity: 2 }));
    let Some(Returned::CopyIn { to, .. }) = refused.leases.map(|leases| *leases) else { panic!() };
    assert_eq!(to.range(), 2 << 14..3 << 14);
    assert!(stream.poll().is_none());
}

#[test]
fn a_full_queue_is_an_error_and_never_grows() {
    // Eight commands: room for two copies of four commands each.
    let config = CpuConfig { copy_engines: CopyEngines::Polled, stream_commands: 8, ..small() };
    let context = context(&config);
    let mut stream = Stream::new(&context, 16).unwrap();
    let host = context.alloc_host(3 << 14).unwrap().split_into(3, 1 << 14).unwrap();
    let device = context.alloc_device(3 << 14).unwrap().split_into(3, 1 << 14).unwrap();
    let mut refused = None;
    for (from, to) in host.into_iter().zip(device) {
        refused = stream.copy_in(0, from, to, CopyPart::first(1 << 14)).err();
    }
    // The first record of each stream was done by the compute engine, so that up to one
    // command more may have gone in; the error comes with the leases in any case.
    let refused = refused.unwrap();
    let StreamCause::Driver(error) = refused.cause else { panic!("{}", refused.cause) };
    assert_eq!(error.code, DriverCode::LAUNCH_OUT_OF_RESOURCES);
    assert_eq!(error.name, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES");
    assert!(error.meaning.contains("queue is full"), "{error}");
    assert!(refused.leases.is_some());
    assert_eq!(finish_polled(&context, &mut stream).ticket, 0);
}

#[test]
fn polled_copies_keep_to_their_budget() {
    let context = context(&CpuConfig { copy_engines: CopyEngines::Polled, ..small() });
    let mut stream = Stream::new(&context, 2).unwrap();
    let bytes = 1 << 20;
    let from = context.alloc_host(bytes).unwrap();
    let to = context.alloc_device(bytes).unwrap();
    stream.copy_in(0, from, to, CopyPart::first(bytes)).unwrap();
    let mut turns = Vec::new();
    while turns.iter().sum::<usize>() < bytes {
        assert!(stream.poll().is_none());
        turns.push(context.driver().poll_copies(1 << 30));
    }
    assert!(turns.iter().all(|copied| *copied <= 256 << 10), "{turns:?}");
    assert!(turns.len() >= 4);
    finish_polled(&context, &mut stream);
}

#[test]
fn a_shared_lease_is_copied_to_two_devices_at_once() {
    let driver = Driver::cpu(&CpuConfig { devices: 2, ..small() }).unwrap();
    let names: Vec<_> = driver.devices().unwrap();
    assert_eq!(names.len(), 2);
    assert_ne!(names[0].uuid, names[1].uuid);
    let contexts = [driver.context(0).unwrap(), driver.context(1).unwrap()];
    let mut host = contexts[0].alloc_host(1 << 20).unwrap();
    pattern(&mut host);
    let shared = host.share();
    let mut streams: Vec<_> = contexts.iter().map(|it| Stream::new(it, 2).unwrap()).collect();
    for (stream, context) in streams.iter_mut().zip(&contexts) {
        let to = context.alloc_device(1 << 20).unwrap();
        stream.copy_in(0, shared.clone(), to, CopyPart::first(1 << 20)).unwrap();
    }
    for stream in &mut streams {
        finish(stream);
    }
    let host = shared.try_into_lease().unwrap();
    // A lease of one device is refused by the stream of another.
    let to = contexts[1].alloc_device(1 << 20).unwrap();
    let refused = streams[0].copy_in(0, host, to, CopyPart::first(1)).unwrap_err();
    assert!(matches!(refused.cause, StreamCause::OtherDevice));
}

#[test]
fn dropping_a_stream_with_work_in_flight_waits_for_it() {
    for copy_engines in [CopyEngines::Polled, small().copy_engines] {
        let context = context(&CpuConfig { copy_engines, ..small() });
        let mut stream = Stream::new(&context, 8).unwrap();
        for ticket in 0..8 {
            let from = context.alloc_host(1 << 20).unwrap();
            let to = context.alloc_device(1 << 20).unwrap();
            stream.copy_in(ticket, from, to, CopyPart::first(1 << 20)).unwrap();
        }
        drop(stream);
        assert_eq!(context.memory().unwrap(), (64 << 20, 64 << 20));
    }
}

#[test]
fn device_memory_is_bounded_and_comes_back() {
    let context = context(&small());
    let error = context.alloc_device((64 << 20) + 1).unwrap_err();
    assert_eq!((error.call, error.code), ("cuMemAlloc_v2", DriverCode::OUT_OF_MEMORY));
    let lease = context.alloc_device(64 << 20).unwrap();
    assert!(context.alloc_device(4096).is_err());
    let (first, second) = lease.split_at(1 << 20);
    drop(first);
    assert!(context.alloc_device(4096).is_err(), "the second half keeps the allocation");
    drop(second);
    context.alloc_device(64 << 20).unwrap();
}

#[test]
fn what_does_not_exist_is_named() {
    let driver = Driver::cpu(&small()).unwrap();
    let error = driver.context(1).unwrap_err();
    assert_eq!((error.call, error.code), ("cuDeviceGet", DriverCode::INVALID_DEVICE));
    let context = driver.context(0).unwrap();
    let module = Module::load(&context, &IMAGE).unwrap();
    let error = module.function("divide").unwrap_err();
    assert!(error.to_string().contains("function divide"), "{error}");
    let error = Module::load(&context, &GREEDY).unwrap_err();
    assert!(error.to_string().contains("scratch"), "{error}");
    let add = module.function("add").unwrap();
    let nodes = [KernelNode::tiles(&add, 1, &[0; 15])];
    let error = GraphExec::build(&context, &nodes).unwrap_err();
    assert!(matches!(error, GraphError::ParameterBytes { node: 0, given: 15, wanted: 16 }));
    assert!(matches!(GraphExec::build(&context, &[]), Err(GraphError::Empty)));
    assert!(matches!(
        Driver::cpu(&CpuConfig { devices: 0, ..small() }),
        Err(OpenError::Cpu(clockwork_sys::cpu::ConfigError::OutOfBounds { what: "devices", .. }))
    ));
}

#[test]
fn a_part_outside_of_its_lease_is_refused() {
    let context = context(&small());
    let mut stream = Stream::new(&context, 2).unwrap();
    for part in [
        CopyPart { from: 1, to: 0, bytes: 100 },
        CopyPart { from: 0, to: 1, bytes: 100 },
        CopyPart { from: usize::MAX, to: 0, bytes: 2 },
        CopyPart::first(0),
    ] {
        let from = context.alloc_host(100).unwrap();
        let to = context.alloc_device(100).unwrap();
        let refused = stream.copy_in(0, from, to, part).unwrap_err();
        assert!(matches!(refused.cause, StreamCause::Part { .. }));
    }
    assert_eq!(stream.in_flight(), 0);
}

#[test]
fn completion_rings_the_doorbell_of_a_sleeper() {
    let context = context(&CpuConfig { spin_ns: 0, ..small() });
    let bell = Doorbell::event().unwrap();
    assert!(context.set_completion_doorbell(bell.clone()));
    assert!(!context.set_completion_doorbell(bell.clone()), "one doorbell a device");
    let mut stream = Stream::new(&context, 2).unwrap();
    for ticket in 0..200 {
        let from = context.alloc_host(1 << 13).unwrap();
        let to = context.alloc_device(1 << 13).unwrap();
        stream.copy_in(ticket, from, to, CopyPart::first(1 << 13)).unwrap();
        let finished = loop {
            bell.arm();
            if let Some(finished) = stream.poll() {
                bell.disarm();
                break finished;
            }
            // Without a limit: a lost ring would hang here.
            bell.wait(None);
        };
        assert_eq!(finished.ticket, ticket);
        assert!(finished.seen_ns <= clock::now_ns());
    }
}

#[test]
fn a_stream_waits_on_the_device_for_another() {
    let context = context(&CpuConfig { copy_engines: CopyEngines::Polled, compute_threads: 2, spin_ns: 0, ..small() });
    let module = Module::load(&context, &IMAGE).unwrap();
    let add = module.function("add").unwrap();
    let bytes = 1 << 20;
    let device = context.alloc_device(bytes).unwrap();
    let block = Block { words: device.address(), operand: 1 }.bytes();
    let tiles = (bytes / 4 / TILE_WORDS) as u32;
    let graph = GraphExec::build(&context, &[KernelNode::tiles(&add, tiles, &block)]).unwrap();
    let mut inwards = Stream::new(&context, 2).unwrap();
    let mut exec = Stream::new(&context, 2).unwrap();
    let mut host = context.alloc_host(bytes).unwrap();
    for round in 0..20_u32 {
        host.chunks_exact_mut(4).for_each(|word| word.copy_from_slice(&round.to_le_bytes()));
        let place = context.alloc_device(bytes).unwrap();
        inwards.copy_in(0, host, place, CopyPart::first(bytes)).unwrap();
        exec.wait_for(&inwards).unwrap();
        // SAFETY: the kernel's words lie in `device`, which this test keeps from other uses.
        unsafe { exec.launch(1, &graph, None, Vec::new()) }.unwrap();
        // Nobody copies, so the launch can't run however long the engine is awake.
        for _ in 0..20 {
            std::thread::yield_now();
            assert!(!exec.check().unwrap());
        }
        let copied = clock::now_ns();
        let Returned::CopyIn { from, .. } = finish_polled(&context, &mut inwards).leases else {
            panic!("a copy in gives back a copy in")
        };
        let finished = finish(&mut exec);
        assert!(finished.seen_ns > copied);
        let HostSource::Lease(back) = from else { panic!("a lease gives back a lease") };
        host = back;
    }
    let mut out = Stream::new(&context, 2).unwrap();
    out.copy_out(0, device, host, CopyPart::first(bytes)).unwrap();
    let Returned::CopyOut { to, .. } = finish_polled(&context, &mut out).leases else {
        panic!("a copy out gives back a copy out")
    };
    assert!(to.chunks_exact(4).all(|word| word == 20_u32.to_le_bytes()));
}
