//! FETCH and DROP: host pages and the reads that fill them.
//!
//! As on a device, pages are taken when the order comes, FETCHes are carried out one after the
//! other, and DROP happens when it comes; of its window only `latest` counts.

use super::HostTier;
use crate::base::{ActionId, Nanos};
use crate::order::{Action, ActionResult, Span, Status, Window};
use crate::worker::event::{HostOut, HostOutbox, hull};
use crate::worker::op::{DiskOp, DiskOutcome, DiskTicket};
use crate::worker::pages::{Chain, HostPage};

/// Whether a model's weights are in host memory.
#[derive(Debug)]
pub(super) enum HostPages {
    Absent,
    /// A FETCH is queued or under way; the pages are its.
    Fetching(Chain),
    Resident(Chain),
}

impl HostPages {
    pub(super) fn are_resident(&self) -> bool {
        matches!(self, HostPages::Resident(_))
    }
}

/// One FETCH that was accepted. Only the first of the queue has started.
#[derive(Debug)]
pub(super) struct Fetch {
    action: ActionId,
    model: u16,
    pages: u32,
    window: Window,
    received: Nanos,
    /// Pages whose reads were issued.
    issued: u32,
    /// The next page to read into.
    next: u32,
    fault: Option<Status>,
    read: Span,
}

impl HostTier {
    /// Queues a FETCH, or says why not.
    pub(super) fn on_fetch(&mut self, action: &Action, model: u16) -> Option<Status> {
        match self.hosted[usize::from(model)].pages {
            _ if !action.window.is_ordered() => return Some(Status::BadAction),
            HostPages::Resident(_) => return Some(Status::Ok),
            HostPages::Fetching(_) => return Some(Status::Busy),
            HostPages::Absent if self.now > action.window.latest => return Some(Status::TooLate),
            HostPages::Absent => {}
        }
        let wanted = self.models.get(model).pages;
        let free = self.pages.free();
        let Some(chain) = self.pages.take(wanted) else { return Some(Status::NoPages { wanted, free }) };
        self.fetches.push_back(Fetch {
            action: action.id,
            model,
            pages: wanted,
            window: action.window,
            received: self.now,
            issued: 0,
            next: chain.head(),
            fault: None,
            read: Span::default(),
        });
        self.hosted[usize::from(model)].pages = HostPages::Fetching(chain);
        None
    }

    /// Frees the model's host pages, or says why not.
    pub(super) fn on_drop(&mut self, action: &Action, model: u16) -> Status {
        if !action.window.is_ordered() {
            return Status::BadAction;
        }
        if self.now > action.window.latest {
            return Status::TooLate;
        }
        let hosted = &mut self.hosted[usize::from(model)];
        match std::mem::replace(&mut hosted.pages, HostPages::Absent) {
            HostPages::Absent => Status::NotResident,
            HostPages::Resident(chain) if hosted.pins == 0 => {
                self.pages.give(chain);
                Status::Ok
            }
            in_use => {
                hosted.pages = in_use;
                Status::Busy
            }
        }
    }

    /// Takes a FETCH back that has not started; says whether the action is a FETCH.
    pub(super) fn cancel_fetch(&mut self, action: ActionId, out: &mut HostOutbox) -> bool {
        let Some(place) = self.fetches.iter().position(|fetch| fetch.action == action) else { return false };
        if self.fetches[place].issued == 0 {
            self.end_fetch(place, Status::Cancelled, out);
        }
        true
    }

    /// A read has ended.
    pub(super) fn read_done(&mut self, ticket: DiskTicket, outcome: DiskOutcome, span: Span) {
        let Some(place) = self.reads.iter().position(|&read| read == ticket) else {
            unreachable!("{ticket:?} is not outstanding")
        };
        self.reads.swap_remove(place);
        let Some(fetch) = self.fetches.front_mut() else { unreachable!("{ticket:?} belongs to no FETCH") };
        fetch.read = hull(fetch.read, span);
        if let DiskOutcome::Fault { errno, block } = outcome {
            fetch.fault.get_or_insert(Status::DiskFault { errno, block });
        }
    }

    /// Expires, starts, goes on with and ends FETCHes, as far as there is room.
    pub(super) fn advance_fetches(&mut self, out: &mut HostOutbox) {
        self.sweep_fetches(out);
        while self.issue_reads(out) {
            if !self.room(1, out) {
                return;
            }
            let status = self.fetches[0].fault.unwrap_or(Status::Ok);
            self.end_fetch(0, status, out);
        }
    }

    fn sweep_fetches(&mut self, out: &mut HostOutbox) {
        let mut place = 0;
        while let Some(fetch) = self.fetches.get(place) {
            let status = match fetch {
                fetch if fetch.issued > 0 => None,
                _ if self.reset.is_some() => Some(Status::ShuttingDown),
                fetch if self.now > fetch.window.latest => Some(Status::TooLate),
                _ => None,
            };
            match status {
                None => place += 1,
                Some(_) if !self.room(1, out) => return,
                Some(status) => self.end_fetch(place, status, out),
            }
        }
    }

    /// Issues what the first FETCH may issue now; says whether it has come to its end.
    fn issue_reads(&mut self, out: &mut HostOutbox) -> bool {
        let Some(fetch) = self.fetches.front_mut() else { return false };
        if fetch.issued == 0 && self.now < fetch.window.earliest {
            return false;
        }
        while fetch.fault.is_none() && fetch.issued < fetch.pages && self.reads.len() < self.config.reads_outstanding {
            if out.is_full() {
                self.more = true;
                return false;
            }
            let info = self.models.get(fetch.model);
            let (ticket, page) = (DiskTicket(self.next_read), fetch.issued);
            let bytes = info.used_of_page(page, self.config.page_bytes);
            out.push(HostOut::Disk(DiskOp::Read { ticket, model: info.id, page, to: HostPage(fetch.next), bytes }));
            self.next_read += 1;
            self.reads.push(ticket);
            fetch.issued += 1;
            fetch.next = self.pages.after(fetch.next).unwrap_or(fetch.next);
        }
        self.reads.is_empty() && (fetch.fault.is_some() || fetch.issued == fetch.pages)
    }

    /// Ends a FETCH: its pages become the model's, or free again. Emits one output.
    fn end_fetch(&mut self, place: usize, status: Status, out: &mut HostOutbox) {
        let Some(fetch) = self.fetches.remove(place) else { unreachable!("no FETCH at {place}") };
        let hosted = &mut self.hosted[usize::from(fetch.model)];
        match std::mem::replace(&mut hosted.pages, HostPages::Absent) {
            HostPages::Fetching(chain) if status.is_ok() => hosted.pages = HostPages::Resident(chain),
            HostPages::Fetching(chain) => self.pages.give(chain),
            other => unreachable!("a model that is being fetched is {other:?}"),
        }
        let stages = HostTier::stages(fetch.received, fetch.read);
        out.push(HostOut::Result(ActionResult { action: fetch.action, status, items: Default::default(), stages }));
    }

    /// When the disk next depends on time.
    pub(super) fn fetches_due(&self) -> Option<Nanos> {
        let waiting = self.fetches.iter().filter(|fetch| fetch.issued == 0);
        let expiry = waiting.map(|fetch| fetch.window.latest + Nanos(1)).min();
        let head = self.fetches.front().filter(|fetch| fetch.issued == 0 && fetch.window.earliest > self.now);
        [expiry, head.map(|fetch| fetch.window.earliest)].into_iter().flatten().min()
    }
}
