//! Any message of any kind.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use clockwork_runtime::base::limits::{MAX_BATCH, MAX_PAYLOAD_BYTES, MAX_RANK, MAX_SHAPES, MAX_TENSORS};
use clockwork_runtime::base::{ActionId, BatchSize, DeviceId, ModelId, Nanos, RequestId, ShapeId, SlotId, WorkerId};
use clockwork_runtime::order::record::End;
use clockwork_runtime::order::{
    Action, ActionKind, ActionResult, Item, ItemOutcome, Reject, Span, Stages, Status, Window,
};
use clockwork_runtime::package::{Target, TensorSpec, TensorType};
use clockwork_runtime::wire::handshake::{SlotOffer, WorkerOffer};
use clockwork_runtime::wire::message::{FREED_SLOTS, SyncAnswer, Topic};
use clockwork_runtime::wire::{
    Catalog, DeviceOffer, Hello, Inventory, InventoryEntry, Kind, Message, ModelEntry, Name, Outcome, PeerFault,
    PeerRole, PlanTimes, Refusal, Response, Sync, Welcome,
};
use proptest::array;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn request() -> impl Strategy<Value = RequestId> {
    any::<u64>().prop_map(RequestId::from_bits)
}

fn slot() -> impl Strategy<Value = SlotId> {
    any::<u64>().prop_map(SlotId::from_bits)
}

fn nanos() -> impl Strategy<Value = Nanos> {
    any::<u64>().prop_map(Nanos)
}

fn shape() -> impl Strategy<Value = ShapeId> {
    (0..MAX_SHAPES as u8).prop_map(ShapeId)
}

fn payload() -> impl Strategy<Value = u32> {
    0..=MAX_PAYLOAD_BYTES as u32
}

fn name() -> impl Strategy<Value = Name> {
    "[a-zA-Z0-9_.äß-]{0,32}".prop_map(|text| Name::from(&text).unwrap())
}

fn item() -> impl Strategy<Value = Item> {
    (request(), slot()).prop_map(|(request, slot)| Item { request, slot })
}

fn span() -> impl Strategy<Value = Span> {
    (nanos(), nanos()).prop_map(|(begin, end)| Span { begin, end })
}

fn stages() -> impl Strategy<Value = Stages> {
    let fields = (nanos(), span(), span(), span());
    fields.prop_map(|(received, input, exec, output)| Stages { received, input, exec, output })
}

fn times() -> impl Strategy<Value = PlanTimes> {
    (nanos(), nanos()).prop_map(|(expected, bound)| PlanTimes { expected, bound })
}

fn status() -> impl Strategy<Value = Status> {
    (0u16..=10, any::<u32>(), any::<u32>())
        .prop_map(|(code, first, second)| Status::from_wire(code, first, second).expect("all codes up to 10 are known"))
}

fn reject() -> impl Strategy<Value = Reject> {
    (1u16..=8, any::<u32>())
        .prop_map(|(code, first)| Reject::from_wire(code, first.into(), 0).expect("all codes from 1 to 8 are known"))
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        reject().prop_map(Refusal::Rejected),
        reject().prop_map(Refusal::Revoked),
        status().prop_map(Refusal::Failed),
    ]
}

fn fault() -> impl Strategy<Value = PeerFault> {
    (any::<u16>(), any::<u64>(), any::<u64>()).prop_flat_map(|(code, first, second)| {
        let unknown = PeerFault::from_wire(code, first, second);
        let known = PeerFault::from_wire(code % 14, first % 0x1_0000, second % 0x1_0000);
        prop_oneof![Just(unknown), Just(known)]
    })
}

fn tensor(shapes: usize) -> impl Strategy<Value = TensorSpec> {
    let kinds = select(vec![
        TensorType::F32,
        TensorType::F16,
        TensorType::U8,
        TensorType::I32,
        TensorType::I64,
        TensorType::Bool,
    ]);
    let dims = vec(any::<u32>(), 0..=MAX_RANK).prop_map(|dims| dims.into_iter().collect());
    (name(), kinds, vec(dims, shapes)).prop_map(|(name, kind, shapes)| TensorSpec {
        name: name.to_string(),
        kind,
        shapes,
    })
}

fn model() -> impl Strategy<Value = ModelEntry> {
    (1..=MAX_SHAPES).prop_flat_map(|shapes| {
        let tensors = || vec(tensor(shapes), 0..=MAX_TENSORS);
        (any::<u64>(), name(), any::<u8>(), tensors(), tensors()).prop_map(
            move |(model, name, class, inputs, outputs)| ModelEntry {
                model: ModelId(model),
                name,
                class,
                shapes: shapes as u8,
                inputs,
                outputs,
            },
        )
    })
}

