//! Streams: queues of commands of fixed capacity, each strictly first in, first out. Any number
//! of threads may put commands in; the engine of the head command takes it out.

mod queue;

use super::config::INLINE_COPY_BYTES;
use super::device::Device;
use super::engine::{Engine, Engines, Served};
use super::event::Event;
use super::graph::GraphExec;
use super::team::Worker;
use crate::cuda::types::*;
use crate::doorbell::Doorbell;
use queue::Queue;
use std::ffi::c_uint;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::sync::{Arc, OnceLock};

/// One operation in a stream.
#[derive(Debug)]
pub(super) enum Command {
    CopyIn { to: *mut u8, from: *const u8, bytes: usize },
    CopyOut { to: *mut u8, from: *const u8, bytes: usize },
    Set { to: *mut u8, value: u8, bytes: usize },
    Write { to: *mut AtomicU32, value: u32 },
    Record(Arc<Event>, u64),
    Wait(Arc<Event>, u64),
    Launch(Arc<GraphExec>),
}

impl Command {
    /// The engine that alone may carry this out; `None`: whichever serves the stream.
    fn engine(&self) -> Option<Engine> {
        match self {
            Self::CopyIn { bytes, .. } if *bytes > INLINE_COPY_BYTES => Some(Engine::CopyIn),
            Self::CopyOut { bytes, .. } if *bytes > INLINE_COPY_BYTES => Some(Engine::CopyOut),
            Self::Set { bytes, .. } if *bytes > INLINE_COPY_BYTES => Some(Engine::Compute),
            Self::Launch(_) => Some(Engine::Compute),
            _ => None,
        }
    }
}

/// What carrying out the head of a queue came to.
enum Step {
    /// Done, by an engine of its own or not.
    Done { inline: bool },
    /// A copy ran out of budget; the rest is still to do.
    Part,
    /// The event is not there yet.
    Waiting,
}

/// A place for a stream. It lives as long as its device; a stream's handle points to it.
#[derive(Debug)]
pub(super) struct StreamSlot {
    in_use: AtomicBool,
    queue: Queue,
    engines: Arc<Engines>,
    completion: Arc<OnceLock<Doorbell>>,
}

impl StreamSlot {
    pub(super) fn new(commands: usize, engines: Arc<Engines>, completion: Arc<OnceLock<Doorbell>>) -> Self {
        Self { in_use: AtomicBool::new(false), queue: Queue::new(commands), engines, completion }
    }

    /// The stream behind a handle. The null stream does not exist on this driver.
    ///
    /// # Safety
    /// `handle` is null or comes from `cuStreamCreate` and its device lives.
    pub(super) unsafe fn from_handle<'a>(handle: CUstream) -> Option<&'a Self> {
        // SAFETY: as the caller promises.
        unsafe { handle.cast_const().cast::<Self>().as_ref() }
    }

    /// Puts a command in and wakes its engine. A full queue is an error, it never grows.
    pub(super) fn push(&self, command: Command) -> CUresult {
        let engine = command.engine();
        match self.queue.push(command, engine) {
            Ok(engine) => {
                self.engines.ring(engine);
                CUresult::CUDA_SUCCESS
            }
            Err(_full) => CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
        }
    }

    /// A turn of `engine` at this stream: see [`Engines::serve`].
    pub(super) fn serve(&self, engine: Engine, mut worker: Option<&mut Worker<'_>>, budget: &mut usize) -> Served {
        if !self.queue.head_is_for(engine) || !self.queue.claim() {
            return Served::Idle;
        }
        let mut served = Served::Idle;
        let mut own_done = false;
        while self.queue.head_is_for(engine) {
            if own_done && !self.queue.next_is_inline() {
                break;
            }
            let step = self.step(worker.as_deref_mut(), budget);
            match step {
                Step::Done { inline } => {
                    served = Served::Worked;
                    own_done |= !inline;
                }
                Step::Part => {
                    served = Served::Worked;
                    break;
                }
                Step::Waiting => {
                    if served == Served::Idle {
                        served = Served::Waiting;
                    }
                    break;
                }
            }
        }
        self.queue.release();
        // Whoever failed to claim the queue meanwhile, or put a command in unseen, is told.
        fence(Ordering::SeqCst);
        if let Some(next) = self.queue.head_engine()
            && next != Some(engine)
        {
            self.engines.ring(next);
        }
        served
    }

