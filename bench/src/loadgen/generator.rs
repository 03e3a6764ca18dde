//! The loop that sends, receives and waits.

use std::os::fd::AsFd;
use std::sync::Arc;

use runtime::base::Nanos;
use runtime::client::connection::Connection;
use runtime::client::{Client, ClientCore, Ending, Timing, now};
use runtime::wire::Message;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::LoadError;
use super::schedule::{Intended, Schedule};
use super::tally::Tally;
use super::workload::{AfterRefusal, Load, Run, Workload};

/// From this long before an intended send on the generator polls instead of sleeping.
const SPIN: Nanos = Nanos::micros(100);
/// How long after the last deadline the ends of requests are still waited for.
const DRAIN: Nanos = Nanos::seconds(2);

/// Arrivals of one run: they are all drawn before the first is sent.
const MAX_ARRIVALS: usize = 10_000_000;

/// A request that ended, for whoever looks at each of them.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Index of its workload.
    pub workload: usize,
    /// When it was meant to be sent, counted from the start of the run.
    pub intended: Nanos,
    /// How it ended; `sent` in its timing is the intended send.
    pub ending: Ending,
    /// When what happened.
    pub timing: Timing,
}

/// Generates the load over `client`'s connection until all sends are over and all requests ended;
/// gives what became of each workload, and the client back for the next run.
///
/// # Errors
/// [`LoadError`].
pub fn run(
    client: Client,
    workloads: &[Workload],
    run: &Run,
    observe: &mut dyn FnMut(Sample),
) -> Result<(Client, Vec<Tally>), LoadError> {
    check(&client, workloads, run.length)?;
    let welcome = *client.welcome();
    let (connection, core) = client.into_parts();
    connection.set_nonblocking(true)?;
    let open = vec![Open::default(); core.limit()];
    let schedule = Schedule::new(workloads, run);
    let tallies = vec![Tally::default(); workloads.len()];
    let mut generator =
        Generator { connection, core, workloads, schedule, tallies, open, start: now(), last_deadline: Nanos::ZERO };
    generator.drive(observe)?;
    let Generator { connection, core, mut tallies, open, .. } = generator;
    for open in open.iter().filter(|open| open.is_open) {
        tallies[open.workload].unanswered += 1;
    }
    connection.set_nonblocking(false)?;
    Ok((Client::from_parts(connection, core, welcome), tallies))
}

#[expect(clippy::cast_precision_loss, reason = "limits and lengths of runs are below 2^53")]
fn check(client: &Client, workloads: &[Workload], length: Nanos) -> Result<(), LoadError> {
    let arrivals = |workload: &Workload| match workload.load {
        Load::Open { per_second, .. } => per_second * length.0 as f64 / 1e9,
        Load::Closed { .. } => 0.0,
    };
    let wanted: f64 = workloads.iter().map(arrivals).sum();
    if wanted > MAX_ARRIVALS as f64 {
        return Err(LoadError::TooManyRequests { wanted, most: MAX_ARRIVALS });
    }
    let welcome = client.welcome();
    let clients = |workload: &Workload| match workload.load {
        Load::Closed { clients, .. } => clients,
        Load::Open { .. } => 0,
    };
    let (wanted, granted) = (workloads.iter().map(clients).sum(), welcome.requests as usize);
    if wanted > granted {
        return Err(LoadError::TooManyClients { wanted, granted });
    }
    for workload in workloads {
        let Some(longest) = workload.payloads.iter().map(|payload| payload.len()).max() else {
            return Err(LoadError::NothingToSend);
        };
        if longest > welcome.payload_bytes as usize {
            let (model, limit) = (workload.name.clone(), welcome.payload_bytes);
            return Err(LoadError::TooLong { model, bytes: longest, limit });
        }
    }
    if workloads.is_empty() { Err(LoadError::NothingToSend) } else { Ok(()) }
}

/// What is kept beside an open request, by the place of its ticket.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    is_open: bool,
    workload: usize,
    intended: Nanos,
}

struct Generator<'a> {
    connection: Connection,
    core: ClientCore,
    workloads: &'a [Workload],
    schedule: Schedule,
    tallies: Vec<Tally>,
    open: Vec<Open>,
    start: Nanos,
    last_deadline: Nanos,
}

