//! Walks through one device, event by event.

use clockwork_runtime::base::{ActionId, Nanos};
use clockwork_runtime::order::{Item, Span, Status};
use clockwork_runtime::worker::{DeviceEvent, DeviceReport, Lane, LaneOp};

use crate::rig::*;

#[test]
fn a_warm_infer_goes_through_all_lanes_and_gives_its_slot_up() {
    let mut rig = Rig::loaded();
    let copy = rig.input(10, 0);
    rig.order(11, infer(2, 1, 1, window(11, 100, 100), &[item(0)]));
    assert!(rig.ops.is_empty() && rig.reports.is_empty(), "the input is still on its way");
    rig.done(15, copy, 10, 14);
    let (exec, places) = rig.exec().expect("everything is there");
    assert_eq!(places, [Some(0), None, None, None]);
    rig.done(65, exec, 15, 64);
    let outputs = rig.tickets(Lane::Output);
    assert_eq!(outputs.len(), 1);
    rig.done(70, outputs[0], 65, 69);
    let result = rig.result();
    assert_eq!((result.action, result.status), (ActionId(2), Status::Ok));
    assert_eq!(result.stages.received, Nanos(11));
    assert_eq!(result.stages.input, Span { begin: Nanos(10), end: Nanos(14) });
    assert_eq!(result.stages.exec, Span { begin: Nanos(15), end: Nanos(64) });
    assert_eq!(result.stages.output, Span { begin: Nanos(65), end: Nanos(69) });
    assert!(matches!(rig.reports[0], DeviceReport::Output { bytes: OUTPUT_BYTES, .. }), "{:?}", rig.reports);
    assert_eq!((rig.core.open_slots(), rig.core.due()), (0, None));
}

#[test]
fn weights_are_copied_in_chunks_two_at_a_time_and_the_table_comes_last() {
    let mut rig = Rig::new();
    rig.begin_load(1, 1, window(0, 0, 9));
    let mut chunks = Vec::new();
    let mut waiting = rig.ops.clone();
    while rig.reports.is_empty() {
        assert!(waiting.len() <= 2, "{waiting:?}");
        match waiting.remove(0) {
            LaneOp::CopyPage { ticket, from, offset, bytes, .. } => {
                chunks.push((from.0, offset, bytes));
                rig.done(1, ticket, 1, 1);
            }
            LaneOp::WriteTable { ticket, first, pages, .. } => {
                assert_eq!((first, pages.len(), chunks.len()), (0, 2, 4));
                rig.done(2, ticket, 2, 3);
            }
            other => panic!("{other:?} in the weights lane"),
        }
        waiting.extend(rig.ops.iter().cloned());
    }
    let chunk = 2 << 20;
    assert_eq!(chunks, [(0, 0, chunk), (0, chunk, chunk), (1, 0, chunk), (1, chunk, chunk - 1000)]);
    assert_eq!(rig.result().stages.exec, Span { begin: Nanos(1), end: Nanos(3) });
    assert!(matches!(rig.reports[0], DeviceReport::SourceDone(ActionId(1))));
    assert_eq!(rig.core.free_pages(), 3);
}

#[test]
fn a_batch_of_three_runs_in_the_plan_for_four_with_one_withdrawn_and_one_missing() {
    let mut rig = Rig::loaded();
    rig.input_held(1, 0);
    rig.input_held(1, 1);
    rig.order(2, infer(2, 1, 4, window(2, 50, 60), &[item(0), item(1), item(2)]));
    rig.tell(3, DeviceEvent::Discard(slot(1, 0)));
    assert_eq!(rig.slots_done(), [1], "nothing works on it any more");
    assert_eq!(rig.core.due(), Some(Nanos(50)), "it waits for the third input until then");
    rig.tell(50, DeviceEvent::Tick);
    let (exec, places) = rig.exec().expect("from ready_by on with what is there");
    assert_eq!(places, [Some(0), None, None, None]);
    rig.done(90, exec, 50, 90);
    let output = rig.tickets(Lane::Output);
    rig.done(95, output[0], 90, 95);
    let result = rig.result();
    let ends: Vec<_> = result.items.iter().map(|end| (end.status, end.input_held)).collect();
    assert_eq!(result.status, Status::Ok);
    assert_eq!(ends, [(Status::Ok, false), (Status::Cancelled, false), (Status::InputMissing, false)]);
    assert_eq!(rig.core.open_slots(), 1, "the slot without input waits to be planned again");
}

