//! One worker's connection as the controller sees it: its clock, its credits, its epoch.
//!
//! Actions leave here in worker time and results enter in controller time; a result that answers
//! nothing, or an action beyond the worker's credits, never passes.

use thiserror::Error;

use super::clock_sync::{ClockSync, Stamps};
use crate::base::limits::MAX_DEVICES_PER_WORKER;
use crate::base::{ActionId, DeviceId, Nanos, WorkerId};
use crate::order::{Action, ActionKind, ActionResult, Span, Stages, Window};

/// Lanes with credits of their own: the disk, and weights and exec of each device.
const LANES: usize = 1 + 2 * MAX_DEVICES_PER_WORKER;

/// What a worker takes at once, as its HELLO states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credits {
    /// FETCHes and DROPs.
    pub disk: u16,
    /// LOADs and UNLOADs, on each device.
    pub weights: u16,
    /// INFERs, on each device.
    pub exec: u16,
}

/// What a peer, or our own scheduler, did that can't be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionFault {
    /// The worker has seen a controller of a higher epoch.
    #[error("worker {worker:?} knows controller epoch {known}, ours is {ours}")]
    StaleEpoch {
        /// The worker.
        worker: WorkerId,
        /// What it has seen.
        known: u64,
        /// Ours.
        ours: u64,
    },
    /// A result for an action that is not outstanding.
    #[error("worker {worker:?} answered action {action:?}, which is not outstanding")]
    UnknownAction {
        /// The worker.
        worker: WorkerId,
        /// The action.
        action: ActionId,
    },
    /// More actions in a lane than the worker takes.
    #[error("action {action:?} exceeds the {limit} credits of its lane at worker {worker:?}")]
    NoCredit {
        /// The worker.
        worker: WorkerId,
        /// The action.
        action: ActionId,
        /// The lane's credits.
        limit: u16,
    },
    /// An action for a device that no worker has.
    #[error("action {action:?} names device {device:?}, the limit is {MAX_DEVICES_PER_WORKER}")]
    NoDevice {
        /// The action.
        action: ActionId,
        /// The device.
        device: DeviceId,
    },
    /// Times can't be converted yet.
    #[error("the clock of worker {worker:?} is not synchronised yet")]
    NoClock {
        /// The worker.
        worker: WorkerId,
    },
}

/// The controller's end of one worker's connection.
#[derive(Debug)]
pub struct WorkerSession {
    worker: WorkerId,
    clock: ClockSync,
    credits: Credits,
    /// Outstanding actions, ascending by id, each with its lane. Never longer than all credits.
    outstanding: Vec<(ActionId, u8)>,
    used: [u16; LANES],
}

impl WorkerSession {
    /// A session with a worker that has seen controller epoch `known`; ours is `ours`.
    ///
    /// # Errors
    /// `StaleEpoch` if a newer controller has taken the worker over.
    pub fn new(
        worker: WorkerId,
        clock: ClockSync,
        credits: Credits,
        (known, ours): (u64, u64),
    ) -> Result<WorkerSession, SessionFault> {
        if known > ours {
            return Err(SessionFault::StaleEpoch { worker, known, ours });
        }
        let per_device = usize::from(credits.weights) + usize::from(credits.exec);
        let most = usize::from(credits.disk) + per_device * MAX_DEVICES_PER_WORKER;
        Ok(WorkerSession { worker, clock, credits, outstanding: Vec::with_capacity(most), used: [0; LANES] })
    }

    /// Takes an exchange of stamps; false if they contradict each other.
    pub fn synchronise(&mut self, stamps: Stamps) -> bool {
        self.clock.record(stamps)
    }

    /// The worker's clock.
    pub fn clock(&self) -> &ClockSync {
        &self.clock
    }

    /// Actions sent and not answered.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// An action of the scheduler as the worker must see it: in its time, and counted.
    ///
    /// # Errors
    /// `NoCredit`, `NoDevice` or `NoClock`; then nothing was counted and it must not be sent.
    ///
    /// # Panics
    /// If an action of the same or a higher id was sent before: ids ascend.
    pub fn send(&mut self, mut action: Action) -> Result<Action, SessionFault> {
        let (lane, limit) = self.lane(&action)?;
        let no_clock = SessionFault::NoClock { worker: self.worker };
        if self.used[usize::from(lane)] >= limit {
            return Err(SessionFault::NoCredit { worker: self.worker, action: action.id, limit });
        }
        let to_peer = |ours: Nanos| self.clock.to_peer(ours).ok_or(no_clock);
        let window = action.window;
        action.window = Window {
            earliest: to_peer(window.earliest)?,
            ready_by: to_peer(window.ready_by)?,
            latest: to_peer(window.latest)?,
        };
        action.expected_start = to_peer(action.expected_start)?;
        assert!(self.outstanding.last().is_none_or(|last| last.0 < action.id), "action ids ascend");
        self.outstanding.push((action.id, lane));
        self.used[usize::from(lane)] += 1;
        Ok(action)
    }

