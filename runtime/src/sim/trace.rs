//! Everything that happened, as steps: hashed always, the last few kept always, all kept on demand.

use std::collections::VecDeque;

use crate::base::Nanos;
use crate::order::Status;
use crate::order::record::{Event, Record, Step};

/// Steps kept of every run, to be shown when it breaks.
pub const TRAIL: usize = 50;

/// The steps of one run.
#[derive(Debug)]
pub struct Trace {
    record: Record,
    trail: VecDeque<Step>,
    hasher: blake3::Hasher,
    steps: u64,
}

impl Trace {
    /// A trace that keeps `capacity` steps beside the trail.
    pub fn new(capacity: usize) -> Trace {
        let trail = VecDeque::with_capacity(TRAIL);
        Trace { record: Record::new(capacity), trail, hasher: blake3::Hasher::new(), steps: 0 }
    }

    /// Takes a step. Work of a lane is written when it is reported, so steps may lie in the past.
    pub fn write(&mut self, at: Nanos, event: Event) {
        self.record.write(at, event);
        if self.trail.len() == TRAIL {
            self.trail.pop_front();
        }
        self.trail.push_back(Step { at, event });
        let (bytes, length) = encode(at, &event);
        self.hasher.update(&bytes[..length]);
        self.steps += 1;
    }

    /// The steps that were kept, by time, those of one time in the order in which they were written.
    pub fn recorded(&self) -> Vec<Step> {
        let mut steps = self.record.steps().to_vec();
        steps.sort_by_key(|step| step.at);
        steps
    }

    /// Steps that found no room in the record.
    pub fn dropped(&self) -> u64 {
        self.record.dropped()
    }

    /// The last steps.
    pub fn trail(&self) -> impl Iterator<Item = &Step> {
        self.trail.iter()
    }

    /// How many steps there were.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The digest over all steps: equal for equal runs.
    pub fn digest(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

/// Fields of the widest event, its tag and its time among them.
const FIELDS: usize = 8;

/// A step as bytes: its time, which event it is, and the event's fields, each as a `u64`.
fn encode(at: Nanos, event: &Event) -> ([u8; FIELDS * 8], usize) {
    let fields: &[u64] = &match *event {
        Event::Asked { request, model, deadline } => [1, request.to_bits(), model.0, deadline.0, 0, 0, 0],
        Event::Placed { request, worker, slot } => [2, request.to_bits(), u64::from(worker.0), slot.to_bits(), 0, 0, 0],
        Event::InputArrived { request, slot } => [3, request.to_bits(), slot.to_bits(), 0, 0, 0, 0],
        Event::ActionSent { action, verb, worker, model, earliest, latest } => {
            [4, action.0, verb as u64, u64::from(worker.0), model.0, earliest.0, latest.0]
        }
        Event::Bound { action, request, slot } => [5, action.0, request.to_bits(), slot.to_bits(), 0, 0, 0],
        Event::LaneBegan { action, place, device } => [6, action.0, place as u64, u64::from(device.0), 0, 0, 0],
        Event::LaneEnded { action, place, device } => [7, action.0, place as u64, u64::from(device.0), 0, 0, 0],
        Event::ResultSent { action, status } => [8, action.0, packed(status), 0, 0, 0, 0],
        Event::ItemEnded { action, request, status } => [9, action.0, request.to_bits(), packed(status), 0, 0, 0],
        Event::OutputSent { request, slot } => [10, request.to_bits(), slot.to_bits(), 0, 0, 0, 0],
        Event::SlotFreed { slot } => [11, slot.to_bits(), 0, 0, 0, 0, 0],
        Event::Answered { request, end } => [12, request.to_bits(), end as u64, 0, 0, 0, 0],
    };
    let used = 1 + fields.iter().rposition(|&field| field != 0).unwrap_or(0);
    let mut bytes = [0; FIELDS * 8];
    bytes[..8].copy_from_slice(&at.0.to_le_bytes());
    for (place, field) in bytes[8..].chunks_exact_mut(8).zip(&fields[..used]) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    // The tag is one byte; beside it the number of fields, so that no two sequences of steps look alike.
    bytes[9] = u8::try_from(used).unwrap_or(u8::MAX);
    (bytes, 8 + 8 * used)
}

/// Code and numbers of a status in one number.
fn packed(status: Status) -> u64 {
    let (code, first, second) = status.to_wire();
    u64::from(code) << 56 ^ u64::from(first) << 28 ^ u64::from(second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RequestId;
    use crate::order::record::End;

    fn answered(bits: u64, end: End) -> Event {
        Event::Answered { request: RequestId::from_bits(bits), end }
    }

    #[test]
    fn the_digest_sees_times_order_and_content() {
        let digest = |steps: &[(u64, Event)]| {
            let mut trace = Trace::new(0);
            steps.iter().for_each(|&(at, event)| trace.write(Nanos(at), event));
            trace.digest()
        };
        let (one, two) = (answered(1, End::Ok), answered(2, End::Ok));
        let digests = [
            digest(&[(1, one), (2, two)]),
            digest(&[(1, two), (2, one)]),
            digest(&[(1, one), (3, two)]),
            digest(&[(1, one), (2, answered(2, End::Late))]),
        ];
        assert_eq!(digests[0], digest(&[(1, one), (2, two)]));
        assert!((0..4).all(|i| (0..i).all(|j| digests[i] != digests[j])));
    }

    #[test]
    fn the_trail_is_the_end() {
        let mut trace = Trace::new(10);
        (0..TRAIL as u64 + 10).for_each(|n| trace.write(Nanos(n), answered(n, End::Ok)));
        assert_eq!(trace.trail().next().map(|step| step.at), Some(Nanos(10)));
        assert_eq!((trace.recorded().len() as u64 + trace.dropped(), trace.steps()), (60, 60));
    }
}