#[test]
fn a_failed_load_fails_the_infers_that_wait_for_it_at_once_and_can_be_planned_again() {
    let mut rig = Rig::new();
    rig.begin_load(1, 1, window(0, 0, 9));
    let copies = rig.tickets(Lane::Weights);
    rig.input_held(1, 0);
    rig.order(1, infer(2, 1, 1, window(1, 900, 999), &[item(0)]));
    rig.fail(2, copies[0], 77);
    assert!(rig.reports.is_empty(), "a copy is still outstanding");
    rig.done(3, copies[1], 2, 3);
    assert_eq!(rig.statuses(), [(1, Status::DeviceFault { code: 77 }), (2, Status::NotResident)]);
    assert!(rig.results()[1].items[0].input_held);
    assert_eq!(rig.core.free_pages(), 5);
    rig.begin_load(3, 1, window(4, 4, 9));
    rig.run_weights(5);
    rig.order(6, infer(4, 1, 1, window(6, 900, 999), &[item(0)]));
    assert!(rig.exec().is_some(), "its input is held still");
}

#[test]
fn every_queued_action_is_answered_when_its_window_closes_whatever_its_turn() {
    let mut rig = Rig::loaded();
    rig.input_held(0, 0);
    rig.order(1, infer(2, 1, 1, window(1, 5, 10), &[item(0)]));
    let (exec, _) = rig.exec().unwrap();
    rig.order(2, infer(3, 1, 1, window(2, 50, 50), &[item(1)]));
    rig.order(2, infer(4, 1, 1, window(2, 20, 20), &[item(2)]));
    assert_eq!(rig.core.due(), Some(Nanos(21)));
    rig.tell(20, DeviceEvent::Tick);
    assert!(rig.reports.is_empty(), "20 is still inside the window");
    rig.tell(21, DeviceEvent::Tick);
    assert_eq!(rig.statuses(), [(4, Status::TooLate)]);
    assert_eq!(rig.core.due(), Some(Nanos(51)));
    rig.tell(51, DeviceEvent::Tick);
    assert_eq!(rig.statuses(), [(3, Status::TooLate)]);
    rig.done(60, exec, 1, 60);
    assert!(rig.exec().is_none());
}

#[test]
fn a_later_infer_never_overtakes_and_one_graph_runs_at_a_time() {
    let mut rig = Rig::loaded();
    rig.input_held(0, 0);
    rig.input_held(0, 1);
    rig.order(1, infer(2, 1, 1, window(30, 90, 90), &[item(0)]));
    rig.order(1, infer(3, 1, 1, window(1, 90, 90), &[item(1)]));
    assert!(rig.exec().is_none(), "the head's window is not open");
    assert_eq!(rig.core.due(), Some(Nanos(30)));
    rig.tell(30, DeviceEvent::Tick);
    let (first, places) = rig.exec().unwrap();
    assert_eq!(places[0], Some(0));
    rig.done(40, first, 30, 40);
    assert_eq!(rig.exec().unwrap().1[0], Some(1));
    assert!(matches!(rig.ops[0], LaneOp::Exec { .. }), "the lane does not wait for output copies: {:?}", rig.ops);
}

