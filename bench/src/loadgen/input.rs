//! Inputs for load: what they hold does not matter, that they are valid does.

use std::sync::Arc;

use runtime::base::ShapeId;
use runtime::client::payload::{layout, pack};
use runtime::package::TensorType;
use runtime::wire::ModelEntry;

use super::error::LoadError;
use runtime::sim::seeded::Seeded;

/// `count` payloads with seeded values: floats in [-1, 1), bytes of any value, integers and booleans
/// 0 or 1, which every table of an embedding has.
///
/// # Errors
/// [`LoadError::Payload`] if the model has no such shape variant.
pub fn payloads(model: &ModelEntry, shape: ShapeId, count: usize, seed: u64) -> Result<Vec<Arc<[u8]>>, LoadError> {
    let area = layout(model, shape)?.inputs;
    let mut stream = Seeded::new(seed);
    let mut payloads = Vec::with_capacity(count);
    for _ in 0..count {
        let fields = model.inputs.iter().zip(&area.fields);
        let inputs: Vec<_> = fields.map(|(spec, field)| values(spec.kind, field.bytes as usize, &mut stream)).collect();
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        payloads.push(pack(model, shape, &slices)?.into());
    }
    Ok(payloads)
}

/// Seeded values of one type, so many bytes; see [`payloads`].
pub fn values(kind: TensorType, bytes: usize, stream: &mut Seeded) -> Vec<u8> {
    let count = bytes / kind.bytes();
    let mut values = Vec::with_capacity(bytes);
    for _ in 0..count {
        let bits = stream.next_u64();
        let bit = bits & 1;
        match kind {
            TensorType::F32 => values.extend_from_slice(&float(bits).to_le_bytes()),
            // 0 or -1: a sign and an exponent.
            TensorType::F16 => values.extend_from_slice(&[0, if bit == 0 { 0 } else { 0xbc }]),
            TensorType::U8 => values.push(bits.to_le_bytes()[0]),
            TensorType::Bool => values.push(u8::from(bit == 1)),
            TensorType::I32 => values.extend_from_slice(&i32::from(bit == 1).to_le_bytes()),
            TensorType::I64 => values.extend_from_slice(&i64::from(bit == 1).to_le_bytes()),
        }
    }
    values
}

/// The top 24 bits as a float in [-1, 1), exactly.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit an f32 exactly")]
fn float(bits: u64) -> f32 {
    2.0 * ((bits >> 40) as f32 / (1u32 << 24) as f32) - 1.0
}
