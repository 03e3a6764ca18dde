//! What the payload of a request or an answer holds: the tensors in the model's order, each at the
//! next multiple of 64 bytes, exactly as they lie in the slot.

use thiserror::Error;

use crate::base::ShapeId;
use crate::package::SlotLayout;
use crate::package::slot::Area;
use crate::wire::ModelEntry;

/// Why tensors do not make a payload, or a payload no tensors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// The model has no such shape variant, or one too large to be served.
    #[error("model `{model}` has no shape variant {shape}, it has {shapes}")]
    NoSuchShape {
        /// The model's name.
        model: String,
        /// The variant that was asked for.
        shape: u8,
        /// How many it has.
        shapes: u8,
    },
    /// Too few inputs or too many.
    #[error("model `{model}` takes {wanted} inputs, {found} were given")]
    Count {
        /// The model's name.
        model: String,
        /// How many it takes.
        wanted: usize,
        /// How many were given.
        found: usize,
    },
    /// An input of another length than its type and shape have.
    #[error("input `{tensor}` of model `{model}` takes {wanted} bytes ({kind} {shape:?}), {found} were given")]
    Length {
        /// The model's name.
        model: String,
        /// The input's name.
        tensor: String,
        /// Its element type.
        kind: String,
        /// Its shape.
        shape: Vec<u32>,
        /// Its length.
        wanted: u32,
        /// What was given.
        found: usize,
    },
    /// An answer of another length than the outputs have.
    #[error("the answer of model `{model}` should have {wanted} bytes, it has {found}")]
    AnswerLength {
        /// The model's name.
        model: String,
        /// Length of the outputs.
        wanted: u32,
        /// What came.
        found: usize,
    },
}

/// Where the tensors of one item of a model lie, in one shape variant.
///
/// # Errors
/// [`PayloadError::NoSuchShape`].
pub fn layout(model: &ModelEntry, shape: ShapeId) -> Result<SlotLayout, PayloadError> {
    SlotLayout::new(&model.inputs, &model.outputs, shape).ok_or_else(|| PayloadError::NoSuchShape {
        model: model.name.to_string(),
        shape: shape.0,
        shapes: model.shapes,
    })
}

/// The payload of a request with those inputs: little-endian elements, row-major, without the batch
/// dimension.
///
/// # Errors
/// [`PayloadError`] if the inputs are not those of the model.
pub fn pack(model: &ModelEntry, shape: ShapeId, inputs: &[&[u8]]) -> Result<Vec<u8>, PayloadError> {
    let area = layout(model, shape)?.inputs;
    if inputs.len() != area.fields.len() {
        let (wanted, found) = (area.fields.len(), inputs.len());
        return Err(PayloadError::Count { model: model.name.to_string(), wanted, found });
    }
    let mut payload = vec![0; area.bytes as usize];
    for ((spec, field), input) in model.inputs.iter().zip(&area.fields).zip(inputs) {
        if input.len() != field.bytes as usize {
            return Err(PayloadError::Length {
                model: model.name.to_string(),
                tensor: spec.name.clone(),
                kind: spec.kind.to_string(),
                shape: spec.shapes[usize::from(shape.0)].to_vec(),
                wanted: field.bytes,
                found: input.len(),
            });
        }
        let begin = field.offset as usize;
        payload[begin..begin + input.len()].copy_from_slice(input);
    }
    Ok(payload)
}

/// The outputs in the payload of an answer, in the model's order.
///
/// # Errors
/// [`PayloadError`] if the payload is not as long as the outputs.
pub fn unpack(model: &ModelEntry, shape: ShapeId, payload: &[u8]) -> Result<Vec<Vec<u8>>, PayloadError> {
    let area: Area = layout(model, shape)?.outputs;
    if payload.len() != area.bytes as usize {
        let (wanted, found) = (area.bytes, payload.len());
        return Err(PayloadError::AnswerLength { model: model.name.to_string(), wanted, found });
    }
    let field = |field: &crate::package::slot::Field| {
        let begin = field.offset as usize;
        payload[begin..begin + field.bytes as usize].to_vec()
    };
    Ok(area.fields.iter().map(field).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ModelId;
    use crate::package::{Shape, TensorSpec, TensorType};
    use crate::wire::Name;

    fn tensor(name: &str, elements: u32) -> TensorSpec {
        let shapes = vec![Shape::try_from([elements].as_slice()).unwrap()];
        TensorSpec { name: name.to_owned(), kind: TensorType::U8, shapes }
    }

    fn model() -> ModelEntry {
        ModelEntry {
            model: ModelId(1),
            name: Name::from("m").unwrap(),
            class: 0,
            shapes: 1,
            inputs: vec![tensor("a", 3), tensor("b", 65)],
            outputs: vec![tensor("y", 2), tensor("z", 1)],
        }
    }

    #[test]
    fn inputs_lie_at_multiples_of_64_bytes_in_the_order_of_the_model() {
        let payload = pack(&model(), ShapeId(0), &[&[1; 3], &[2; 65]]).unwrap();
        assert_eq!(payload.len(), 192);
        assert_eq!(
            (&payload[..3], payload[3], payload[64], payload[128], payload[129]),
            ([1; 3].as_slice(), 0, 2, 2, 0)
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = pack(&model(), ShapeId(0), &[&[1; 3], &[2; 64]]).unwrap_err();
        assert_eq!(error.to_string(), "input `b` of model `m` takes 65 bytes (u8 [65]), 64 were given");
        assert!(matches!(pack(&model(), ShapeId(0), &[&[1; 3]]), Err(PayloadError::Count { wanted: 2, found: 1, .. })));
        assert!(matches!(pack(&model(), ShapeId(1), &[]), Err(PayloadError::NoSuchShape { shape: 1, shapes: 1, .. })));
    }

    #[test]
    fn outputs_are_cut_out_of_the_answer() {
        let mut answer = vec![0; 128];
        answer[..2].fill(7);
        answer[64] = 9;
        assert_eq!(unpack(&model(), ShapeId(0), &answer).unwrap(), [vec![7, 7], vec![9]]);
        assert!(unpack(&model(), ShapeId(0), &answer[..64]).is_err());
    }
}
