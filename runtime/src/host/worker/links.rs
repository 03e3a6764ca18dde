//! The worker's links: its controller, which orders, and the gateways, which bring inputs.

use super::{Enlistment, Inventory, Message, PeerFault, RETRY, Worker};
use crate::base::limits::MAX_GATEWAYS;
use crate::base::{GatewayId, Nanos, RequestId, SlotId};
use crate::host::role::{Io, Poll, clock};
use crate::net::LinkId;
use crate::wire::handshake::VERSION;
use crate::wire::message::SyncAnswer;
use crate::wire::{Hello, Kind, PeerRole, Sync, Welcome};
use crate::worker::{HostEvent, Receive};

/// An input on its way into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiving {
    /// Whose input it is.
    pub request: RequestId,
    /// The slot.
    pub slot: SlotId,
    /// Its length.
    pub bytes: u32,
}

/// A gateway that sends inputs here.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) id: GatewayId,
    pub(super) link: LinkId,
    pub(super) receiving: Option<Receiving>,
}

impl Worker {
    /// Moves the enlistment on; says when it wants to go on.
    pub(super) fn enlist(&mut self, now: Nanos, io: &mut Io) -> Poll {
        match self.enlistment {
            Enlistment::Away { retry_at } if retry_at <= now && self.tier.is_quiet() => {
                self.enlistment = match io.net.connect(&mut io.ring, self.controller, self.owner) {
                    Ok(link) => Enlistment::Greeting { link },
                    Err(_) => Enlistment::Away { retry_at: now + RETRY },
                };
                Poll::Idle
            }
            Enlistment::Away { retry_at } => Poll::At(retry_at.max(now + Nanos::millis(1))),
            Enlistment::Listing { link, next } => self.list(link, next, io),
            Enlistment::Greeting { .. } | Enlistment::Enlisted { .. } => Poll::Idle,
        }
    }

    pub(super) fn greet(&mut self, link: LinkId, io: &mut Io) {
        self.offer.generation = self.tier.generation_floor();
        let hello = Hello {
            role: PeerRole::Worker,
            version_min: VERSION,
            version_max: VERSION,
            features: 0,
            id: 0,
            epoch: self.epoch,
            requests: 0,
            worker: Some(self.offer.clone()),
            clock: sys::clock::identity(),
        };
        if io.net.send(link, &Message::Hello(Box::new(hello)), None).is_err() {
            io.net.close(link);
        }
    }

    /// Sends as much of the inventory as fits; an empty one is one frame too.
    fn list(&mut self, link: LinkId, mut next: usize, io: &mut Io) -> Poll {
        let total = self.entries.len();
        while io.net.room(link) > 1 {
            let entry = self.entries.get(next).map(|entry| self.current(entry));
            let [index, all] = [next, total].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            let inventory = Inventory { index, total: all, entry };
            if io.net.send(link, &Message::Inventory(Box::new(inventory)), None).is_err() {
                io.net.close(link);
                return Poll::Idle;
            }
            next += 1;
            if next >= total {
                self.enlistment = Enlistment::Enlisted { link };
                return Poll::Idle;
            }
        }
        self.enlistment = Enlistment::Listing { link, next };
        Poll::Idle
    }

    /// An entry with what is resident now.
    fn current(&self, entry: &crate::wire::InventoryEntry) -> crate::wire::InventoryEntry {
        let model = entry.model.model;
        let mut entry = entry.clone();
        entry.fetched = self.tier.is_resident(model);
        let loaded = self.devices.iter().enumerate().filter(|(_, device)| device.core.is_resident(model));
        entry.loaded = loaded.fold(0, |bits, (number, _)| bits | 1 << number);
        entry
    }