#[test]
fn without_any_input_by_then_it_is_input_missing() {
    let mut rig = Rig::loaded();
    let copy = rig.input(0, 1);
    rig.order(1, infer(2, 1, 2, window(1, 40, 50), &[item(0), item(1)]));
    rig.tell(40, DeviceEvent::Tick);
    let result = rig.result();
    assert_eq!(result.status, Status::InputMissing);
    assert_eq!(result.items.iter().map(|end| end.input_held).collect::<Vec<_>>(), [false, true]);
    rig.done(41, copy, 0, 41);
    rig.order(42, infer(3, 1, 1, window(42, 50, 50), &[item(1)]));
    assert!(rig.exec().is_some(), "the input that came late is there for the next plan");
}

#[test]
fn weights_that_are_still_on_their_way_at_ready_by_are_not_resident() {
    let mut rig = Rig::new();
    rig.begin_load(1, 1, window(0, 0, 9));
    rig.input_held(0, 0);
    rig.order(1, infer(2, 1, 1, window(1, 40, 50), &[item(0)]));
    rig.tell(40, DeviceEvent::Tick);
    assert_eq!(rig.statuses(), [(2, Status::NotResident)]);
}

#[test]
fn what_is_in_use_is_busy() {
    let mut rig = Rig::loaded();
    rig.order(1, infer(2, 1, 1, window(1, 40, 50), &[item(0)]));
    rig.order(2, unload(3, 1));
    assert_eq!(rig.statuses(), [(3, Status::Busy)]);
    rig.tell(40, DeviceEvent::Tick);
    rig.order(41, unload(4, 1));
    assert_eq!(rig.statuses(), [(4, Status::Ok)]);
    rig.order(42, unload(5, 1));
    assert_eq!(rig.statuses(), [(5, Status::NotResident)]);
    rig.begin_load(6, 2, window(43, 43, 99));
    rig.order(44, unload(7, 2));
    assert_eq!(rig.statuses(), [(7, Status::Busy)]);
}

#[test]
fn a_load_that_finds_too_few_pages_says_how_many() {
    let mut rig = Rig::loaded();
    rig.begin_load(2, 2, window(1, 1, 9));
    assert_eq!(rig.statuses(), [(2, Status::NoPages { wanted: 4, free: 3 })]);
    assert!(matches!(rig.reports[0], DeviceReport::SourceDone(ActionId(2))), "its host pages are unpinned");
}

#[test]
fn cancel_takes_back_what_has_not_started_only() {
    let mut rig = Rig::loaded();
    rig.input_held(0, 0);
    rig.order(1, infer(2, 1, 1, window(1, 50, 50), &[item(0)]));
    let (exec, _) = rig.exec().unwrap();
    rig.order(1, infer(3, 1, 1, window(1, 50, 50), &[item(1)]));
    rig.tell(2, DeviceEvent::Cancel(ActionId(2)));
    assert!(rig.reports.is_empty());
    rig.tell(2, DeviceEvent::Cancel(ActionId(3)));
    assert_eq!(rig.statuses(), [(3, Status::Cancelled)]);
    rig.done(9, exec, 1, 9);
    assert_eq!(rig.tickets(Lane::Output).len(), 1);
}

#[test]
fn a_slot_discarded_under_exec_gives_no_output_and_comes_back_afterwards() {
    let mut rig = Rig::loaded();
    rig.input_held(0, 0);
    rig.input_held(0, 1);
    rig.order(1, infer(2, 1, 2, window(1, 50, 50), &[item(0), item(1)]));
    let (exec, _) = rig.exec().unwrap();
    rig.tell(2, DeviceEvent::Discard(slot(0, 0)));
    assert!(rig.reports.is_empty(), "the graph still works on it");
    rig.done(9, exec, 1, 9);
    let outputs = rig.tickets(Lane::Output);
    assert_eq!(outputs.len(), 1);
    rig.tell(10, DeviceEvent::Discard(slot(1, 0)));
    rig.done(11, outputs[0], 9, 11);
    assert_eq!(rig.slots_done(), [0, 1]);
    let ends: Vec<_> = rig.result().items.iter().map(|end| end.status).collect();
    assert_eq!(ends, [Status::Cancelled, Status::Cancelled]);
}

