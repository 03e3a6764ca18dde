//! The four lanes of a device: operations in, completions out, leases moved along.

use arrayvec::ArrayVec;
use bytemuck::Zeroable;
use kernels::operand::Binding;
use sys::cuda::{Context, CopyPart, DeviceLease, Finished, Returned, SmallWrite, Stream, StreamError};
use sys::memory::SharedLease;

use super::DeviceError;
use super::architecture::{Architecture, PlanKey};
use super::memory::{DeviceMemory, TABLE_WRITES};
use crate::base::limits::{EXEC_DEPTH, LANE_CREDITS, MAX_BATCH, WEIGHT_CHUNK_BYTES, WEIGHT_COPIES_OUTSTANDING};
use crate::base::{Nanos, SlotId};
use crate::order::Span;
use crate::worker::op::TABLE_ENTRIES;
use crate::worker::{DevicePage, HostPage, Lane, LaneOp, LaneOutcome, LaneTicket};

/// Operations in flight of the copy lanes: every slot may have one.
const COPIES_IN_FLIGHT: usize = 4 * LANE_CREDITS;

/// Bytes that one turn copies where the copy engines are polled: nothing else on the thread is late.
const COPY_BUDGET_BYTES: usize = 256 << 10;

/// A completed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub ticket: LaneTicket,
    /// How it ended.
    pub outcome: LaneOutcome,
    /// When it began and ended.
    pub span: Span,
}

/// What an operation in flight is about, so that its leases find their places again.
#[derive(Clone, Copy, Debug)]
enum Errand {
    Chunk { page: DevicePage, chunk: usize },
    Table { table: usize, part: usize },
    Slot(SlotId),
    Exec { places: [Option<SlotId>; MAX_BATCH] },
}

/// Streams and memory of one device.
#[derive(Debug)]
pub struct Lanes {
    context: Context,
    memory: DeviceMemory,
    weights: LaneStream,
    input: LaneStream,
    exec: LaneStream,
    output: LaneStream,
    /// Kept across launches, so that holding leases allocates nothing.
    held: Vec<DeviceLease>,
    /// Operations that the driver refused: they complete in the next poll.
    refused: ArrayVec<Done, { LANE_CREDITS }>,
    /// An operation came since copies were last moved.
    untended: bool,
}

/// A stream and the errands of its operations, in order.
#[derive(Debug)]
struct LaneStream {
    stream: Stream,
    errands: std::collections::VecDeque<(u64, Errand)>,
}

impl LaneStream {
    fn new(context: &Context, capacity: usize) -> Result<LaneStream, DeviceError> {
        let stream = Stream::new(context, capacity).map_err(|source| DeviceError::Driver {
            device: context.ordinal(),
            what: "a stream",
            source,
        })?;
        Ok(LaneStream { stream, errands: std::collections::VecDeque::with_capacity(capacity) })
    }

    fn poll(&mut self) -> Option<(Errand, Finished)> {
        let finished = self.stream.poll()?;
        let (ticket, errand) = self.errands.pop_front()?;
        assert_eq!(ticket, finished.ticket, "a stream completes in the order of its operations");
        Some((errand, finished))
    }
}

impl Lanes {
    /// Lanes over `memory`.
    ///
    /// # Errors
    /// If the driver has no more streams.
    pub fn new(context: &Context, memory: DeviceMemory) -> Result<Lanes, DeviceError> {
        Ok(Lanes {
            context: context.clone(),
            memory,
            weights: LaneStream::new(context, WEIGHT_COPIES_OUTSTANDING + TABLE_WRITES)?,
            input: LaneStream::new(context, COPIES_IN_FLIGHT)?,
            exec: LaneStream::new(context, EXEC_DEPTH + 1)?,
            output: LaneStream::new(context, COPIES_IN_FLIGHT)?,
            held: Vec::with_capacity(2 * MAX_BATCH + 1),
            refused: ArrayVec::new(),
            untended: false,
        })
    }

    /// The device's memory, for whoever moves payload into and out of slots.
    pub fn memory(&mut self) -> &mut DeviceMemory {
        &mut self.memory
    }

    /// The device's number at its driver.
    pub fn ordinal(&self) -> usize {
        self.context.ordinal() as usize
    }

    /// Whether anything is in flight.
    pub fn is_busy(&self) -> bool {
        !self.refused.is_empty()
            || [&self.weights, &self.input, &self.exec, &self.output].iter().any(|lane| lane.stream.in_flight() > 0)
    }

