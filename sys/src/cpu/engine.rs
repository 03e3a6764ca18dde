//! The engines of a device: who serves which command of which stream, spinning and sleeping.

use super::config::{ConfigError, CopyEngines, CpuConfig};
use super::device::Device;
use super::stream::StreamSlot;
use super::team::Worker;
use crate::clock;
use crate::doorbell::Doorbell;
use crate::memory::{MapOptions, Mapping};
use crate::thread;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};

/// Engines of a device.
const ENGINES: usize = 3;

/// What carries out a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Engine {
    Compute = 0,
    CopyIn = 1,
    CopyOut = 2,
}

/// What one turn of an engine came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Served {
    /// At least one command ran, or part of a copy.
    Worked,
    /// Nothing to do.
    Idle,
    /// The head of a stream waits for an event.
    Waiting,
}

/// Wakes engines that sleep while the head of one of their streams waits for an event; one for
/// all devices of a driver, since an event may be recorded on another device than waits for it.
#[derive(Debug)]
pub(super) struct EventWaiters {
    /// Engines in this state.
    count: AtomicU32,
    engines: Box<[Waiter]>,
}

#[derive(Debug)]
struct Waiter {
    bell: Doorbell,
    waits: AtomicBool,
}

impl EventWaiters {
    pub(super) fn new(devices: usize) -> Self {
        let waiter = || Waiter { bell: Doorbell::futex(), waits: AtomicBool::new(false) };
        let engines = std::iter::repeat_with(waiter).take(devices * ENGINES).collect();
        Self { count: AtomicU32::new(0), engines }
    }

    /// Says that an event was recorded.
    pub(super) fn recorded(&self) {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) > 0 {
            let waiting = self.engines.iter().filter(|it| it.waits.load(Ordering::SeqCst));
            waiting.for_each(|it| it.bell.ring());
        }
    }

    /// Enters or leaves this state. Whoever enters looks at its streams once more after that.
    fn set(&self, engine: usize, waits: bool) {
        self.engines[engine].waits.store(waits, Ordering::SeqCst);
        if waits {
            self.count.fetch_add(1, Ordering::SeqCst);
        } else {
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
        fence(Ordering::SeqCst);
    }
}

/// The three engines of a device, as far as others see them: their doorbells and their cursors.
#[derive(Debug)]
pub(super) struct Engines {
    bells: [Doorbell; ENGINES],
    /// Where each engine's next turn starts among the streams.
    cursors: [AtomicUsize; ENGINES],
    waiters: Arc<EventWaiters>,
    /// Of the first of the three among the waiters.
    first_waiter: usize,
}

impl Engines {
    pub(super) fn new(index: usize, waiters: Arc<EventWaiters>) -> Self {
        let first_waiter = index * ENGINES;
        let bell = |engine: usize| waiters.engines[first_waiter + engine].bell.clone();
        Self {
            first_waiter,
            bells: [bell(0), bell(1), bell(2)],
            cursors: [const { AtomicUsize::new(0) }; ENGINES],
            waiters,
        }
    }

    pub(super) fn event_recorded(&self) {
        self.waiters.recorded();
    }

    /// Wakes the engine that carries out commands of this tag; all, where any engine may.
    pub(super) fn ring(&self, engine: Option<Engine>) {
        match engine {
            Some(engine) => self.bells[engine as usize].ring(),
            None => self.ring_all(),
        }
    }

    pub(super) fn ring_all(&self) {
        for bell in &self.bells {
            bell.ring();
        }
    }

    /// One turn of `engine`: the next stream whose head is its own, one command and the commands
    /// after it that need no engine of their own. A copy takes at most `budget` bytes, which is
    /// lessened by what was copied.
    pub(super) fn serve(
        &self,
        engine: Engine,
        streams: &[StreamSlot],
        mut worker: Option<&mut Worker<'_>>,
        budget: &mut usize,
    ) -> Served {
        let cursor = &self.cursors[engine as usize];
        let first = cursor.load(Ordering::Relaxed);
        let mut waiting = false;
        for step in 0..streams.len() {
            let index = (first + step) % streams.len();
            match streams[index].serve(engine, worker.as_deref_mut(), budget) {
                Served::Worked => {
                    cursor.store((index + 1) % streams.len(), Ordering::Relaxed);
                    return Served::Worked;
                }
                Served::Waiting => waiting = true,
                Served::Idle => {}
            }
        }
        if waiting { Served::Waiting } else { Served::Idle }
    }
}

/// Sleeps until the doorbell of `engine` is rung, unless `serve` finds work after it is armed.
fn sleep(engines: &Engines, engine: Engine, stop: impl Fn() -> bool, mut serve: impl FnMut() -> Served) {
    let bell = &engines.bells[engine as usize];
    let waiter = engines.first_waiter + engine as usize;
    bell.arm();
    let mut last = serve();
    let waits = last == Served::Waiting;
    if waits {
        engines.waiters.set(waiter, true);
        last = serve();
    }
    if stop() || last == Served::Worked {
        bell.disarm();
    } else {
        bell.wait(None);
    }
    if waits {
        engines.waiters.set(waiter, false);
    }
}

