//! Where each tensor of one item lies in its slot.

use arrayvec::ArrayVec;

use super::plan::TensorSpec;
use crate::base::ShapeId;
use crate::base::limits::{MAX_AREA_BYTES, MAX_TENSORS};

/// Tensors in a slot begin at multiples of this many bytes.
const ALIGNMENT: u64 = kernels::operand::ALIGNMENT as u64;

/// One tensor's place in an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it begins in the area, in bytes; a multiple of 64.
    pub offset: u32,
    /// Its length in bytes, without padding.
    pub bytes: u32,
}

/// The tensors of an area, in the order of the model, each at the next multiple of 64 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Area {
    /// Each tensor's place.
    pub fields: ArrayVec<Field, MAX_TENSORS>,
    /// Length of the whole area, a multiple of 64 bytes.
    pub bytes: u32,
}

/// Where the tensors of one item lie in a slot, in one shape variant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotLayout {
    /// The input area.
    pub inputs: Area,
    /// The output area.
    pub outputs: Area,
}

impl SlotLayout {
    /// The layout of these tensors. It follows from their types and shapes alone, so it is computed
    /// and never stored. None if there is no such shape variant, or an area exceeds [`MAX_AREA_BYTES`].
    pub fn new(inputs: &[TensorSpec], outputs: &[TensorSpec], shape: ShapeId) -> Option<SlotLayout> {
        Some(SlotLayout { inputs: Area::new(inputs, shape)?, outputs: Area::new(outputs, shape)? })
    }
}

impl Area {
    fn new(tensors: &[TensorSpec], shape: ShapeId) -> Option<Area> {
        let mut fields = ArrayVec::new();
        let mut end = 0u64;
        for tensor in tensors {
            let bytes = tensor.item_bytes(shape)?;
            let field = Field { offset: u32::try_from(end).ok()?, bytes: u32::try_from(bytes).ok()? };
            fields.try_push(field).ok()?;
            end = (end + bytes).next_multiple_of(ALIGNMENT);
            if end > u64::from(MAX_AREA_BYTES) {
                return None;
            }
        }
        Some(Area { fields, bytes: u32::try_from(end).ok()? })
    }

    /// Where each tensor's padding ends: where the next one begins, or the area's end.
    pub fn ends(&self) -> impl Iterator<Item = u32> {
        self.fields.iter().skip(1).map(|next| next.offset).chain((!self.fields.is_empty()).then_some(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::plan::{Shape, TensorType};

    fn spec(kind: TensorType, dims: &[u32]) -> TensorSpec {
        TensorSpec { name: "t".to_owned(), kind, shapes: vec![Shape::try_from(dims).unwrap()] }
    }

    #[test]
    fn fields_begin_at_cache_lines() {
        let tensors = [spec(TensorType::U8, &[3]), spec(TensorType::F32, &[17])];
        let area = Area::new(&tensors, ShapeId(0)).unwrap();
        assert_eq!(area.fields.as_slice(), [Field { offset: 0, bytes: 3 }, Field { offset: 64, bytes: 68 }]);
        assert_eq!(area.bytes, 192);
        assert_eq!(area.ends().collect::<Vec<_>>(), [64, 192]);
        assert_eq!(Area::default().ends().next(), None);
    }

    #[test]
    fn a_shape_that_overflows_has_no_layout() {
        assert_eq!(Area::new(&[spec(TensorType::I64, &[u32::MAX; 6])], ShapeId(0)), None);
        assert_eq!(Area::new(&[spec(TensorType::I64, &[1])], ShapeId(1)), None);
    }
}
