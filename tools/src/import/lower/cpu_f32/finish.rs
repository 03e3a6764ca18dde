//! From steps to launches: stretches chosen, the workspace laid out, operands final.

use kernels::operand::ALIGNMENT;

use super::Lowered;
use super::step::{Step, buffer_of};
use super::stretch::{Device, Stretch, stretches};
use crate::import::error::Why;
use crate::import::page::number;
use crate::import::workspace::{self, Life};

/// A buffer on its way into the workspace.
#[derive(Clone, Copy)]
struct Buffer {
    life: Life,
    /// Bytes by which parts of a stretch lie apart less than in the buffer as the steps name it: those of a
    /// part, where nothing but the stretch touches the buffer, so that all parts use the same bytes.
    shared: usize,
}

/// The launches of a plan for `items` items, whose `steps` compute what `computes` says in `buffers` of those
/// lengths in elements.
pub fn finish(
    steps: &[Step],
    computes: &[String],
    buffers: &[usize],
    items: u32,
    device: &Device,
) -> Result<Lowered, Why> {
    let stretches = stretches(steps, buffers, items, device)?;
    let buffers = placed(steps, buffers, &stretches);
    let layout = workspace::lay_out(&buffers.iter().map(|buffer| buffer.life).collect::<Vec<_>>());
    let mut lowered = Lowered {
        launches: Vec::new(),
        computes: Vec::new(),
        workspace_bytes: number(layout.bytes, "bytes of workspace")?,
    };
    for stretch in &stretches {
        for part in 0..stretch.parts {
            for step in stretch.steps.clone() {
                let cut =
                    if stretch.parts == 1 { Some(steps[step].clone()) } else { steps[step].part(part, stretch.parts) };
                let mut one = cut.ok_or(Why::Form("it is not to be cut in parts"))?;
                for operand in one.operands() {
                    if let Some(buffer) = buffer_of(operand) {
                        let within = operand.offset as usize - part as usize * buffers[buffer.0].shared;
                        let offset = layout.offsets[buffer.0] + within;
                        (operand.page, operand.offset) = (0, number(offset, "bytes of workspace")?);
                    }
                }
                lowered.launches.push(one.launch()?);
                lowered.computes.push(computes[step].clone());
            }
        }
    }
    Ok(lowered)
}

/// How long each buffer lives, counted in steps, and how much of it there must be. A buffer that only one
/// stretch touches is needed for one part, and between its uses there it makes room for others.
fn placed(steps: &[Step], buffers: &[usize], stretches: &[Stretch]) -> Vec<Buffer> {
    let mut lives: Vec<Option<Life>> = vec![None; buffers.len()];
    for (now, step) in steps.iter().enumerate() {
        for buffer in step.clone().operands().iter().filter_map(|operand| buffer_of(operand)) {
            let bytes = (buffers[buffer.0] * 4).next_multiple_of(ALIGNMENT as usize);
            lives[buffer.0].get_or_insert(Life { bytes, first: now, last: now }).last = now;
        }
    }
    let of = |step: usize| &stretches[stretches.partition_point(|stretch| stretch.steps.end <= step)];
    let placed = |life: Option<Life>| {
        // A buffer that no step touches needs no room.
        let Some(mut life) = life else { return Buffer { life: Life { bytes: 0, first: 0, last: 0 }, shared: 0 } };
        let (first, last) = (of(life.first), of(life.last));
        if first.steps == last.steps && first.parts > 1 {
            life.bytes /= first.parts as usize;
            return Buffer { life, shared: life.bytes };
        }
        // Each part comes to every step of the stretch, and what other parts need must still be there.
        if first.parts > 1 {
            life.first = first.steps.start;
        }
        if last.parts > 1 {
            life.last = last.steps.end - 1;
        }
        Buffer { life, shared: 0 }
    };
    lives.into_iter().map(placed).collect()
}
