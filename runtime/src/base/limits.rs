//! Every bound of the runtime, by name. Memory is taken at start from these numbers; nothing grows.

use super::Nanos;

/// Largest batch that a plan may serve.
pub const MAX_BATCH: usize = 16;
/// Batch sizes a package may hold plans for.
pub const BATCH_SIZES: [u8; 5] = [1, 2, 4, 8, 16];
/// Shape variants of one model.
pub const MAX_SHAPES: usize = 8;
/// Input tensors, and output tensors, of one model.
pub const MAX_TENSORS: usize = 8;
/// Dimensions of a tensor.
pub const MAX_RANK: usize = 6;
/// Size classes of slots on one device.
pub const MAX_SLOT_CLASSES: usize = 4;
/// Models that one controller knows.
pub const MAX_MODELS: usize = 4096;
/// Workers of one controller.
pub const MAX_WORKERS: usize = 64;
/// Devices of one worker.
pub const MAX_DEVICES_PER_WORKER: usize = 8;
/// Gateways of one controller.
pub const MAX_GATEWAYS: usize = 16;
/// Requests that one gateway holds at once; more is `Overloaded`.
pub const MAX_REQUESTS: usize = 4096;
/// Client connections of one gateway.
pub const MAX_CLIENTS: usize = 1024;
/// Steps that a role records at most, where it is told to record.
pub const RECORD_STEPS: usize = 1 << 17;
/// Messages that one event may emit. A role takes the next event only when this many fit.
pub const MAX_OUT: usize = 64;
/// Weight pages of one model: 16 GiB in 2 MiB pages.
pub const MAX_PAGES_PER_MODEL: usize = 8192;
/// Actions queued in one lane of a device: its credits.
pub const LANE_CREDITS: usize = 64;
/// Graphs that are at the driver at once on one device.
pub const EXEC_DEPTH: usize = 1;
/// Copies of weights outstanding on one device, so that an input never queues behind a page.
pub const WEIGHT_COPIES_OUTSTANDING: usize = 2;
/// Longest chunk of one such copy, in bytes.
pub const WEIGHT_CHUNK_BYTES: usize = 2 << 20;
/// Page size of target `cpu-f32`, in bytes.
pub const CPU_PAGE_BYTES: usize = 2 << 20;
/// Bytes covered by one checksum of a package's weights.
pub const CHECKSUM_BLOCK_BYTES: usize = 256 << 10;
/// Longest frame body, in bytes.
pub const MAX_BODY_BYTES: usize = 64 << 10;
/// Longest payload of one frame, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// Longest model name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 64;

/// Bytes that the constants and tables of a model may have while it is imported, unless it is told otherwise.
pub const IMPORT_MEMORY_BYTES: usize = 4 << 30;

/// Launches of one plan.
pub const MAX_LAUNCHES: usize = 4096;
/// Plans of one package: every batch size in every shape variant.
pub const MAX_PLANS: usize = MAX_SHAPES * BATCH_SIZES.len();
/// Longest parameter block of a launch, in bytes.
pub const MAX_BLOCK_BYTES: usize = 1024;
/// Longest name of an input or output tensor, in bytes of UTF-8: what a package holds, the wire carries.
pub const MAX_TENSOR_NAME_BYTES: usize = MAX_NAME_BYTES;
/// Longest text that says what a launch computes, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 512;
/// All such texts of a package, in bytes, with what says which launch has which.
pub const MAX_LABELS_BYTES: usize = 1 << 20;
/// Longest input or output area of one slot, in bytes.
pub const MAX_AREA_BYTES: u32 = 64 << 20;
/// Longest plans section of a package, in bytes.
pub const MAX_PLANS_BYTES: usize = 64 << 20;
/// Longest card of a package, in bytes.
pub const MAX_CARD_BYTES: usize = 1 << 20;
/// Smallest and largest page that a package may be made for, in bytes.
pub const PAGE_BYTES_RANGE: std::ops::RangeInclusive<usize> = CHECKSUM_BLOCK_BYTES..=64 << 20;

/// Longest SLO that a client may ask for.
pub const MAX_SLO: Nanos = Nanos::seconds(600);
/// Time kept free before each deadline for what no stage accounts for.
pub const SAFETY_MARGIN: Nanos = Nanos::micros(200);
