//! The slots of one device. Only the scheduler gives them out; FREED brings each back exactly once.

use arrayvec::ArrayVec;

use super::event::{ShapeSpec, SlotClass};
use crate::base::limits::MAX_SLOT_CLASSES;
use crate::base::{DeviceId, SlotId};

#[derive(Debug)]
struct Class {
    size: SlotClass,
    /// Current generation of each slot, and whether it is out.
    slots: Vec<(u32, bool)>,
    free: Vec<u16>,
}

/// All slots of one device.
#[derive(Debug)]
pub(super) struct Slots {
    device: DeviceId,
    classes: ArrayVec<Class, MAX_SLOT_CLASSES>,
}

impl Slots {
    pub(super) fn new(device: DeviceId, sizes: &[SlotClass], generation: u32) -> Slots {
        let class = |&size: &SlotClass| Class {
            size,
            slots: vec![(generation, false); usize::from(size.count)],
            free: (0..size.count).rev().collect(),
        };
        Slots { device, classes: sizes.iter().take(MAX_SLOT_CLASSES).map(class).collect() }
    }

    /// The smallest class whose slots hold one item of this shape.
    pub(super) fn class_for(&self, shape: ShapeSpec) -> Option<usize> {
        let holds = |class: &Class| {
            class.size.count > 0
                && class.size.input_bytes >= shape.input_bytes
                && class.size.output_bytes >= shape.output_bytes
        };
        let holding = self.classes.iter().enumerate().filter(|(_, class)| holds(class));
        let bytes = |class: &Class| u64::from(class.size.input_bytes) + u64::from(class.size.output_bytes);
        holding.min_by_key(|(_, class)| bytes(class)).map(|(place, _)| place)
    }

    pub(super) fn has_free(&self, class: usize) -> bool {
        !self.classes[class].free.is_empty()
    }

    /// Gives out a slot of a class.
    pub(super) fn take(&mut self, class: usize) -> Option<SlotId> {
        let device = self.device;
        let number = u8::try_from(class).ok()?;
        let class = &mut self.classes[class];
        let index = class.free.pop()?;
        let (generation, out) = &mut class.slots[usize::from(index)];
        *generation = generation.wrapping_add(1);
        *out = true;
        Some(SlotId { device, class: number, index, generation: *generation })
    }

    /// Takes a slot back. False, and without effect, if it was not out.
    pub(super) fn give_back(&mut self, slot: SlotId) -> bool {
        let Some(class) = self.classes.get_mut(usize::from(slot.class)) else { return false };
        let Some(state) = class.slots.get_mut(usize::from(slot.index)) else { return false };
        if *state != (slot.generation, true) {
            return false;
        }
        state.1 = false;
        class.free.push(slot.index);
        true
    }

    pub(super) fn total(&self) -> usize {
        self.classes.iter().map(|class| class.slots.len()).sum()
    }

    pub(super) fn out(&self) -> usize {
        self.classes.iter().map(|class| class.slots.len() - class.free.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_once() {
        let sizes = [(100, 1), (10, 2)].map(|(bytes, count)| SlotClass { input_bytes: bytes, output_bytes: 4, count });
        let mut slots = Slots::new(DeviceId(1), &sizes, 7);
        let shape = ShapeSpec { input_bytes: 10, output_bytes: 4 };
        assert_eq!(slots.class_for(shape), Some(1));
        assert_eq!(slots.class_for(ShapeSpec { input_bytes: 11, ..shape }), Some(0));
        assert_eq!(slots.class_for(ShapeSpec { output_bytes: 5, ..shape }), None);
        let slot = slots.take(1).unwrap();
        assert_eq!((slot.class, slot.generation, slots.out()), (1, 8, 1));
        assert!(slots.give_back(slot) && !slots.give_back(slot));
        let again = slots.take(1).unwrap();
        assert!(!slots.give_back(slot), "an older generation");
        assert_eq!((again.index, again.generation), (slot.index, 9));
    }
}