    /// Carries out the head, as far as `budget` goes. The queue is claimed.
    fn step(&self, worker: Option<&mut Worker<'_>>, budget: &mut usize) -> Step {
        let progress = self.queue.progress();
        let inline = self.queue.next_is_inline();
        match self.queue.head() {
            Command::CopyIn { to, from, bytes } | Command::CopyOut { to, from, bytes } => {
                let part = if inline { *bytes } else { (bytes - progress).min(*budget) };
                // SAFETY: whoever queued the copy keeps both ranges until it is done, and
                // `progress + part` does not exceed `bytes`. Ranges of host and device memory
                // do not overlap.
                unsafe { ptr::copy_nonoverlapping(from.add(progress), to.add(progress), part) };
                if !inline {
                    *budget -= part;
                }
                if progress + part < *bytes {
                    self.queue.set_progress(progress + part);
                    return Step::Part;
                }
            }
            // SAFETY: whoever queued the command keeps the range until it is done.
            Command::Set { to, value, bytes } => unsafe { ptr::write_bytes(*to, *value, *bytes) },
            Command::Record(event, record) => {
                event.reach(*record);
                self.engines.event_recorded();
            }
            Command::Wait(event, record) => {
                if !event.has_reached(*record) {
                    return Step::Waiting;
                }
            }
            Command::Launch(graph) => {
                let Some(worker) = worker else {
                    unreachable!("only the compute engine takes launches, and it has a worker")
                };
                // SAFETY: whoever launched the graph proved that its kernels may run.
                unsafe { worker.lead(graph) };
            }
            Command::Write { to, value } => {
                // SAFETY: aligned (checked when queued) and kept until the command is done.
                unsafe { &**to }.store(*value, Ordering::Release);
            }
        }
        let wrote = matches!(self.queue.head(), Command::Write { .. });
        self.queue.pop();
        if wrote && let Some(doorbell) = self.completion.get() {
            doorbell.ring();
        }
        Step::Done { inline }
    }
}

pub(super) unsafe extern "C" fn cuStreamCreate(stream: *mut CUstream, _flags: c_uint) -> CUresult {
    if stream.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    let free =
        |slot: &&StreamSlot| slot.in_use.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    let Some(slot) = device.streams.iter().find(free) else {
        return CUresult::CUDA_ERROR_OUT_OF_MEMORY;
    };
    slot.queue.reset();
    // SAFETY: valid for the write of a handle.
    unsafe { stream.write(ptr::from_ref(slot).cast_mut().cast()) };
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuStreamDestroy_v2(stream: CUstream) -> CUresult {
    // SAFETY: a stream's handle or null, as the interface demands.
    let waited = unsafe { cuStreamSynchronize(stream) };
    if waited != CUresult::CUDA_SUCCESS {
        return waited;
    }
    // SAFETY: as above.
    if let Some(slot) = unsafe { StreamSlot::from_handle(stream) } {
        slot.in_use.store(false, Ordering::Release);
    }
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuStreamSynchronize(stream: CUstream) -> CUresult {
    // SAFETY: a stream's handle or null, as the interface demands.
    let Some(slot) = (unsafe { StreamSlot::from_handle(stream) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    let end = slot.queue.end();
    device.wait_until(|| slot.queue.has_done(end));
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuStreamQuery(stream: CUstream) -> CUresult {
    // SAFETY: a stream's handle or null, as the interface demands.
    let Some(slot) = (unsafe { StreamSlot::from_handle(stream) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    if slot.queue.has_done(slot.queue.end()) {
        return CUresult::CUDA_SUCCESS;
    }
    CUresult::CUDA_ERROR_NOT_READY
}

/// Waits for all streams of the device.
pub(super) unsafe extern "C" fn cuCtxSynchronize() -> CUresult {
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    for slot in device.streams.iter().filter(|slot| slot.in_use.load(Ordering::Acquire)) {
        let end = slot.queue.end();
        device.wait_until(|| slot.queue.has_done(end));
    }
    CUresult::CUDA_SUCCESS
}