/// The life of an engine's thread.
fn run(device: &Device, engine: Engine, spin_ns: u64, mut worker: Option<Worker<'_>>) {
    let stop = || device.stop.load(Ordering::Acquire);
    let mut serve = || {
        let mut budget = usize::MAX;
        device.engines.serve(engine, &device.streams, worker.as_mut(), &mut budget)
    };
    let mut last_work = clock::now_ns();
    while !stop() {
        if serve() == Served::Worked {
            last_work = clock::now_ns();
        } else if clock::now_ns().saturating_sub(last_work) < spin_ns {
            std::hint::spin_loop();
        } else {
            sleep(&device.engines, engine, stop, &mut serve);
            last_work = clock::now_ns();
        }
    }
}

/// What a new thread becomes.
#[derive(Clone, Copy)]
enum Duty {
    Lead,
    Member(usize),
    Copy(Engine),
}

/// Starts the threads of `device`, the `index`th of its driver, and waits until each is pinned
/// and has its scratch.
pub(super) fn start(
    device: &Arc<Device>,
    index: usize,
    config: &CpuConfig,
    threads: &mut Vec<JoinHandle<()>>,
) -> Result<(), ConfigError> {
    for compute in 0..config.compute_threads {
        let core = config.compute_cores.get(index * config.compute_threads + compute).copied();
        let duty = if compute == 0 { Duty::Lead } else { Duty::Member(compute) };
        let name = format!("{}{compute}", compute_thread_prefix(index));
        threads.push(spawn(device, name, core, duty, config)?);
    }
    if let CopyEngines::Threads { copy_in_core, copy_out_core } = config.copy_engines {
        let (inwards, outwards) = (Duty::Copy(Engine::CopyIn), Duty::Copy(Engine::CopyOut));
        threads.push(spawn(device, format!("cpu{index}-copy-in"), copy_in_core, inwards, config)?);
        threads.push(spawn(device, format!("cpu{index}-copy-out"), copy_out_core, outwards, config)?);
    }
    Ok(())
}

/// How the names of the compute threads of device `index` begin.
#[must_use]
pub fn compute_thread_prefix(index: usize) -> String {
    format!("cpu{index}-comp")
}

fn spawn(
    device: &Arc<Device>,
    name: String,
    core: Option<usize>,
    duty: Duty,
    config: &CpuConfig,
) -> Result<JoinHandle<()>, ConfigError> {
    let (report, ready) = mpsc::channel();
    let device = Arc::clone(device);
    let (scratch_bytes, spin_ns, thread_name) = (config.scratch_bytes, config.spin_ns, name.clone());
    let handle = Builder::new()
        .name(name.clone())
        .spawn(move || {
            let scratch = match prepare(&thread_name, core, duty, scratch_bytes) {
                Ok(scratch) => scratch,
                Err(error) => {
                    // Nobody listens only when the starter has given up already.
                    let _ = report.send(Err(error));
                    return;
                }
            };
            let _ = report.send(Ok(()));
            drop(report);
            match (duty, scratch) {
                (Duty::Lead, Some(scratch)) => {
                    let worker = Worker::new(&device.team, 0, &scratch);
                    run(&device, Engine::Compute, spin_ns, Some(worker));
                    device.team.close();
                }
                (Duty::Member(index), Some(scratch)) => {
                    Worker::new(&device.team, index, &scratch).follow();
                }
                (Duty::Copy(engine), _) => run(&device, engine, spin_ns, None),
                (Duty::Lead | Duty::Member(_), None) => {
                    unreachable!("`prepare` takes scratch for every compute thread")
                }
            }
        })
        .map_err(|reason| ConfigError::Spawn { thread: name.clone(), reason })?;
    match ready.recv() {
        Ok(Ok(())) => Ok(handle),
        Ok(Err(error)) => Err(error),
        Err(mpsc::RecvError) => unreachable!("the thread reports before it does anything else"),
    }
}

/// Pins the calling thread and takes its scratch, on its own core so that the pages are near. A
/// compute thread takes denormals as zero from here on, in whatever runs it: serving, measuring
/// and trying a model compute the same bits.
fn prepare(name: &str, core: Option<usize>, duty: Duty, scratch_bytes: usize) -> Result<Option<Mapping>, ConfigError> {
    if let Some(core) = core
        && !thread::pin_current(core)
    {
        return Err(ConfigError::Pin { thread: name.to_owned(), core });
    }
    thread::register_current(name);
    thread::touch_stack();
    if matches!(duty, Duty::Copy(_)) {
        return Ok(None);
    }
    thread::flush_denormals();
    Mapping::new(scratch_bytes, MapOptions::default())
        .map(Some)
        .map_err(|reason| ConfigError::Scratch { thread: name.to_owned(), reason })
}