    /// A result of the worker as the scheduler must see it: in our time; its credit is free again.
    ///
    /// # Errors
    /// `UnknownAction` if it answers nothing, `NoClock` before the clock is synchronised.
    pub fn receive(&mut self, mut result: ActionResult) -> Result<ActionResult, SessionFault> {
        let (worker, action) = (self.worker, result.action);
        let found = self.outstanding.binary_search_by_key(&action, |sent| sent.0);
        let place = found.map_err(|_| SessionFault::UnknownAction { worker, action })?;
        result.stages = self.stages(result.stages)?;
        let (_, lane) = self.outstanding.remove(place);
        self.used[usize::from(lane)] -= 1;
        Ok(result)
    }

    /// Stages in worker time as stages in ours. What did not happen stays zero.
    ///
    /// # Errors
    /// `NoClock` before the clock is synchronised.
    pub fn stages(&self, stages: Stages) -> Result<Stages, SessionFault> {
        let no_clock = SessionFault::NoClock { worker: self.worker };
        let point = |peer: Nanos| match peer {
            Nanos::ZERO => Ok(Nanos::ZERO),
            _ => self.clock.to_ours(peer).ok_or(no_clock),
        };
        let span = |span: Span| Ok(Span { begin: point(span.begin)?, end: point(span.end)? });
        Ok(Stages {
            received: point(stages.received)?,
            input: span(stages.input)?,
            exec: span(stages.exec)?,
            output: span(stages.output)?,
        })
    }

    /// The lane of an action, by number, and its credits.
    fn lane(&self, action: &Action) -> Result<(u8, u16), SessionFault> {
        let (device, offset, limit) = match action.kind {
            ActionKind::Fetch | ActionKind::Drop => return Ok((0, self.credits.disk)),
            ActionKind::Load { device } | ActionKind::Unload { device } => (device, 1, self.credits.weights),
            ActionKind::Infer { device, .. } => (device, 2, self.credits.exec),
        };
        if usize::from(device.0) >= MAX_DEVICES_PER_WORKER {
            return Err(SessionFault::NoDevice { action: action.id, device });
        }
        Ok((2 * device.0 + offset, limit))
    }
}

#[cfg(test)]
mod tests {
    use arrayvec::ArrayVec;

    use super::*;
    use crate::base::ModelId;
    use crate::order::Status;

    const WORKER: WorkerId = WorkerId(3);

    fn session(limit: u16) -> WorkerSession {
        let mut clock = ClockSync::new();
        // The worker's clock is 1,000 ahead.
        let (sent, received) = (Nanos(100), Nanos(100));
        clock.record(Stamps { sent, peer_received: Nanos(1_100), peer_sent: Nanos(1_100), received });
        WorkerSession::new(WORKER, clock, Credits { disk: limit, weights: limit, exec: limit }, (1, 1)).unwrap()
    }

    fn load(id: u64) -> Action {
        Action {
            id: ActionId(id),
            model: ModelId(1),
            window: Window::until(Nanos(200), Nanos(300)),
            expected_start: Nanos(250),
            expected_duration: Nanos(10),
            kind: ActionKind::Load { device: DeviceId(1) },
        }
    }

    fn result(id: u64) -> ActionResult {
        let exec = Span { begin: Nanos(1_250), end: Nanos(1_260) };
        let stages = Stages { received: Nanos(1_240), exec, ..Stages::default() };
        ActionResult { action: ActionId(id), status: Status::Ok, items: ArrayVec::new(), stages }
    }

    #[test]
    fn times_are_converted_both_ways() {
        let mut session = session(2);
        let sent = session.send(load(1)).unwrap();
        assert_eq!(sent.window, Window::until(Nanos(1_200), Nanos(1_300)));
        assert_eq!((sent.expected_start, sent.expected_duration), (Nanos(1_250), Nanos(10)));
        let stages = session.receive(result(1)).unwrap().stages;
        assert_eq!(stages.exec, Span { begin: Nanos(250), end: Nanos(260) });
        assert_eq!(stages.output, Span::default());
    }

    #[test]
    fn credits_and_identities_are_checked() {
        let mut session = session(1);
        session.send(load(1)).unwrap();
        let (worker, action) = (WORKER, ActionId(2));
        assert_eq!(session.send(load(2)), Err(SessionFault::NoCredit { worker, action, limit: 1 }));
        session.send(Action { kind: ActionKind::Fetch, ..load(2) }).unwrap();
        session.receive(result(1)).unwrap();
        let action = ActionId(1);
        assert_eq!(session.receive(result(1)), Err(SessionFault::UnknownAction { worker, action }));
        session.send(load(3)).unwrap();
        assert_eq!(session.outstanding(), 2);
    }

    #[test]
    fn a_newer_controller_keeps_its_worker() {
        let credits = Credits { disk: 1, weights: 1, exec: 1 };
        let refused = WorkerSession::new(WORKER, ClockSync::same_clock(), credits, (8, 7)).unwrap_err();
        assert_eq!(refused, SessionFault::StaleEpoch { worker: WORKER, known: 8, ours: 7 });
    }
}
