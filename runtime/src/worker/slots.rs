//! The ledger of slots: which use of each slot is on, and when that use is over.
//!
//! A use opens with the first mention of its generation, by INPUT, INFER or DISCARD in any order,
//! and is over once the device is done with it, no receive into it is in flight and its output, if
//! any, has left. Then the slot comes back, exactly once, and payload of that use is drained.
//! Generations only grow; after a new controller has come, all slots start at one common floor.

use super::config::SlotClasses;
use crate::base::limits::MAX_SLOT_CLASSES;
use crate::base::{DeviceId, RequestId, SlotId};

/// What the net layer does with a payload that is announced for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// Receive it into the slot's pinned input area and report `InputEnded`.
    Accept,
    /// Read and throw it away: the use it belongs to is over, or it has its input already.
    Drain,
}

/// Numbers a device's slots through all classes.
#[derive(Clone, Copy, Debug)]
pub struct SlotLayout {
    device: DeviceId,
    classes: SlotClasses,
}

impl SlotLayout {
    /// The slots of a device.
    pub fn new(device: DeviceId, classes: SlotClasses) -> SlotLayout {
        SlotLayout { device, classes }
    }

    /// How many slots there are.
    pub fn total(&self) -> usize {
        self.classes.iter().map(|class| usize::from(class.count)).sum()
    }

    /// The number of a slot; none if there is no such slot on this device. The last generation
    /// names no use, so that each use has one after it.
    pub fn place(&self, slot: SlotId) -> Option<usize> {
        let class = usize::from(slot.class);
        if slot.generation == u32::MAX {
            return None;
        }
        if slot.device != self.device || class >= MAX_SLOT_CLASSES || slot.index >= self.classes[class].count {
            return None;
        }
        let before: usize = self.classes[..class].iter().map(|class| usize::from(class.count)).sum();
        Some(before + usize::from(slot.index))
    }

    /// Bytes of the slot's input and output areas.
    pub fn area(&self, slot: SlotId) -> (u32, u32) {
        let class = &self.classes[usize::from(slot.class)];
        (class.input_bytes, class.output_bytes)
    }

    /// The slot with this number, in a use.
    #[expect(clippy::cast_possible_truncation, reason = "classes and their counts fit u8 and u16")]
    pub fn slot(&self, place: usize, generation: u32) -> SlotId {
        let mut index = place;
        for (class, slots) in self.classes.iter().enumerate() {
            if index < usize::from(slots.count) {
                return SlotId { device: self.device, class: class as u8, index: index as u16, generation };
            }
            index -= usize::from(slots.count);
        }
        unreachable!("slot number {place} of {}", self.total())
    }
}

/// One slot at the host.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The use that is on, or the lowest that may open.
    generation: u32,
    open: bool,
    receiving: Option<RequestId>,
    received: bool,
    device_done: bool,
    sending: bool,
}

/// The slots of one device, as the host tier keeps them.
#[derive(Debug)]
pub struct SlotLedger {
    layout: SlotLayout,
    entries: Box<[Entry]>,
    open: usize,
}

impl SlotLedger {
    /// All slots closed.
    pub fn new(layout: SlotLayout) -> SlotLedger {
        SlotLedger { layout, entries: vec![Entry::default(); layout.total()].into(), open: 0 }
    }

    /// The entry of the use that `slot` names, opened if it may open now.
    fn enter(&mut self, slot: SlotId) -> Option<&mut Entry> {
        let entry = &mut self.entries[self.layout.place(slot)?];
        if !entry.open && slot.generation >= entry.generation {
            *entry = Entry { generation: slot.generation, open: true, ..Entry::default() };
            self.open += 1;
        }
        (entry.open && entry.generation == slot.generation).then_some(entry)
    }

    /// Decides on a payload that is announced for `slot`.
    pub fn accept(&mut self, slot: SlotId, request: RequestId, bytes: u32) -> Receive {
        if self.layout.place(slot).is_none() || bytes > self.layout.area(slot).0 {
            return Receive::Drain;
        }
        match self.enter(slot) {
            Some(entry) if entry.receiving.is_none() && !entry.received && !entry.device_done => {
                entry.receiving = Some(request);
                Receive::Accept
            }
            _ => Receive::Drain,
        }
    }

    /// An accepted receive has ended; says whether the device is to be told of the input.
    ///
    /// # Panics
    /// If no such receive was accepted.
    pub fn receive_ended(&mut self, slot: SlotId, request: RequestId, whole: bool) -> bool {
        let entry = self.enter(slot).filter(|entry| entry.receiving == Some(request));
        let Some(entry) = entry else { unreachable!("receive of {request} into {slot} was never accepted") };
        entry.receiving = None;
        entry.received = whole;
        whole && !entry.device_done
    }

