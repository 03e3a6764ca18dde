//! All memory of one device, taken at start and divided into pages, page tables, slots and workspace.

use kernels::launch::Standing;
use sys::cuda::{Context, DeviceLease};
use sys::memory::HostLease;

use super::{DeviceError, Held};
use crate::base::SlotId;
use crate::base::limits::{MAX_BATCH, WEIGHT_CHUNK_BYTES};
use crate::worker::config::SlotClasses;
use crate::worker::op::TABLE_ENTRIES;

/// Bytes of one page table entry: a device address.
const ENTRY_BYTES: usize = size_of::<u64>();
/// Bytes that one `WriteTable` writes at most.
const TABLE_PART_BYTES: usize = TABLE_ENTRIES * ENTRY_BYTES;
/// Where in a device allocation tables and areas may begin.
const ALIGNMENT: usize = 256;
/// Table writes that can be under way at once; the weights lane keeps few outstanding.
pub(super) const TABLE_WRITES: usize = 8;

/// How much of everything a device must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryNeeds {
    /// Weight pages.
    pub pages: usize,
    /// Bytes of a page.
    pub page_bytes: usize,
    /// Weight pages of each model, in the order of their tables.
    pub table_entries: Vec<usize>,
    /// Slots by class.
    pub slots: SlotClasses,
    /// Bytes of the largest workspace of any plan.
    pub workspace_bytes: usize,
}

/// The memory of one slot: pinned areas on the host and their counterparts on the device.
#[derive(Debug)]
pub struct SlotMemory {
    /// Pinned input area.
    pub host_input: Held<HostLease>,
    /// Pinned output area.
    pub host_output: Held<HostLease>,
    /// Input area on the device.
    pub input: Held<DeviceLease>,
    /// Output area on the device.
    pub output: Held<DeviceLease>,
    /// Address of the input area.
    pub input_address: u64,
    /// Address of the output area.
    pub output_address: u64,
}

/// A weight page, in the chunks in which it is copied.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) address: u64,
    pub(super) chunks: Vec<Held<DeviceLease>>,
}

/// A page table, in the parts in which it is written.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) address: u64,
    pub(super) parts: Vec<Held<DeviceLease>>,
}

/// What stands for places of a batch that have no request: zeros to read, scratch to write.
#[derive(Debug)]
pub(super) struct NullSlot {
    pub(super) input: u64,
    pub(super) outputs: [u64; MAX_BATCH],
    _leases: [DeviceLease; 2],
}

/// Memory of a device.
#[derive(Debug)]
pub struct DeviceMemory {
    pub(super) pages: Vec<Page>,
    pub(super) tables: Vec<Table>,
    pub(super) slots: [Vec<SlotMemory>; crate::base::limits::MAX_SLOT_CLASSES],
    pub(super) null: NullSlot,
    pub(super) workspace: Held<DeviceLease>,
    pub(super) workspace_address: u64,
    /// Where the exec lane writes the binding, and the pinned bytes that it writes from.
    pub(super) binding: Held<DeviceLease>,
    pub(super) binding_staging: Held<HostLease>,
    pub(super) table_staging: Vec<HostLease>,
    /// What a binding may name beside the leases that a launch holds: page tables and null slots.
    standing: Standing,
}

impl DeviceMemory {
    /// Takes all of `needs` from the device of `context`.
    ///
    /// # Errors
    /// If the driver has not that much memory.
    pub fn take(context: &Context, needs: &MemoryNeeds) -> Result<DeviceMemory, DeviceError> {
        let taker = Taker { context };
        let workspace = taker.device("the workspace", needs.workspace_bytes.max(ALIGNMENT))?;
        let binding = taker.device("the binding", size_of::<kernels::operand::Binding>())?;
        let mut standing = Standing::new();
        Ok(DeviceMemory {
            pages: taker.pages(needs.pages, needs.page_bytes)?,
            tables: taker.tables(&needs.table_entries, &mut standing)?,
            slots: taker.slots(&needs.slots)?,
            null: taker.null(&needs.slots, &mut standing)?,
            standing,
            workspace_address: workspace.address(),
            workspace: Held::new("the workspace", workspace),
            binding: Held::new("the binding", binding),
            binding_staging: Held::new(
                "the binding's staging area",
                taker.host("the binding", size_of::<kernels::operand::Binding>())?,
            ),
            table_staging: taker
                .host("page tables", TABLE_WRITES * TABLE_PART_BYTES)?
                .split_into(TABLE_WRITES, TABLE_PART_BYTES)
                .map_err(|source| taker.lease("page tables", source))?,
        })
    }

    /// The memory of a slot.
    ///
    /// # Panics
    /// If there is no such slot: whoever passes ids from a peer checks them first.
    pub fn slot(&mut self, slot: SlotId) -> &mut SlotMemory {
        &mut self.slots[usize::from(slot.class)][usize::from(slot.index)]
    }

