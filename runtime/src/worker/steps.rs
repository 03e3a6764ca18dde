//! What enters and leaves a worker, as steps of the record.

use super::event::{HostEvent, HostOut};
use crate::base::{ActionId, DeviceId, Nanos, RequestId, SlotId};
use crate::order::record::{Event, Place, Verb};
use crate::order::{ActionResult, Span};

/// Watches the host tier, through which everything passes.
///
/// A lane's work is known when its action is answered, so those steps are written late and lie in
/// the past: whoever reads the record sorts it by time.
#[derive(Debug)]
pub struct Witness {
    /// What is ordered and not answered.
    orders: Vec<(ActionId, Verb)>,
    /// Outputs that are being sent.
    outputs: Vec<(SlotId, RequestId)>,
}

impl Witness {
    /// A witness of at most so many `actions` and `outputs` at once: memory is taken now.
    pub fn new(actions: usize, outputs: usize) -> Witness {
        Witness { orders: Vec::with_capacity(actions), outputs: Vec::with_capacity(outputs) }
    }

    /// Writes the step that the host tier is told of at `now`, if it is one.
    pub fn told(&mut self, now: Nanos, event: &HostEvent, mut write: impl FnMut(Nanos, Event)) {
        match event {
            HostEvent::Action(action) => self.orders.push((action.id, Verb::of(&action.kind))),
            &HostEvent::InputEnded { slot, request, whole: true, .. } => {
                write(now, Event::InputArrived { request, slot });
            }
            &HostEvent::OutputSent { slot } => {
                if let Some(place) = self.outputs.iter().position(|(of, _)| *of == slot) {
                    let (_, request) = self.outputs.swap_remove(place);
                    write(now, Event::OutputSent { request, slot });
                }
            }
            _ => {}
        }
    }

    /// Writes the steps that the host tier speaks of at `now`. `clock` takes a time of the worker to
    /// the record's.
    pub fn said(
        &mut self,
        now: Nanos,
        output: &HostOut,
        clock: impl Fn(Nanos) -> Nanos,
        mut write: impl FnMut(Nanos, Event),
    ) {
        match output {
            HostOut::Result(result) => self.answered(now, result, clock, write),
            &HostOut::Output { request, slot, .. } => self.outputs.push((slot, request)),
            &HostOut::Freed(slot) => write(now, Event::SlotFreed { slot }),
            HostOut::Disk(_) | HostOut::ToDevice { .. } => {}
        }
    }

    fn answered(
        &mut self,
        now: Nanos,
        result: &ActionResult,
        clock: impl Fn(Nanos) -> Nanos,
        mut write: impl FnMut(Nanos, Event),
    ) {
        let (action, stages) = (result.action, &result.stages);
        let Some(place) = self.orders.iter().position(|(of, _)| *of == action) else {
            unreachable!("a worker answers what it was ordered: {action:?}")
        };
        let work = match self.orders.swap_remove(place).1 {
            Verb::Fetch | Verb::Drop => Place::Disk,
            Verb::Load | Verb::Unload => Place::Weights,
            Verb::Infer => Place::Exec,
        };
        let device = result.items.first().map_or(DeviceId(0), |outcome| outcome.item.slot.device);
        for (place, span) in [(Place::Input, stages.input), (work, stages.exec), (Place::Output, stages.output)] {
            if span != Span::default() {
                write(clock(span.begin), Event::LaneBegan { action, place, device });
                write(clock(span.end), Event::LaneEnded { action, place, device });
            }
        }
        write(now, Event::ResultSent { action, status: result.status });
        for outcome in &result.items {
            write(now, Event::ItemEnded { action, request: outcome.item.request, status: outcome.status });
        }
    }
}
