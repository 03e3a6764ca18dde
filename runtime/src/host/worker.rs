//! The worker's role: the pure machines, the disk, the devices, and links to controller and gateways.

mod links;
mod ready;
mod start;

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use sys::uring::Completion;

use super::role::{Io, Poll, Role, clock};
use crate::base::{DeviceId, Nanos, RequestId, SlotId};
use crate::device::{Architecture, Lanes};
use crate::disk::{Disk, is_disk_completion};
use crate::net::{LinkId, NetEvent, Owner, PayloadOut};
use crate::order::Stages;
use crate::order::record::Record;
use crate::wire::handshake::WorkerOffer;
use crate::wire::message::FREED_SLOTS;
use crate::wire::{Inventory, InventoryEntry, Message, PeerFault};
use crate::worker::event::{DeviceOut, DeviceOutbox, HostOut, HostOutbox};
use crate::worker::{DeviceCore, DeviceEvent, HostEvent, HostTier, Witness};

pub(super) use ready::{Wanted, ready};
pub use start::{StartError, WorkerReport, start};

/// Events of the machines that wait for their turn: each output of one may be an event of another.
const WORK: usize = 4096;
/// How long after losing its controller a worker tries again.
const RETRY: Nanos = Nanos::millis(500);

/// One device of the worker.
#[derive(Debug)]
pub(super) struct Device {
    core: DeviceCore,
    lanes: Lanes,
    architectures: Vec<Architecture>,
}

/// What is to be told to a machine.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "work lies in a queue of fixed places; nothing on the path is boxed")]
enum Work {
    Host(HostEvent),
    Device(DeviceId, DeviceEvent),
}

/// How far the controller knows this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enlistment {
    /// No connection; try again then.
    Away { retry_at: Nanos },
    /// Connecting, or waiting for WELCOME.
    Greeting { link: LinkId },
    /// Sending the inventory, from that model on.
    Listing { link: LinkId, next: usize },
    /// All is said.
    Enlisted { link: LinkId },
}

/// The worker's role.
#[derive(Debug)]
pub struct Worker {
    owner: Owner,
    controller: std::net::SocketAddr,
    offer: WorkerOffer,
    entries: Vec<InventoryEntry>,
    tier: HostTier,
    devices: Vec<Device>,
    disk: Disk,
    enlistment: Enlistment,
    epoch: u64,
    gateways: Vec<links::Gateway>,
    work: VecDeque<Work>,
    freed: ArrayVec<SlotId, FREED_SLOTS>,
    record: Record,
    witness: Witness,
}

impl Worker {
    fn tell_host(&mut self, event: HostEvent) {
        self.work.push_back(Work::Host(event));
    }