fn worker_offer() -> impl Strategy<Value = WorkerOffer> {
    let slots = any::<(u32, u32, u32)>().prop_map(|(count, input_bytes, output_bytes)| SlotOffer {
        count,
        input_bytes,
        output_bytes,
    });
    let device = (any::<u32>(), any::<u32>(), array::uniform4(slots))
        .prop_map(|(pages, lane_credits, slots)| DeviceOffer { pages, lane_credits, slots });
    let target = select(vec![Target::CpuF32, Target::CudaF32, Target::CudaF16]);
    let numbers = any::<(u32, u32, u32, u32, u16)>();
    (target, name(), numbers, vec(device, 0..=8)).prop_map(|(target, device_kind, numbers, devices)| WorkerOffer {
        target,
        device_kind,
        page_bytes: numbers.0,
        host_pages: numbers.1,
        disk_credits: numbers.2,
        generation: numbers.3,
        port: numbers.4,
        devices: devices.into_iter().collect(),
    })
}

fn hello() -> impl Strategy<Value = Message> {
    let role = prop_oneof![
        select(vec![PeerRole::Client, PeerRole::Gateway, PeerRole::Control]).prop_map(|role| (role, None)),
        worker_offer().prop_map(|offer| (PeerRole::Worker, Some(offer))),
    ];
    (role, any::<(u16, u16, u16)>(), any::<(u32, u32, u64, u64)>()).prop_map(
        |((role, worker), (version_min, version_max, id), (features, requests, epoch, clock))| {
            let hello = Hello { role, version_min, version_max, features, id, epoch, requests, worker, clock };
            Message::Hello(Box::new(hello))
        },
    )
}

fn welcome() -> impl Strategy<Value = Message> {
    any::<(u16, u16, u32, u64, u32, u32)>().prop_map(|(version, id, features, epoch, requests, payload_bytes)| {
        Message::Welcome(Welcome { version, features, id, epoch, requests, payload_bytes })
    })
}

fn inventory() -> impl Strategy<Value = Message> {
    let exec = array::uniform8(array::uniform5(times()));
    let numbers = any::<(u64, u32, u64, bool, u8, [u8; MAX_SHAPES])>();
    let entry = (model(), numbers, exec, times(), times()).prop_map(|(model, numbers, exec, load, fetch)| {
        let (architecture, pages, bytes, fetched, loaded, plans) = numbers;
        InventoryEntry { model, architecture, pages, bytes, fetched, loaded, plans, exec, load, fetch }
    });
    (any::<u32>(), 1..u32::MAX, proptest::option::of(entry)).prop_map(|(index, total, entry)| {
        let total = if entry.is_some() { total } else { 0 };
        Message::Inventory(Box::new(Inventory { index, total, entry }))
    })
}

fn catalog() -> impl Strategy<Value = Message> {
    (any::<u64>(), any::<u32>(), 1..u32::MAX, proptest::option::of(model())).prop_map(|(id, index, total, entry)| {
        let total = if entry.is_some() { total } else { 0 };
        Message::Catalog(Box::new(Catalog { id, index, total, entry }))
    })
}

fn peer() -> impl Strategy<Value = Message> {
    let address = prop_oneof![
        Just(None),
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| Some(SocketAddr::from((Ipv4Addr::from(ip), port)))),
        any::<([u8; 16], u16)>().prop_map(|(ip, port)| Some(SocketAddr::from((Ipv6Addr::from(ip), port)))),
    ];
    (any::<u16>(), address).prop_map(|(worker, address)| Message::Peer { worker: WorkerId(worker), address })
}

fn response() -> impl Strategy<Value = Message> {
    let outcome = prop_oneof![
        any::<bool>().prop_map(|late| Outcome::Done { late }),
        refusal().prop_map(Outcome::Refused),
        Just(Outcome::Expired),
    ];
    (any::<u64>(), outcome, nanos(), nanos(), stages(), payload()).prop_map(
        |(id, outcome, arrival, answered, stages, payload)| {
            Message::Response(Response { id, outcome, arrival, answered, stages, payload })
        },
    )
}

fn action() -> impl Strategy<Value = Message> {
    let device = || any::<u8>().prop_map(DeviceId);
    let infer =
        select(BatchSize::ALL.to_vec()).prop_flat_map(move |batch| {
            (device(), shape(), vec(item(), 1..=batch.items())).prop_map(move |(device, shape, items)| {
                ActionKind::Infer { device, shape, batch, items: items.into_iter().collect() }
            })
        });
    let kind = prop_oneof![
        Just(ActionKind::Fetch),
        Just(ActionKind::Drop),
        device().prop_map(|device| ActionKind::Load { device }),
        device().prop_map(|device| ActionKind::Unload { device }),
        infer,
    ];
    let window = any::<[u64; 3]>().prop_map(|mut points| {
        points.sort_unstable();
        let [earliest, ready_by, latest] = points.map(Nanos);
        Window { earliest, ready_by, latest }
    });
    (any::<u64>(), any::<u64>(), window, nanos(), nanos(), kind).prop_map(
        |(id, model, window, expected_start, expected_duration, kind)| {
            let (id, model) = (ActionId(id), ModelId(model));
            Message::Action(Action { id, model, window, expected_start, expected_duration, kind })
        },
    )
}

