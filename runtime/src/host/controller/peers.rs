//! The controller's peers: who they are, their clocks, and what they are still owed.

use std::net::SocketAddr;

use super::{Controller, send_or_close};
use crate::base::limits::{MAX_GATEWAYS, MAX_SHAPES, MAX_WORKERS};
use crate::base::{BatchSize, DeviceId, GatewayId, Nanos, ShapeId, WorkerId};
use crate::controller::clock_sync::{ClockSync, Stamps};
use crate::controller::session::{Credits, WorkerSession};
use crate::host::role::{Io, Poll, clock};
use crate::net::LinkId;
use crate::package::SlotLayout;
use crate::profile::{Architecture, DeviceKind, PlanSamples, Profile, SizedSample};
use crate::scheduler::{DeviceUp, Event, ModelSpec, ShapeSpec, SlotClass, WorkerUp};
use crate::wire::handshake::{VERSION, WorkerOffer};
use crate::wire::message::SyncAnswer;
use crate::wire::{
    Catalog, Hello, Inventory, InventoryEntry, Kind, Message, PeerFault, PeerRole, PlanTimes, Sync, Welcome,
};

/// Exchanges before a clock is believed.
const FIRST_EXCHANGES: u32 = 8;
/// How often a clock is compared from then on.
const SYNC_PERIOD: Nanos = Nanos::millis(500);

/// A worker between HELLO and its end.
#[derive(Debug)]
pub(super) struct WorkerPeer {
    pub(super) id: WorkerId,
    pub(super) link: LinkId,
    address: SocketAddr,
    offer: WorkerOffer,
    known_epoch: u64,
    entries: Vec<InventoryEntry>,
    listed: bool,
    clock: ClockSync,
    exchanges: u32,
    sync_at: Nanos,
    /// From the moment at which inventory and clock are complete.
    session: Option<WorkerSession>,
}

/// The workers.
#[derive(Debug, Default)]
pub(super) struct Workers {
    peers: Vec<WorkerPeer>,
    next: u16,
}

/// A gateway, and how much of the catalog it has.
#[derive(Debug)]
pub(super) struct GatewayPeer {
    id: GatewayId,
    link: LinkId,
    clock: ClockSync,
    exchanges: u32,
    sync_at: Nanos,
    /// It was told of the workers that were up then; from there on it is told of each that comes.
    introduced: bool,
    models_sent: usize,
}

/// The gateways.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    peers: Vec<GatewayPeer>,
}

impl Workers {
    pub(super) fn session(&mut self, worker: WorkerId) -> Option<(LinkId, &mut WorkerSession)> {
        let peer = self.peers.iter_mut().find(|peer| peer.id == worker)?;
        Some((peer.link, peer.session.as_mut()?))
    }

    pub(super) fn session_of(&mut self, link: LinkId) -> Option<(WorkerId, &mut WorkerSession)> {
        let peer = self.peers.iter_mut().find(|peer| peer.link == link)?;
        Some((peer.id, peer.session.as_mut()?))
    }

