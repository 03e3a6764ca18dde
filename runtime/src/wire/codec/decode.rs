//! Frames to messages. Nothing that a peer sends is trusted: every field is checked before it is used.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use bytemuck::Pod;

use super::super::body::*;
use super::super::fault::PeerFault;
use super::super::handshake::{DeviceOffer, Hello, PeerRole, SlotOffer, Welcome, WorkerOffer};
use super::super::header::Header;
use super::super::kind::Kind;
use super::super::message::{
    Catalog, Inventory, InventoryEntry, Message, ModelEntry, Name, Outcome, PlanTimes, Refusal, Response, Sync,
    SyncAnswer, Topic,
};
use crate::base::limits::MAX_TENSORS;
use crate::base::{ActionId, BatchSize, DeviceId, ModelId, Nanos, RequestId, ShapeId, SlotId, WorkerId};
use crate::order::record::End;
use crate::order::{Action, ActionKind, ActionResult, Item, ItemOutcome, Items, Reject, Span, Stages, Status, Window};
use crate::package::{Shape, Target, TensorSpec, TensorType};

/// The message that a frame carries. The header's limits and checksum have been checked.
///
/// # Errors
/// [`PeerFault::BadField`] for a field that means nothing.
pub fn decode(header: &Header, body: &[u8]) -> Result<Message, PeerFault> {
    let take = Take { kind: header.kind, body };
    let (id, payload) = (header.id, header.payload);
    let request = RequestId::from_bits(id);
    Ok(match header.kind {
        Kind::Hello => Message::Hello(Box::new(take.hello()?)),
        Kind::Welcome => Message::Welcome(take.welcome()),
        Kind::Inventory => Message::Inventory(Box::new(take.inventory()?)),
        Kind::Catalog => Message::Catalog(Box::new(take.catalog(id)?)),
        Kind::Peer => take.peer(id)?,
        Kind::Lookup => take.lookup(id)?,
        Kind::Request => take.request(id, payload)?,
        Kind::Response => Message::Response(take.response(id, payload)?),
        Kind::Withdraw => Message::Withdraw { id },
        Kind::Ask => take.ask(request)?,
        Kind::Place => take.place(request)?,
        Kind::Reject => {
            let body: RejectBody = take.body();
            let refusal = take.refusal(body.outcome, body.code, body.first, body.second)?;
            Message::Reject { request, refusal }
        }
        Kind::Ended => take.ended(request)?,
        Kind::Input => Message::Input { request, slot: SlotId::from_bits(take.body::<InputBody>().slot), payload },
        Kind::Output => {
            let body: OutputBody = take.body();
            Message::Output { request, slot: SlotId::from_bits(body.slot), stages: stages(body.stages), payload }
        }
        Kind::Action => Message::Action(take.action(ActionId(id))?),
        Kind::Cancel => Message::Cancel { action: ActionId(id) },
        Kind::Discard => Message::Discard { slot: SlotId::from_bits(id) },
        Kind::Result => Message::Result(take.result(ActionId(id))?),
        Kind::Freed => take.freed()?,
        Kind::Sync => Message::Sync(take.sync(id)),
        Kind::StatusQuery => {
            let topic = take.body::<StatusQueryBody>().topic;
            let known = [Topic::Status, Topic::Models, Topic::Workers, Topic::Config];
            let topic = known.into_iter().find(|&known| known as u32 == topic).ok_or_else(|| take.bad(0))?;
            Message::StatusQuery { id, topic }
        }
        Kind::StatusReply => Message::StatusReply { id, payload },
        Kind::Fault => {
            let body: FaultBody = take.body();
            Message::Fault(PeerFault::from_wire(body.code, body.first, body.second))
        }
        Kind::Goodbye => Message::Goodbye,
    })
}

struct Take<'a> {
    kind: Kind,
    body: &'a [u8],
}

/// The byte offset of a field of a body, for [`PeerFault::BadField`].
macro_rules! at {
    ($body:ty, $field:ident) => {
        offset_of!($body, $field)
    };
}

