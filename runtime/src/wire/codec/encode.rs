//! Messages to frames.

use bytemuck::{Pod, Zeroable};

use super::super::body::*;
use super::super::handshake::{Hello, Welcome};
use super::super::header::{self, HEADER_BYTES};
use super::super::message::{Catalog, Inventory, Message, ModelEntry, Outcome, PlanTimes, Refusal, Response, Sync};
use super::EncodeError;
use crate::base::limits::{MAX_NAME_BYTES, MAX_RANK, MAX_SHAPES, MAX_TENSORS};
use crate::order::{Action, ActionKind, ActionResult, Stages};
use crate::package::TensorSpec;

/// Writes the frame of `message`, without payload, to the start of `into`; gives its length.
///
/// # Errors
/// [`EncodeError`] if it does not fit; `into` is then unspecified.
pub fn encode(message: &Message, into: &mut [u8]) -> Result<usize, EncodeError> {
    let (id, payload) = (id_of(message), message.payload_bytes());
    let mut put = Put { into, kind: message.kind(), id, payload };
    match message {
        Message::Hello(hello) => put.body(&hello_body(hello)?),
        Message::Welcome(welcome) => put.body(&welcome_body(welcome)),
        Message::Inventory(inventory) => put.body(&inventory_body(inventory)?),
        Message::Catalog(catalog) => put.body(&catalog_body(catalog)?),
        Message::Peer { address, .. } => put.body(&peer_body(*address)),
        Message::Lookup { model, name, .. } => {
            put.body(&LookupBody { model: model.0, name: name_field("bytes of a name", name)? })
        }
        Message::Request { model, shape, slo, .. } => {
            put.body(&RequestBody { model: model.0, slo: slo.0, shape: shape.0.into(), reserved: 0 })
        }
        Message::Response(response) => put.body(&response_body(response)),
        Message::Ask { model, shape, slo, arrival, return_bound, .. } => put.body(&AskBody {
            model: model.0,
            slo: slo.0,
            arrival: arrival.0,
            return_bound: return_bound.0,
            shape: shape.0.into(),
            reserved: 0,
        }),
        Message::Place { worker, slot, .. } => {
            put.body(&PlaceBody { slot: slot.to_bits(), worker: worker.0.into(), reserved: 0 })
        }
        Message::Reject { refusal, .. } => {
            let (outcome, code, first, second) = refusal_fields(*refusal);
            put.body(&RejectBody { outcome, code, reserved: 0, first, second })
        }
        Message::Ended { end, at, .. } => put.body(&EndedBody { at: at.0, end: *end as u32, reserved: 0 }),
        Message::Input { slot, .. } => put.body(&InputBody { slot: slot.to_bits() }),
        Message::Output { slot, stages, .. } => {
            put.body(&OutputBody { slot: slot.to_bits(), stages: stages_field(stages) })
        }
        Message::Action(action) => put.body(&action_body(action)),
        Message::Result(result) => put.body(&result_body(result)),
        Message::Freed { slots } => {
            let mut body = FreedBody::zeroed();
            body.count = count(slots.len());
            body.slots.iter_mut().zip(slots).for_each(|(field, slot)| *field = slot.to_bits());
            put.body(&body)
        }
        Message::Sync(sync) => put.body(&sync_body(sync)),
        Message::StatusQuery { topic, .. } => put.body(&StatusQueryBody { topic: *topic as u32, reserved: 0 }),
        Message::Fault(fault) => {
            let (code, first, second) = fault.to_wire();
            put.body(&FaultBody { code, reserved: [0; 3], first, second })
        }
        Message::Withdraw { .. }
        | Message::Cancel { .. }
        | Message::Discard { .. }
        | Message::StatusReply { .. }
        | Message::Goodbye => put.body(&EmptyBody {}),
    }
}

struct Put<'a> {
    into: &'a mut [u8],
    kind: super::super::kind::Kind,
    id: u64,
    payload: u32,
}

impl Put<'_> {
    fn body<B: Pod>(&mut self, body: &B) -> Result<usize, EncodeError> {
        let bytes = bytemuck::bytes_of(body);
        let wanted = HEADER_BYTES + bytes.len();
        let available = self.into.len();
        let too_small = EncodeError::NoRoom { wanted, available };
        let (head, rest) = self.into.split_first_chunk_mut::<HEADER_BYTES>().ok_or(too_small)?;
        rest.get_mut(..bytes.len()).ok_or(too_small)?.copy_from_slice(bytes);
        header::write(head, self.kind, self.id, self.payload, bytes);
        Ok(wanted)
    }
}

