//! What must hold in every run, checked at every step from outside the machines.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::base::{ActionId, Nanos, RequestId, SlotId, WorkerId};
use crate::controller::SessionFault;
use crate::gateway;
use crate::order::record::End;
use crate::order::{Action, ActionKind, ActionResult};

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A request was answered after it had been answered.
    #[error("request {0} of a client was answered twice")]
    EndedTwice(u64),
    /// A request was never answered.
    #[error("request {0} of a client was never answered: {1} are open")]
    NeverEnded(u64, usize),
    /// A gateway counts other ends than its clients saw.
    #[error("the gateways count {counted:?}, their clients saw {seen:?}")]
    EndsDiffer {
        /// What the gateways count: requests, and ends by the order of [`End::ALL`].
        counted: [u64; 7],
        /// What was sent and answered.
        seen: [u64; 7],
    },
    /// A client was cut off, though it takes every answer at once.
    #[error("a gateway cut a client off that takes every answer at once")]
    CutOff,
    /// A slot was placed that was out.
    #[error("{slot} of {worker:?} was placed while it was out")]
    SlotPlacedTwice {
        /// Whose.
        worker: WorkerId,
        /// Which.
        slot: SlotId,
    },
    /// A slot came back that was not out.
    #[error("{slot} of {worker:?} came back while it was not out")]
    SlotFreedTwice {
        /// Whose.
        worker: WorkerId,
        /// Which.
        slot: SlotId,
    },
    /// An item was bound to a slot that its request does not hold.
    #[error("{action:?} binds {request} to {slot}, which it does not hold")]
    BoundElsewhere {
        /// The INFER.
        action: ActionId,
        /// The request.
        request: RequestId,
        /// The slot.
        slot: SlotId,
    },
    /// A bound request could not be answered in time even if all went as expected.
    #[error("{action:?} may start until {latest}, too late for {request}, which must be on its way back by {by}")]
    WindowTooLong {
        /// The INFER.
        action: ActionId,
        /// The request.
        request: RequestId,
        /// Close of the window and the expected duration, in controller time.
        latest: Nanos,
        /// Deadline less the bound on the return, in controller time.
        by: Nanos,
    },
    /// An action's work began outside its window.
    #[error("{action:?} began at {began}, outside {earliest} to {latest}")]
    OutsideWindow {
        /// The action.
        action: ActionId,
        /// When, on the worker's clock.
        began: Nanos,
        /// Opening of the window, on the worker's clock.
        earliest: Nanos,
        /// Close of the window, on the worker's clock.
        latest: Nanos,
    },
    /// A worker answered an action that it was not given, or twice.
    #[error("{worker:?} answered {action:?}, which it does not have")]
    AnsweredTwice {
        /// The worker.
        worker: WorkerId,
        /// The action.
        action: ActionId,
    },
    /// A session refused to pass something on.
    #[error("a session refused: {0}")]
    Session(#[from] SessionFault),
    /// More pages are free or held than there are.
    #[error("{worker:?} has {held} pages held and {free} free of {total}")]
    Pages {
        /// The worker.
        worker: WorkerId,
        /// Pages of models that are resident.
        held: u32,
        /// Free pages.
        free: u32,
        /// Pages in all.
        total: u32,
    },
    /// After the last request something is still going on.
    #[error("long after the last request: {0}")]
    NotQuiet(String),
    /// The scheduler's picture of a worker differs from the worker.
    #[error("the scheduler believes {believed} {what} of {worker:?}, there are {real}")]
    Mirror {
        /// The worker.
        worker: WorkerId,
        /// What is counted.
        what: &'static str,
        /// What the scheduler believes.
        believed: u64,
        /// What is.
        real: u64,
    },
    /// The scheduler counted a message as contradicting its picture.
    #[error("the scheduler counted {0} contradictions though nothing was lost")]
    Contradictions(u64),
    /// Time stands still while the machines are busy.
    #[error("time stands still: more than {0} happenings at one moment")]
    Stuck(u64),
}

/// An action that a worker holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    earliest: Nanos,
    latest: Nanos,
    kind: Kind,
}

/// What matters of an action's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fetch,
    OtherTransfer,
    Infer,
}

/// What the controller expected of an INFER, in controller time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// End of its exec.
    pub(super) end: Nanos,
}

/// What has been seen of requests, slots and actions.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// Requests that were sent and not answered, by the client's number.
    open: BTreeMap<u64, Nanos>,
    /// Requests sent, and ends by the order of [`End::ALL`].
    seen: [u64; 7],
    /// When each request that was asked for must be on its way back, in controller time.
    return_by: BTreeMap<u64, Nanos>,
    /// Slots that are out, and whose they are.
    out: BTreeMap<(WorkerId, u64), RequestId>,
    /// Actions at the workers.
    held: BTreeMap<(WorkerId, ActionId), Held>,
    /// How many of them are not INFERs.
    transfers: usize,
    /// INFERs that are not answered.
    expected: BTreeMap<ActionId, Expected>,
}

