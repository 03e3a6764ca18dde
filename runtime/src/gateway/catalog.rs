//! The models that requests may name, and the sizes that their payloads must have.

use super::event::CatalogModel;
use crate::base::{ModelId, ShapeId};
use crate::order::Reject;
use crate::package::TensorSpec;

#[derive(Debug)]
struct Known {
    model: CatalogModel,
    /// Bytes of each input, by shape variant.
    inputs: Vec<Vec<u64>>,
    /// Bytes of all outputs, by shape variant.
    outputs: Vec<u64>,
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
        // Each tensor is padded to the next multiple of 64 bytes, in a payload as in a slot.
        let size = |tensor: &TensorSpec, shape| {
            tensor.item_bytes(shape).unwrap_or(0).next_multiple_of(u64::from(kernels::operand::ALIGNMENT))
        };
        let inputs = shapes.clone().map(|shape| model.inputs.iter().map(|input| size(input, shape)).collect());
        let outputs = shapes.map(|shape| model.outputs.iter().map(|output| size(output, shape)).sum());
        let (inputs, outputs) = (inputs.collect(), outputs.collect());
        let place = self.known.binary_search_by_key(&model.model, |known| known.model.model);
        let known = Known { model, inputs, outputs };
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
        let shape = usize::from(shape.0);
        let inputs = known.inputs.get(shape).ok_or(Reject::BadInput { tensor: 0 })?;
        let mut left = payload;
        for (tensor, &size) in (0u32..).zip(inputs) {
            left = left.checked_sub(size).ok_or(Reject::BadInput { tensor })?;
        }
        let last = u32::try_from(inputs.len().saturating_sub(1)).unwrap_or(u32::MAX);
        if left > 0 { Err(Reject::BadInput { tensor: last }) } else { Ok(known.outputs[shape]) }
    }
}
