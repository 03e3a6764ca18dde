//! What the worker's logic knows of a model, and the table of models.

use crate::base::limits::{BATCH_SIZES, MAX_SHAPES};
use crate::base::{BatchSize, ModelId, ShapeId};

/// An architecture of this worker: packages with equal plans share one, with its graphs and kernels.
/// The number is the worker's own; the wire carries the digest of the plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchitectureId(pub u16);

/// Which plans a model has: a bit for each batch size, by shape variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlanSet([u8; MAX_SHAPES]);

impl PlanSet {
    /// No plan.
    pub const EMPTY: PlanSet = PlanSet([0; MAX_SHAPES]);

    /// Adds a plan.
    ///
    /// # Panics
    /// If the shape is not below [`MAX_SHAPES`].
    pub fn insert(&mut self, shape: ShapeId, batch: BatchSize) {
        self.0[usize::from(shape.0)] |= 1 << batch.ordinal();
    }

    /// Whether there is a plan for this shape and batch size; no for shapes out of range.
    pub fn contains(self, shape: ShapeId, batch: BatchSize) -> bool {
        self.0.get(usize::from(shape.0)).is_some_and(|sizes| sizes & 1 << batch.ordinal() != 0)
    }

    /// Whether there is no plan at all.
    pub fn is_empty(self) -> bool {
        self.0 == [0; MAX_SHAPES]
    }

    /// Bits of the batch sizes of each shape, for frames: bit `n` stands for `BatchSize::ALL[n]`.
    pub const fn to_bits(self) -> [u8; MAX_SHAPES] {
        self.0
    }

    /// The set that [`PlanSet::to_bits`] gave; bits that mean no batch size are dropped.
    pub fn from_bits(bits: [u8; MAX_SHAPES]) -> PlanSet {
        PlanSet(bits.map(|sizes| sizes & ((1 << BATCH_SIZES.len()) - 1)))
    }
}

/// A model as the worker's logic knows it: counts, never contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The model.
    pub id: ModelId,
    /// Whose plans it has.
    pub architecture: ArchitectureId,
    /// Weight pages, at least one.
    pub pages: u32,
    /// Bytes of weights; the last page may be used in part.
    pub bytes: u64,
    /// Size class of the slots that hold its inputs and outputs.
    pub class: u8,
    /// Which plans it has.
    pub plans: PlanSet,
    /// Payload bytes of one item's inputs, by shape variant.
    pub input_bytes: [u32; MAX_SHAPES],
    /// Payload bytes of one item's outputs, by shape variant.
    pub output_bytes: [u32; MAX_SHAPES],
}

impl ModelInfo {
    /// Bytes of its page `page` that the model uses.
    #[expect(clippy::cast_possible_truncation, reason = "at most page_bytes, a u32")]
    pub fn used_of_page(&self, page: u32, page_bytes: u32) -> u32 {
        debug_assert!(page < self.pages, "page {page} of a model with {} pages", self.pages);
        let before = u64::from(page) * u64::from(page_bytes);
        (self.bytes.saturating_sub(before)).min(u64::from(page_bytes)) as u32
    }
}

/// The models of a worker: numbered as they were added, found by id, in room taken at start.
#[derive(Debug)]
pub struct ModelTable {
    infos: Vec<ModelInfo>,
    by_id: Vec<(ModelId, u16)>,
}

impl ModelTable {
    /// Room for `capacity` models.
    pub fn new(capacity: usize) -> ModelTable {
        assert!(capacity <= usize::from(u16::MAX), "models are numbered by u16");
        ModelTable { infos: Vec::with_capacity(capacity), by_id: Vec::with_capacity(capacity) }
    }

    /// Adds a model and gives its number.
    ///
    /// # Panics
    /// If the table is full or holds the model: whoever registers packages checks both.
    #[expect(clippy::cast_possible_truncation, reason = "the capacity fits u16")]
    pub fn add(&mut self, info: ModelInfo) -> u16 {
        assert!(self.infos.len() < self.infos.capacity(), "model table full: {} models", self.infos.len());
        let number = self.infos.len() as u16;
        match self.by_id.binary_search_by_key(&info.id, |&(id, _)| id) {
            Ok(_) => panic!("model {} is registered already", info.id),
            Err(place) => self.by_id.insert(place, (info.id, number)),
        }
        self.infos.push(info);
        number
    }

    /// The number of a model.
    pub fn find(&self, id: ModelId) -> Option<u16> {
        let place = self.by_id.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        Some(self.by_id[place].1)
    }

    /// The model with this number.
    pub fn get(&self, number: u16) -> &ModelInfo {
        &self.infos[usize::from(number)]
    }

    /// All models, by number.
    pub fn iter(&self) -> impl Iterator<Item = &ModelInfo> {
        self.infos.iter()
    }

    /// How many models there are.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }
}
