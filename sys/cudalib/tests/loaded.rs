//! The `libcuda` filling, symbol by symbol, against the cpu driver built as a shared library.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use sys::cpu::{CpuEntry, CpuImage};
use sys::cuda::*;
use sys::memory::HostSource;

const WORDS: usize = 1 << 12;

/// Adds one to the word `tile` at the address in its parameter block.
unsafe extern "C" fn increment(parameters: *const u8, tile: u32, _scratch: *mut u8) {
    // SAFETY: the test holds `WORDS` words there and launches as many tiles.
    unsafe {
        let address = parameters.cast::<u64>().read();
        let words = std::ptr::with_exposed_provenance_mut::<u32>(usize::try_from(address).unwrap());
        *words.add(tile as usize) += 1;
    }
}

static ENTRIES: [CpuEntry; 1] = [CpuEntry::new(c"increment", increment, 8)];
static IMAGE: CpuImage = CpuImage::new(0, &ENTRIES);

/// The library that Cargo has built beside this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let places = test.ancestors().skip(1).take(2).map(|folder| folder.join("libcuda.so"));
    places.into_iter().find(|path| path.exists()).unwrap()
}

/// The driver in that library.
fn open() -> Driver {
    // SAFETY: the library is ours and keeps the contract of the driver interface.
    unsafe { Driver::libcuda_at(&library()) }.unwrap()
}

fn finish(stream: &mut Stream) -> Returned {
    stream.synchronize().unwrap();
    let finished = stream.poll().unwrap();
    finished.elapsed_ns.unwrap();
    finished.leases
}

#[test]
fn the_loaded_driver_copies_and_computes() {
    let driver = open();
    assert_eq!(driver.filling(), Filling::Libcuda);
    assert_eq!(driver.version().unwrap(), (13, 0));
    let devices = driver.devices().unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0].name, "cpu, 1 compute thread");
    let context = driver.context(0).unwrap();
    let increment = Module::load(&context, &IMAGE).unwrap().function("increment").unwrap();
    let device = context.alloc_device(WORDS * 4).unwrap();
    let block = device.address().to_le_bytes();
    let tiles = u32::try_from(WORDS).unwrap();
    let nodes = [increment.clone(), increment];
    let nodes = nodes.each_ref().map(|function| KernelNode::tiles(function, tiles, &block));
    let graph = GraphExec::build(&context, &nodes).unwrap();

    let mut stream = Stream::new(&context, 2).unwrap();
    let host = context.alloc_host(WORDS * 4).unwrap();
    let part = CopyPart::first(WORDS * 4);
    stream.copy_in(0, host, device, part).unwrap();
    let Returned::CopyIn { from: HostSource::Lease(host), to: device } = finish(&mut stream) else {
        panic!("a copy in gives back its leases")
    };
    // SAFETY: the kernel's words lie in `device`, which is held.
    unsafe { stream.launch(1, &graph, None, vec![device]) }.unwrap();
    let Returned::Launch { mut held, .. } = finish(&mut stream) else { panic!("a launch gives back its leases") };
    stream.copy_out(2, held.pop().unwrap(), host, part).unwrap();
    let Returned::CopyOut { to: host, .. } = finish(&mut stream) else { panic!("a copy out gives back its leases") };
    assert!(host.chunks_exact(4).all(|word| word == 2_u32.to_le_bytes()));
}

#[test]
fn errors_of_the_loaded_driver_have_its_names_and_meanings() {
    let driver = open();
    let error = driver.context(7).unwrap_err();
    assert_eq!((error.call, error.code), ("cuDeviceGet", DriverCode::INVALID_DEVICE));
    assert_eq!(error.name, "CUDA_ERROR_INVALID_DEVICE");
    assert_eq!(error.meaning, "there is no device of this ordinal");
}

#[test]
fn a_function_that_is_not_in_the_image_is_named() {
    let driver = open();
    let context = driver.context(0).unwrap();
    assert!(context.is_native());
    let module = Module::load(&context, &IMAGE).unwrap();
    let error = module.function("decrement").unwrap_err();
    assert!(error.to_string().contains("CUDA_ERROR_NOT_FOUND"), "{error}");
}