#[test]
fn an_infer_whose_items_are_all_withdrawn_is_cancelled() {
    let mut rig = Rig::loaded();
    rig.order(1, infer(2, 1, 1, window(1, 50, 50), &[item(0)]));
    rig.tell(2, DeviceEvent::Discard(slot(0, 0)));
    assert_eq!((rig.statuses(), rig.slots_done()), (vec![(2, Status::Cancelled)], vec![0]));
}

#[test]
fn a_rehearsal_runs_over_null_slots_and_is_answered() {
    let mut rig = Rig::loaded();
    rig.order(1, infer(2, 1, 1, window(1, 50, 50), &[]));
    let (exec, places) = rig.exec().unwrap();
    assert!(places.iter().all(Option::is_none));
    rig.done(9, exec, 1, 9);
    assert_eq!((rig.statuses(), rig.slots_done()), (vec![(2, Status::Ok)], vec![]));
    assert!(rig.core.is_quiet());
}

#[test]
fn nonsense_is_a_bad_action_and_changes_nothing() {
    let mut rig = Rig::loaded();
    let open = window(1, 50, 50);
    let elsewhere = Item { slot: clockwork_runtime::base::SlotId { class: 3, ..slot(0, 0) }, ..item(0) };
    let nonsense = [
        infer(2, 1, 8, open, &[item(0)]),
        infer(2, 9, 1, open, &[item(0)]),
        infer(2, 1, 1, open, &[item(0), item(1)]),
        infer(2, 1, 2, open, &[item(0), item(0)]),
        infer(2, 1, 1, open, &[elsewhere]),
        infer(2, 1, 1, window(5, 4, 9), &[item(0)]),
        load(2, 9, open),
    ];
    for action in nonsense {
        rig.order(1, action.clone());
        assert_eq!(rig.statuses(), [(2, Status::BadAction)], "{action:?}");
    }
    assert!(rig.core.is_quiet());
}

#[test]
fn payload_of_an_older_use_or_another_request_is_not_taken() {
    let mut rig = Rig::loaded();
    rig.tell(1, DeviceEvent::Discard(slot(0, 4)));
    rig.tell(1, DeviceEvent::InputArrived { slot: slot(0, 4), request: request(0), bytes: INPUT_BYTES });
    assert!(rig.ops.is_empty());
    rig.order(2, infer(2, 1, 1, window(2, 50, 50), &[item(1)]));
    rig.tell(3, DeviceEvent::InputArrived { slot: slot(1, 0), request: request(0), bytes: INPUT_BYTES });
    assert!(rig.ops.is_empty());
}

#[test]
fn a_driver_fault_in_exec_fails_each_item_and_keeps_the_inputs() {
    let mut rig = Rig::loaded();
    rig.input_held(0, 0);
    rig.order(1, infer(2, 1, 1, window(1, 50, 50), &[item(0)]));
    let (exec, _) = rig.exec().unwrap();
    rig.fail(9, exec, 700);
    let result = rig.result();
    assert_eq!(result.status, Status::DeviceFault { code: 700 });
    assert_eq!((result.items[0].status, result.items[0].input_held), (result.status, true));
}

#[test]
fn a_reset_answers_what_is_queued_and_ends_every_slot() {
    let mut rig = Rig::loaded();
    rig.input_held(0, 0);
    rig.order(1, infer(2, 1, 1, window(1, 50, 50), &[item(0)]));
    let (exec, _) = rig.exec().unwrap();
    rig.order(1, infer(3, 1, 1, window(1, 50, 50), &[item(1)]));
    rig.tell(2, DeviceEvent::Reset);
    assert_eq!((rig.statuses(), rig.slots_done()), (vec![(3, Status::ShuttingDown)], vec![1]));
    rig.done(9, exec, 1, 9);
    assert_eq!((rig.statuses(), rig.slots_done()), (vec![(2, Status::Ok)], vec![0]));
    assert!(rig.core.is_quiet());
    rig.order(10, unload(4, 1));
    assert_eq!(rig.statuses(), [(4, Status::Ok)], "what was loaded is loaded still");
}