fn id_of(message: &Message) -> u64 {
    match message {
        Message::Catalog(catalog) => catalog.id,
        Message::Peer { worker, .. } => worker.0.into(),
        Message::Lookup { id, .. }
        | Message::Request { id, .. }
        | Message::Withdraw { id }
        | Message::StatusQuery { id, .. }
        | Message::StatusReply { id, .. } => *id,
        Message::Response(response) => response.id,
        Message::Ask { request, .. }
        | Message::Place { request, .. }
        | Message::Reject { request, .. }
        | Message::Ended { request, .. }
        | Message::Input { request, .. }
        | Message::Output { request, .. } => request.to_bits(),
        Message::Action(action) => action.id.0,
        Message::Cancel { action } => action.0,
        Message::Discard { slot } => slot.to_bits(),
        Message::Result(result) => result.action.0,
        Message::Sync(sync) => sync.id,
        Message::Hello(_)
        | Message::Welcome(_)
        | Message::Inventory(_)
        | Message::Freed { .. }
        | Message::Fault(_)
        | Message::Goodbye => 0,
    }
}

/// A count whose limit is far below 4 Gi.
fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_else(|_| unreachable!("{n} exceeds every limit of a frame"))
}

fn name_field(what: &'static str, name: &str) -> Result<NameField, EncodeError> {
    let mut field = [0; MAX_NAME_BYTES];
    let too_long = EncodeError::TooMany { what, found: name.len(), limit: MAX_NAME_BYTES };
    field.get_mut(..name.len()).ok_or(too_long)?.copy_from_slice(name.as_bytes());
    Ok(field)
}

fn stages_field(stages: &Stages) -> StagesField {
    let Stages { received, input, exec, output } = stages;
    [received.0, input.begin.0, input.end.0, exec.begin.0, exec.end.0, output.begin.0, output.end.0]
}

fn hello_body(hello: &Hello) -> Result<HelloBody, EncodeError> {
    let mut body = HelloBody::zeroed();
    body.role = hello.role as u16;
    (body.version_min, body.version_max) = (hello.version_min, hello.version_max);
    (body.id, body.epoch) = (hello.id, hello.epoch);
    (body.features, body.requests) = (hello.features, hello.requests);
    body.clock = hello.clock;
    let Some(worker) = &hello.worker else { return Ok(body) };
    body.target = worker.target as u16;
    body.port = worker.port;
    body.page_bytes = worker.page_bytes;
    (body.host_pages, body.disk_credits) = (worker.host_pages, worker.disk_credits);
    body.generation = worker.generation;
    body.device_kind = name_field("bytes of a device kind", &worker.device_kind)?;
    body.device_count = count(worker.devices.len());
    for (field, device) in body.devices.iter_mut().zip(&worker.devices) {
        (field.pages, field.lane_credits) = (device.pages, device.lane_credits);
        for (field, class) in field.slots.iter_mut().zip(&device.slots) {
            *field =
                SlotOfferField { count: class.count, input_bytes: class.input_bytes, output_bytes: class.output_bytes };
        }
    }
    Ok(body)
}

fn welcome_body(welcome: &Welcome) -> WelcomeBody {
    WelcomeBody {
        version: welcome.version,
        id: welcome.id,
        features: welcome.features,
        epoch: welcome.epoch,
        requests: welcome.requests,
        payload_bytes: welcome.payload_bytes,
    }
}

fn tensor_field(tensor: &TensorSpec) -> Result<TensorField, EncodeError> {
    let mut field = TensorField::zeroed();
    field.name = name_field("bytes of a tensor's name", &tensor.name)?;
    field.kind = tensor.kind as u8;
    let too_many = |what, found, limit| EncodeError::TooMany { what, found, limit };
    if tensor.shapes.len() > MAX_SHAPES {
        return Err(too_many("shape variants", tensor.shapes.len(), MAX_SHAPES));
    }
    for (variant, shape) in tensor.shapes.iter().enumerate() {
        field.ranks[variant] = u8::try_from(shape.len()).map_err(|_| too_many("dimensions", shape.len(), MAX_RANK))?;
        field.dims[variant].iter_mut().zip(shape).for_each(|(field, dim)| *field = *dim);
    }
    Ok(field)
}

fn model_field(entry: &ModelEntry) -> Result<ModelField, EncodeError> {
    let mut field = ModelField::zeroed();
    field.model = entry.model.0;
    field.name = name_field("bytes of a model's name", &entry.name)?;
    (field.class, field.shapes) = (entry.class, entry.shapes);
    for tensors in [&entry.inputs, &entry.outputs] {
        if tensors.len() > MAX_TENSORS {
            return Err(EncodeError::TooMany { what: "tensors", found: tensors.len(), limit: MAX_TENSORS });
        }
    }
    let counted = |tensors: &[TensorSpec]| u8::try_from(tensors.len()).unwrap_or(u8::MAX);
    (field.inputs, field.outputs) = (counted(&entry.inputs), counted(&entry.outputs));
    for (field, tensor) in field.tensors.iter_mut().zip(entry.inputs.iter().chain(&entry.outputs)) {
        *field = tensor_field(tensor)?;
    }
    Ok(field)
}

