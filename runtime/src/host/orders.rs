//! What the main thread of a process orders its role threads, and what they tell it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::net::Owner;

/// What all roles are to do. Orders only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Serve.
    Serve = 0,
    /// Take on nothing new; finish what was taken on.
    Refuse = 1,
    /// Nobody brings work any more; finish the rest.
    Finish = 2,
    /// End.
    Stop = 3,
}

/// The order in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders(Arc<AtomicU8>);

impl Orders {
    /// The order in force.
    pub(super) fn get(&self) -> Order {
        match self.0.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Refuse,
            2 => Order::Finish,
            _ => Order::Stop,
        }
    }

    /// Gives an order; whoever sleeps is still to be woken.
    pub(super) fn give(&self, order: Order) {
        self.0.fetch_max(order as u8, Ordering::AcqRel);
    }
}

/// What a role thread, or whoever may end the process, tells the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A role can do its work.
    Ready(Owner),
    /// Under this order a role has nothing unfinished.
    Quiet(Owner, Order),
    /// A thread has ended.
    Ended,
    /// The process is to end.
    End,
}