    /// Puts an operation into its lane. `host_page` gives the bytes of a host page that holds weights.
    ///
    /// What the driver refuses completes as a fault in the next [`Lanes::poll`].
    pub fn submit(
        &mut self,
        op: &LaneOp,
        architectures: &[Architecture],
        host_page: impl FnOnce(HostPage) -> SharedLease,
        now: Nanos,
    ) {
        self.untended = true;
        let ticket = op.ticket();
        let submitted = match op {
            LaneOp::CopyPage { from, to, offset, bytes, .. } => {
                self.copy_page(ticket, host_page(*from), *to, *offset as usize, *bytes as usize)
            }
            LaneOp::WriteTable { table, first, pages, .. } => {
                self.write_table(ticket, usize::from(table.0), *first as usize, pages)
            }
            LaneOp::CopyInput { slot, bytes, .. } => self.copy_input(ticket, *slot, *bytes as usize),
            LaneOp::CopyOutput { slot, bytes, .. } => self.copy_output(ticket, *slot, *bytes as usize),
            LaneOp::Exec { architecture, shape, batch, table, places, .. } => {
                let key = PlanKey { shape: *shape, batch: *batch };
                self.launch(ticket, &architectures[usize::from(architecture.0)], key, usize::from(table.0), places)
            }
        };
        if let Err(fault) = submitted {
            let outcome = LaneOutcome::Fault { code: fault };
            self.refused.push(Done { ticket, outcome, span: Span { begin: now, end: now } });
        }
    }

    /// Moves copies on where nobody else does: at most a bounded number of bytes. Says whether any
    /// were moved, and so whether there may be more.
    pub fn move_copies(&mut self) -> bool {
        self.untended = false;
        self.context.driver().poll_copies(COPY_BUDGET_BYTES) > 0
    }

    /// Whether an operation came since [`Lanes::move_copies`]. Where the copy engines are polled nobody
    /// begins it, and of what the driver refused nobody tells: whoever submits must not sleep on it.
    pub fn is_untended(&self) -> bool {
        self.untended
    }

    /// The next completed operation, if any.
    pub fn poll(&mut self) -> Option<Done> {
        if !self.refused.is_empty() {
            return Some(self.refused.remove(0));
        }
        for lane in Lane::ALL {
            if let Some((errand, finished)) = self.stream(lane).poll() {
                return Some(self.finish(lane, errand, finished));
            }
        }
        None
    }

    fn stream(&mut self, lane: Lane) -> &mut LaneStream {
        match lane {
            Lane::Weights => &mut self.weights,
            Lane::Input => &mut self.input,
            Lane::Exec => &mut self.exec,
            Lane::Output => &mut self.output,
        }
    }

    fn copy_page(
        &mut self,
        ticket: LaneTicket,
        from: SharedLease,
        page: DevicePage,
        offset: usize,
        bytes: usize,
    ) -> Result<(), u32> {
        assert!(offset.is_multiple_of(WEIGHT_CHUNK_BYTES), "a page is copied in whole chunks");
        let chunk = offset / WEIGHT_CHUNK_BYTES;
        let to = self.memory.pages[page.0 as usize].chunks[chunk].take();
        let part = CopyPart { from: offset, to: 0, bytes };
        let put = self.weights.stream.copy_in(ticket.sequence, from, to, part);
        self.accept(Lane::Weights, ticket, Errand::Chunk { page, chunk }, put)
    }

    fn write_table(&mut self, ticket: LaneTicket, table: usize, first: usize, pages: &[DevicePage]) -> Result<(), u32> {
        assert!(first.is_multiple_of(TABLE_ENTRIES), "a table is written in whole parts");
        let part = first / TABLE_ENTRIES;
        let Some(mut from) = self.memory.table_staging.pop() else {
            unreachable!("the weights lane keeps at most {TABLE_WRITES} table writes outstanding")
        };
        for (entry, page) in from.chunks_exact_mut(size_of::<u64>()).zip(pages) {
            entry.copy_from_slice(&self.memory.pages[page.0 as usize].address.to_le_bytes());
        }
        let to = self.memory.tables[table].parts[part].take();
        let bytes = CopyPart::first(pages.len() * size_of::<u64>());
        let put = self.weights.stream.copy_in(ticket.sequence, from, to, bytes);
        self.accept(Lane::Weights, ticket, Errand::Table { table, part }, put)
    }

    fn copy_input(&mut self, ticket: LaneTicket, slot: SlotId, bytes: usize) -> Result<(), u32> {
        let memory = self.memory.slot(slot);
        let (from, to) = (memory.host_input.take(), memory.input.take());
        let put = self.input.stream.copy_in(ticket.sequence, from, to, CopyPart::first(bytes));
        self.accept(Lane::Input, ticket, Errand::Slot(slot), put)
    }

    fn copy_output(&mut self, ticket: LaneTicket, slot: SlotId, bytes: usize) -> Result<(), u32> {
        let memory = self.memory.slot(slot);
        let (from, to) = (memory.output.take(), memory.host_output.take());
        let put = self.output.stream.copy_out(ticket.sequence, from, to, CopyPart::first(bytes));
        self.accept(Lane::Output, ticket, Errand::Slot(slot), put)
    }

