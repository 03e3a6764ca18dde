//! The plans section and the names section as bytes. One encoding for one meaning: equal plans have
//! equal bytes, and bytes that decode encode to themselves.

use arrayvec::ArrayVec;
use kernels::launch::{KernelId, Launch};

use super::codec::{Decoder, Encoder, Placed};
use super::error::{Fault, SectionName};
use super::labels::Labels;
use super::plan::{Plan, Shape, Target, TensorSpec, TensorType};
use super::slot::SlotLayout;
use crate::base::limits::{
    MAX_AREA_BYTES, MAX_BLOCK_BYTES, MAX_LAUNCHES, MAX_PLANS, MAX_RANK, MAX_SHAPES, MAX_TENSOR_NAME_BYTES, MAX_TENSORS,
};
use crate::base::{BatchSize, ShapeId};

/// What the plans section says, without the names, which are not part of the architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plans {
    pub target: Target,
    pub page_bytes: u32,
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
    pub plans: Vec<Plan>,
}

/// The bytes of the plans section.
///
/// # Errors
/// A [`Fault`] where a number exceeds its limit or has no meaning.
pub fn encode(plans: &Plans) -> Result<Vec<u8>, Fault> {
    let mut out = Encoder::default();
    out.u16(plans.target as u16);
    out.u32(plans.page_bytes);
    let shapes = plans.inputs.first().map_or(0, |input| input.shapes.len());
    encode_count(&mut out, "shape variants", shapes, MAX_SHAPES)?;
    encode_tensors(&mut out, &plans.inputs, shapes)?;
    encode_tensors(&mut out, &plans.outputs, shapes)?;
    encode_count(&mut out, "plans", plans.plans.len(), MAX_PLANS)?;
    for plan in &plans.plans {
        out.u8(plan.shape.0);
        out.u8(plan.batch.get());
        out.u32(plan.workspace_bytes);
        encode_count(&mut out, "launches", plan.launches.len(), MAX_LAUNCHES)?;
        for launch in &plan.launches {
            out.u16(launch.kernel.0);
            encode_count(&mut out, "bytes of a parameter block", launch.block.len(), MAX_BLOCK_BYTES)?;
            out.slice(&launch.block);
        }
    }
    let bytes = out.finish();
    // What is written must be readable; the decoder holds the rules, so they are not repeated here.
    decode(&bytes, 0).map_err(|(_, fault)| fault)?;
    Ok(bytes)
}

fn encode_count(out: &mut Encoder, what: &'static str, n: usize, limit: usize) -> Result<(), Fault> {
    let fault = Fault::Count { what, found: n as u64, limit: limit as u64 };
    if n > limit {
        return Err(fault);
    }
    out.u32(u32::try_from(n).map_err(|_| fault)?);
    Ok(())
}

fn encode_tensors(out: &mut Encoder, tensors: &[TensorSpec], shapes: usize) -> Result<(), Fault> {
    encode_count(out, "tensors", tensors.len(), MAX_TENSORS)?;
    for tensor in tensors {
        out.u8(tensor.kind as u8);
        if tensor.shapes.len() != shapes {
            return Err(Fault::Value { what: "the number of a tensor's shapes", found: tensor.shapes.len() as u64 });
        }
        for shape in &tensor.shapes {
            encode_count(out, "dimensions", shape.len(), MAX_RANK)?;
            shape.iter().for_each(|&dim| out.u32(dim));
        }
    }
    Ok(())
}

/// What the bytes of a plans section say; `offset` is where they begin in the file. Names are empty.
///
/// # Errors
/// The first fault and its offset in the file.
pub fn decode(bytes: &[u8], offset: u64) -> Result<Plans, Placed> {
    let mut from = Decoder::new(bytes, offset);
    let target = from.u16("the target")?;
    let Some(target) = Target::from_u16(target) else {
        return Err((offset, Fault::Value { what: "the target", found: u64::from(target) }));
    };
    let page_bytes = from.u32("the page size")?;
    let shapes = from.count("shape variants", MAX_SHAPES)?;
    let inputs = decode_tensors(&mut from, shapes)?;
    let outputs = decode_tensors(&mut from, shapes)?;
    if shapes == 0 || inputs.is_empty() || outputs.is_empty() {
        return from.fault(Fault::Value { what: "the number of shapes, inputs or outputs", found: 0 });
    }
    check_areas(&from, &inputs, &outputs, shapes)?;
    let count = from.count("plans", MAX_PLANS)?;
    let mut plans: Vec<Plan> = Vec::with_capacity(count);
    for _ in 0..count {
        let at = from.offset();
        let plan = decode_plan(&mut from, shapes)?;
        let key = (plan.shape, plan.batch);
        if plans.last().is_some_and(|last| (last.shape, last.batch) >= key) {
            return Err((at, Fault::PlanOrder { shape: key.0.0, batch: key.1.get() }));
        }
        plans.push(plan);
    }
    if from.left() > 0 {
        return from.fault(Fault::LeftOver { section: SectionName::Plans, bytes: from.left() as u64 });
    }
    Ok(Plans { target, page_bytes, inputs, outputs, plans })
}

