//! A running process: its role threads, what they tell, and how it ends.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sys::doorbell::Doorbell;

use super::orders::{Notice, Order, Orders};
use super::recording;
use super::serve::{ServeError, ServeReport, WORKER};
use crate::net::{NetError, Owner};
use crate::order::record::Record;

/// How long a process that is told to end may take to finish what it has taken on.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A running process. Dropping it stops its threads at once.
#[derive(Debug)]
pub struct Server {
    /// For people.
    pub report: ServeReport,
    pub(super) owners: Vec<Owner>,
    pub(super) threads: Vec<Thread>,
    pub(super) orders: Orders,
    pub(super) notices: Receiver<Notice>,
    pub(super) ender: Ender,
    pub(super) record: Option<PathBuf>,
}

#[derive(Debug)]
pub(super) struct Thread {
    pub(super) name: &'static str,
    pub(super) bell: Doorbell,
    pub(super) handle: Option<JoinHandle<Result<Vec<Record>, NetError>>>,
}

/// Tells a process to end, from any thread.
#[derive(Clone, Debug)]
pub struct Ender(pub(super) Sender<Notice>);

impl Ender {
    /// Tells it. One that has ended is not told.
    pub fn end(&self) {
        let _ = self.0.send(Notice::End);
    }
}

/// Why a process serves no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Told,
    Failed,
}

impl Server {
    /// What tells this process to end.
    pub fn ender(&self) -> Ender {
        self.ender.clone()
    }

    /// Waits until every role can do its work: a gateway has its catalog and a connection to every
    /// worker, a worker is enlisted. False if the process was told to end before.
    ///
    /// # Errors
    /// What a thread failed with.
    pub fn until_ready(&mut self) -> Result<bool, ServeError> {
        let mut missing = self.owners.clone();
        let ended = self.listen(|notice| {
            if let Notice::Ready(owner) = notice {
                missing.retain(|role| *role != owner);
            }
            missing.is_empty()
        });
        match ended {
            Some(Why::Failed) => self.join().map(|_| false),
            Some(Why::Told) => Ok(false),
            None => Ok(true),
        }
    }

    /// Waits until the process is told to end.
    ///
    /// # Errors
    /// What a thread failed with.
    pub fn until_told(&mut self) -> Result<(), ServeError> {
        match self.listen(|_| false) {
            Some(Why::Failed) => self.join().map(drop),
            _ => Ok(()),
        }
    }

    /// Refuses what is new, finishes what was taken on, for at most [`DRAIN_LIMIT`], then ends as
    /// [`Server::stop`]. Says whether all was finished.
    ///
    /// # Errors
    /// As [`Server::stop`].
    pub fn drain(mut self) -> Result<bool, ServeError> {
        let until = Instant::now() + DRAIN_LIMIT;
        // Those that bring work to others first: then the others stay quiet once they are.
        let whole =
            self.order(Order::Refuse, until, |owner| owner != WORKER) && self.order(Order::Finish, until, |_| true);
        self.stop()?;
        Ok(whole)
    }

    /// Gives an order and waits until the roles that `counts` names are quiet.
    fn order(&mut self, order: Order, until: Instant, counts: impl Fn(Owner) -> bool) -> bool {
        self.orders.give(order);
        self.threads.iter().for_each(|thread| thread.bell.ring());
        let mut busy: Vec<Owner> = self.owners.iter().copied().filter(|&owner| counts(owner)).collect();
        let is_quiet = |notice| {
            if let Notice::Quiet(owner, under) = notice
                && under == order
            {
                busy.retain(|role| *role != owner);
            }
            busy.is_empty()
        };
        self.listen_until(until, is_quiet)
    }

    /// Takes notices until one is `enough`; says why nothing more comes.
    fn listen(&self, mut enough: impl FnMut(Notice) -> bool) -> Option<Why> {
        loop {
            match self.notices.recv().unwrap_or(Notice::Ended) {
                Notice::End => return Some(Why::Told),
                Notice::Ended => return Some(Why::Failed),
                notice if enough(notice) => return None,
                _ => {}
            }
        }
    }

    /// As [`Server::listen`] until a time, deaf to being told to end; whether one was enough, or none
    /// was needed.
    fn listen_until(&self, until: Instant, mut enough: impl FnMut(Notice) -> bool) -> bool {
        if enough(Notice::End) {
            return true;
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.notices.recv_timeout(left) {
                Err(_) | Ok(Notice::Ended) => return false,
                Ok(notice) if enough(notice) => return true,
                Ok(_) => {}
            }
        }
    }

    /// Stops all threads at once, waits for them, and writes what they recorded.
    ///
    /// # Errors
    /// What a thread failed with before, or why the record can't be written.
    pub fn stop(mut self) -> Result<(), ServeError> {
        let records = self.join()?;
        match &self.record {
            Some(path) => Ok(recording::write(path, &records)?),
            None => Ok(()),
        }
    }

    fn join(&mut self) -> Result<Vec<Record>, ServeError> {
        self.ring_out();
        let mut records = Vec::new();
        for thread in &mut self.threads {
            let name = thread.name;
            if let Some(handle) = thread.handle.take() {
                records.extend(handle.join().map_err(|_| ServeError::Panicked { name })??);
            }
        }
        Ok(records)
    }

    fn ring_out(&self) {
        self.orders.give(Order::Stop);
        self.threads.iter().for_each(|thread| thread.bell.ring());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ring_out();
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                // A failure was either asked for before, or nobody wants to hear of it.
                let _ = handle.join();
            }
        }
    }
}