    fn launch(
        &mut self,
        ticket: LaneTicket,
        architecture: &Architecture,
        key: PlanKey,
        table: usize,
        places: &[Option<SlotId>; MAX_BATCH],
    ) -> Result<(), u32> {
        let Some(executable) = architecture.executable(key) else {
            unreachable!("the worker's logic orders only plans that the model has")
        };
        let mut binding = Binding::zeroed();
        binding.page_table = self.memory.tables[table].address;
        binding.workspace = self.memory.workspace_address;
        let mut held = std::mem::take(&mut self.held);
        held.push(self.memory.workspace.take());
        for (place, slot) in places.iter().enumerate() {
            (binding.inputs[place], binding.outputs[place]) = match slot {
                None => (self.memory.null.input, self.memory.null.outputs[place]),
                Some(slot) => {
                    let memory = self.memory.slot(*slot);
                    held.push(memory.input.take());
                    held.push(memory.output.take());
                    (memory.input_address, memory.output_address)
                }
            };
        }
        let mut from = self.memory.binding_staging.take();
        from[..size_of::<Binding>()].copy_from_slice(bytemuck::bytes_of(&binding));
        let write = SmallWrite { from, to: self.memory.binding.take(), bytes: size_of::<Binding>() };
        let put = executable.launch(&mut self.exec.stream, ticket.sequence, write, held);
        self.accept(Lane::Exec, ticket, Errand::Exec { places: *places }, put)
    }

    /// Notes an operation that was put in, or takes back the leases of one that was refused.
    fn accept(
        &mut self,
        lane: Lane,
        ticket: LaneTicket,
        errand: Errand,
        put: Result<(), StreamError>,
    ) -> Result<(), u32> {
        match put {
            Ok(()) => {
                self.stream(lane).errands.push_back((ticket.sequence, errand));
                Ok(())
            }
            Err(error) => {
                let code = fault_code(&error);
                if let Some(leases) = error.leases {
                    self.put_back(errand, *leases);
                }
                Err(code)
            }
        }
    }

    fn finish(&mut self, lane: Lane, errand: Errand, finished: Finished) -> Done {
        let ticket = LaneTicket { lane, sequence: finished.ticket };
        let end = Nanos(finished.seen_ns);
        let (outcome, begin) = match finished.elapsed_ns {
            Ok(elapsed) => (LaneOutcome::Ok, end - Nanos(elapsed)),
            Err(error) => (LaneOutcome::Fault { code: error.code.0 }, end),
        };
        self.put_back(errand, finished.leases);
        Done { ticket, outcome, span: Span { begin, end } }
    }

    fn put_back(&mut self, errand: Errand, leases: Returned) {
        match (errand, leases) {
            (Errand::Chunk { page, chunk }, Returned::CopyIn { to, .. }) => {
                self.memory.pages[page.0 as usize].chunks[chunk].put(to);
            }
            (Errand::Table { table, part }, Returned::CopyIn { from, to }) => {
                self.memory.tables[table].parts[part].put(to);
                if let sys::memory::HostSource::Lease(from) = from {
                    self.memory.table_staging.push(from);
                }
            }
            (Errand::Slot(slot), Returned::CopyIn { from, to }) => {
                let memory = self.memory.slot(slot);
                memory.input.put(to);
                if let sys::memory::HostSource::Lease(from) = from {
                    memory.host_input.put(from);
                }
            }
            (Errand::Slot(slot), Returned::CopyOut { from, to }) => {
                let memory = self.memory.slot(slot);
                memory.output.put(from);
                memory.host_output.put(to);
            }
            (Errand::Exec { places }, Returned::Launch { binding, held, .. }) => {
                self.put_back_launch(&places, binding, held);
            }
            (errand, leases) => unreachable!("an operation gives back its own leases: {errand:?}, {leases:?}"),
        }
    }

    fn put_back_launch(
        &mut self,
        places: &[Option<SlotId>; MAX_BATCH],
        binding: Option<SmallWrite>,
        mut held: Vec<DeviceLease>,
    ) {
        if let Some(SmallWrite { from, to, .. }) = binding {
            self.memory.binding_staging.put(from);
            self.memory.binding.put(to);
        }
        let mut leases = held.drain(..);
        if let Some(workspace) = leases.next() {
            self.memory.workspace.put(workspace);
        }
        for slot in places.iter().flatten() {
            let memory = self.memory.slot(*slot);
            if let (Some(input), Some(output)) = (leases.next(), leases.next()) {
                memory.input.put(input);
                memory.output.put(output);
            }
        }
        drop(leases);
        self.held = held;
    }
}

/// The driver's code, or 1 (`CUDA_ERROR_INVALID_VALUE`) where we refused before asking it.
fn fault_code(error: &StreamError) -> u32 {
    match &error.cause {
        sys::cuda::StreamCause::Driver(error) => error.code.0,
        _ => 1,
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