impl Generator<'_> {
    fn drive(&mut self, observe: &mut dyn FnMut(Sample)) -> Result<(), LoadError> {
        loop {
            while let Some(intended) = self.schedule.take_due(now().since(self.start)) {
                self.send(intended)?;
            }
            let flushed = self.connection.flush()?;
            self.receive(observe)?;
            let next = self.schedule.next().map(|next| self.start + next.at);
            if next.is_none() && (self.core.open_count() == 0 || now() > self.last_deadline + DRAIN) {
                return Ok(());
            }
            self.wait(next.unwrap_or(self.last_deadline + DRAIN + SPIN), flushed)?;
        }
    }

    fn send(&mut self, intended: Intended) -> Result<(), LoadError> {
        let Intended { at, workload } = intended;
        let spec = &self.workloads[workload];
        let tally = &mut self.tallies[workload];
        let turn = tally.offered;
        tally.offered += 1;
        let sent = self.start + at;
        let Some(ticket) = self.core.open(sent, spec.slo) else {
            tally.unsent += 1;
            // A closed-loop client that found no place asks again after its deadline would have passed.
            self.ready_again(workload, at + spec.slo);
            return Ok(());
        };
        self.open[ticket.index()] = Open { is_open: true, workload, intended: at };
        self.last_deadline = self.last_deadline.max(sent + spec.slo);
        let payload = in_turn(&spec.payloads, turn);
        let Ok(length) = u32::try_from(payload.len()) else { unreachable!("checked against the server's limit") };
        let id = ticket.to_wire();
        let message = Message::Request { id, model: spec.model, shape: spec.shape, slo: spec.slo, payload: length };
        tally.sent(now().since(sent), self.connection.unsent() > 0);
        self.connection.queue(&message, payload)?;
        self.connection.flush()?;
        Ok(())
    }

    /// Takes what has come, unless a send is due first.
    fn receive(&mut self, observe: &mut dyn FnMut(Sample)) -> Result<(), LoadError> {
        while self.schedule.next().is_none_or(|next| self.start + next.at > now()) {
            let Some(message) = self.connection.receive()? else { return Ok(()) };
            let Message::Response(response) = message else { continue };
            let received = now();
            let Some(finished) = self.core.close(received, &response) else { continue };
            let open = std::mem::take(&mut self.open[finished.ticket.index()]);
            let Open { workload, intended, .. } = open;
            self.tallies[workload].ended(finished.ending, &finished.timing);
            observe(Sample { workload, intended, ending: finished.ending, timing: finished.timing });
            let refused = matches!(finished.ending, Ending::Rejected(_) | Ending::Revoked(_) | Ending::Failed(_));
            let waits = match self.workloads[workload].load {
                Load::Closed { after_refusal: AfterRefusal::WaitForDeadline, .. } => refused,
                _ => false,
            };
            // What the observer takes is not the next request's time.
            let ready = now();
            let at = if waits { ready.max(finished.timing.deadline) } else { ready };
            self.ready_again(workload, at.since(self.start));
        }
        Ok(())
    }

    /// The closed-loop client whose request ended sends again; an open loop owes nothing to answers.
    fn ready_again(&mut self, workload: usize, at: Nanos) {
        if matches!(self.workloads[workload].load, Load::Closed { .. }) {
            self.schedule.send_again(workload, at);
        }
    }

    /// Sleeps until bytes can move or `next` is near; returns at once where it is near already.
    fn wait(&self, next: Nanos, flushed: bool) -> Result<(), LoadError> {
        let sleep = next.since(now() + SPIN);
        if sleep == Nanos::ZERO {
            return Ok(());
        }
        let wanted = if flushed { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut sockets = [PollFd::from_borrowed_fd(self.connection.stream().as_fd(), wanted)];
        match poll(&mut sockets, Some(&timespec(sleep))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(LoadError::Wait(error.into())),
        }
    }
}

fn in_turn(payloads: &[Arc<[u8]>], turn: u64) -> Arc<[u8]> {
    let count = payloads.len() as u64;
    let Ok(index) = usize::try_from(turn % count) else { unreachable!("below the number of payloads") };
    Arc::clone(&payloads[index])
}

fn timespec(sleep: Nanos) -> Timespec {
    const SECOND: u64 = 1_000_000_000;
    Timespec { tv_sec: (sleep.0 / SECOND).cast_signed(), tv_nsec: (sleep.0 % SECOND).cast_signed() }
}