fn check_areas(from: &Decoder, inputs: &[TensorSpec], outputs: &[TensorSpec], shapes: usize) -> Result<(), Placed> {
    for shape in (0u8..).take(shapes) {
        if SlotLayout::new(inputs, outputs, ShapeId(shape)).is_none() {
            return from.fault(Fault::Area { shape, limit: u64::from(MAX_AREA_BYTES) });
        }
    }
    Ok(())
}

fn decode_tensors(from: &mut Decoder, shapes: usize) -> Result<Vec<TensorSpec>, Placed> {
    let count = from.count("tensors", MAX_TENSORS)?;
    let mut tensors = Vec::with_capacity(count);
    for _ in 0..count {
        let at = from.offset();
        let kind = from.u8("a tensor's type")?;
        let Some(kind) = TensorType::from_u8(kind) else {
            return Err((at, Fault::Value { what: "a tensor's type", found: u64::from(kind) }));
        };
        let mut variants = Vec::with_capacity(shapes);
        for _ in 0..shapes {
            variants.push(decode_shape(from)?);
        }
        tensors.push(TensorSpec { name: String::new(), kind, shapes: variants });
    }
    Ok(tensors)
}

fn decode_shape(from: &mut Decoder) -> Result<Shape, Placed> {
    let rank = from.count("dimensions", MAX_RANK)?;
    let mut shape = ArrayVec::new();
    for _ in 0..rank {
        let at = from.offset();
        let dim = from.u32("a dimension")?;
        if dim == 0 {
            return Err((at, Fault::Value { what: "a dimension", found: 0 }));
        }
        shape.push(dim);
    }
    Ok(shape)
}

fn decode_plan(from: &mut Decoder, shapes: usize) -> Result<Plan, Placed> {
    let at = from.offset();
    let shape = from.u8("a plan's shape variant")?;
    if usize::from(shape) >= shapes {
        return Err((at, Fault::Value { what: "a plan's shape variant", found: u64::from(shape) }));
    }
    let at = from.offset();
    let batch = from.u8("a plan's batch size")?;
    let Some(batch) = BatchSize::new(batch) else {
        return Err((at, Fault::Value { what: "a plan's batch size", found: u64::from(batch) }));
    };
    let workspace_bytes = from.u32("a plan's workspace")?;
    let count = from.count("launches", MAX_LAUNCHES)?;
    let mut launches = Vec::with_capacity(count);
    for _ in 0..count {
        let kernel = KernelId(from.u16("a launch's kernel")?);
        let bytes = from.count("bytes of a parameter block", MAX_BLOCK_BYTES)?;
        launches.push(Launch { kernel, block: from.slice(bytes, "a parameter block")?.into() });
    }
    Ok(Plan { shape: ShapeId(shape), batch, workspace_bytes, launches })
}

/// The bytes of the names section: inputs, outputs, then labels of the launches of `plans`.
///
/// # Errors
/// A [`Fault`] if a name is too long or empty, or the labels are those of other plans.
pub fn encode_names(
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
    plans: &[Plan],
    labels: &Labels,
) -> Result<Vec<u8>, Fault> {
    let mut out = Encoder::default();
    for tensor in inputs.iter().chain(outputs) {
        if tensor.name.is_empty() {
            return Err(Fault::Name { what: "a tensor's name" });
        }
        encode_count(&mut out, "bytes of a tensor's name", tensor.name.len(), MAX_TENSOR_NAME_BYTES)?;
        out.slice(tensor.name.as_bytes());
    }
    labels.encode(&mut out, plans)?;
    Ok(out.finish())
}

/// Puts the names of a names section into the tensors of a plans section; what it says of the launches.
///
/// # Errors
/// The first fault and its offset in the file.
pub fn decode_names(bytes: &[u8], offset: u64, plans: &mut Plans) -> Result<Labels, Placed> {
    let mut from = Decoder::new(bytes, offset);
    for tensor in plans.inputs.iter_mut().chain(&mut plans.outputs) {
        let at = from.offset();
        let length = from.count("bytes of a tensor's name", MAX_TENSOR_NAME_BYTES)?;
        let name = std::str::from_utf8(from.slice(length, "a tensor's name")?).unwrap_or_default();
        if name.is_empty() {
            return Err((at, Fault::Name { what: "a tensor's name" }));
        }
        tensor.name = name.to_owned();
    }
    Labels::decode(&mut from, &plans.plans)
}
