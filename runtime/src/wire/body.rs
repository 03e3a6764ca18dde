//! Bodies as they lie on the wire: one `Pod` struct for each kind, without padding.
//!
//! A body only ever grows at its end. A receiver takes the fields that it knows, ignores what
//! follows, and reads fields that a shorter body lacks as zero. Times are nanoseconds.

use bytemuck::{Pod, Zeroable};

use super::message::FREED_SLOTS;
use crate::base::limits::{
    BATCH_SIZES, MAX_BATCH, MAX_DEVICES_PER_WORKER, MAX_NAME_BYTES, MAX_RANK, MAX_SHAPES, MAX_SLOT_CLASSES, MAX_TENSORS,
};

/// UTF-8, filled up with zeros.
pub(super) type NameField = [u8; MAX_NAME_BYTES];
/// Stages of an action: received, then begin and end of input, exec and output.
pub(super) type StagesField = [u64; 7];

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
        #[repr(C)]
        pub(super) struct $name { $(pub(super) $field: $kind,)* }
    )*};
}

bodies! {
    /// One size class of slots in HELLO.
    SlotOfferField { count: u32, input_bytes: u32, output_bytes: u32, }

    /// One device in HELLO.
    DeviceOfferField { pages: u32, lane_credits: u32, slots: [SlotOfferField; MAX_SLOT_CLASSES], }

    /// HELLO. From `target` on, zero unless the role is worker.
    HelloBody {
        role: u16, version_min: u16, version_max: u16, id: u16,
        features: u32, requests: u32,
        epoch: u64,
        target: u16, port: u16, page_bytes: u32,
        host_pages: u32, disk_credits: u32,
        device_kind: NameField,
        device_count: u32, generation: u32,
        devices: [DeviceOfferField; MAX_DEVICES_PER_WORKER],
        clock: u64,
    }

    /// WELCOME.
    WelcomeBody { version: u16, id: u16, features: u32, epoch: u64, requests: u32, payload_bytes: u32, }

    /// One tensor of a model: rank and dimensions of one item, by shape variant.
    TensorField {
        name: NameField, kind: u8, reserved: [u8; 7],
        ranks: [u8; MAX_SHAPES],
        dims: [[u32; MAX_RANK]; MAX_SHAPES],
    }

    /// A model as clients see it; inputs first, then outputs.
    ModelField {
        model: u64,
        name: NameField,
        class: u8, shapes: u8, inputs: u8, outputs: u8, reserved: u32,
        tensors: [TensorField; 2 * MAX_TENSORS],
    }

    /// What a plan or a copy takes: expected and bound.
    TimesField { expected: u64, bound: u64, }

    /// INVENTORY; `entries` is 0 or 1.
    InventoryBody {
        index: u32, total: u32, entries: u32, pages: u32,
        architecture: u64, bytes: u64,
        fetched: u8, loaded: u8, reserved: [u8; 6],
        plans: [u8; MAX_SHAPES],
        exec: [[TimesField; BATCH_SIZES.len()]; MAX_SHAPES],
        load: TimesField, fetch: TimesField,
        model: ModelField,
    }

    /// CATALOG; `entries` is 0 or 1. The id is that of the LOOKUP.
    CatalogBody { index: u32, total: u32, entries: u32, reserved: u32, model: ModelField, }

    /// PEER. Family 4 or 6, 0 for no address. The id is the worker.
    PeerBody { family: u16, port: u16, reserved: u32, address: [u8; 16], }

    /// LOOKUP.
    LookupBody { model: u64, name: NameField, }

    /// REQUEST. The id is the client's number.
    RequestBody { model: u64, slo: u64, shape: u32, reserved: u32, }

    /// RESPONSE. Outcome 1 done, 2 done late, 3 rejected, 4 revoked, 5 failed, 6 expired.
    ResponseBody {
        outcome: u16, code: u16, reserved: u32,
        first: u64, second: u64,
        arrival: u64, answered: u64,
        stages: StagesField,
    }

    /// ASK. The id is the request.
    AskBody { model: u64, slo: u64, arrival: u64, return_bound: u64, shape: u32, reserved: u32, }

    /// PLACE. The id is the request.
    PlaceBody { slot: u64, worker: u32, reserved: u32, }

    /// REJECT. How far: 3 rejected, 4 revoked, 5 failed. The id is the request.
    RejectBody { outcome: u16, code: u16, reserved: u32, first: u64, second: u64, }

    /// ENDED. The id is the request.
    EndedBody { at: u64, end: u32, reserved: u32, }

    /// INPUT. The id is the request.
    InputBody { slot: u64, }

    /// OUTPUT. The id is the request.
    OutputBody { slot: u64, stages: StagesField, }

    /// ACTION. Verb 1 FETCH, 2 DROP, 3 LOAD, 4 UNLOAD, 5 INFER. The id is the action.
    ActionBody {
        model: u64,
        earliest: u64, ready_by: u64, latest: u64,
        expected_start: u64, expected_duration: u64,
        verb: u8, device: u8, shape: u8, batch: u8, items: u32,
        requests: [u64; MAX_BATCH],
        slots: [u64; MAX_BATCH],
    }

    /// How one item of a batch ended.
    ItemField { code: u16, input_held: u16, first: u32, second: u32, }

    /// RESULT. The id is the action.
    ResultBody {
        code: u16, items: u16, first: u32, second: u32, reserved: u32,
        stages: StagesField,
        requests: [u64; MAX_BATCH],
        slots: [u64; MAX_BATCH],
        outcomes: [ItemField; MAX_BATCH],
    }

    /// FREED.
    FreedBody { count: u32, reserved: u32, slots: [u64; FREED_SLOTS], }

    /// SYNC. `answered` is 0 in a question, 1 in an answer. The id numbers the exchange.
    SyncBody { origin: u64, received: u64, sent: u64, answered: u32, reserved: u32, }

    /// STATUS_QUERY.
    StatusQueryBody { topic: u32, reserved: u32, }

    /// FAULT.
    FaultBody { code: u16, reserved: [u16; 3], first: u64, second: u64, }

    /// Kinds that say all with their id: WITHDRAW, CANCEL, DISCARD, STATUS_REPLY, GOODBYE.
    EmptyBody {}
}