fn result() -> impl Strategy<Value = Message> {
    let outcome = (item(), status(), any::<bool>()).prop_map(|(item, status, input_held)| ItemOutcome {
        item,
        status,
        input_held,
    });
    (any::<u64>(), status(), vec(outcome, 0..=MAX_BATCH), stages()).prop_map(|(action, status, items, stages)| {
        let items = items.into_iter().collect();
        Message::Result(ActionResult { action: ActionId(action), status, items, stages })
    })
}

fn sync() -> impl Strategy<Value = Message> {
    let answer = (nanos(), nanos()).prop_map(|(received, sent)| SyncAnswer { received, sent });
    (any::<u64>(), nanos(), proptest::option::of(answer))
        .prop_map(|(id, origin, answer)| Message::Sync(Sync { id, origin, answer }))
}

/// A message of the given kind.
pub fn of_kind(kind: Kind) -> BoxedStrategy<Message> {
    match kind {
        Kind::Hello => hello().boxed(),
        Kind::Welcome => welcome().boxed(),
        Kind::Inventory => inventory().boxed(),
        Kind::Catalog => catalog().boxed(),
        Kind::Peer => peer().boxed(),
        Kind::Lookup => (any::<u64>(), any::<u64>(), name())
            .prop_map(|(id, model, name)| Message::Lookup { id, model: ModelId(model), name })
            .boxed(),
        Kind::Request => (any::<u64>(), any::<u64>(), shape(), nanos(), payload())
            .prop_map(|(id, model, shape, slo, payload)| Message::Request {
                id,
                model: ModelId(model),
                shape,
                slo,
                payload,
            })
            .boxed(),
        Kind::Response => response().boxed(),
        Kind::Withdraw => any::<u64>().prop_map(|id| Message::Withdraw { id }).boxed(),
        Kind::Action => action().boxed(),
        Kind::Cancel => any::<u64>().prop_map(|id| Message::Cancel { action: ActionId(id) }).boxed(),
        Kind::Discard => slot().prop_map(|slot| Message::Discard { slot }).boxed(),
        Kind::Result => result().boxed(),
        Kind::Freed => vec(slot(), 0..=FREED_SLOTS)
            .prop_map(|slots| Message::Freed { slots: slots.into_iter().collect::<ArrayVec<_, FREED_SLOTS>>() })
            .boxed(),
        Kind::Sync => sync().boxed(),
        Kind::StatusQuery => (any::<u64>(), select(vec![Topic::Status, Topic::Models, Topic::Workers, Topic::Config]))
            .prop_map(|(id, topic)| Message::StatusQuery { id, topic })
            .boxed(),
        Kind::StatusReply => {
            (any::<u64>(), payload()).prop_map(|(id, payload)| Message::StatusReply { id, payload }).boxed()
        }
        Kind::Fault => fault().prop_map(Message::Fault).boxed(),
        Kind::Goodbye => Just(Message::Goodbye).boxed(),
        Kind::Ask | Kind::Place | Kind::Reject | Kind::Ended | Kind::Input | Kind::Output => of_a_request(kind),
    }
}

fn of_a_request(kind: Kind) -> BoxedStrategy<Message> {
    match kind {
        Kind::Ask => (request(), any::<u64>(), shape(), nanos(), nanos(), nanos())
            .prop_map(|(request, model, shape, slo, arrival, return_bound)| Message::Ask {
                request,
                model: ModelId(model),
                shape,
                slo,
                arrival,
                return_bound,
            })
            .boxed(),
        Kind::Place => (request(), any::<u16>(), slot())
            .prop_map(|(request, worker, slot)| Message::Place { request, worker: WorkerId(worker), slot })
            .boxed(),
        Kind::Reject => {
            (request(), refusal()).prop_map(|(request, refusal)| Message::Reject { request, refusal }).boxed()
        }
        Kind::Ended => (request(), select(End::ALL.to_vec()), nanos())
            .prop_map(|(request, end, at)| Message::Ended { request, end, at })
            .boxed(),
        Kind::Input => (request(), slot(), payload())
            .prop_map(|(request, slot, payload)| Message::Input { request, slot, payload })
            .boxed(),
        _ => (request(), slot(), stages(), payload())
            .prop_map(|(request, slot, stages, payload)| Message::Output { request, slot, stages, payload })
            .boxed(),
    }
}

/// Any message.
pub fn any_message() -> impl Strategy<Value = Message> {
    select(Kind::ALL.to_vec()).prop_flat_map(of_kind)
}
