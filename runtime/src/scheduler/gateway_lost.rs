//! A gateway that is gone waits for nothing: its requests are given up, as far as each event's
//! outputs have room.

use super::core::{Core, STEP_OUTPUTS};
use super::event::Outbox;
use crate::base::limits::MAX_REQUESTS;
use crate::base::{GatewayId, Nanos, RequestId};

impl Core {
    /// Whether requests of a gateway that is gone are still being given up. Until they are, no other
    /// gateway may have its number: their requests would have the same names.
    pub fn is_forgetting(&self, gateway: GatewayId) -> bool {
        self.gone_gateways.iter().any(|&(gone, _)| gone == gateway)
    }

    pub(super) fn gateway_lost(&mut self, gateway: GatewayId) {
        if !self.is_forgetting(gateway) {
            self.gone_gateways.push((gateway, 0));
        }
    }

    /// Gives requests of gone gateways up, one at a time.
    pub(super) fn sweep_gateways(&mut self, now: Nanos, out: &mut Outbox) {
        while let Some(&(gateway, index)) = self.gone_gateways.last() {
            if usize::from(index) == MAX_REQUESTS {
                self.gone_gateways.pop();
                continue;
            }
            if out.remaining_capacity() < STEP_OUTPUTS {
                return;
            }
            if let Some(last) = self.gone_gateways.last_mut() {
                last.1 += 1;
            }
            if let Some(place) = self.requests.at(RequestId { gateway, index, generation: 0 }) {
                let request = self.requests.get(place).ask.request;
                self.withdraw(now, request, out);
            }
        }
    }
}