    /// Runs the machines until nothing is left to tell them.
    fn run_machines(&mut self, now: Nanos, io: &mut Io) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Host(event) => {
                    let mut out = HostOutbox::new();
                    if self.record.is_on() {
                        self.witness.told(clock(), &event, |at, step| self.record.write(at, step));
                    }
                    self.tier.handle(now, event, &mut out);
                    for output in out.drain(..) {
                        if self.record.is_on() {
                            let write = |at, step| self.record.write(at, step);
                            self.witness.said(clock(), &output, |time| time, write);
                        }
                        self.carry_out(now, output, io);
                    }
                }
                Work::Device(device, event) => {
                    let mut out = DeviceOutbox::new();
                    self.devices[usize::from(device.0)].core.handle(now, event, &mut out);
                    for output in out.drain(..) {
                        self.carry_out_device(now, device, output);
                    }
                }
            }
        }
        self.send_freed(io);
    }

    fn carry_out(&mut self, now: Nanos, output: HostOut, io: &mut Io) {
        match output {
            HostOut::Disk(op) => self.disk.submit(&mut io.ring, &op, now),
            HostOut::ToDevice { device, event } => self.work.push_back(Work::Device(device, event)),
            HostOut::Result(result) => self.send_controller(&Message::Result(result), io),
            HostOut::Output { request, slot, bytes, stages } => self.send_output(request, slot, bytes, stages, io),
            HostOut::Freed(slot) => {
                if self.freed.is_full() {
                    self.send_freed(io);
                }
                self.freed.push(slot);
            }
        }
    }

    fn carry_out_device(&mut self, now: Nanos, device: DeviceId, output: DeviceOut) {
        match output {
            DeviceOut::Report(report) => self.tell_host(HostEvent::Device { device, report }),
            DeviceOut::Lane(op) => {
                let Device { lanes, architectures, .. } = &mut self.devices[usize::from(device.0)];
                lanes.submit(&op, architectures, |page| self.disk.pages().filled(page), now);
            }
        }
    }

    fn send_freed(&mut self, io: &mut Io) {
        if !self.freed.is_empty() {
            let slots = std::mem::take(&mut self.freed);
            self.send_controller(&Message::Freed { slots }, io);
        }
    }

    /// What can't be sent is lost with the connection: the controller starts from a new HELLO.
    fn send_controller(&mut self, message: &Message, io: &mut Io) {
        if let Enlistment::Enlisted { link } = self.enlistment
            && io.net.send(link, message, None).is_err()
        {
            io.net.close(link);
        }
    }

    fn send_output(&mut self, request: RequestId, slot: SlotId, bytes: u32, stages: Stages, io: &mut Io) {
        let lease = self.devices[usize::from(slot.device.0)].lanes.memory().slot(slot).host_output.take();
        let gateway = self.gateways.iter().find(|gateway| gateway.id == request.gateway);
        let Some(link) = gateway.map(|gateway| gateway.link) else {
            return self.output_done(slot, lease);
        };
        let message = Message::Output { request, slot, stages, payload: bytes };
        let payload = PayloadOut { tag: slot.to_bits(), lease, bytes: bytes as usize };
        if let Err(error) = io.net.send(link, &message, Some(payload))
            && let Some(lease) = error.payload
        {
            self.output_done(slot, lease);
        }
    }

    fn output_done(&mut self, slot: SlotId, lease: sys::memory::HostLease) {
        self.devices[usize::from(slot.device.0)].lanes.memory().slot(slot).host_output.put(lease);
        self.tell_host(HostEvent::OutputSent { slot });
    }

    /// Whether a peer's slot exists here.
    fn has_slot(&self, slot: SlotId) -> bool {
        let device = self.offer.devices.get(usize::from(slot.device.0));
        let class = device.and_then(|device| device.slots.get(usize::from(slot.class)));
        class.is_some_and(|class| u32::from(slot.index) < class.count)
    }

    /// Hands what disk and devices have done to the machines; says whether there is more at once.
    fn gather(&mut self, now: Nanos) -> bool {
        let mut busy = self.disk.check_one(now);
        while let Some(done) = self.disk.poll() {
            self.tell_host(HostEvent::DiskDone { ticket: done.ticket, outcome: done.outcome, span: done.span });
        }
        for (device, number) in self.devices.iter_mut().zip(0..) {
            busy |= device.lanes.move_copies();
            while let Some(done) = device.lanes.poll() {
                let event = DeviceEvent::OpDone { ticket: done.ticket, outcome: done.outcome, span: done.span };
                self.work.push_back(Work::Device(DeviceId(number), event));
            }
        }
        busy
    }

    fn wake_machines(&mut self, now: Nanos) {
        let is_due = |due: Option<Nanos>| due.is_some_and(|due| due <= now);
        if is_due(self.tier.due()) {
            self.tell_host(HostEvent::Tick);
        }
        for (device, number) in self.devices.iter().zip(0..) {
            if is_due(device.core.due()) {
                self.work.push_back(Work::Device(DeviceId(number), DeviceEvent::Tick));
            }
        }
    }

    fn due(&self) -> Poll {
        let cores = self.devices.iter().map(|device| Poll::due(device.core.due()));
        cores.min().unwrap_or(Poll::Idle).min(Poll::due(self.tier.due()))
    }
}

impl Role for Worker {
    fn on_net(&mut self, now: Nanos, event: NetEvent, io: &mut Io) {
        match event {
            NetEvent::Accepted { .. } => {}
            NetEvent::Connected { link } => self.greet(link, io),
            NetEvent::Message { link, message } => self.on_message(now, link, message, io),
            NetEvent::Payload { link, lease, whole } => self.on_payload(link, lease, whole),
            NetEvent::Sent { tag, lease, .. } => self.output_done(SlotId::from_bits(tag), lease),
            NetEvent::Closed { link, .. } => self.on_closed(now, link),
        }
        self.run_machines(now, io);
    }

    fn owns(&self, user: u64) -> bool {
        is_disk_completion(user)
    }

    fn on_completion(&mut self, now: Nanos, completion: Completion, _io: &mut Io) {
        self.disk.complete(completion, now);
    }

    fn poll(&mut self, now: Nanos, io: &mut Io) -> Poll {
        let busy = self.gather(now);
        self.wake_machines(now);
        self.run_machines(now, io);
        let enlisting = self.enlist(now, io);
        let untended = self.devices.iter().any(|device| device.lanes.is_untended());
        let next = if busy || untended { Poll::Now } else { self.due() };
        next.min(enlisting)
    }

    /// The controller has welcomed it and has its inventory.
    fn is_ready(&self) -> bool {
        matches!(self.enlistment, Enlistment::Enlisted { .. })
    }

    /// The controller decides what runs: a worker carries out what it is ordered until its end.
    fn refuse(&mut self, _now: Nanos, _io: &mut Io) {}

    fn is_quiet(&self) -> bool {
        self.tier.is_quiet() && self.devices.iter().all(|device| device.core.is_quiet())
    }

    fn take_record(&mut self) -> Record {
        std::mem::replace(&mut self.record, Record::new(0))
    }
}
