//! LOAD and UNLOAD: the weights lane.
//!
//! Pages are taken when the order comes, so that `NoPages` is known at once and the controller's
//! mirror stays right. UNLOAD takes no time of the lane and happens when it comes; of its window
//! only `latest` counts.

use arrayvec::ArrayVec;

use super::{DeviceCore, Weights};
use crate::base::limits::WEIGHT_CHUNK_BYTES;
use crate::base::{ActionId, Nanos};
use crate::order::{Action, Span, Stages, Status, Window};
use crate::worker::event::{DeviceOut, DeviceOutbox, DeviceReport, hull};
use crate::worker::op::{LaneOp, LaneOutcome, LaneTicket, TABLE_ENTRIES, TableId};
use crate::worker::pages::{DevicePage, HostPage};

/// A position in a model's chain of pages: how many lie before it, and the page itself.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    done: u32,
    page: u32,
}

/// One LOAD that was accepted. Only the first of the queue has started.
#[derive(Debug)]
pub(super) struct Load {
    action: ActionId,
    model: u16,
    pages: u32,
    window: Window,
    started: bool,
    /// Pages whose source is known.
    sourced: Cursor,
    /// Pages whose copies were all issued.
    copied: Cursor,
    /// Bytes of the next page whose copies were issued.
    offset: u32,
    /// Table entries whose write was issued.
    tabled: Cursor,
    fault: Option<u32>,
    stages: Stages,
}

impl DeviceCore {
    /// Queues a LOAD, or says why not.
    pub(super) fn on_load(&mut self, action: &Action, model: u16) -> Option<Status> {
        match self.instance(model).weights {
            Weights::Resident(_) => return Some(Status::Ok),
            Weights::Loading(_) => return Some(Status::Busy),
            Weights::Absent => {}
        }
        if self.now > action.window.latest {
            return Some(Status::TooLate);
        }
        let wanted = self.models.get(model).pages;
        let free = self.pages.free();
        let Some(chain) = self.pages.take(wanted) else { return Some(Status::NoPages { wanted, free }) };
        let start = Cursor { done: 0, page: chain.head() };
        self.instance_mut(model).weights = Weights::Loading(chain);
        assert!(self.loads.len() < self.config.lane_credits, "more LOADs than credits");
        self.loads.push_back(Load {
            action: action.id,
            model,
            pages: wanted,
            window: action.window,
            started: false,
            sourced: start,
            copied: start,
            offset: 0,
            tabled: start,
            fault: None,
            stages: Stages { received: self.now, ..Stages::default() },
        });
        None
    }

    /// Frees the model's pages, or says why not.
    pub(super) fn on_unload(&mut self, action: &Action, model: u16) -> Status {
        if self.now > action.window.latest {
            return Status::TooLate;
        }
        let instance = self.instance_mut(model);
        match std::mem::replace(&mut instance.weights, Weights::Absent) {
            Weights::Absent => Status::NotResident,
            Weights::Resident(chain) if instance.users == 0 => {
                self.pages.give(chain);
                Status::Ok
            }
            in_use => {
                instance.weights = in_use;
                Status::Busy
            }
        }
    }

    /// Notes where the next pages of a LOAD come from. One that was answered meanwhile wants none.
    pub(super) fn on_source(&mut self, action: ActionId, from: &[HostPage]) {
        let Some(load) = self.loads.iter_mut().find(|load| load.action == action) else { return };
        for &host_page in from {
            assert!(load.sourced.done < load.pages, "more host pages than the model has");
            self.source[load.sourced.page as usize] = host_page;
            advance(&mut load.sourced, &self.pages);
        }
    }

    /// Takes a LOAD back that has not started; says whether the action is a LOAD of this device.
    pub(super) fn cancel_load(&mut self, action: ActionId, out: &mut DeviceOutbox) -> bool {
        let Some(place) = self.loads.iter().position(|load| load.action == action) else { return false };
        if !self.loads[place].started {
            self.end_load(place, Status::Cancelled, out);
        }
        true
    }

    /// A copy or a table write is done.
    pub(super) fn weights_done(&mut self, ticket: LaneTicket, outcome: LaneOutcome, span: Span) {
        self.weights.complete(ticket);
        let Some(load) = self.loads.front_mut() else { unreachable!("{ticket:?} belongs to no LOAD") };
        load.stages.exec = hull(load.stages.exec, span);
        if let LaneOutcome::Fault { code } = outcome {
            load.fault.get_or_insert(code);
        }
    }

