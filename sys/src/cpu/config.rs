//! What a cpu driver is made of, and the bounds of each number.

use crate::memory::MemoryError;
use std::io;

/// Devices of one cpu driver.
pub const MAX_DEVICES: usize = 16;
/// Compute threads of one device.
pub const MAX_COMPUTE_THREADS: usize = 64;
/// Streams of one device that may exist at a time.
pub const MAX_STREAMS: usize = 16;
/// Copies up to this size are carried out by whichever engine serves the stream, in place, so
/// that a small write before a launch costs no hop between engines.
pub const INLINE_COPY_BYTES: usize = 4096;
/// The largest copy budget of one turn where copy engines are polled.
pub const POLL_BUDGET_BYTES: usize = 256 << 10;

/// Who copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyEngines {
    /// A thread for each direction, pinned where a core is named.
    Threads {
        /// The core of the copy-in thread.
        copy_in_core: Option<usize>,
        /// The core of the copy-out thread.
        copy_out_core: Option<usize>,
    },
    /// Whoever calls [`crate::cuda::Driver::poll_copies`], a bounded number of bytes a turn.
    Polled,
}

/// The configuration of a cpu driver: all that it takes, it takes at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuConfig {
    /// Devices, at most [`MAX_DEVICES`].
    pub devices: usize,
    /// Compute threads of each device, at most [`MAX_COMPUTE_THREADS`].
    pub compute_threads: usize,
    /// The cores of the compute threads, device by device; empty: not pinned.
    pub compute_cores: Vec<usize>,
    /// Who copies.
    pub copy_engines: CopyEngines,
    /// How long an idle engine spins before it sleeps, in nanoseconds; `u64::MAX`: for ever.
    pub spin_ns: u64,
    /// Memory of each device, in bytes. A limit: it is taken by `alloc_device`.
    pub device_memory_bytes: usize,
    /// Scratch of each compute thread, in bytes, taken and touched at start.
    pub scratch_bytes: usize,
    /// Commands that a stream can hold; a power of two. An operation of
    /// [`crate::cuda::Stream`] takes at most five.
    pub stream_commands: usize,
}

impl Default for CpuConfig {
    /// One device with one compute thread, copy threads, nothing pinned.
    fn default() -> Self {
        Self {
            devices: 1,
            compute_threads: 1,
            compute_cores: Vec::new(),
            copy_engines: CopyEngines::Threads { copy_in_core: None, copy_out_core: None },
            spin_ns: 50_000,
            device_memory_bytes: 4 << 30,
            scratch_bytes: 4 << 20,
            stream_commands: 512,
        }
    }
}

/// A configuration that can't be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A number lies outside of its bounds.
    #[error("{what} is {value}; allowed is {least} to {most}")]
    OutOfBounds {
        /// The field.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The least value allowed.
        least: usize,
        /// The largest value allowed.
        most: usize,
    },
    /// The queue length is no power of two.
    #[error("stream_commands is {0}, which is no power of two")]
    NoPowerOfTwo(usize),
    /// Cores are named, but not one for each compute thread.
    #[error("compute_cores names {named} cores; {wanted} compute threads need one each")]
    Cores {
        /// Cores named.
        named: usize,
        /// Compute threads of all devices.
        wanted: usize,
    },
    /// A thread can't run on the core that it should.
    #[error("thread {thread} can't run on core {core}")]
    Pin {
        /// The thread.
        thread: String,
        /// The core.
        core: usize,
    },
    /// Scratch memory can't be taken.
    #[error("scratch of thread {thread}: {reason}")]
    Scratch {
        /// The thread.
        thread: String,
        /// Why.
        reason: MemoryError,
    },
    /// A thread can't be started.
    #[error("starting thread {thread}: {reason}")]
    Spawn {
        /// The thread.
        thread: String,
        /// Why.
        reason: io::Error,
    },
}

impl CpuConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        bounded("devices", self.devices, 1, MAX_DEVICES)?;
        bounded("compute_threads", self.compute_threads, 1, MAX_COMPUTE_THREADS)?;
        bounded("stream_commands", self.stream_commands, 8, 1 << 16)?;
        bounded("scratch_bytes", self.scratch_bytes, 64, 1 << 34)?;
        if !self.stream_commands.is_power_of_two() {
            return Err(ConfigError::NoPowerOfTwo(self.stream_commands));
        }
        let wanted = self.devices * self.compute_threads;
        let named = self.compute_cores.len();
        if named != 0 && named != wanted {
            return Err(ConfigError::Cores { named, wanted });
        }
        Ok(())
    }
}

fn bounded(what: &'static str, value: usize, least: usize, most: usize) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfBounds { what, value, least, most })
}
