//! Launches as data. The check that makes running them safe, each kernel's footprint, and the way
//! from a checked plan to a driver graph belong here too.

/// Which kernel: the number a plan carries. Stable for ever; a new kernel gets a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelId(pub u16);

/// One launch of a plan, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The kernel.
    pub kernel: KernelId,
    /// The parameter block, without the binding's address: the bytes of the kernel's `Pod` type.
    pub block: Box<[u8]>,
}
