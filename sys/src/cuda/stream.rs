//! A stream: strictly first in, first out, one owner, a bounded number of operations in flight.
//!
//! Each operation takes its leases by value and gives them back when the device has written the
//! stream's completion word, which polling reads without any driver call.

mod operation;

pub use operation::{CopyPart, Finished, MAX_SMALL_WRITE_BYTES, Returned, SmallWrite, StreamCause, StreamError};

use super::context::Context;
use super::error::DriverError;
use super::event::{Event, EventPair};
use super::graph::GraphExec;
use super::memory::{DeviceLease, PinnedMemory};
use super::table::DriverTable;
use super::types::*;
use crate::clock;
use crate::memory::{HostLease, HostSource};
use crate::word::{CompletionWord, WORD_BYTES};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;

/// Operations in flight of one stream at most.
pub const MAX_IN_FLIGHT: usize = 1024;

/// A stream of a device.
#[derive(Debug)]
pub struct Stream {
    context: Context,
    handle: CUstream,
    in_flight: VecDeque<InFlight>,
    /// One pair for each operation that can be in flight, used in turn.
    events: Box<[EventPair]>,
    /// Marks the end of this stream for others that wait for it.
    end: Event,
    /// Where the device writes the number of the operation that it has completed.
    word: CompletionWord,
    word_address: CUdeviceptr_v2,
    /// Behind `word`; leaked when the device may still write it.
    word_memory: ManuallyDrop<PinnedMemory>,
    /// The number of the latest operation put in.
    latest: u32,
    /// Operations put in so far, which picks the events.
    turn: usize,
}

// SAFETY: the driver lets any thread use a stream; `&mut self` keeps it to one at a time.
unsafe impl Send for Stream {}

/// An operation that the device has not completed, as far as we know.
#[derive(Debug)]
struct InFlight {
    ticket: u64,
    number: u32,
    events: usize,
    leases: Returned,
}

impl Stream {
    /// A stream that can hold `capacity` operations in flight (at most [`MAX_IN_FLIGHT`]).
    /// Everything that it will need is taken here.
    ///
    /// # Errors
    /// When the driver has no such stream, event or pinned memory left.
    ///
    /// # Panics
    /// When `capacity` is 0 or beyond the limit.
    pub fn new(context: &Context, capacity: usize) -> Result<Self, DriverError> {
        assert!((1..=MAX_IN_FLIGHT).contains(&capacity), "{capacity} operations in flight");
        let memory = PinnedMemory::allocate(context, WORD_BYTES)?;
        let word_address = memory.device_address()?;
        // SAFETY: pinned memory is page aligned and lives as long as `word`: the stream holds
        // both, and drops neither before the device has stopped writing.
        let word = unsafe { CompletionWord::new(memory.pointer()) };
        let events: Result<_, _> = (0..capacity).map(|_| EventPair::create(context)).collect();
        let events = events?;
        let end = Event::create(context)?;
        let mut handle: CUstream = std::ptr::null_mut();
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING.0;
        // SAFETY: valid for the write of a handle.
        unsafe { context.enter()?.cuStreamCreate(&raw mut handle, flags) }?;
        Ok(Self {
            context: context.clone(),
            handle,
            in_flight: VecDeque::with_capacity(capacity),
            events,
            end,
            word,
            word_address,
            word_memory: ManuallyDrop::new(memory),
            latest: 0,
            turn: 0,
        })
    }

