//! The registered models.

use arrayvec::ArrayVec;

use super::event::{ModelSpec, ShapeSpec};
use crate::base::limits::MAX_SHAPES;
use crate::base::{ModelId, Nanos, ShapeId};
use crate::package::Target;
use crate::profile::{Architecture, DeviceKind, Entry, ProfileStore};

/// Kinds of device that one controller plans for.
pub(super) const MAX_KINDS: usize = 8;

/// One registered model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: ModelId,
    pub(super) architecture: Architecture,
    pub(super) target: Target,
    pub(super) pages: u32,
    pub(super) shapes: ArrayVec<ShapeSpec, MAX_SHAPES>,
    /// Where its durations are, by shape and kind of device.
    entries: ArrayVec<[Option<Entry>; MAX_KINDS], MAX_SHAPES>,
    pub(super) asks: u64,
    /// Work refused since the model was last given a device: what a LOAD would serve. Halves with
    /// each period.
    pub(super) unmet: Nanos,
    /// Devices that hold it or are to hold it.
    pub(super) copies: usize,
}

impl Model {
    pub(super) fn entry(&self, shape: ShapeId, kind: usize) -> Option<Entry> {
        *self.entries.get(usize::from(shape.0))?.get(kind)?
    }
}

/// All of them, with the kinds of device that their durations are known on.
#[derive(Debug)]
pub(super) struct Models {
    capacity: usize,
    models: Vec<Model>,
    /// (id, place), ascending by id.
    by_id: Vec<(ModelId, usize)>,
    kinds: ArrayVec<DeviceKind, MAX_KINDS>,
}

impl Models {
    pub(super) fn new(capacity: usize) -> Models {
        let by_id = Vec::with_capacity(capacity);
        Models { capacity, models: Vec::with_capacity(capacity), by_id, kinds: ArrayVec::new() }
    }

    pub(super) fn find(&self, id: ModelId) -> Option<usize> {
        let place = self.by_id.binary_search_by_key(&id, |known| known.0).ok()?;
        Some(self.by_id[place].1)
    }

    /// The number of a kind of device; none when more kinds came than are planned for.
    pub(super) fn kind(&mut self, kind: DeviceKind, store: &ProfileStore) -> Option<usize> {
        if let Some(known) = self.kinds.iter().position(|&known| known == kind) {
            return Some(known);
        }
        let number = self.kinds.len();
        self.kinds.try_push(kind).ok()?;
        for model in &mut self.models {
            Models::refresh(model, &self.kinds, store);
        }
        Some(number)
    }

    /// Registers a model, or renews the durations of a known one. None if there is no room.
    pub(super) fn register(&mut self, spec: &ModelSpec, store: &ProfileStore) -> Option<usize> {
        let place = match self.by_id.binary_search_by_key(&spec.model, |known| known.0) {
            Ok(known) => self.by_id[known].1,
            Err(_) if self.models.len() == self.capacity => return None,
            Err(place) => {
                self.by_id.insert(place, (spec.model, self.models.len()));
                self.models.push(Model {
                    id: spec.model,
                    architecture: spec.architecture,
                    target: spec.target,
                    pages: spec.pages,
                    shapes: spec.shapes.clone(),
                    entries: spec.shapes.iter().map(|_| [None; MAX_KINDS]).collect(),
                    asks: 0,
                    unmet: Nanos::ZERO,
                    copies: 0,
                });
                self.models.len() - 1
            }
        };
        Models::refresh(&mut self.models[place], &self.kinds, store);
        Some(place)
    }

    fn refresh(model: &mut Model, kinds: &[DeviceKind], store: &ProfileStore) {
        for (shape, entries) in (0u8..).zip(&mut model.entries) {
            for (entry, &kind) in entries.iter_mut().zip(kinds) {
                *entry = store.entry(model.architecture, ShapeId(shape), kind);
            }
        }
    }

    pub(super) fn get(&self, place: usize) -> &Model {
        &self.models[place]
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut Model {
        &mut self.models[place]
    }

    pub(super) fn len(&self) -> usize {
        self.models.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Model> {
        self.models.iter()
    }
}
