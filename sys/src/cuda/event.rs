//! Events that time operations, owned.

use super::context::Context;
use super::error::DriverError;
use super::types::*;

/// Two events, recorded before and after an operation.
#[derive(Debug)]
pub(super) struct EventPair {
    begin: Event,
    end: Event,
}

/// One event.
#[derive(Debug)]
pub(super) struct Event {
    context: Context,
    handle: CUevent,
}

// SAFETY: the driver lets any thread use an event.
unsafe impl Send for Event {}

impl Event {
    pub(super) fn create(context: &Context) -> Result<Self, DriverError> {
        let mut handle: CUevent = std::ptr::null_mut();
        let flags = CUevent_flags::CU_EVENT_DEFAULT.0;
        // SAFETY: valid for the write of a handle.
        unsafe { context.enter()?.cuEventCreate(&raw mut handle, flags) }?;
        Ok(Self { context: context.clone(), handle })
    }

    /// Makes `stream` wait until the latest record before this call has been reached.
    pub(super) fn hold_back(&self, stream: CUstream) -> Result<(), DriverError> {
        // SAFETY: as for `record`; no flags.
        unsafe { self.context.enter()?.cuStreamWaitEvent(stream, self.handle, 0) }
    }

    pub(super) fn record(&self, stream: CUstream) -> Result<(), DriverError> {
        // SAFETY: both handles live; a stream is only dropped when its events are done.
        unsafe { self.context.enter()?.cuEventRecord(self.handle, stream) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(table) = self.context.enter() {
            // SAFETY: the handle is not used again; the driver keeps what is still recorded.
            let _ = unsafe { table.cuEventDestroy_v2(self.handle) };
        }
    }
}

impl EventPair {
    pub(super) fn create(context: &Context) -> Result<Self, DriverError> {
        Ok(Self { begin: Event::create(context)?, end: Event::create(context)? })
    }

    pub(super) fn record_begin(&self, stream: CUstream) -> Result<(), DriverError> {
        self.begin.record(stream)
    }

    pub(super) fn record_end(&self, stream: CUstream) -> Result<(), DriverError> {
        self.end.record(stream)
    }

    /// Nanoseconds between the two, which have both been reached.
    pub(super) fn elapsed_ns(&self) -> Result<u64, DriverError> {
        let mut milliseconds = 0_f32;
        // SAFETY: valid for the write of a float; both handles live.
        unsafe {
            let table = self.begin.context.enter()?;
            table.cuEventElapsedTime(&raw mut milliseconds, self.begin.handle, self.end.handle)
        }?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // A negative or huge time saturates, which is what is wanted of it.
        let elapsed_ns = (f64::from(milliseconds) * 1e6) as u64;
        Ok(elapsed_ns)
    }
}
