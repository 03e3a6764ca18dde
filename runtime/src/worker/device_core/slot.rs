//! A slot as a device core keeps it.

use crate::base::{RequestId, SlotId};
use crate::order::Span;
use crate::worker::slots::SlotLayout;

/// Where a slot's input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// It has not come.
    Absent,
    /// It is on its way to the device.
    Copying { bytes: u32 },
    /// It is on the device.
    Held { bytes: u32 },
    /// Its copy failed; only another slot can help.
    Failed { code: u32 },
}

/// One slot of a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The use that is on, or the lowest that may open.
    pub(super) generation: u32,
    pub(super) open: bool,
    pub(super) request: Option<RequestId>,
    pub(super) input: Input,
    /// Copy of the input.
    pub(super) copied: Span,
    /// The INFER that it is bound to: its place in the slab.
    pub(super) bound: Option<u16>,
    /// Ended by the controller, waits for what still works on it.
    pub(super) discarded: bool,
}

impl Slot {
    const fn closed(generation: u32) -> Slot {
        Slot {
            generation,
            open: false,
            request: None,
            input: Input::Absent,
            copied: Span { begin: crate::base::Nanos::ZERO, end: crate::base::Nanos::ZERO },
            bound: None,
            discarded: false,
        }
    }

    /// Whether its input came and was not lost.
    pub(super) fn has_input(&self) -> bool {
        matches!(self.input, Input::Copying { .. } | Input::Held { .. })
    }

    /// Whether waiting for its input is over.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.input, Input::Held { .. } | Input::Failed { .. })
    }
}

/// The slots of a device.
#[derive(Debug)]
pub(super) struct Slots {
    layout: SlotLayout,
    slots: Box<[Slot]>,
}

impl Slots {
    pub(super) fn new(layout: SlotLayout) -> Slots {
        Slots { layout, slots: vec![Slot::closed(0); layout.total()].into() }
    }

    pub(super) fn layout(&self) -> &SlotLayout {
        &self.layout
    }

    pub(super) fn total(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, place: usize) -> &Slot {
        &self.slots[place]
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut Slot {
        &mut self.slots[place]
    }

    /// The name of the use that is on.
    pub(super) fn id(&self, place: usize) -> SlotId {
        self.layout.slot(place, self.slots[place].generation)
    }

    /// The place of the use that `slot` names, if it is on or may open now; nothing is opened.
    pub(super) fn find(&self, slot: SlotId) -> Option<usize> {
        let place = self.layout.place(slot)?;
        let found = &self.slots[place];
        let named = if found.open { slot.generation == found.generation } else { slot.generation >= found.generation };
        named.then_some(place)
    }

    /// Opens the use that `slot` names, unless it is on.
    pub(super) fn open(&mut self, place: usize, slot: SlotId) -> &mut Slot {
        let found = &mut self.slots[place];
        if !found.open {
            *found = Slot { open: true, ..Slot::closed(slot.generation) };
        }
        assert_eq!(found.generation, slot.generation, "another use of {slot} is on");
        found
    }

    /// Ends the use that is on and gives its name.
    pub(super) fn close(&mut self, place: usize) -> SlotId {
        let slot = self.id(place);
        let found = &mut self.slots[place];
        assert!(found.open && found.bound.is_none(), "{slot} is not to be ended now");
        assert!(!matches!(found.input, Input::Copying { .. }), "{slot} is being copied");
        *found = Slot::closed(slot.generation + 1);
        slot
    }

    /// Whether a discarded slot has nothing left that works on it.
    pub(super) fn is_over(&self, place: usize) -> bool {
        let slot = &self.slots[place];
        slot.discarded && slot.bound.is_none() && !matches!(slot.input, Input::Copying { .. })
    }

    /// How many uses are on.
    pub(super) fn open_count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.open).count()
    }
}
