//! Inputs on their way to the device, and slots that the controller ends.

use super::DeviceCore;
use super::slot::Input;
use crate::base::{RequestId, SlotId};
use crate::order::{Span, Status};
use crate::worker::event::{DeviceOut, DeviceOutbox, DeviceReport};
use crate::worker::op::{LaneOp, LaneOutcome, LaneTicket};

impl DeviceCore {
    /// Starts the copy of an input, unless the slot's use is over, ending, or of another request.
    pub(super) fn on_input(&mut self, slot: SlotId, request: RequestId, bytes: u32, out: &mut DeviceOutbox) {
        let Some(place) = self.slots.find(slot) else { return };
        let entry = self.slots.open(place, slot);
        if entry.discarded || entry.input != Input::Absent || entry.request.is_some_and(|known| known != request) {
            return;
        }
        entry.request = Some(request);
        entry.input = Input::Copying { bytes };
        let ticket = self.inputs.issue(place);
        out.push(DeviceOut::Lane(LaneOp::CopyInput { ticket, slot, bytes }));
    }

    /// An input is on the device, or its copy failed.
    pub(super) fn input_done(&mut self, ticket: LaneTicket, outcome: LaneOutcome, span: Span, out: &mut DeviceOutbox) {
        let place = self.inputs.complete(ticket);
        let slot = self.slots.get_mut(place);
        let Input::Copying { bytes } = slot.input else { unreachable!("{ticket:?} copied no input") };
        slot.copied = span;
        slot.input = match outcome {
            LaneOutcome::Ok => Input::Held { bytes },
            LaneOutcome::Fault { code } => Input::Failed { code },
        };
        self.close_if_over(place, out);
    }

    /// Ends a slot: at once, or when what works on it has ended. A member of an INFER that has not
    /// started is withdrawn from it.
    pub(super) fn on_discard(&mut self, slot: SlotId, out: &mut DeviceOutbox) {
        let Some(place) = self.slots.find(slot) else { return };
        let entry = self.slots.open(place, slot);
        entry.discarded = true;
        if let Some(infer) = entry.bound {
            self.withdraw_member(infer, place);
        }
        self.close_if_over(place, out);
    }

    /// Reports a slot whose use is over. Emits at most one output.
    pub(super) fn close_if_over(&mut self, place: usize, out: &mut DeviceOutbox) {
        if self.slots.is_over(place) {
            let slot = self.slots.close(place);
            self.report(out, DeviceReport::SlotDone(slot));
        }
    }

    /// Goes on with a reset: ends every slot that is in use.
    pub(super) fn sweep_slots(&mut self, out: &mut DeviceOutbox) {
        while let Some(place) = self.reset {
            if place == self.slots.total() {
                // Queued actions hold the reset until the sweeps have answered them all.
                if !self.more {
                    self.reset = None;
                }
                return;
            }
            if !self.room(1, out) {
                return;
            }
            if self.slots.get(place).open {
                let slot = self.slots.id(place);
                self.on_discard(slot, out);
            }
            self.reset = Some(place + 1);
        }
    }

    /// What an item without a place in the batch is told, by the state of its slot at the start.
    pub(super) fn unplaced(&self, place: usize, wanted_bytes: u32) -> Option<Status> {
        match self.slots.get(place).input {
            Input::Held { bytes } if bytes == wanted_bytes => None,
            Input::Held { .. } => Some(Status::BadAction),
            Input::Failed { code } => Some(Status::DeviceFault { code }),
            Input::Absent | Input::Copying { .. } => Some(Status::InputMissing),
        }
    }
}