impl Checker {
    /// A client sends request `number`.
    pub(super) fn sent(&mut self, number: u64, at: Nanos) {
        self.open.insert(number, at);
        self.seen[0] += 1;
    }

    /// A gateway answers it; gives when it was sent.
    pub(super) fn answered(&mut self, number: u64) -> Result<Nanos, Violation> {
        self.open.remove(&number).ok_or(Violation::EndedTwice(number))
    }

    /// An answer has left: its end is known.
    pub(super) fn ended(&mut self, end: End) {
        self.seen[end as usize] += 1;
    }

    /// Requests that are not answered.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Requests sent, and ends by the order of [`End::ALL`].
    pub(super) fn seen(&self) -> [u64; 7] {
        self.seen
    }

    /// The controller was asked for a request.
    pub(super) fn asked(&mut self, request: RequestId, return_by: Nanos) {
        self.return_by.insert(request.to_bits(), return_by);
    }

    /// The controller will hear of a request no more.
    pub(super) fn forget(&mut self, request: RequestId) {
        self.return_by.remove(&request.to_bits());
    }

    /// The scheduler places a request.
    pub(super) fn placed(&mut self, worker: WorkerId, slot: SlotId, request: RequestId) -> Result<(), Violation> {
        match self.out.insert((worker, slot.to_bits()), request) {
            None => Ok(()),
            Some(_) => Err(Violation::SlotPlacedTwice { worker, slot }),
        }
    }

    /// A worker gives a slot back.
    pub(super) fn freed(&mut self, worker: WorkerId, slot: SlotId) -> Result<(), Violation> {
        match self.out.remove(&(worker, slot.to_bits())) {
            Some(_) => Ok(()),
            None => Err(Violation::SlotFreedTwice { worker, slot }),
        }
    }

    /// The scheduler orders an action.
    pub(super) fn ordered(&mut self, worker: WorkerId, action: &Action) -> Result<(), Violation> {
        let ActionKind::Infer { items, .. } = &action.kind else { return Ok(()) };
        let latest = action.window.latest + action.expected_duration;
        for item in items {
            if self.out.get(&(worker, item.slot.to_bits())) != Some(&item.request) {
                let (action, request, slot) = (action.id, item.request, item.slot);
                return Err(Violation::BoundElsewhere { action, request, slot });
            }
            match self.return_by.get(&item.request.to_bits()) {
                Some(&by) if latest > by => {
                    return Err(Violation::WindowTooLong { action: action.id, request: item.request, latest, by });
                }
                _ => {}
            }
        }
        self.expected.insert(action.id, Expected { end: action.expected_start + action.expected_duration });
        Ok(())
    }

    /// The controller hears of an action; gives what it expected of it, if that was an INFER.
    pub(super) fn heard(&mut self, action: ActionId) -> Option<Expected> {
        self.expected.remove(&action)
    }

    /// A worker takes an action; its window is in the worker's time.
    pub(super) fn delivered(&mut self, worker: WorkerId, action: &Action) {
        let (earliest, latest) = (action.window.earliest, action.window.latest);
        let kind = match action.kind {
            ActionKind::Fetch => Kind::Fetch,
            ActionKind::Infer { .. } => Kind::Infer,
            _ => Kind::OtherTransfer,
        };
        self.transfers += usize::from(kind != Kind::Infer);
        self.held.insert((worker, action.id), Held { earliest, latest, kind });
    }

    /// A worker answers an action.
    pub(super) fn answered_action(&mut self, worker: WorkerId, result: &ActionResult) -> Result<(), Violation> {
        let action = result.action;
        let held = self.held.remove(&(worker, action)).ok_or(Violation::AnsweredTwice { worker, action })?;
        self.transfers -= usize::from(held.kind != Kind::Infer);
        let began = result.stages.exec.begin;
        if began != Nanos::ZERO && !(held.earliest..=held.latest).contains(&began) {
            return Err(Violation::OutsideWindow { action, began, earliest: held.earliest, latest: held.latest });
        }
        Ok(())
    }

    /// The controller lost a worker: its slots and its answers will not come.
    pub(super) fn lost(&mut self, worker: WorkerId) {
        self.out.retain(|&(whose, _), _| whose != worker);
    }

