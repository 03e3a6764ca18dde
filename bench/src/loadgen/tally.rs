//! How the requests of one workload ended.

use std::collections::BTreeMap;

use runtime::base::Nanos;
use runtime::client::{Ending, Judge, Timing};
use runtime::order::Status;

use super::stages::StageDurations;
use crate::summary::Durations;

/// Ends and durations of one workload. Every request that was meant to be sent is counted once:
/// `offered = ok + late + rejected + revoked + failed + withdrawn + unsent + unanswered`.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that were meant to be sent.
    pub offered: u64,
    /// In time, on the gateway's clock.
    pub ok: u64,
    /// Of these, whole at the client only after intended send + SLO, on the client's clock.
    pub ok_late_here: u64,
    /// Answered late, or not by the deadline.
    pub late: u64,
    /// Never admitted.
    pub rejected: u64,
    /// Admitted, then refused before exec.
    pub revoked: u64,
    /// Failed at the worker.
    pub failed: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// Not sent: as many requests were open as the server grants.
    pub unsent: u64,
    /// Sent, and without an end when the run was over.
    pub unanswered: u64,
    /// Requests that found bytes of earlier ones still unsent: the socket was full.
    pub socket_full: u64,
    /// Refusals and failures by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// From the intended send to the whole answer, of answered requests.
    pub latency: Durations,
    /// From the intended send to the refusal.
    pub time_to_refusal: Durations,
    /// From the intended send to handing the request to the socket.
    pub send_lateness: Durations,
    /// What the server says.
    pub stages: StageDurations,
}

impl Tally {
    /// A request was handed to the socket so long after its intended send.
    pub fn sent(&mut self, lateness: Nanos, socket_full: bool) {
        self.send_lateness.record(lateness);
        self.socket_full += u64::from(socket_full);
    }

    /// A request ended.
    pub fn ended(&mut self, ending: Ending, timing: &Timing) {
        match ending {
            Ending::Ok => self.answered(timing, true),
            Ending::Late(Judge::Client) => {
                self.ok_late_here += 1;
                self.answered(timing, true);
            }
            Ending::Late(Judge::Gateway) => self.answered(timing, false),
            Ending::Expired => self.late += 1,
            Ending::Rejected(reason) => {
                self.rejected += 1;
                self.refused(reason.word(), timing);
            }
            Ending::Revoked(reason) => {
                self.revoked += 1;
                self.refused(reason.word(), timing);
            }
            Ending::Failed(status) => {
                self.failed += 1;
                self.refused(word(status), timing);
            }
            Ending::Withdrawn => self.withdrawn += 1,
        }
    }

    fn answered(&mut self, timing: &Timing, in_time: bool) {
        *(if in_time { &mut self.ok } else { &mut self.late }) += 1;
        self.latency.record(timing.latency());
        self.stages.record(timing);
    }

    fn refused(&mut self, reason: &'static str, timing: &Timing) {
        *self.reasons.entry(reason).or_default() += 1;
        self.time_to_refusal.record(timing.latency());
    }

    /// Ends, each counted once.
    pub fn ends(&self) -> u64 {
        self.ok + self.late + self.rejected + self.revoked + self.failed + self.withdrawn
    }
}

/// A word for a worker's status, in tables.
fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "done",
        Status::TooLate => "too-late",
        Status::NotResident => "not-resident",
        Status::InputMissing => "input-missing",
        Status::NoPages { .. } => "no-pages",
        Status::Busy => "busy",
        Status::BadAction => "bad-action",
        Status::Cancelled => "cancelled",
        Status::DeviceFault { .. } => "device-fault",
        Status::DiskFault { .. } => "disk-fault",
        Status::ShuttingDown => "shutting-down",
    }
}