impl Take<'_> {
    /// The body as its struct: surplus ignored, what is absent zero.
    fn body<B: Pod>(&self) -> B {
        let mut body = B::zeroed();
        let into = bytemuck::bytes_of_mut(&mut body);
        let common = into.len().min(self.body.len());
        into[..common].copy_from_slice(&self.body[..common]);
        body
    }

    fn bad(&self, field: usize) -> PeerFault {
        PeerFault::BadField { kind: self.kind as u16, field: u32::try_from(field).unwrap_or(u32::MAX) }
    }

    fn name(&self, field: &NameField, at: usize) -> Result<Name, PeerFault> {
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
        let text = std::str::from_utf8(&field[..end]).map_err(|_| self.bad(at))?;
        Name::from(text).map_err(|_| self.bad(at))
    }

    fn hello(&self) -> Result<Hello, PeerFault> {
        let body: HelloBody = self.body();
        let role = PeerRole::from_wire(body.role).ok_or_else(|| self.bad(at!(HelloBody, role)))?;
        let worker = (role == PeerRole::Worker).then(|| self.worker_offer(&body)).transpose()?;
        Ok(Hello {
            role,
            version_min: body.version_min,
            version_max: body.version_max,
            features: body.features,
            id: body.id,
            epoch: body.epoch,
            requests: body.requests,
            worker,
            clock: body.clock,
        })
    }

    fn worker_offer(&self, body: &HelloBody) -> Result<WorkerOffer, PeerFault> {
        let devices = body.devices.get(..body.device_count as usize);
        let devices = devices.ok_or_else(|| self.bad(at!(HelloBody, device_count)))?;
        let slots = |class: SlotOfferField| SlotOffer {
            count: class.count,
            input_bytes: class.input_bytes,
            output_bytes: class.output_bytes,
        };
        let device = |device: &DeviceOfferField| DeviceOffer {
            pages: device.pages,
            lane_credits: device.lane_credits,
            slots: device.slots.map(slots),
        };
        Ok(WorkerOffer {
            target: Target::from_u16(body.target).ok_or_else(|| self.bad(at!(HelloBody, target)))?,
            device_kind: self.name(&body.device_kind, at!(HelloBody, device_kind))?,
            page_bytes: body.page_bytes,
            host_pages: body.host_pages,
            disk_credits: body.disk_credits,
            generation: body.generation,
            port: body.port,
            devices: devices.iter().map(device).collect(),
        })
    }

    fn welcome(&self) -> Welcome {
        let body: WelcomeBody = self.body();
        Welcome {
            version: body.version,
            features: body.features,
            id: body.id,
            epoch: body.epoch,
            requests: body.requests,
            payload_bytes: body.payload_bytes,
        }
    }

    fn tensor(&self, field: &TensorField, shapes: usize, at: usize) -> Result<TensorSpec, PeerFault> {
        let shape = |variant: usize| {
            let rank = usize::from(field.ranks[variant]);
            let dims = field.dims[variant].get(..rank).ok_or_else(|| self.bad(at))?;
            Ok(dims.iter().copied().collect::<Shape>())
        };
        Ok(TensorSpec {
            name: self.name(&field.name, at)?.to_string(),
            kind: TensorType::from_u8(field.kind).ok_or_else(|| self.bad(at))?,
            shapes: (0..shapes).map(shape).collect::<Result<_, PeerFault>>()?,
        })
    }

    fn model(&self, field: &ModelField, at: usize) -> Result<ModelEntry, PeerFault> {
        let (inputs, outputs) = (usize::from(field.inputs), usize::from(field.outputs));
        let shapes = usize::from(field.shapes);
        let most = field.tensors[0].ranks.len();
        if inputs > MAX_TENSORS || outputs > MAX_TENSORS || !(1..=most).contains(&shapes) {
            return Err(self.bad(at));
        }
        let tensors = |fields: &[TensorField]| {
            fields.iter().map(|field| self.tensor(field, shapes, at)).collect::<Result<Vec<_>, _>>()
        };
        Ok(ModelEntry {
            model: ModelId(field.model),
            name: self.name(&field.name, at)?,
            class: field.class,
            shapes: field.shapes,
            inputs: tensors(&field.tensors[..inputs])?,
            outputs: tensors(&field.tensors[inputs..inputs + outputs])?,
        })
    }

    fn inventory(&self) -> Result<Inventory, PeerFault> {
        let body: InventoryBody = self.body();
        let entry = || {
            Ok(InventoryEntry {
                model: self.model(&body.model, at!(InventoryBody, model))?,
                architecture: body.architecture,
                pages: body.pages,
                bytes: body.bytes,
                fetched: body.fetched != 0,
                loaded: body.loaded,
                plans: body.plans,
                exec: body.exec.map(|sizes| sizes.map(times)),
                load: times(body.load),
                fetch: times(body.fetch),
            })
        };
        let entry = (body.entries > 0).then(entry).transpose()?;
        Ok(Inventory { index: body.index, total: body.total, entry })
    }

    fn catalog(&self, id: u64) -> Result<Catalog, PeerFault> {
        let body: CatalogBody = self.body();
        let entry = (body.entries > 0).then(|| self.model(&body.model, at!(CatalogBody, model))).transpose()?;
        Ok(Catalog { id, index: body.index, total: body.total, entry })
    }

    fn worker(&self, number: u64) -> Result<WorkerId, PeerFault> {
        u16::try_from(number).map(WorkerId).map_err(|_| self.bad(0))
    }

    fn shape(&self, number: u32, at: usize) -> Result<ShapeId, PeerFault> {
        u8::try_from(number).map(ShapeId).map_err(|_| self.bad(at))
    }

    fn peer(&self, id: u64) -> Result<Message, PeerFault> {
        let body: PeerBody = self.body();
        let ip = match body.family {
            0 => None,
            4 => {
                let [a, b, c, d, ..] = body.address;
                Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
            }
            6 => Some(IpAddr::V6(Ipv6Addr::from(body.address))),
            _ => return Err(self.bad(at!(PeerBody, family))),
        };
        Ok(Message::Peer { worker: self.worker(id)?, address: ip.map(|ip| SocketAddr::new(ip, body.port)) })
    }

    fn lookup(&self, id: u64) -> Result<Message, PeerFault> {
        let body: LookupBody = self.body();
        let name = self.name(&body.name, at!(LookupBody, name))?;
        Ok(Message::Lookup { id, model: ModelId(body.model), name })
    }

    fn request(&self, id: u64, payload: u32) -> Result<Message, PeerFault> {
        let body: RequestBody = self.body();
        let shape = self.shape(body.shape, at!(RequestBody, shape))?;
        Ok(Message::Request { id, model: ModelId(body.model), shape, slo: Nanos(body.slo), payload })
    }

    fn refusal(&self, outcome: u16, code: u16, first: u64, second: u64) -> Result<Refusal, PeerFault> {
        let bad = || self.bad(at!(RejectBody, code));
        let reason = || Reject::from_wire(code, first, second).ok_or_else(bad);
        Ok(match outcome {
            3 => Refusal::Rejected(reason()?),
            4 => Refusal::Revoked(reason()?),
            5 => {
                let number = |n: u64| u32::try_from(n).map_err(|_| bad());
                Refusal::Failed(Status::from_wire(code, number(first)?, number(second)?).ok_or_else(bad)?)
            }
            _ => return Err(self.bad(at!(RejectBody, outcome))),
        })
    }

    fn response(&self, id: u64, payload: u32) -> Result<Response, PeerFault> {
        let body: ResponseBody = self.body();
        let outcome = match body.outcome {
            1 => Outcome::Done { late: false },
            2 => Outcome::Done { late: true },
            6 => Outcome::Expired,
            outcome => Outcome::Refused(self.refusal(outcome, body.code, body.first, body.second)?),
        };
        let (arrival, answered) = (Nanos(body.arrival), Nanos(body.answered));
        Ok(Response { id, outcome, arrival, answered, stages: stages(body.stages), payload })
    }

    fn ask(&self, request: RequestId) -> Result<Message, PeerFault> {
        let body: AskBody = self.body();
        Ok(Message::Ask {
            request,
            model: ModelId(body.model),
            shape: self.shape(body.shape, at!(AskBody, shape))?,
            slo: Nanos(body.slo),
            arrival: Nanos(body.arrival),
            return_bound: Nanos(body.return_bound),
        })
    }

    fn place(&self, request: RequestId) -> Result<Message, PeerFault> {
        let body: PlaceBody = self.body();
        Ok(Message::Place { request, worker: self.worker(body.worker.into())?, slot: SlotId::from_bits(body.slot) })
    }

    fn ended(&self, request: RequestId) -> Result<Message, PeerFault> {
        let body: EndedBody = self.body();
        let end = u8::try_from(body.end).ok().and_then(End::from_wire);
        let end = end.ok_or_else(|| self.bad(at!(EndedBody, end)))?;
        Ok(Message::Ended { request, end, at: Nanos(body.at) })
    }

    fn action(&self, id: ActionId) -> Result<Action, PeerFault> {
        let body: ActionBody = self.body();
        let device = DeviceId(body.device);
        let kind = match body.verb {
            1 => ActionKind::Fetch,
            2 => ActionKind::Drop,
            3 => ActionKind::Load { device },
            4 => ActionKind::Unload { device },
            5 => self.infer(&body)?,
            _ => return Err(self.bad(at!(ActionBody, verb))),
        };
        let window =
            Window { earliest: Nanos(body.earliest), ready_by: Nanos(body.ready_by), latest: Nanos(body.latest) };
        if !window.is_ordered() {
            return Err(self.bad(at!(ActionBody, earliest)));
        }
        Ok(Action {
            id,
            model: ModelId(body.model),
            window,
            expected_start: Nanos(body.expected_start),
            expected_duration: Nanos(body.expected_duration),
            kind,
        })
    }

    fn infer(&self, body: &ActionBody) -> Result<ActionKind, PeerFault> {
        let batch = BatchSize::new(body.batch).ok_or_else(|| self.bad(at!(ActionBody, batch)))?;
        let count = body.items as usize;
        if count > batch.items() {
            return Err(self.bad(at!(ActionBody, items)));
        }
        let pairs = body.requests.iter().zip(&body.slots).take(count);
        let items: Items = pairs
            .map(|(&request, &slot)| Item { request: RequestId::from_bits(request), slot: SlotId::from_bits(slot) })
            .collect();
        Ok(ActionKind::Infer { device: DeviceId(body.device), shape: ShapeId(body.shape), batch, items })
    }

    fn result(&self, action: ActionId) -> Result<ActionResult, PeerFault> {
        let body: ResultBody = self.body();
        let status = |code, first, second, at| Status::from_wire(code, first, second).ok_or_else(|| self.bad(at));
        let mut items = ArrayVec::new();
        let outcomes = body.outcomes.get(..usize::from(body.items));
        for (place, outcome) in outcomes.ok_or_else(|| self.bad(at!(ResultBody, items)))?.iter().enumerate() {
            items.push(ItemOutcome {
                item: Item {
                    request: RequestId::from_bits(body.requests[place]),
                    slot: SlotId::from_bits(body.slots[place]),
                },
                status: status(outcome.code, outcome.first, outcome.second, at!(ResultBody, outcomes))?,
                input_held: outcome.input_held != 0,
            });
        }
        let status = status(body.code, body.first, body.second, at!(ResultBody, code))?;
        Ok(ActionResult { action, status, items, stages: stages(body.stages) })
    }

    fn freed(&self) -> Result<Message, PeerFault> {
        let body: FreedBody = self.body();
        let slots = body.slots.get(..body.count as usize).ok_or_else(|| self.bad(at!(FreedBody, count)))?;
        Ok(Message::Freed { slots: slots.iter().map(|&slot| SlotId::from_bits(slot)).collect() })
    }

    fn sync(&self, id: u64) -> Sync {
        let body: SyncBody = self.body();
        let answer = SyncAnswer { received: Nanos(body.received), sent: Nanos(body.sent) };
        Sync { id, origin: Nanos(body.origin), answer: (body.answered != 0).then_some(answer) }
    }
}

fn times(field: TimesField) -> PlanTimes {
    PlanTimes { expected: Nanos(field.expected), bound: Nanos(field.bound) }
}

fn stages(field: StagesField) -> Stages {
    let [received, points @ ..] = field.map(Nanos);
    let [input_begin, input_end, exec_begin, exec_end, output_begin, output_end] = points;
    Stages {
        received,
        input: Span { begin: input_begin, end: input_end },
        exec: Span { begin: exec_begin, end: exec_end },
        output: Span { begin: output_begin, end: output_end },
    }
}