    /// A worker's process ended.
    pub(super) fn crashed(&mut self, worker: WorkerId) {
        self.held.retain(|&(whose, _), _| whose != worker);
        self.transfers = self.held.values().filter(|held| held.kind != Kind::Infer).count();
    }

    /// Actions other than INFERs that workers hold.
    pub(super) fn transfers(&self) -> usize {
        self.transfers
    }

    /// Slots that are out.
    pub(super) fn slots_out(&self) -> usize {
        self.out.len()
    }

    /// Actions that workers hold.
    pub(super) fn actions_held(&self) -> usize {
        self.held.len()
    }

    /// At the end: every request has ended, and the gateways count what their clients saw.
    pub(super) fn complete(&self, counted: &gateway::Ends) -> Result<(), Violation> {
        if let Some((&number, _)) = self.open.first_key_value() {
            return Err(Violation::NeverEnded(number, self.open.len()));
        }
        let gateway::Ends { requests, ok, late, rejected, revoked, failed, withdrawn } = *counted;
        let counted = [requests, ok, late, rejected, revoked, failed, withdrawn];
        if counted != self.seen {
            return Err(Violation::EndsDiffer { counted, seen: self.seen });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{BatchSize, DeviceId, ModelId, ShapeId};
    use crate::order::{Item, Span, Stages, Status, Window};

    const WORKER: WorkerId = WorkerId(1);
    const REQUEST: RequestId = RequestId::from_bits(5);
    const SLOT: SlotId = SlotId::from_bits(9);

    fn infer(latest: u64) -> Action {
        let kind = ActionKind::Infer {
            device: DeviceId(0),
            shape: ShapeId(0),
            batch: BatchSize::ONE,
            items: std::iter::once(Item { request: REQUEST, slot: SLOT }).collect(),
        };
        Action {
            id: ActionId(3),
            model: ModelId(1),
            window: Window::until(Nanos(100), Nanos(latest)),
            expected_start: Nanos(100),
            expected_duration: Nanos(50),
            kind,
        }
    }

    fn result(begin: u64) -> ActionResult {
        let exec = Span { begin: Nanos(begin), end: Nanos(begin + 50) };
        let stages = Stages { exec, ..Stages::default() };
        ActionResult { action: ActionId(3), status: Status::Ok, items: Default::default(), stages }
    }

    #[test]
    fn a_second_answer_is_caught() {
        let mut check = Checker::default();
        check.sent(1, Nanos(10));
        assert_eq!(check.answered(1), Ok(Nanos(10)));
        assert_eq!(check.answered(1), Err(Violation::EndedTwice(1)));
        check.sent(2, Nanos(20));
        check.ended(End::Ok);
        let counted = gateway::Ends { requests: 2, ok: 1, ..Default::default() };
        assert_eq!(check.complete(&counted), Err(Violation::NeverEnded(2, 1)));
        assert_eq!(check.answered(2), Ok(Nanos(20)));
        assert!(matches!(check.complete(&gateway::Ends { late: 1, ..counted }), Err(Violation::EndsDiffer { .. })));
        assert_eq!(check.complete(&counted), Ok(()));
    }

    #[test]
    fn slots_go_out_and_come_back_in_turn() {
        let mut check = Checker::default();
        assert!(matches!(check.ordered(WORKER, &infer(100)), Err(Violation::BoundElsewhere { .. })));
        assert_eq!(check.placed(WORKER, SLOT, REQUEST), Ok(()));
        assert_eq!(check.ordered(WORKER, &infer(100)), Ok(()));
        assert!(matches!(check.placed(WORKER, SLOT, REQUEST), Err(Violation::SlotPlacedTwice { .. })));
        assert_eq!(check.freed(WORKER, SLOT), Ok(()));
        assert!(matches!(check.freed(WORKER, SLOT), Err(Violation::SlotFreedTwice { .. })));
    }

    #[test]
    fn windows_are_kept_and_leave_time_for_the_way_back() {
        let mut check = Checker::default();
        check.asked(REQUEST, Nanos(200));
        assert_eq!(check.placed(WORKER, SLOT, REQUEST), Ok(()));
        assert_eq!(check.ordered(WORKER, &infer(150)), Ok(()));
        assert!(matches!(check.ordered(WORKER, &infer(151)), Err(Violation::WindowTooLong { .. })));
        for (begin, within) in [(99, false), (100, true), (150, true), (151, false)] {
            check.delivered(WORKER, &infer(150));
            let answered = check.answered_action(WORKER, &result(begin));
            assert_eq!(answered.is_ok(), within, "{begin}: {answered:?}");
        }
        assert!(matches!(check.answered_action(WORKER, &result(100)), Err(Violation::AnsweredTwice { .. })));
    }
}
