//! What a gateway's outputs say of its requests, as steps of the record.

use super::event::{Answer, Output};
use crate::base::Nanos;
use crate::order::record::{End, Event};

/// The step that an output is, if it is one. `clock` takes a time of the gateway to the record's.
///
/// A request that was asked for ends in exactly one of these steps. An answer with a payload ends its
/// request when it is sent, and one that is taken back ends for the controller too: there the step is
/// what the controller is told.
pub fn step(output: &Output, clock: impl Fn(Nanos) -> Nanos) -> Option<Event> {
    Some(match *output {
        Output::Ask { request, model, arrival, slo, .. } => {
            Event::Asked { request, model, deadline: clock(arrival + slo) }
        }
        Output::Respond {
            request,
            answer: answer @ (Answer::Rejected(_) | Answer::Revoked(_) | Answer::Failed(_)),
            ..
        } => Event::Answered { request, end: answer.end() },
        Output::Ended { request, end, .. } => Event::Answered { request, end },
        Output::Withdraw(request) => Event::Answered { request, end: End::Withdrawn },
        _ => return None,
    })
}
