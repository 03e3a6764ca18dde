//! How the world's disk, lanes and sockets finish what they were given.

use super::*;

impl World {
    pub(super) fn finish_op(&mut self, device: usize, lane: usize, fault: bool) {
        let Some(op) = self.devices[device].lanes[lane].pop_front() else { return };
        let ticket = op.ticket();
        let on = &mut self.devices[device];
        match op {
            _ if fault => {}
            LaneOp::CopyPage { from, to, .. } => on.pages[to.0 as usize] = self.host_pages[from.0 as usize],
            LaneOp::WriteTable { table, first, pages, .. } => {
                on.tables.extend((first..).zip(pages).map(|(entry, page)| ((table.0, entry), page.0)));
            }
            LaneOp::CopyInput { slot, .. } => {
                let data = self.data.entry(key(slot)).or_default();
                data.input = data.pinned_input;
            }
            LaneOp::Exec { places, .. } => {
                for slot in places.into_iter().flatten() {
                    let data = self.data.entry(key(slot)).or_default();
                    data.output = data.input;
                }
            }
            LaneOp::CopyOutput { slot, .. } => {
                let data = self.data.entry(key(slot)).or_default();
                data.pinned_output = data.output;
            }
        }
        let outcome = if fault { LaneOutcome::Fault { code: 9 } } else { LaneOutcome::Ok };
        let span = Span { begin: Nanos(self.now), end: Nanos(self.now) };
        self.tell_device(device, DeviceEvent::OpDone { ticket, outcome, span });
    }

    pub(super) fn finish_read(&mut self, which: u16, fault: bool) {
        if self.reads.is_empty() {
            return;
        }
        let place = usize::from(which) % self.reads.len();
        let DiskOp::Read { ticket, model, page, to, .. } = self.reads.swap_remove(place);
        self.host_pages[to.0 as usize] = if fault { None } else { Some((model, page)) };
        let outcome = if fault { DiskOutcome::Fault { errno: 5, block: page } } else { DiskOutcome::Ok };
        let span = Span { begin: Nanos(self.now), end: Nanos(self.now) };
        self.tell_host(HostEvent::DiskDone { ticket, outcome, span });
    }

    pub(super) fn finish_send(&mut self, which: u16) {
        if self.sends.is_empty() {
            return;
        }
        let place = usize::from(which) % self.sends.len();
        let (slot, request) = self.sends.swap_remove(place);
        assert_eq!(self.data[&key(slot)].pinned_output, Some(request), "another's output was sent");
        self.tell_host(HostEvent::OutputSent { slot });
    }
}
