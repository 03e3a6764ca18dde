//! The end of a run: when it is reached, what must hold then, and what the run came to.

use super::World;
use super::happening::Happening;
use crate::base::Nanos;
use crate::gateway::Ends;
use crate::scheduler::Scheduler;
use crate::sim::check::Violation;
use crate::sim::report::{Percentiles, Report};

/// How often it is looked whether all is over.
const LOOK: Nanos = Nanos::millis(1);
/// How long after the last request may have ended something may still go on.
const PATIENCE: Nanos = Nanos::seconds(10);

impl World {
    /// Looks whether all is over.
    pub(super) fn on_settle(&mut self) -> Result<(), Violation> {
        let Some(busy) = self.busy() else {
            self.settled = true;
            return Ok(());
        };
        let longest = self.config.models.iter().map(|model| model.load.slo).max().unwrap_or_default();
        // Under overload requests queue for the clients' link long after they were meant to be sent.
        let last = self.last_arrival.max(self.load_from + self.config.length);
        if self.agenda.now() > last + longest + PATIENCE {
            return Err(Violation::NotQuiet(busy));
        }
        self.agenda.put(self.agenda.now() + LOOK, Happening::Settle);
        Ok(())
    }

    /// What still goes on.
    fn busy(&self) -> Option<String> {
        if self.check.open() > 0 {
            return Some(format!("{} requests are open", self.check.open()));
        }
        if self.check.actions_held() > 0 || self.check.slots_out() > 0 {
            let (actions, slots) = (self.check.actions_held(), self.check.slots_out());
            return Some(format!("{actions} actions are at workers, {slots} slots are out"));
        }
        for (place, worker) in self.workers.iter().enumerate() {
            let session = self.controller.sessions[place].as_ref().filter(|session| session.up.is_none());
            match session {
                None => return Some(format!("{:?} is not connected", worker.id)),
                Some(session) if session.session.outstanding() > 0 => {
                    return Some(format!("{:?} owes {} answers", worker.id, session.session.outstanding()));
                }
                Some(_) if !worker.is_quiet() => return Some(format!("{:?} is not quiet", worker.id)),
                Some(_) => {}
            }
        }
        let open = self.controller.scheduler.status().counters.open;
        (open > 0).then(|| format!("the scheduler holds {open} requests"))
    }

    /// What must hold when all is over.
    pub(super) fn check_end(&self) -> Result<(), Violation> {
        self.check.complete(&self.ends())?;
        let snapshot = self.controller.scheduler.status();
        for device in &snapshot.devices {
            let worker = &self.workers[usize::from(device.worker.0)];
            let core = usize::from(device.device.0);
            let agree = |what, believed: u64, real: u64| {
                let violation = Violation::Mirror { worker: worker.id, what, believed, real };
                if believed == real { Ok(()) } else { Err(violation) }
            };
            let free = worker.cores[core].free_pages();
            agree("free pages", u64::from(device.pages_free), u64::from(free))?;
            agree("slots out", device.slots_out as u64, worker.cores[core].open_slots() as u64)?;
            agree("pages held", u64::from(device.pages - free), u64::from(worker.device_pages_held(core)))?;
            agree("requests booked", device.booked as u64, 0)?;
        }
        if self.config.losses.every == Nanos::ZERO && snapshot.counters.faults > 0 {
            return Err(Violation::Contradictions(snapshot.counters.faults));
        }
        Ok(())
    }

    fn ends(&self) -> Ends {
        let mut sum = Ends::default();
        for gateway in &self.gateways {
            let ends = gateway.core.ends();
            sum.requests += ends.requests;
            sum.ok += ends.ok;
            sum.late += ends.late;
            sum.rejected += ends.rejected;
            sum.revoked += ends.revoked;
            sum.failed += ends.failed;
            sum.withdrawn += ends.withdrawn;
        }
        sum
    }

    /// What the run came to.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn report(&mut self) -> Report {
        let [requests, in_time, late, rejected, revoked, failed, withdrawn] = self.check.seen();
        let counters = self.controller.scheduler.status().counters;
        let seconds = self.config.length.0 as f64 / 1e9;
        let devices = self.workers.iter().flat_map(|worker| &worker.devices);
        let (busy, count) = devices.fold((0, 0), |(busy, count), device| (busy + device.busy().0, count + 1));
        Report {
            requests,
            in_time,
            late,
            rejected,
            revoked,
            failed,
            withdrawn,
            goodput_rps: in_time as f64 / seconds,
            cold_starts: counters.cold_starts,
            infers: counters.infers,
            exec_busy: busy as f64 / 1e9 / seconds / f64::from(count),
            latency_ns: Percentiles::of(std::mem::take(&mut self.tally.latencies)),
            prediction_error_ns: Percentiles::of(std::mem::take(&mut self.tally.errors)),
            simulated_s: seconds,
            wall_s: 0.0,
            digest: self.trace.digest().iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