    pub(super) fn on_message(&mut self, now: Nanos, link: LinkId, message: Message, io: &mut Io) {
        let from_controller = match self.enlistment {
            Enlistment::Greeting { link: own }
            | Enlistment::Listing { link: own, .. }
            | Enlistment::Enlisted { link: own } => own == link,
            Enlistment::Away { .. } => false,
        };
        let kind = message.kind();
        match message {
            Message::Sync(Sync { id, origin, answer: None }) => {
                let answer = Some(SyncAnswer { received: now, sent: clock() });
                let _ = io.net.send(link, &Message::Sync(Sync { id, origin, answer }), None);
            }
            Message::Welcome(welcome) if from_controller => self.on_welcome(link, welcome, io),
            Message::Action(action) if from_controller => {
                if self.tier.has_credit(&action) {
                    self.tell_host(HostEvent::Action(action));
                } else {
                    io.net.cut_off(link, PeerFault::CreditExceeded { kind: Kind::Action as u16, outstanding: 0 });
                }
            }
            Message::Cancel { action } if from_controller => self.tell_host(HostEvent::Cancel(action)),
            Message::Discard { slot } if from_controller && self.has_slot(slot) => {
                self.tell_host(HostEvent::Discard(slot));
            }
            Message::Hello(hello) if !from_controller => self.on_hello(link, &hello, io),
            Message::Input { request, slot, payload } => {
                self.on_input(link, Receiving { request, slot, bytes: payload }, io);
            }
            _ => io.net.cut_off(link, PeerFault::Unexpected { kind: kind as u16, role: 0 }),
        }
    }

    fn on_welcome(&mut self, link: LinkId, welcome: Welcome, io: &mut Io) {
        if welcome.epoch < self.epoch {
            return io.net.cut_off(link, PeerFault::StaleEpoch { found: welcome.epoch, seen: self.epoch });
        }
        self.epoch = welcome.epoch;
        self.enlistment = Enlistment::Listing { link, next: 0 };
    }

    fn on_hello(&mut self, link: LinkId, hello: &Hello, io: &mut Io) {
        if hello.role != PeerRole::Gateway {
            let fault = PeerFault::Unexpected { kind: Kind::Hello as u16, role: hello.role as u16 };
            return io.net.cut_off(link, fault);
        }
        let id = GatewayId(hello.id);
        self.gateways.retain(|gateway| gateway.id != id || gateway.receiving.is_some());
        if self.gateways.len() >= MAX_GATEWAYS {
            let connected = u32::try_from(self.gateways.len()).unwrap_or(u32::MAX);
            let limit = u32::try_from(MAX_GATEWAYS).unwrap_or(u32::MAX);
            return io.net.cut_off(link, PeerFault::TooManyPeers { connected, limit });
        }
        self.gateways.push(Gateway { id, link, receiving: None });
        let largest = self.offer.devices.iter().flat_map(|device| &device.slots).map(|class| class.input_bytes).max();
        let welcome = Welcome {
            version: VERSION,
            features: 0,
            id: hello.id,
            epoch: self.epoch,
            requests: 0,
            payload_bytes: largest.unwrap_or(0),
        };
        if io.net.send(link, &Message::Welcome(welcome), None).is_err() {
            io.net.close(link);
        }
    }

    fn on_input(&mut self, link: LinkId, input: Receiving, io: &mut Io) {
        let known = self.has_slot(input.slot);
        let Some(gateway) = self.gateways.iter_mut().find(|gateway| gateway.link == link && known) else {
            return io.net.cut_off(link, PeerFault::Unexpected { kind: Kind::Input as u16, role: 0 });
        };
        match self.tier.accept_input(input.slot, input.request, input.bytes) {
            Receive::Accept => {
                let memory = self.devices[usize::from(input.slot.device.0)].lanes.memory();
                let lease = memory.slot(input.slot).host_input.take();
                gateway.receiving = Some(input);
                io.net.receive_into(link, lease);
            }
            Receive::Drain => io.net.drain(link),
        }
    }

    pub(super) fn on_payload(&mut self, link: LinkId, lease: sys::memory::HostLease, whole: bool) {
        let gateway = self.gateways.iter_mut().find(|gateway| gateway.link == link);
        let Some(input) = gateway.and_then(|gateway| gateway.receiving.take()) else {
            unreachable!("only an input that was announced is received")
        };
        self.devices[usize::from(input.slot.device.0)].lanes.memory().slot(input.slot).host_input.put(lease);
        let Receiving { request, slot, bytes } = input;
        self.tell_host(HostEvent::InputEnded { slot, request, bytes, whole });
    }

    pub(super) fn on_closed(&mut self, now: Nanos, link: LinkId) {
        self.gateways.retain(|gateway| gateway.link != link);
        let enlisted = match self.enlistment {
            Enlistment::Away { .. } => return,
            Enlistment::Greeting { link } | Enlistment::Listing { link, .. } | Enlistment::Enlisted { link } => link,
        };
        if enlisted == link {
            self.enlistment = Enlistment::Away { retry_at: now + RETRY };
            self.tell_host(HostEvent::Reset);
        }
    }
}
