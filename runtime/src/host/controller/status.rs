//! What `ctl` is told: the scheduler's picture and the peers, as JSON.

use serde_json::{Value, json};
use sys::memory::HostLease;

use super::Controller;
use crate::base::Nanos;
use crate::host::role::Io;
use crate::net::{LinkId, PayloadOut};
use crate::scheduler::Scheduler;
use crate::wire::message::Topic;
use crate::wire::{Message, PeerFault};

impl Controller {
    /// Answers a question. Allocates: it is off the path of requests.
    pub(super) fn on_status(&mut self, now: Nanos, link: LinkId, id: u64, topic: Topic, io: &mut Io) {
        if !self.observers.contains(&link) {
            let fault = PeerFault::Unexpected { kind: crate::wire::Kind::StatusQuery as u16, role: 0 };
            return io.net.cut_off(link, fault);
        }
        let text = match topic {
            Topic::Status => self.status(now),
            Topic::Models => self.model_list(),
            Topic::Workers => self.worker_list(now),
            Topic::Config => json!({ "toml": self.config.to_toml() }),
        }
        .to_string();
        let Ok(mut lease) = HostLease::locked(text.len()) else { return io.net.close(link) };
        lease[..text.len()].copy_from_slice(text.as_bytes());
        let payload = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let reply = Message::StatusReply { id, payload };
        if io.net.send(link, &reply, Some(PayloadOut { tag: 0, lease, bytes: text.len() })).is_err() {
            io.net.close(link);
        }
    }

    fn status(&self, now: Nanos) -> Value {
        let picture = self.scheduler.status();
        let counters = picture.counters;
        json!({
            "up_ns": now.since(self.started),
            "epoch": self.epoch,
            "draining": picture.draining,
            "models": self.models.len(),
            "workers": self.workers.iter().filter(|peer| peer.is_up()).count(),
            "gateways": self.gateways.links().len(),
            "requests": {
                "asked": counters.asks, "admitted": counters.admitted, "rejected": counters.rejected,
                "served": counters.served, "revoked": counters.revoked, "failed": counters.failed,
                "withdrawn": counters.withdrawn, "open": counters.open, "cold_starts": counters.cold_starts,
            },
            "actions": {
                "infers": counters.infers, "rehearsals": counters.rehearsals, "infers_failed": counters.infers_failed, "loads": counters.loads,
                "unloads": counters.unloads, "fetches": counters.fetches, "faults": counters.faults,
            },
            "start_error_ns": picture.start_error,
            "duration_error_ns": picture.duration_error,
        })
    }

    fn model_list(&self) -> Value {
        let picture = self.scheduler.status();
        let rows = self.models.iter().map(|entry| {
            let known = picture.models.iter().find(|model| model.model == entry.model);
            json!({
                "name": entry.name.as_str(),
                "model": entry.model.to_string(),
                "shapes": entry.shapes,
                "loaded_on": known.map_or(0, |model| model.resident_on),
                "asks": known.map_or(0, |model| model.asks),
                "expected_ns": known.map_or(Nanos::ZERO, |model| model.expected),
                "bound_ns": known.map_or(Nanos::ZERO, |model| model.bound),
                "failed": known.and_then(|model| model.failed).map(crate::client::error::status),
            })
        });
        Value::Array(rows.collect())
    }

    fn worker_list(&self, now: Nanos) -> Value {
        let picture = self.scheduler.status();
        let rows = self.workers.iter().map(|peer| {
            let devices = picture.devices.iter().filter(|device| device.worker == peer.id).map(|device| {
                json!({
                    "device": device.device.0, "pages": device.pages, "pages_free": device.pages_free,
                    "slots": device.slots, "slots_out": device.slots_out, "models": device.resident,
                    "booked": device.booked, "committed": device.committed,
                    "input_bound_ns": device.input_bound, "return_bound_ns": device.return_bound,
                })
            });
            json!({
                "worker": peer.id.0,
                "address": peer.address().to_string(),
                "up": peer.is_up(),
                "clock_error_ns": peer.clock_error(now),
                "devices": devices.collect::<Vec<_>>(),
            })
        });
        Value::Array(rows.collect())
    }
}
