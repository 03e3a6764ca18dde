//! Pins: host pages that a LOAD reads, named to its device part by part.

use arrayvec::ArrayVec;

use super::HostTier;
use super::fetches::HostPages;
use crate::base::{ActionId, DeviceId};
use crate::order::Status;
use crate::worker::event::{DeviceEvent, HostOut, HostOutbox, SOURCE_PAGES};
use crate::worker::pages::HostPage;

/// One LOAD that reads a model's host pages.
#[derive(Debug)]
pub(super) struct Pin {
    action: ActionId,
    device: DeviceId,
    model: u16,
    /// The next page that the device is to be told of.
    next: Option<u32>,
}

impl HostTier {
    /// Pins a model for a LOAD, or says why not.
    pub(super) fn pin(&mut self, action: ActionId, device: DeviceId, model: u16) -> Result<(), Status> {
        let hosted = &mut self.hosted[usize::from(model)];
        let HostPages::Resident(chain) = &hosted.pages else { return Err(Status::NotResident) };
        assert!(self.pins.len() < self.pins.capacity(), "more LOADs than credits");
        hosted.pins += 1;
        self.pins.push(Pin { action, device, model, next: Some(chain.head()) });
        Ok(())
    }

    /// A LOAD reads no more.
    pub(super) fn unpin(&mut self, action: ActionId) {
        let Some(place) = self.pins.iter().position(|pin| pin.action == action) else {
            unreachable!("{action:?} pins nothing")
        };
        let pin = self.pins.remove(place);
        let hosted = &mut self.hosted[usize::from(pin.model)];
        assert!(hosted.pins > 0, "{action:?} is unpinned twice");
        hosted.pins -= 1;
    }

    /// Names the next pages of every pinned LOAD to its device, as far as there is room.
    pub(super) fn advance_pins(&mut self, out: &mut HostOutbox) {
        for pin in &mut self.pins {
            while let Some(mut page) = pin.next {
                if out.is_full() {
                    self.more = true;
                    return;
                }
                let mut pages = ArrayVec::<HostPage, SOURCE_PAGES>::new();
                pin.next = loop {
                    pages.push(HostPage(page));
                    match self.pages.after(page) {
                        Some(after) if !pages.is_full() => page = after,
                        after => break after,
                    }
                };
                let event = DeviceEvent::Source { action: pin.action, pages };
                out.push(HostOut::ToDevice { device: pin.device, event });
            }
        }
    }
}
