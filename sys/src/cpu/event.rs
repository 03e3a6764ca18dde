//! Events: a stream records them, streams wait for them, and two of them time what lies between.

use super::device::Device;
use super::stream::{Command, StreamSlot};
use crate::clock;
use crate::cuda::types::*;
use std::ffi::c_uint;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An event. Queued records and waits hold it by `Arc`.
#[derive(Debug)]
pub(super) struct Event {
    device: Arc<Device>,
    /// Records put into a stream so far.
    recorded: AtomicU64,
    /// The latest of them that its stream has reached.
    reached: AtomicU64,
    time_ns: AtomicU64,
}

impl Event {
    /// The event behind a handle.
    ///
    /// # Safety
    /// `handle` is null or comes from `cuEventCreate` and was not destroyed.
    unsafe fn from_handle(handle: CUevent) -> Option<Arc<Self>> {
        if handle.is_null() {
            return None;
        }
        let event = handle.cast_const().cast::<Self>();
        // SAFETY: live, as the caller promises; the count taken belongs to the `Arc` made.
        Some(unsafe {
            Arc::increment_strong_count(event);
            Arc::from_raw(event)
        })
    }

    /// Carries out a record.
    pub(super) fn reach(&self, record: u64) {
        self.time_ns.store(clock::now_ns(), Ordering::Relaxed);
        self.reached.store(record, Ordering::Release);
    }

    pub(super) fn has_reached(&self, record: u64) -> bool {
        self.reached.load(Ordering::Acquire) >= record
    }

    fn is_done(&self) -> bool {
        self.has_reached(self.recorded.load(Ordering::Acquire))
    }
}

pub(super) unsafe extern "C" fn cuEventCreate(event: *mut CUevent, _flags: c_uint) -> CUresult {
    if event.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    let Some(device) = Device::current() else {
        return CUresult::CUDA_ERROR_INVALID_CONTEXT;
    };
    let made =
        Arc::new(Event { device, recorded: AtomicU64::new(0), reached: AtomicU64::new(0), time_ns: AtomicU64::new(0) });
    // SAFETY: valid for the write of a handle.
    unsafe { event.write(Arc::into_raw(made).cast_mut().cast()) };
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuEventDestroy_v2(event: CUevent) -> CUresult {
    if event.is_null() {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    // SAFETY: a handle from `cuEventCreate` that is not used again.
    drop(unsafe { Arc::from_raw(event.cast_const().cast::<Event>()) });
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuEventRecord(event: CUevent, stream: CUstream) -> CUresult {
    // SAFETY: handles or null, as the interface demands.
    let (event, stream) = unsafe { (Event::from_handle(event), StreamSlot::from_handle(stream)) };
    let (Some(event), Some(stream)) = (event, stream) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    let record = event.recorded.load(Ordering::Relaxed) + 1;
    let pushed = stream.push(Command::Record(Arc::clone(&event), record));
    if pushed == CUresult::CUDA_SUCCESS {
        event.recorded.store(record, Ordering::Release);
    }
    pushed
}

pub(super) unsafe extern "C" fn cuStreamWaitEvent(stream: CUstream, event: CUevent, _flags: c_uint) -> CUresult {
    // SAFETY: handles or null, as the interface demands.
    let (event, stream) = unsafe { (Event::from_handle(event), StreamSlot::from_handle(stream)) };
    let (Some(event), Some(stream)) = (event, stream) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    let record = event.recorded.load(Ordering::Acquire);
    if event.has_reached(record) {
        return CUresult::CUDA_SUCCESS;
    }
    stream.push(Command::Wait(event, record))
}

pub(super) unsafe extern "C" fn cuEventQuery(event: CUevent) -> CUresult {
    // SAFETY: a handle or null, as the interface demands.
    match unsafe { Event::from_handle(event) } {
        None => CUresult::CUDA_ERROR_INVALID_VALUE,
        Some(event) if event.is_done() => CUresult::CUDA_SUCCESS,
        Some(_) => CUresult::CUDA_ERROR_NOT_READY,
    }
}

pub(super) unsafe extern "C" fn cuEventSynchronize(event: CUevent) -> CUresult {
    // SAFETY: a handle or null, as the interface demands.
    let Some(event) = (unsafe { Event::from_handle(event) }) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    event.device.wait_until(|| event.is_done());
    CUresult::CUDA_SUCCESS
}

pub(super) unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: CUevent, end: CUevent) -> CUresult {
    // SAFETY: handles or null, as the interface demands.
    let (start, end) = unsafe { (Event::from_handle(start), Event::from_handle(end)) };
    let (Some(start), Some(end)) = (start, end) else {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    };
    let never = |event: &Event| event.recorded.load(Ordering::Acquire) == 0;
    if milliseconds.is_null() || never(&start) || never(&end) {
        return CUresult::CUDA_ERROR_INVALID_VALUE;
    }
    if !start.is_done() || !end.is_done() {
        return CUresult::CUDA_ERROR_NOT_READY;
    }
    let (from, to) = (start.time_ns.load(Ordering::Relaxed), end.time_ns.load(Ordering::Relaxed));
    let elapsed_ns = to.cast_signed() - from.cast_signed();
    #[allow(clippy::cast_precision_loss, reason = "the interface gives milliseconds as f32")]
    #[allow(clippy::cast_possible_truncation, reason = "likewise")]
    let value = (elapsed_ns as f64 / 1e6) as f32;
    // SAFETY: valid for the write of one float.
    unsafe { milliseconds.write(value) };
    CUresult::CUDA_SUCCESS
}
