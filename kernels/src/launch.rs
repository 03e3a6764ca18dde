//! Launches as data, the table of kernels, the check that makes launching safe, and the way from a
//! checked plan to a graph of the driver.

mod check;
mod describe;
mod executable;
mod table;

pub use check::{CheckedPlan, LaunchError, PlanError, Spaces};
pub use describe::{Description, describe};
pub use executable::{BuildError, Executable, Standing};
pub(crate) use table::for_each_kernel;
pub use table::{KERNELS, KernelEntry, entry};

use crate::params::Block;

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

/// A parameter block whose kernel functions are known to keep to it.
///
/// # Safety
/// Every function that an image registers under [`Kernel::NAME`] must, for a block that passes
/// [`Block::check`] and any tile below [`Block::grid`], touch no byte outside the regions that
/// [`Block::footprint`] names (with the access named there), its own scratch, and the constants of
/// the image; and different tiles must write different bytes.
pub unsafe trait Kernel: Block {
    /// The number in plans.
    const ID: KernelId;
    /// The name in images.
    const NAME: &'static str;
}

impl Launch {
    /// A launch of the kernel that `block` belongs to.
    pub fn of<K: Kernel>(block: &K) -> Launch {
        Launch { kernel: K::ID, block: bytemuck::bytes_of(block).into() }
    }
}
