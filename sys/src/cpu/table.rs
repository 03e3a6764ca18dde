//! The `cpu` filling of the driver table.

use super::context::*;
use super::event::*;
use super::graph::*;
use super::memory::*;
use super::module::*;
use super::name::*;
use super::stream::*;
use crate::cuda::table::{DriverTable, driver_table};

macro_rules! define_filling {
    ($($name:ident: $generated:ident = ($($argument:ident: $kind:ty),*);)*) => {
        /// The entry points of this process.
        #[must_use]
        pub fn table() -> DriverTable {
            DriverTable { $($name,)* }
        }
    };
}
driver_table!(define_filling);
