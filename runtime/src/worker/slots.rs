//! The ledger of slots: which use of each slot is on, and when that use is over.
//!
//! A use opens with the first mention of its generation, by INPUT, INFER or DISCARD in any order,
//! and is over once the device is done with it, no receive into it is in flight and its output, if
//! any, has left. Then the slot comes back, exactly once, and payload of that use is drained.

/// What the net layer does with a payload that is announced for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// Receive it into the slot's pinned input area and report `InputEnded`.
    Accept,
    /// Read and throw it away: the use it belongs to is over, or it has its input already.
    Drain,
}
