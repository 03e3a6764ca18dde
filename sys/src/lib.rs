//! Everything that touches the machine and needs `unsafe` for it: the CUDA driver table and its
//! fillings, the driver in this process, io_uring, memory, threads, doorbells and the clock.
//!
//! The interface is safe but for one function, [`cuda::Stream::launch`], whose proof crate
//! `kernels` owns. The right to read or write memory is a value, a lease, which is moved into
//! every operation and given back by its completion.

pub mod clock;
#[allow(non_snake_case, reason = "the entry points have the names of the CUDA driver interface")]
pub mod cpu;
#[allow(non_snake_case, reason = "the entry points have the names of the CUDA driver interface")]
pub mod cuda;
pub mod doorbell;
pub mod memory;
pub mod probe;
pub mod signal;
pub mod thread;
pub mod uring;
mod word;

/// The driver interface itself, for the crate that builds the cpu driver as a library with the
/// driver's symbols. Whoever calls an entry point does so in an `unsafe` block of its own.
#[doc(hidden)]
pub mod interface {
    pub use crate::cpu::table as cpu_table;
    pub use crate::cuda::table::DriverTable;
    pub use crate::cuda::types;
}