    /// Operations in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Operations that can be in flight.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.events.len()
    }

    /// Copies `part` from host to device memory.
    ///
    /// # Errors
    /// See [`StreamError`]; the leases come back in it.
    pub fn copy_in(
        &mut self,
        ticket: u64,
        from: impl Into<HostSource>,
        to: DeviceLease,
        part: CopyPart,
    ) -> Result<(), StreamError> {
        let from = from.into();
        if let Err(cause) = part.check(from.len(), to.len()) {
            return Err(StreamError::unused(cause, Returned::CopyIn { from, to }));
        }
        // SAFETY: `part.from` lies within the source.
        let source = unsafe { from.pointer().add(part.from) };
        let address = to.address() + part.to as u64;
        self.submit(ticket, Returned::CopyIn { from, to }, |table, stream| {
            // SAFETY: both ranges were checked against their leases, which the stream holds
            // until the copy is done.
            unsafe { table.cuMemcpyHtoDAsync_v2(address, source.as_ptr().cast(), part.bytes, stream) }
        })
    }

    /// Copies `part` from device to host memory.
    ///
    /// # Errors
    /// See [`StreamError`]; the leases come back in it.
    pub fn copy_out(
        &mut self,
        ticket: u64,
        from: DeviceLease,
        to: HostLease,
        part: CopyPart,
    ) -> Result<(), StreamError> {
        if let Err(cause) = part.check(from.len(), to.len()) {
            return Err(StreamError::unused(cause, Returned::CopyOut { from, to }));
        }
        let address = from.address() + part.from as u64;
        // SAFETY: `part.to` lies within the target.
        let target = unsafe { to.pointer().add(part.to) };
        self.submit(ticket, Returned::CopyOut { from, to }, |table, stream| {
            // SAFETY: both ranges were checked against their leases, which the stream holds
            // until the copy is done.
            unsafe { table.cuMemcpyDtoHAsync_v2(target.as_ptr().cast(), address, part.bytes, stream) }
        })
    }

    /// Launches `graph`, after `binding` has been written in stream order, and holds `held`
    /// until it has completed.
    ///
    /// # Errors
    /// See [`StreamError`]; the leases come back in it.
    ///
    /// # Safety
    /// The caller has proved, for every node of the graph and every tile of its grid:
    /// - the kernel reads and writes only ranges that its parameter block and the memory named
    ///   there (a binding, a page table) lead to, and each of these ranges lies within `held`,
    ///   within `binding`, or within leases that the caller keeps from every other use until
    ///   this operation is given back by [`Stream::poll`];
    /// - what it writes no other tile of the same node reads or writes;
    /// - the same graph is in no other stream meanwhile.
    ///
    /// Crate `kernels` owns this proof: its checked plans bound every operand of every launch.
    pub unsafe fn launch(
        &mut self,
        ticket: u64,
        graph: &GraphExec,
        binding: Option<SmallWrite>,
        held: Vec<DeviceLease>,
    ) -> Result<(), StreamError> {
        let write = binding.as_ref().map(SmallWrite::prepared);
        let exec = graph.handle();
        let other = !graph.context().is_same(&self.context);
        let leases = Returned::Launch { graph: graph.clone(), binding, held };
        let write = match write.transpose() {
            Ok(_) if other => return Err(StreamError::unused(StreamCause::OtherDevice, leases)),
            Ok(write) => write,
            Err(cause) => return Err(StreamError::unused(cause, leases)),
        };
        self.submit(ticket, leases, |table, stream| {
            if let Some((from, to, bytes)) = write {
                // SAFETY: checked against the leases of the binding, which the stream holds.
                unsafe { table.cuMemcpyHtoDAsync_v2(to, from.as_ptr().cast(), bytes, stream) }?;
            }
            // SAFETY: the graph lives as long as the operation, and the caller has proved that
            // its kernels may run.
            unsafe { table.cuGraphLaunch(exec, stream) }
        })
    }

    /// Has everything put into this stream from now on wait, on the device, for everything that
    /// is in `other` now.
    ///
    /// # Errors
    /// When the driver refuses; nothing waits then.
    pub fn wait_for(&mut self, other: &Self) -> Result<(), DriverError> {
        other.end.record(other.handle)?;
        other.end.hold_back(self.handle)
    }

    /// The oldest operation, if it has completed. Makes no driver call unless it has.
    pub fn poll(&mut self) -> Option<Finished> {
        let oldest = self.in_flight.front()?;
        if !self.word.reached(oldest.number) {
            return None;
        }
        let seen_ns = clock::now_ns();
        let InFlight { ticket, events, leases, .. } = self.in_flight.pop_front()?;
        let elapsed_ns = self.events[events].elapsed_ns();
        Some(Finished { ticket, leases, elapsed_ns, seen_ns })
    }

    /// Asks the driver whether work of this stream has failed: the completion word of failed work
    /// is never written. For operations that are overdue; true when nothing is under way.
    ///
    /// # Errors
    /// When work failed.
    pub fn check(&self) -> Result<bool, DriverError> {
        // SAFETY: the stream lives.
        let code = unsafe { (self.context.enter()?.cuStreamQuery)(self.handle) };
        if code == CUresult::CUDA_ERROR_NOT_READY {
            return Ok(false);
        }
        self.context.enter()?.checked("cuStreamQuery", code)?;
        Ok(true)
    }

    /// Waits until everything put in so far is done; [`Stream::poll`] then gives it back.
    ///
    /// # Errors
    /// When work failed.
    pub fn synchronize(&self) -> Result<(), DriverError> {
        // SAFETY: the stream lives.
        unsafe { self.context.enter()?.cuStreamSynchronize(self.handle) }
    }

    /// Puts an operation between its two events and the write of the completion word.
    fn submit(
        &mut self,
        ticket: u64,
        leases: Returned,
        enqueue: impl FnOnce(&DriverTable, CUstream) -> Result<(), DriverError>,
    ) -> Result<(), StreamError> {
        let capacity = self.capacity();
        if self.in_flight.len() == capacity {
            return Err(StreamError::unused(StreamCause::Full { capacity }, leases));
        }
        if leases.device_leases().any(|lease| !lease.context().is_same(&self.context)) {
            return Err(StreamError::unused(StreamCause::OtherDevice, leases));
        }
        let events = self.turn % capacity;
        if let Err(error) = self.events[events].record_begin(self.handle) {
            return Err(StreamError::unused(StreamCause::Driver(error), leases));
        }
        let number = self.latest.wrapping_add(1);
        if let Err(error) = self.enqueue(events, number, enqueue) {
            return Err(self.give_up(error, leases));
        }
        self.latest = number;
        self.turn = self.turn.wrapping_add(1);
        self.in_flight.push_back(InFlight { ticket, number, events, leases });
        Ok(())
    }

    fn enqueue(
        &self,
        events: usize,
        number: u32,
        enqueue: impl FnOnce(&DriverTable, CUstream) -> Result<(), DriverError>,
    ) -> Result<(), DriverError> {
        let table = self.context.enter()?;
        enqueue(table, self.handle)?;
        self.events[events].record_end(self.handle)?;
        let flags = CUstreamWriteValue_flags::CU_STREAM_WRITE_VALUE_DEFAULT.0;
        // SAFETY: the word is pinned, aligned, and lives as long as the stream.
        unsafe { table.cuStreamWriteValue32_v2(self.handle, self.word_address, number, flags) }
    }

    /// An operation was put in only partly: waits until the device has let go of its leases, and
    /// gives them back; leaks them when the device can't be waited for.
    fn give_up(&self, error: DriverError, leases: Returned) -> StreamError {
        let cause = StreamCause::Driver(error);
        if self.synchronize().is_ok() {
            return StreamError::unused(cause, leases);
        }
        std::mem::forget(leases);
        StreamError { cause, leases: None }
    }
}

impl Drop for Stream {
    /// Waits for what is in flight. What the device may still use is leaked, never freed.
    fn drop(&mut self) {
        let idle = self.synchronize().is_ok();
        if !idle {
            std::mem::forget(std::mem::take(&mut self.in_flight));
            return;
        }
        // SAFETY: the device is done with the word, and nobody uses the memory after this.
        unsafe { ManuallyDrop::drop(&mut self.word_memory) };
        if let Ok(table) = self.context.enter() {
            // SAFETY: the handle is not used again.
            let _ = unsafe { table.cuStreamDestroy_v2(self.handle) };
        }
    }
}
