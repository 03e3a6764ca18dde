//! How long outputs take from the host to the gateway: the worker's RESULT says when one lay on the
//! host, the gateway's ENDED when it had come.

use arrayvec::ArrayVec;

use super::core::Core;
use crate::base::{Nanos, RequestId, SlotId};

/// Outputs that are on their way to a gateway and watched. Beyond this the oldest is forgotten: it
/// is a sample less, nothing else.
const WATCHED: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Watched {
    request: RequestId,
    device: usize,
    slot: SlotId,
    /// When it lay on the host.
    ready: Nanos,
}

/// Outputs whose RESULT came and whose ENDED did not, oldest first.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    watched: ArrayVec<Watched, WATCHED>,
}

impl Handovers {
    /// An output lies on the host of a device from `ready` on.
    pub(super) fn begun(&mut self, request: RequestId, device: usize, slot: SlotId, ready: Nanos) {
        if self.watched.is_full() {
            self.watched.remove(0);
        }
        self.watched.push(Watched { request, device, slot, ready });
    }
}

impl Core {
    /// The gateway had a request's output at `at`.
    pub(super) fn learn_handover(&mut self, request: RequestId, at: Nanos) {
        let watched = &mut self.handovers.watched;
        let Some(place) = watched.iter().position(|watched| watched.request == request) else { return };
        let Watched { device, slot, ready, .. } = watched.remove(place);
        // The device's place may have been taken by another since, with other classes.
        if let Some(delays) = self.devices[device].delays.get_mut(usize::from(slot.class)) {
            delays.handover.record(at.since(ready));
        }
    }
}
