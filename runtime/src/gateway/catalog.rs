//! The models that requests may name, and the sizes that their payloads must have.

use super::event::CatalogModel;
use crate::base::{ModelId, ShapeId};
use crate::order::Reject;
use crate::package::SlotLayout;

#[derive(Debug)]
struct Known {
    model: CatalogModel,
    /// Payloads are areas of a slot. By shape variant; none where no slot could hold it.
    layouts: Vec<Option<SlotLayout>>,
}

/// What the controller's CATALOG named.
#[derive(Debug)]
pub(super) struct Catalog {
    capacity: usize,
    /// Ascending by id.
    known: Vec<Known>,
}

impl Catalog {
    pub(super) fn new(capacity: usize) -> Catalog {
        Catalog { capacity, known: Vec::with_capacity(capacity) }
    }

    /// Adds a model, or renews it. Allocates: off the path. Without effect when there is no room.
    pub(super) fn add(&mut self, model: CatalogModel) {
        let shapes = model.inputs.first().map_or(0, |input| input.shapes.len());
        let shapes = (0..=u8::MAX).map(ShapeId).take(shapes);
        let layouts = shapes.map(|shape| SlotLayout::new(&model.inputs, &model.outputs, shape)).collect();
        let place = self.known.binary_search_by_key(&model.model, |known| known.model.model);
        let known = Known { model, layouts };
        match place {
            Ok(place) => self.known[place] = known,
            Err(place) if self.known.len() < self.capacity => self.known.insert(place, known),
            Err(_) => {}
        }
    }

    fn find(&self, model: ModelId) -> Option<&Known> {
        let place = self.known.binary_search_by_key(&model, |known| known.model.model).ok()?;
        Some(&self.known[place])
    }

    pub(super) fn get(&self, model: ModelId) -> Option<&CatalogModel> {
        self.find(model).map(|known| &known.model)
    }

    pub(super) fn named(&self, name: &str) -> Option<&CatalogModel> {
        self.known.iter().map(|known| &known.model).find(|model| model.name == name)
    }

    /// Bytes of the outputs of a request whose payload has `payload` bytes, or why it is refused. A
    /// payload that ends within an input is that input's fault, one that goes on behind the last one
    /// the last's.
    pub(super) fn check(&self, model: ModelId, shape: ShapeId, payload: u64) -> Result<u64, Reject> {
        let known = self.find(model).ok_or(Reject::UnknownModel)?;
        let layout = known.layouts.get(usize::from(shape.0)).and_then(Option::as_ref);
        let SlotLayout { inputs, outputs } = layout.ok_or(Reject::BadInput { tensor: 0 })?;
        let last = u32::try_from(inputs.fields.len().saturating_sub(1)).unwrap_or(u32::MAX);
        match (0u32..).zip(inputs.ends()).find(|&(_, end)| payload < u64::from(end)) {
            Some((tensor, _)) => Err(Reject::BadInput { tensor }),
            None if payload > u64::from(inputs.bytes) => Err(Reject::BadInput { tensor: last }),
            None => Ok(u64::from(outputs.bytes)),
        }
    }
}