    /// Where the exec lane writes the binding: every graph reads it there.
    ///
    /// # Panics
    /// If a launch is under way; graphs are built before the first.
    pub fn binding(&self) -> &DeviceLease {
        let Some(binding) = self.binding.get() else { panic!("graphs are built before the first launch") };
        binding
    }

    /// What a binding may name beside the leases that a launch holds.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }
}

struct Taker<'a> {
    context: &'a Context,
}

impl Taker<'_> {
    fn device(&self, what: &'static str, bytes: usize) -> Result<DeviceLease, DeviceError> {
        self.context.alloc_device(bytes).map_err(|source| DeviceError::Driver {
            device: self.context.ordinal(),
            what,
            source,
        })
    }

    fn host(&self, what: &'static str, bytes: usize) -> Result<HostLease, DeviceError> {
        self.context.alloc_host(bytes).map_err(|source| DeviceError::Driver {
            device: self.context.ordinal(),
            what,
            source,
        })
    }

    fn lease(&self, what: &'static str, source: sys::memory::LeaseError) -> DeviceError {
        DeviceError::Lease { device: self.context.ordinal(), what, source }
    }

    fn pages(&self, count: usize, page_bytes: usize) -> Result<Vec<Page>, DeviceError> {
        let all = self.device("weight pages", (count * page_bytes).max(ALIGNMENT))?;
        let pages = all.split_into(count, page_bytes).map_err(|source| self.lease("weight pages", source))?;
        let chunked = pages.into_iter().map(|mut rest| {
            let address = rest.address();
            let mut chunks = Vec::with_capacity(page_bytes.div_ceil(WEIGHT_CHUNK_BYTES));
            while rest.len() > WEIGHT_CHUNK_BYTES {
                let (chunk, tail) = rest.split_at(WEIGHT_CHUNK_BYTES);
                chunks.push(Held::new("a weight page", chunk));
                rest = tail;
            }
            chunks.push(Held::new("a weight page", rest));
            Page { address, chunks }
        });
        Ok(chunked.collect())
    }

    fn tables(&self, entries: &[usize], standing: &mut Standing) -> Result<Vec<Table>, DeviceError> {
        let parts = |entries: &usize| entries.div_ceil(TABLE_ENTRIES).max(1);
        let total: usize = entries.iter().map(parts).sum();
        let all = self.device("page tables", (total * TABLE_PART_BYTES).max(ALIGNMENT))?;
        standing.add(&all);
        let leases = all.split_into(total, TABLE_PART_BYTES).map_err(|source| self.lease("page tables", source))?;
        let mut leases = leases.into_iter();
        let table = |entries: &usize| {
            let parts: Vec<_> = leases.by_ref().take(parts(entries)).collect();
            let address = parts.first().map_or(0, DeviceLease::address);
            Table { address, parts: parts.into_iter().map(|part| Held::new("a page table", part)).collect() }
        };
        Ok(entries.iter().map(table).collect())
    }

    fn slots(
        &self,
        classes: &SlotClasses,
    ) -> Result<[Vec<SlotMemory>; crate::base::limits::MAX_SLOT_CLASSES], DeviceError> {
        let mut slots: [Vec<SlotMemory>; crate::base::limits::MAX_SLOT_CLASSES] = Default::default();
        for (class, into) in classes.iter().zip(&mut slots) {
            for _ in 0..class.count {
                let (input_bytes, output_bytes) = (class.input_bytes as usize, class.output_bytes as usize);
                let input = self.device("a slot's input", input_bytes.max(ALIGNMENT))?;
                let output = self.device("a slot's output", output_bytes.max(ALIGNMENT))?;
                into.push(SlotMemory {
                    host_input: Held::new("a slot's pinned input", self.host("a slot's input", input_bytes)?),
                    host_output: Held::new("a slot's pinned output", self.host("a slot's output", output_bytes)?),
                    input_address: input.address(),
                    output_address: output.address(),
                    input: Held::new("a slot's input", input),
                    output: Held::new("a slot's output", output),
                });
            }
        }
        Ok(slots)
    }

    fn null(&self, classes: &SlotClasses, standing: &mut Standing) -> Result<NullSlot, DeviceError> {
        let largest = |bytes: fn(&crate::worker::config::SlotClass) -> u32| {
            let most = classes.iter().filter(|class| class.count > 0).map(bytes).max().unwrap_or(0);
            (most as usize).next_multiple_of(ALIGNMENT).max(ALIGNMENT)
        };
        let input = self.device("the null slot's input", largest(|class| class.input_bytes))?;
        // Each place writes its own scratch: tiles that run side by side never share a byte.
        let output_bytes = largest(|class| class.output_bytes);
        let output = self.device("the null slot's outputs", output_bytes * MAX_BATCH)?;
        standing.add(&input);
        standing.add(&output);
        let outputs = std::array::from_fn(|place| output.address() + (place * output_bytes) as u64);
        Ok(NullSlot { input: input.address(), outputs, _leases: [input, output] })
    }
}
