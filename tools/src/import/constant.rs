//! Tensors that are known at import.

use std::sync::Arc;

use runtime::package::TensorType;

use super::element::Element;
use super::error::Why;
use super::index;
use super::onnx::{TensorProto, tensor_proto::DataLocation, tensor_proto::DataType};
use crate::npy::Array;

/// A tensor known at import, row-major. Clones share the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// Its elements.
    pub data: Data,
    /// Their type.
    pub element: Element,
}

/// Elements of a constant. Integers and booleans of any width are held as `i64`: they are shapes,
/// axes and indices here, never weights.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Floats.
    F32(Arc<[f32]>),
    /// Everything else.
    I64(Arc<[i64]>),
}

impl Constant {
    /// A float tensor.
    pub fn floats(dims: Vec<usize>, data: Vec<f32>) -> Constant {
        assert_eq!(dims.iter().product::<usize>(), data.len(), "as many elements as the shape says");
        Constant { dims, data: Data::F32(data.into()), element: Element::Float }
    }

    /// An integer tensor, `int64`.
    pub fn integers(dims: Vec<usize>, data: Vec<i64>) -> Constant {
        assert_eq!(dims.iter().product::<usize>(), data.len(), "as many elements as the shape says");
        Constant { dims, data: Data::I64(data.into()), element: Element::Int64 }
    }

    /// The same whole numbers as another type of whole numbers.
    pub fn with_element(self, element: Element) -> Constant {
        assert_eq!(self.element.is_whole(), element.is_whole(), "floats stay floats");
        Constant { element, ..self }
    }

    /// The elements as words of the device: floats as they are, whole numbers as `i32`, the nearest
    /// where they are beyond.
    #[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
    pub fn words(&self) -> Vec<f32> {
        let word = |n: i64| f32::from_bits((n.clamp(i32::MIN.into(), i32::MAX.into()) as i32).cast_unsigned());
        match &self.data {
            Data::F32(data) => data.to_vec(),
            Data::I64(data) => data.iter().map(|&n| word(n)).collect(),
        }
    }

    /// Its floats, if it has floats.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(data) => Some(data),
            Data::I64(_) => None,
        }
    }

    /// Its integers, if it has integers.
    pub fn as_integers(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(data) => Some(data),
            Data::F32(_) => None,
        }
    }

    /// Its only float, if it is one.
    pub fn scalar(&self) -> Option<f32> {
        match self.as_floats()? {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// The same elements in another shape of as many.
    pub fn reshaped(&self, dims: Vec<usize>) -> Constant {
        assert_eq!(dims.iter().product::<usize>(), self.dims.iter().product::<usize>(), "a reshape keeps the elements");
        Constant { dims, data: self.data.clone(), element: self.element }
    }

    /// The elements at `indices` of the row-major order, in a new shape.
    pub fn gathered(&self, dims: Vec<usize>, indices: impl Iterator<Item = usize>) -> Constant {
        let data = match &self.data {
            Data::F32(data) => Data::F32(indices.map(|i| data[i]).collect()),
            Data::I64(data) => Data::I64(indices.map(|i| data[i]).collect()),
        };
        Constant { dims, data, element: self.element }
    }

    /// The tensor of a file.
    pub fn from_array(array: &Array) -> Result<Constant, Why> {
        let bytes = array.data.as_slice();
        let (dims, whole) = (array.dims.clone(), |data: Vec<i64>, element| {
            Ok(Constant::integers(array.dims.clone(), data).with_element(element))
        });
        index::elements(&dims)?;
        match array.kind {
            TensorType::F32 => {
                Ok(Constant::floats(dims, bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()))
            }
            TensorType::I64 => {
                whole(bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect(), Element::Int64)
            }
            TensorType::I32 => {
                let data = bytes.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b).into()).collect();
                whole(data, Element::Int32)
            }
            TensorType::U8 => whole(bytes.iter().map(|&b| b.into()).collect(), Element::Uint8),
            TensorType::Bool => whole(bytes.iter().map(|&b| i64::from(b != 0)).collect(), Element::Bool),
            TensorType::F16 => Err(Why::Form("it holds 16-bit floats")),
        }
    }

    /// The tensor of an ONNX message.
    pub fn from_proto(proto: &TensorProto) -> Result<Constant, Why> {
        if proto.data_location() == DataLocation::External {
            return Err(Why::External);
        }
        // A negative dimension becomes one that no tensor may have.
        let dims: Vec<usize> = proto.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX)).collect();
        let wanted = index::elements(&dims)?;
        let data = match DataType::try_from(proto.data_type()).unwrap_or_default() {
            DataType::Float => Data::F32(floats(proto)),
            DataType::Double => Data::F32(doubles(proto)),
            DataType::Int64 => Data::I64(numbers(proto, &proto.int64_data, i64::from_le_bytes)),
            DataType::Int32 => Data::I64(numbers(proto, &widened(proto), |b| i64::from(i32::from_le_bytes(b)))),
            DataType::Bool => Data::I64(numbers(proto, &widened(proto), |[b]| i64::from(b != 0))),
            DataType::Uint8 => Data::I64(numbers(proto, &widened(proto), |[b]| i64::from(b))),
            DataType::Int8 => Data::I64(numbers(proto, &widened(proto), |b| i64::from(i8::from_le_bytes(b)))),
            _ => {
                return Err(Why::Type { found: proto.data_type(), wanted: "only float, double, integers and bool" });
            }
        };
        let found = match &data {
            Data::F32(data) => data.len(),
            Data::I64(data) => data.len(),
        };
        if found != wanted {
            return Err(Why::Elements { found, wanted });
        }
        let element = match data {
            Data::F32(_) => Element::Float,
            Data::I64(_) => Element::from_onnx(proto.data_type()).unwrap_or(Element::Int32),
        };
        Ok(Constant { dims, data, element })
    }
}

fn floats(proto: &TensorProto) -> Arc<[f32]> {
    match &proto.raw_data {
        Some(raw) => raw.chunks_exact(4).map(bytemuck::pod_read_unaligned::<f32>).collect(),
        None => proto.float_data.as_slice().into(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the target computes in f32")]
fn doubles(proto: &TensorProto) -> Arc<[f32]> {
    match &proto.raw_data {
        Some(raw) => raw.chunks_exact(8).map(|b| bytemuck::pod_read_unaligned::<f64>(b) as f32).collect(),
        None => proto.double_data.iter().map(|&x| x as f32).collect(),
    }
}

fn widened(proto: &TensorProto) -> Vec<i64> {
    proto.int32_data.iter().map(|&n| i64::from(n)).collect()
}

fn numbers<const N: usize>(proto: &TensorProto, typed: &[i64], read: fn([u8; N]) -> i64) -> Arc<[i64]> {
    match &proto.raw_data {
        Some(raw) => raw.as_chunks::<N>().0.iter().map(|&bytes| read(bytes)).collect(),
        None => typed.into(),
    }
}