fn times_field(times: PlanTimes) -> TimesField {
    TimesField { expected: times.expected.0, bound: times.bound.0 }
}

fn inventory_body(inventory: &Inventory) -> Result<InventoryBody, EncodeError> {
    let mut body = InventoryBody::zeroed();
    (body.index, body.total) = (inventory.index, inventory.total);
    let Some(entry) = &inventory.entry else { return Ok(body) };
    body.entries = 1;
    (body.pages, body.bytes, body.architecture) = (entry.pages, entry.bytes, entry.architecture);
    (body.fetched, body.loaded, body.plans) = (entry.fetched.into(), entry.loaded, entry.plans);
    body.exec = entry.exec.map(|sizes| sizes.map(times_field));
    (body.load, body.fetch) = (times_field(entry.load), times_field(entry.fetch));
    body.model = model_field(&entry.model)?;
    Ok(body)
}

fn catalog_body(catalog: &Catalog) -> Result<CatalogBody, EncodeError> {
    let mut body = CatalogBody::zeroed();
    (body.index, body.total) = (catalog.index, catalog.total);
    if let Some(entry) = &catalog.entry {
        body.entries = 1;
        body.model = model_field(entry)?;
    }
    Ok(body)
}

fn peer_body(address: Option<std::net::SocketAddr>) -> PeerBody {
    let mut body = PeerBody::zeroed();
    let Some(address) = address else { return body };
    body.port = address.port();
    match address.ip() {
        std::net::IpAddr::V4(ip) => {
            body.family = 4;
            body.address[..4].copy_from_slice(&ip.octets());
        }
        std::net::IpAddr::V6(ip) => {
            body.family = 6;
            body.address = ip.octets();
        }
    }
    body
}

/// How far, code and two numbers.
fn refusal_fields(refusal: Refusal) -> (u16, u16, u64, u64) {
    let (outcome, (code, first, second)) = match refusal {
        Refusal::Rejected(reason) => (3, reason.to_wire()),
        Refusal::Revoked(reason) => (4, reason.to_wire()),
        Refusal::Failed(status) => {
            let (code, first, second) = status.to_wire();
            (5, (code, first.into(), second.into()))
        }
    };
    (outcome, code, first, second)
}

fn response_body(response: &Response) -> ResponseBody {
    let (outcome, code, first, second) = match response.outcome {
        Outcome::Done { late: false } => (1, 0, 0, 0),
        Outcome::Done { late: true } => (2, 0, 0, 0),
        Outcome::Refused(refusal) => refusal_fields(refusal),
        Outcome::Expired => (6, 0, 0, 0),
    };
    ResponseBody {
        outcome,
        code,
        reserved: 0,
        first,
        second,
        arrival: response.arrival.0,
        answered: response.answered.0,
        stages: stages_field(&response.stages),
    }
}

fn action_body(action: &Action) -> ActionBody {
    let mut body = ActionBody::zeroed();
    body.model = action.model.0;
    (body.earliest, body.ready_by) = (action.window.earliest.0, action.window.ready_by.0);
    body.latest = action.window.latest.0;
    (body.expected_start, body.expected_duration) = (action.expected_start.0, action.expected_duration.0);
    match &action.kind {
        ActionKind::Fetch => body.verb = 1,
        ActionKind::Drop => body.verb = 2,
        ActionKind::Load { device } => (body.verb, body.device) = (3, device.0),
        ActionKind::Unload { device } => (body.verb, body.device) = (4, device.0),
        ActionKind::Infer { device, shape, batch, items } => {
            (body.verb, body.device, body.shape, body.batch) = (5, device.0, shape.0, batch.get());
            body.items = count(items.len());
            for (place, item) in items.iter().enumerate() {
                (body.requests[place], body.slots[place]) = (item.request.to_bits(), item.slot.to_bits());
            }
        }
    }
    body
}

fn result_body(result: &ActionResult) -> ResultBody {
    let mut body = ResultBody::zeroed();
    (body.code, body.first, body.second) = result.status.to_wire();
    body.items = u16::try_from(result.items.len()).unwrap_or(u16::MAX);
    body.stages = stages_field(&result.stages);
    for (place, outcome) in result.items.iter().enumerate() {
        (body.requests[place], body.slots[place]) = (outcome.item.request.to_bits(), outcome.item.slot.to_bits());
        let (code, first, second) = outcome.status.to_wire();
        body.outcomes[place] = ItemField { code, input_held: outcome.input_held.into(), first, second };
    }
    body
}

fn sync_body(sync: &Sync) -> SyncBody {
    let mut body = SyncBody::zeroed();
    body.origin = sync.origin.0;
    if let Some(answer) = sync.answer {
        (body.received, body.sent, body.answered) = (answer.received.0, answer.sent.0, 1);
    }
    body
}