    /// Forgets the worker of a link; gives its id if the scheduler knew it.
    pub(super) fn remove(&mut self, link: LinkId) -> Option<WorkerId> {
        let place = self.peers.iter().position(|peer| peer.link == link)?;
        let peer = self.peers.swap_remove(place);
        peer.session.is_some().then_some(peer.id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &WorkerPeer> {
        self.peers.iter()
    }
}

impl WorkerPeer {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn is_up(&self) -> bool {
        self.session.is_some()
    }

    pub(super) fn clock_error(&self, now: Nanos) -> Nanos {
        self.session.as_ref().map_or(self.clock.error(now), |session| session.clock().error(now))
    }
}

impl Gateways {
    pub(super) fn link(&self, id: GatewayId) -> Option<LinkId> {
        self.peers.iter().find(|peer| peer.id == id).map(|peer| peer.link)
    }

    pub(super) fn of(&self, link: LinkId) -> Option<(GatewayId, &ClockSync)> {
        self.peers.iter().find(|peer| peer.link == link).map(|peer| (peer.id, &peer.clock))
    }

    /// Forgets the gateway of a link; gives its id.
    pub(super) fn remove(&mut self, link: LinkId) -> Option<GatewayId> {
        let place = self.peers.iter().position(|peer| peer.link == link)?;
        Some(self.peers.swap_remove(place).id)
    }

    pub(super) fn links(&self) -> Vec<LinkId> {
        self.peers.iter().map(|peer| peer.link).collect()
    }

    fn introduced(&self) -> Vec<LinkId> {
        self.peers.iter().filter(|peer| peer.introduced).map(|peer| peer.link).collect()
    }
}

impl Controller {
    pub(super) fn on_hello(&mut self, now: Nanos, link: LinkId, hello: Hello, io: &mut Io) {
        if hello.version_min > VERSION || hello.version_max < VERSION {
            return io.net.cut_off(link, PeerFault::BadVersion { found: hello.version_max, own: VERSION });
        }
        let id = match hello.role {
            PeerRole::Gateway => self.add_gateway(now, link, &hello),
            PeerRole::Worker => self.add_worker(now, link, &hello, io),
            PeerRole::Control => {
                self.observers.push(link);
                Ok(0)
            }
            PeerRole::Client => Err(PeerFault::Unexpected { kind: Kind::Hello as u16, role: hello.role as u16 }),
        };
        match id {
            Err(fault) => io.net.cut_off(link, fault),
            Ok(id) => {
                let welcome = Welcome {
                    version: VERSION,
                    features: 0,
                    id,
                    epoch: self.epoch,
                    requests: hello.requests,
                    payload_bytes: 0,
                };
                send_or_close(link, &Message::Welcome(welcome), io);
            }
        }
    }

    fn add_gateway(&mut self, now: Nanos, link: LinkId, hello: &Hello) -> Result<u16, PeerFault> {
        let taken = |id: u16| {
            let id = GatewayId(id);
            self.scheduler.is_forgetting(id) || self.gateways.peers.iter().any(|peer| peer.id == id)
        };
        let most = u16::try_from(MAX_GATEWAYS).unwrap_or(u16::MAX);
        let limit = u32::from(most);
        let Some(id) = (0..most).find(|&id| !taken(id)) else {
            return Err(PeerFault::TooManyPeers { connected: limit, limit });
        };
        self.gateways.peers.push(GatewayPeer {
            id: GatewayId(id),
            link,
            clock: clock_of(hello),
            exchanges: 0,
            sync_at: now,
            introduced: false,
            models_sent: 0,
        });
        Ok(id)
    }

    fn add_worker(&mut self, now: Nanos, link: LinkId, hello: &Hello, io: &mut Io) -> Result<u16, PeerFault> {
        let missing = PeerFault::BadField { kind: Kind::Hello as u16, field: 0 };
        let offer = hello.worker.clone().ok_or(missing)?;
        let limit = u32::try_from(MAX_WORKERS).unwrap_or(u32::MAX);
        if self.workers.peers.len() == MAX_WORKERS {
            return Err(PeerFault::TooManyPeers { connected: limit, limit });
        }
        if hello.epoch > self.epoch {
            return Err(PeerFault::StaleEpoch { found: self.epoch, seen: hello.epoch });
        }
        let id = self.workers.next;
        self.workers.next = id.wrapping_add(1);
        let peer = io.net.peer(link).ok_or(missing)?;
        self.workers.peers.push(WorkerPeer {
            id: WorkerId(id),
            link,
            address: SocketAddr::new(peer.ip(), offer.port),
            offer,
            known_epoch: hello.epoch,
            entries: Vec::new(),
            listed: false,
            clock: clock_of(hello),
            exchanges: 0,
            sync_at: now,
            session: None,
        });
        Ok(id)
    }

    pub(super) fn on_sync(&mut self, now: Nanos, link: LinkId, sync: Sync, io: &mut Io) {
        let Some(answer) = sync.answer else {
            let answer = Some(SyncAnswer { received: now, sent: clock() });
            return send_or_close(link, &Message::Sync(Sync { answer, ..sync }), io);
        };
        let stamps =
            Stamps { sent: sync.origin, peer_received: answer.received, peer_sent: answer.sent, received: now };
        let due = |exchanges: u32| if exchanges < FIRST_EXCHANGES { now } else { now + SYNC_PERIOD };
        if let Some(peer) = self.gateways.peers.iter_mut().find(|peer| peer.link == link) {
            peer.clock.record(stamps);
            peer.exchanges += 1;
            peer.sync_at = due(peer.exchanges);
        }
        let Some(peer) = self.workers.peers.iter_mut().find(|peer| peer.link == link) else { return };
        peer.exchanges += 1;
        peer.sync_at = due(peer.exchanges);
        match &mut peer.session {
            None => {
                peer.clock.record(stamps);
                self.bring_up(now, link, io);
            }
            Some(session) => {
                session.synchronise(stamps);
                let (worker, error) = (peer.id, session.clock().error(now));
                self.tell(now, Event::ClockError(worker, error), io);
            }
        }
    }

    /// Asks for the clocks whose turn it is; says when the next one's is.
    pub(super) fn synchronise(&mut self, now: Nanos, io: &mut Io) -> Poll {
        let mut next = Poll::Idle;
        let workers = self.workers.peers.iter_mut().map(|peer| (peer.link, &mut peer.sync_at));
        let gateways = self.gateways.peers.iter_mut().map(|peer| (peer.link, &mut peer.sync_at));
        for (link, sync_at) in workers.chain(gateways) {
            if *sync_at <= now {
                // The answer asks for the next exchange; a lost one is asked again after the period.
                *sync_at = now + SYNC_PERIOD;
                send_or_close(link, &Message::Sync(Sync { id: 0, origin: clock(), answer: None }), io);
            }
            next = next.min(Poll::At(*sync_at));
        }
        next
    }

    pub(super) fn on_inventory(&mut self, now: Nanos, link: LinkId, inventory: Inventory, io: &mut Io) {
        let Some(peer) = self.workers.peers.iter_mut().find(|peer| peer.link == link && !peer.listed) else {
            return io.net.close(link);
        };
        peer.entries.extend(inventory.entry);
        peer.listed = inventory.index + 1 >= inventory.total;
        if peer.listed {
            self.bring_up(now, link, io);
        }
    }

    /// Tells the scheduler of a worker whose inventory and clock are complete.
    fn bring_up(&mut self, now: Nanos, link: LinkId, io: &mut Io) {
        let epoch = self.epoch;
        let Some(peer) = self.workers.peers.iter_mut().find(|peer| peer.link == link) else { return };
        if !peer.listed || peer.session.is_some() || peer.exchanges < FIRST_EXCHANGES {
            return;
        }
        let narrow = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let lane = peer.offer.devices.iter().map(|device| narrow(device.lane_credits)).min().unwrap_or(0);
        let credits = Credits { disk: narrow(peer.offer.disk_credits), weights: lane, exec: lane };
        let session = WorkerSession::new(peer.id, peer.clock.clone(), credits, (peer.known_epoch, epoch));
        let Ok(session) = session else { return io.net.close(link) };
        peer.session = Some(session);
        let up = worker_up(peer, now);
        let specs: Vec<ModelSpec> = peer.entries.iter().map(|entry| model_spec(entry, &peer.offer)).collect();
        let (worker, address) = (peer.id, peer.address);
        let entries: Vec<_> = peer.entries.iter().map(|entry| entry.model.clone()).collect();
        for spec in specs {
            self.tell(now, Event::ModelRegistered(Box::new(spec)), io);
        }
        for entry in entries {
            if self.models.iter().all(|known| known.model != entry.model) {
                self.models.push(entry);
            }
        }
        for gateway in self.gateways.introduced() {
            send_or_close(gateway, &Message::Peer { worker, address: Some(address) }, io);
        }
        self.tell(now, Event::WorkerUp(Box::new(up)), io);
        // What the scheduler keeps of a worker and its models was taken just now; a lock that is
        // refused was reported at start.
        let _refused = sys::memory::keep_resident();
    }

    /// Sends gateways what they lack of the catalog, as far as it fits.
    pub(super) fn publish(&mut self, io: &mut Io) -> Poll {
        let total = u32::try_from(self.models.len()).unwrap_or(u32::MAX);
        let mut next = Poll::Idle;
        for peer in &mut self.gateways.peers {
            if !peer.introduced && self.workers.peers.iter().any(WorkerPeer::is_up) {
                peer.introduced = true;
                for worker in self.workers.peers.iter().filter(|worker| worker.is_up()) {
                    let message = Message::Peer { worker: worker.id, address: Some(worker.address) };
                    send_or_close(peer.link, &message, io);
                }
                if total == 0 {
                    // An empty listing is one too: the gateway need not wait for more.
                    let catalog = Catalog { id: 0, index: 0, total, entry: None };
                    send_or_close(peer.link, &Message::Catalog(Box::new(catalog)), io);
                }
            }
            while peer.models_sent < self.models.len() && io.net.room(peer.link) > 2 {
                let index = u32::try_from(peer.models_sent).unwrap_or(u32::MAX);
                let entry = Some(self.models[peer.models_sent].clone());
                let catalog = Catalog { id: 0, index, total, entry };
                send_or_close(peer.link, &Message::Catalog(Box::new(catalog)), io);
                peer.models_sent += 1;
            }
            if peer.models_sent < self.models.len() {
                next = Poll::Now;
            }
        }
        next
    }
}

/// The clock of a peer: ours, if it says so, else to be compared.
fn clock_of(hello: &Hello) -> ClockSync {
    let same = hello.clock != 0 && hello.clock == sys::clock::identity();
    if same { ClockSync::same_clock() } else { ClockSync::new() }
}

fn worker_up(peer: &WorkerPeer, now: Nanos) -> WorkerUp {
    let resident = |device: usize| {
        let holds = move |entry: &&InventoryEntry| entry.loaded & 1 << device != 0;
        peer.entries.iter().filter(holds).map(|entry| entry.model.model).collect()
    };
    let devices = peer.offer.devices.iter().enumerate().map(|(number, device)| DeviceUp {
        device: DeviceId(u8::try_from(number).unwrap_or(u8::MAX)),
        kind: DeviceKind::named(&peer.offer.device_kind),
        pages: device.pages,
        slots: device
            .slots
            .iter()
            .map(|class| SlotClass {
                input_bytes: class.input_bytes,
                output_bytes: class.output_bytes,
                count: u16::try_from(class.count).unwrap_or(u16::MAX),
            })
            .collect(),
        resident: resident(number),
    });
    let lane = peer.offer.devices.iter().map(|device| device.lane_credits).min().unwrap_or(0);
    WorkerUp {
        worker: peer.id,
        target: peer.offer.target,
        host_pages: peer.offer.host_pages,
        credits: u16::try_from(lane.min(peer.offer.disk_credits)).unwrap_or(u16::MAX),
        slot_generation: peer.offer.generation,
        clock_error: peer.clock.error(now),
        devices: devices.collect(),
        fetched: peer.entries.iter().filter(|entry| entry.fetched).map(|entry| entry.model.model).collect(),
        fetches: peer.entries.iter().flat_map(|entry| transfers(entry.pages, entry.fetch)).collect(),
        loads: peer.entries.iter().flat_map(|entry| transfers(entry.pages, entry.load)).collect(),
    }
}

/// A transfer as samples; none where the worker has not measured it.
fn transfers(pages: u32, times: PlanTimes) -> impl Iterator<Item = SizedSample> {
    let samples = SizedSample::from_times(pages, times.expected, times.bound);
    samples.into_iter().filter(move |_| times.expected > Nanos::ZERO)
}

fn model_spec(entry: &InventoryEntry, offer: &WorkerOffer) -> ModelSpec {
    // An area beyond the limit fits no slot, so its shape is never placed.
    let spec = |shape: ShapeId| {
        let layout = SlotLayout::new(&entry.model.inputs, &entry.model.outputs, shape);
        let bytes = layout.map(|layout| (layout.inputs.bytes, layout.outputs.bytes));
        let (input_bytes, output_bytes) = bytes.unwrap_or((u32::MAX, u32::MAX));
        ShapeSpec { input_bytes, output_bytes }
    };
    let shapes = (0..entry.model.shapes.min(u8::try_from(MAX_SHAPES).unwrap_or(u8::MAX))).map(ShapeId);
    let mut plans = Vec::new();
    for (shape, sizes) in (0u8..).map(ShapeId).zip(&entry.exec) {
        for (times, batch) in sizes.iter().zip(BatchSize::ALL).filter(|(times, _)| times.expected > Nanos::ZERO) {
            plans.push(PlanSamples::from_times(shape, batch, times.expected, times.bound));
        }
    }
    let architecture = Architecture(entry.architecture);
    let profile = Profile {
        architecture,
        device_kind: DeviceKind::named(&offer.device_kind),
        plans,
        loads: Vec::new(),
        fetches: Vec::new(),
    };
    ModelSpec {
        model: entry.model.model,
        architecture,
        target: offer.target,
        pages: entry.pages,
        shapes: shapes.map(spec).collect(),
        profiles: vec![profile],
    }
}
