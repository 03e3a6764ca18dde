use sys::cpu::{CopyEngines, CpuConfig};
use sys::cuda::Driver;

use super::super::memory::MemoryNeeds;
use super::*;
use crate::worker::op::TableId;

/// Lanes of a device whose copies nobody moves but whoever polls them.
fn lanes() -> Lanes {
    let config = CpuConfig { copy_engines: CopyEngines::Polled, ..CpuConfig::default() };
    let driver = Driver::cpu(&config).unwrap();
    let context = driver.context(0).unwrap();
    let needs = MemoryNeeds {
        pages: 1,
        page_bytes: WEIGHT_CHUNK_BYTES,
        table_entries: vec![1],
        slots: Default::default(),
        workspace_bytes: 64,
    };
    let memory = DeviceMemory::take(&context, &needs).unwrap();
    Lanes::new(&context, memory).unwrap()
}

#[test]
fn who_submits_a_copy_is_told_not_to_sleep_on_it() {
    let mut lanes = lanes();
    assert!(!lanes.is_untended());
    let ticket = LaneTicket { lane: Lane::Weights, sequence: 1 };
    let op = LaneOp::WriteTable { ticket, table: TableId(0), first: 0, pages: ArrayVec::from_iter([DevicePage(0)]) };
    lanes.submit(&op, &[], |_| unreachable!("a table is written from no host page"), Nanos(1));
    assert!(lanes.is_untended());
    let done = loop {
        lanes.move_copies();
        if let Some(done) = lanes.poll() {
            break done;
        }
    };
    assert_eq!((done.ticket, done.outcome, lanes.is_untended()), (ticket, LaneOutcome::Ok, false));
}
