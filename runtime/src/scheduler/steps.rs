//! What a scheduler's outputs say of requests and actions, as steps of the record.

use super::event::Output;
use crate::base::Nanos;
use crate::order::ActionKind;
use crate::order::record::{Event, Verb};

/// Writes the steps that an output is. `clock` takes a time of the controller to the record's.
pub fn write(output: &Output, clock: impl Fn(Nanos) -> Nanos, mut write: impl FnMut(Event)) {
    match output {
        &Output::Place { request, worker, slot } => write(Event::Placed { request, worker, slot }),
        Output::Action { worker, action } => {
            let window = action.window;
            write(Event::ActionSent {
                action: action.id,
                verb: Verb::of(&action.kind),
                worker: *worker,
                model: action.model,
                earliest: clock(window.earliest),
                latest: clock(window.latest),
            });
            if let ActionKind::Infer { items, .. } = &action.kind {
                for item in items {
                    write(Event::Bound { action: action.id, request: item.request, slot: item.slot });
                }
            }
        }
        _ => {}
    }
}