    /// The device is done with the slot; `output` says whether its output is to be sent now.
    ///
    /// # Panics
    /// If the device was done with this use before.
    pub fn device_done(&mut self, slot: SlotId, output: bool) {
        match self.enter(slot) {
            Some(entry) if !entry.device_done => {
                entry.device_done = true;
                entry.sending = output;
            }
            _ => unreachable!("the device ended {slot} twice"),
        }
    }

    /// The slot's output has left.
    ///
    /// # Panics
    /// If no output was being sent from it.
    pub fn output_sent(&mut self, slot: SlotId) {
        match self.enter(slot) {
            Some(entry) if entry.sending => entry.sending = false,
            _ => unreachable!("no output of {slot} was being sent"),
        }
    }

    /// Closes the use if it is over; true exactly once for each use.
    pub fn close_if_over(&mut self, slot: SlotId) -> bool {
        let Some(entry) = self.enter(slot) else { return false };
        let over = entry.device_done && entry.receiving.is_none() && !entry.sending;
        if over {
            *entry = Entry { generation: entry.generation + 1, ..Entry::default() };
            self.open -= 1;
        }
        over
    }

    /// The slot with number `place`, if it is open and the device is not done with it.
    pub fn unfinished(&self, place: usize) -> Option<SlotId> {
        let entry = &self.entries[place];
        (entry.open && !entry.device_done).then(|| self.layout.slot(place, entry.generation))
    }

    /// How many slots there are.
    pub fn total(&self) -> usize {
        self.entries.len()
    }

    /// How many slots are in use, as far as the host has heard.
    pub fn open(&self) -> usize {
        self.open
    }

    /// The lowest generation that opens any of the slots.
    pub fn floor(&self) -> u32 {
        self.entries.iter().map(|entry| entry.generation).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::SlotClass;
    use super::*;

    const fn slot(class: u8, index: u16, generation: u32) -> SlotId {
        SlotId { device: DeviceId(2), class, index, generation }
    }

    fn ledger() -> SlotLedger {
        let mut classes = SlotClasses::default();
        classes[0] = SlotClass { count: 2, input_bytes: 8, output_bytes: 4 };
        classes[2] = SlotClass { count: 1, input_bytes: 16, output_bytes: 4 };
        SlotLedger::new(SlotLayout::new(DeviceId(2), classes))
    }

    const R: RequestId = RequestId::from_bits(7);

    #[test]
    fn slots_are_numbered_through_classes() {
        let ledger = ledger();
        assert_eq!(ledger.layout.place(slot(2, 0, 5)), Some(2));
        assert_eq!(ledger.layout.slot(2, 5), slot(2, 0, 5));
        assert_eq!(ledger.layout.place(slot(1, 0, 0)), None);
        assert_eq!(ledger.layout.place(slot(9, 0, 0)), None);
    }

    #[test]
    fn a_receive_in_flight_keeps_the_slot() {
        let mut ledger = ledger();
        let used = slot(0, 1, 3);
        assert_eq!(ledger.accept(used, R, 8), Receive::Accept);
        assert_eq!(ledger.accept(used, R, 8), Receive::Drain, "a second receive into the same slot");
        ledger.device_done(used, false);
        assert!(!ledger.close_if_over(used));
        assert!(!ledger.receive_ended(used, R, true), "the device must not hear of it any more");
        assert!(ledger.close_if_over(used));
        assert!(!ledger.close_if_over(used));
        assert_eq!(ledger.accept(used, R, 8), Receive::Drain, "payload of an older generation");
        assert_eq!(ledger.accept(slot(0, 1, 4), R, 8), Receive::Accept);
    }

    #[test]
    fn an_output_being_sent_keeps_the_slot() {
        let mut ledger = ledger();
        let used = slot(2, 0, 0);
        assert_eq!(ledger.accept(used, R, 17), Receive::Drain, "longer than the slot");
        assert_eq!(ledger.accept(used, R, 16), Receive::Accept);
        assert!(ledger.receive_ended(used, R, true));
        ledger.device_done(used, true);
        assert!(!ledger.close_if_over(used));
        ledger.output_sent(used);
        assert!(ledger.close_if_over(used));
        assert_eq!((ledger.open(), ledger.floor()), (0, 1));
    }

    #[test]
    fn a_broken_receive_may_be_repeated() {
        let mut ledger = ledger();
        let used = slot(0, 0, 0);
        assert_eq!(ledger.accept(used, R, 8), Receive::Accept);
        assert!(!ledger.receive_ended(used, R, false));
        assert_eq!(ledger.accept(used, R, 8), Receive::Accept);
    }
}
