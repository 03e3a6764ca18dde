//! A device of the cpu driver, and the platform: the devices that one `Driver::cpu` made.

use super::config::{ConfigError, CopyEngines, CpuConfig, MAX_STREAMS, POLL_BUDGET_BYTES};
use super::engine::{self, Engine, Engines, EventWaiters, Served};
use super::memory::Allocations;
use super::stream::StreamSlot;
use super::team::Team;
use crate::doorbell::Doorbell;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;

/// All devices of the process by ordinal. An ordinal is never used again; a device whose driver
/// is gone leaves `None`.
static DEVICES: RwLock<Vec<Option<Arc<Device>>>> = RwLock::new(Vec::new());

thread_local! {
    /// The device whose context is current on this thread.
    static CURRENT: RefCell<Option<Arc<Device>>> = const { RefCell::new(None) };
}

/// One device: its memory, streams and engines.
#[derive(Debug)]
pub(crate) struct Device {
    pub(super) ordinal: i32,
    pub(super) compute_threads: usize,
    pub(super) memory_bytes: usize,
    pub(super) scratch_bytes: usize,
    pub(super) polled: bool,
    pub(super) memory: Allocations,
    pub(super) streams: Box<[StreamSlot]>,
    pub(super) engines: Arc<Engines>,
    pub(super) team: Team,
    pub(super) stop: AtomicBool,
    /// Rung after every stream-ordered write.
    pub(super) completion: Arc<OnceLock<Doorbell>>,
}

impl Device {
    fn new(ordinal: usize, engines: Engines, config: &CpuConfig) -> Self {
        let engines = Arc::new(engines);
        let completion = Arc::new(OnceLock::new());
        let slot = || StreamSlot::new(config.stream_commands, Arc::clone(&engines), Arc::clone(&completion));
        Self {
            ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
            compute_threads: config.compute_threads,
            memory_bytes: config.device_memory_bytes,
            scratch_bytes: config.scratch_bytes,
            polled: config.copy_engines == CopyEngines::Polled,
            memory: Allocations::new(config.device_memory_bytes),
            streams: (0..MAX_STREAMS).map(|_| slot()).collect(),
            team: Team::new(config.compute_threads, config.spin_ns),
            engines,
            stop: AtomicBool::new(false),
            completion,
        }
    }

    /// The device whose context is current on this thread.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(super) fn make_current(device: Option<Arc<Self>>) {
        CURRENT.set(device);
    }

    /// The device of this ordinal, while its driver lives.
    pub(super) fn by_ordinal(ordinal: i32) -> Option<Arc<Self>> {
        let devices = DEVICES.read().unwrap_or_else(PoisonError::into_inner);
        devices.get(usize::try_from(ordinal).ok()?)?.clone()
    }

    /// One turn of a polled copy engine in both directions; the bytes copied.
    pub(super) fn poll_copies(&self, budget_bytes: usize) -> usize {
        let mut budget = budget_bytes;
        for engine in [Engine::CopyIn, Engine::CopyOut] {
            while self.engines.serve(engine, &self.streams, None, &mut budget) == Served::Worked && budget > 0 {}
        }
        budget_bytes - budget
    }

    /// Waits until `done`; where copies are polled, copies meanwhile.
    pub(super) fn wait_until(&self, done: impl Fn() -> bool) {
        while !done() {
            if self.polled {
                self.poll_copies(POLL_BUDGET_BYTES);
            }
            for _ in 0..32 {
                std::hint::spin_loop();
            }
            std::thread::yield_now();
        }
    }
}

/// How many ordinals were ever given out.
pub(super) fn ordinal_count() -> usize {
    DEVICES.read().unwrap_or_else(PoisonError::into_inner).len()
}

/// The devices of one driver and their threads. Dropping it ends both.
#[derive(Debug)]
pub(crate) struct Platform {
    devices: Vec<Arc<Device>>,
    threads: Vec<JoinHandle<()>>,
    ordinals: Range<usize>,
}

impl Platform {
    /// Starts the devices of `config`: threads pinned, scratch taken and touched.
    pub(crate) fn start(config: &CpuConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let (devices, ordinals) = {
            let mut all = DEVICES.write().unwrap_or_else(PoisonError::into_inner);
            let first = all.len();
            let waiters = Arc::new(EventWaiters::new(config.devices));
            let devices: Vec<_> = (0..config.devices)
                .map(|index| (first + index, Engines::new(index, Arc::clone(&waiters))))
                .map(|(ordinal, engines)| Arc::new(Device::new(ordinal, engines, config)))
                .collect();
            all.extend(devices.iter().cloned().map(Some));
            (devices, first..first + config.devices)
        };
        let mut platform = Self { devices, threads: Vec::new(), ordinals };
        for index in 0..config.devices {
            let device = Arc::clone(&platform.devices[index]);
            engine::start(&device, index, config, &mut platform.threads)?;
        }
        Ok(platform)
    }

    /// The ordinals of these devices among all of the process.
    pub(crate) fn ordinals(&self) -> Range<usize> {
        self.ordinals.clone()
    }

    /// One turn of the polled copy engines of all devices; the bytes copied.
    pub(crate) fn poll_copies(&self, budget_bytes: usize) -> usize {
        let budget_bytes = budget_bytes.min(POLL_BUDGET_BYTES);
        let polled = self.devices.iter().filter(|device| device.polled);
        polled.fold(0, |copied, device| copied + device.poll_copies(budget_bytes - copied))
    }

    /// Sets the doorbell that is rung after every stream-ordered write on this device; false
    /// when it has one already.
    pub(crate) fn set_completion_doorbell(&self, index: usize, doorbell: Doorbell) -> bool {
        self.devices[index].completion.set(doorbell).is_ok()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        for device in &self.devices {
            device.stop.store(true, Ordering::SeqCst);
            device.engines.ring_all();
        }
        for thread in self.threads.drain(..) {
            // A panic of an engine has been reported on its thread; ending goes on.
            let _ = thread.join();
        }
        let mut all = DEVICES.write().unwrap_or_else(PoisonError::into_inner);
        for ordinal in self.ordinals.clone() {
            all[ordinal] = None;
        }
    }
}