    /// Expires, starts, goes on with and ends LOADs, as far as there is room.
    pub(super) fn advance_loads(&mut self, out: &mut DeviceOutbox) {
        self.sweep_loads(out);
        while self.issue_weights(out) {
            if !self.room(2, out) {
                return;
            }
            let load = &self.loads[0];
            let status = load.fault.map_or(Status::Ok, |code| Status::DeviceFault { code });
            self.end_load(0, status, out);
        }
    }

    /// Answers LOADs that can't start any more.
    fn sweep_loads(&mut self, out: &mut DeviceOutbox) {
        let mut place = 0;
        while let Some(load) = self.loads.get(place) {
            let status = match load {
                load if load.started => None,
                _ if self.reset.is_some() => Some(Status::ShuttingDown),
                load if self.now > load.window.latest => Some(Status::TooLate),
                _ => None,
            };
            match status {
                None => place += 1,
                Some(_) if !self.room(2, out) => return,
                Some(status) => self.end_load(place, status, out),
            }
        }
    }

    /// Issues what the first LOAD may issue now; says whether it has come to its end.
    fn issue_weights(&mut self, out: &mut DeviceOutbox) -> bool {
        let Some(load) = self.loads.front() else { return false };
        if !load.started && (self.now < load.window.earliest || load.sourced.done == 0) {
            return false;
        }
        while self.weights.has_room() {
            let load = &self.loads[0];
            let (copy, table) = (load.copied.done < load.sourced.done, load.copied.done == load.pages);
            if load.fault.is_some() || !(copy || table) || load.tabled.done == load.pages {
                break;
            }
            if !self.room(1, out) {
                return false;
            }
            let op = if copy { self.next_copy() } else { self.next_table_write() };
            out.push(DeviceOut::Lane(op));
        }
        let load = &self.loads[0];
        self.weights.is_empty() && (load.fault.is_some() || load.tabled.done == load.pages)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a chunk is 2 MiB")]
    fn next_copy(&mut self) -> LaneOp {
        let load = &mut self.loads[0];
        load.started = true;
        let used = self.models.get(load.model).used_of_page(load.copied.done, self.config.page_bytes);
        let bytes = (used - load.offset).min(WEIGHT_CHUNK_BYTES as u32);
        let (offset, page) = (load.offset, load.copied.page);
        load.offset += bytes;
        if load.offset == used {
            load.offset = 0;
            advance(&mut load.copied, &self.pages);
        }
        let ticket = self.weights.issue(());
        LaneOp::CopyPage { ticket, from: self.source[page as usize], to: DevicePage(page), offset, bytes }
    }

    fn next_table_write(&mut self) -> LaneOp {
        let load = &mut self.loads[0];
        let first = load.tabled.done;
        let mut pages = ArrayVec::<DevicePage, TABLE_ENTRIES>::new();
        while !pages.is_full() && load.tabled.done < load.pages {
            pages.push(DevicePage(load.tabled.page));
            advance(&mut load.tabled, &self.pages);
        }
        LaneOp::WriteTable { ticket: self.weights.issue(()), table: TableId(load.model), first, pages }
    }

    /// Ends a LOAD: its pages become the instance's, or free again. Emits two outputs.
    fn end_load(&mut self, place: usize, status: Status, out: &mut DeviceOutbox) {
        let Some(load) = self.loads.remove(place) else { unreachable!("no LOAD at {place}") };
        let instance = self.instance_mut(load.model);
        match std::mem::replace(&mut instance.weights, Weights::Absent) {
            Weights::Loading(chain) if status.is_ok() => instance.weights = Weights::Resident(chain),
            Weights::Loading(chain) => self.pages.give(chain),
            other => unreachable!("a model that is being loaded is {other:?}"),
        }
        self.report(out, DeviceReport::SourceDone(load.action));
        self.answer_weights(load.action, status, load.stages, out);
    }

    /// When the weights lane next depends on time.
    pub(super) fn loads_due(&self) -> Option<Nanos> {
        let waiting = self.loads.iter().filter(|load| !load.started);
        let expiry = waiting.map(|load| load.window.latest + Nanos(1)).min();
        let head = self.loads.front().filter(|load| !load.started && load.window.earliest > self.now);
        [expiry, head.map(|load| load.window.earliest)].into_iter().flatten().min()
    }
}

/// Moves a cursor to the next page of its chain; at the end it stays on the last page.
fn advance(cursor: &mut Cursor, pages: &crate::worker::pages::PagePool) {
    cursor.done += 1;
    cursor.page = pages.after(cursor.page).unwrap_or(cursor.page);
}
