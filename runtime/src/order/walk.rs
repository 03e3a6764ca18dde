//! Walks: what the recorded sequence must show of one request's or one batch's way.
//!
//! The same functions judge the simulator's records and those of the real processes. They expect
//! steps on one clock, in the order of their times; where several are written at one time, causes
//! come before effects.

use thiserror::Error;

use super::Status;
use super::record::{End, Event, Place, Step, Verb};
use crate::base::{ActionId, ModelId, Nanos, RequestId, SlotId};

/// How a sequence differs from the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WalkError {
    /// A step that must be there is not.
    #[error("there is no step: {0}")]
    Missing(&'static str),
    /// A step is there more or less often than it must be.
    #[error("{what}: {found} times, wanted {wanted}")]
    Count {
        /// Which step.
        what: &'static str,
        /// How often it is there.
        found: usize,
        /// How often it must be.
        wanted: usize,
    },
    /// Two steps are not in order.
    #[error("`{later}` does not come after `{earlier}`")]
    Order {
        /// What must come first.
        earlier: &'static str,
        /// What must come after it.
        later: &'static str,
    },
    /// An action, slot or request has not exactly one end.
    #[error("{0}")]
    NotOnce(&'static str),
    /// A request ended otherwise.
    #[error("{request} ended {found:?}, wanted {wanted:?}")]
    Ended {
        /// The request.
        request: RequestId,
        /// How it ended.
        found: End,
        /// How it must.
        wanted: End,
    },
    /// Exec began outside the action's window.
    #[error("{action:?} began at {began}, outside {earliest} to {latest}")]
    Window {
        /// The action.
        action: ActionId,
        /// When it began.
        began: Nanos,
        /// Opening of its window.
        earliest: Nanos,
        /// Close of its window.
        latest: Nanos,
    },
}

/// Requests in the order in which they were asked for.
pub fn requests(steps: &[Step]) -> Vec<RequestId> {
    let asked = steps.iter().filter_map(|step| match step.event {
        Event::Asked { request, .. } => Some(request),
        _ => None,
    });
    asked.collect()
}

fn all(steps: &[Step], wanted: impl Fn(&Event) -> bool) -> Vec<usize> {
    steps.iter().enumerate().filter(|(_, step)| wanted(&step.event)).map(|(place, _)| place).collect()
}

fn only(steps: &[Step], what: &'static str, wanted: impl Fn(&Event) -> bool) -> Result<usize, WalkError> {
    match all(steps, wanted)[..] {
        [] => Err(WalkError::Missing(what)),
        [place] => Ok(place),
        ref places => Err(WalkError::Count { what, found: places.len(), wanted: 1 }),
    }
}

fn in_order(places: &[(&'static str, usize)]) -> Result<(), WalkError> {
    let wrong = places.windows(2).find(|pair| pair[0].1 >= pair[1].1);
    wrong.map_or(Ok(()), |pair| Err(WalkError::Order { earlier: pair[0].0, later: pair[1].0 }))
}

/// What always holds of a whole sequence: each request is answered once, each action has one result,
/// each slot that was placed comes back once.
///
/// # Errors
/// The first of these that does not hold.
pub fn whole(steps: &[Step]) -> Result<(), WalkError> {
    let once = |what, wanted: &dyn Fn(&Event) -> bool| match all(steps, wanted).len() {
        1 => Ok(()),
        _ => Err(WalkError::NotOnce(what)),
    };
    for step in steps {
        match step.event {
            Event::Asked { request, .. } => once(
                "a request is not answered exactly once",
                &|event| matches!(event, Event::Answered { request: of, .. } if *of == request),
            )?,
            Event::ActionSent { action, .. } => once(
                "an action is not answered exactly once",
                &|event| matches!(event, Event::ResultSent { action: of, .. } if *of == action),
            )?,
            Event::Placed { slot, .. } => once(
                "a slot does not come back exactly once",
                &|event| matches!(event, Event::SlotFreed { slot: of } if *of == slot),
            )?,
            _ => {}
        }
    }
    Ok(())
}

/// Checks how a request ended, and gives the place of that step.
///
/// # Errors
/// If it did not end, ended twice, or ended otherwise.
pub fn ended(steps: &[Step], request: RequestId, wanted: End) -> Result<usize, WalkError> {
    let place = only(
        steps,
        "the request is answered",
        |event| matches!(event, Event::Answered { request: of, .. } if *of == request),
    )?;
    match steps[place].event {
        Event::Answered { end, .. } if end != wanted => Err(WalkError::Ended { request, found: end, wanted }),
        _ => Ok(place),
    }
}

fn model_of(steps: &[Step], request: RequestId) -> Result<ModelId, WalkError> {
    let asked = steps.iter().find_map(|step| match step.event {
        Event::Asked { request: of, model, .. } if of == request => Some(model),
        _ => None,
    });
    asked.ok_or(WalkError::Missing("the request is asked for"))
}

fn bound(steps: &[Step], request: RequestId) -> Result<(ActionId, SlotId), WalkError> {
    let bound = steps.iter().find_map(|step| match step.event {
        Event::Bound { action, request: of, slot } if of == request => Some((action, slot)),
        _ => None,
    });
    bound.ok_or(WalkError::Missing("the request is bound"))
}

fn began(steps: &[Step], what: &'static str, action: ActionId, place: Place) -> Result<usize, WalkError> {
    only(
        steps,
        what,
        |event| matches!(event, Event::LaneBegan { action: of, place: at, .. } if (*of, *at) == (action, place)),
    )
}

fn over(steps: &[Step], what: &'static str, action: ActionId, place: Place) -> Result<usize, WalkError> {
    only(
        steps,
        what,
        |event| matches!(event, Event::LaneEnded { action: of, place: at, .. } if (*of, *at) == (action, place)),
    )
}

fn result(steps: &[Step], what: &'static str, action: ActionId, wanted: Status) -> Result<usize, WalkError> {
    only(steps, what, |event| *event == Event::ResultSent { action, status: wanted })
}

/// Actions of one kind for one model, with the places at which they were sent.
fn sent(steps: &[Step], verb: Verb, model: ModelId) -> Vec<(ActionId, usize)> {
    let actions = steps.iter().enumerate().filter_map(|(place, step)| match step.event {
        Event::ActionSent { action, verb: of, model: about, .. } if (of, about) == (verb, model) => {
            Some((action, place))
        }
        _ => None,
    });
    actions.collect()
}

/// The way of a request that is bound once and answered OK, from its INFER on: its exec lies within
/// its window, its output leaves, its slot comes back, its answer follows its output. Gives the
/// places of the INFER's order and of its exec's begin.
fn served(steps: &[Step], request: RequestId) -> Result<(usize, usize), WalkError> {
    let (action, slot) = bound(steps, request)?;
    let order = only(
        steps,
        "INFER is ordered",
        |event| matches!(event, Event::ActionSent { action: of, verb: Verb::Infer, .. } if *of == action),
    )?;
    let placed = only(
        steps,
        "the request is placed",
        |event| matches!(event, Event::Placed { request: of, slot: at, .. } if (*of, *at) == (request, slot)),
    )?;
    let asked = only(
        steps,
        "the request is asked for",
        |event| matches!(event, Event::Asked { request: of, .. } if *of == request),
    )?;
    let arrived = only(steps, "its input is whole", |event| *event == Event::InputArrived { request, slot })?;
    let begin = began(steps, "exec begins", action, Place::Exec)?;
    let output = over(steps, "its output is copied", action, Place::Output)?;
    let left = only(steps, "its output leaves", |event| *event == Event::OutputSent { request, slot })?;
    let freed = only(steps, "its slot comes back", |event| *event == Event::SlotFreed { slot })?;
    let answered = ended(steps, request, End::Ok)?;
    let item = only(
        steps,
        "its item is answered",
        |event| matches!(event, Event::ItemEnded { action: of, request: whose, .. } if (*of, *whose) == (action, request)),
    )?;
    if !matches!(steps[item].event, Event::ItemEnded { status: Status::Ok, .. }) {
        return Err(WalkError::Missing("its item is answered Ok"));
    }
    in_order(&[("asked", asked), ("placed", placed), ("INFER ordered", order), ("exec begins", begin)])?;
    in_order(&[
        ("input whole", arrived),
        ("input's copy begins", began(steps, "its input's copy begins", action, Place::Input)?),
        ("input's copy ends", over(steps, "its input's copy ends", action, Place::Input)?),
    ])?;
    in_order(&[
        ("exec begins", begin),
        ("exec ends", over(steps, "exec ends", action, Place::Exec)?),
        ("output's copy begins", began(steps, "its output's copy begins", action, Place::Output)?),
        ("output's copy ends", output),
        ("INFER answered", result(steps, "INFER is answered Ok", action, Status::Ok)?),
    ])?;
    in_order(&[("output leaves", left), ("slot comes back", freed)])?;
    in_order(&[("exec begins", begin), ("output leaves", left)])?;
    in_order(&[("exec begins", begin), ("answered", answered)])?;
    within_window(steps, order, begin)?;
    Ok((order, begin))
}

fn within_window(steps: &[Step], order: usize, begin: usize) -> Result<(), WalkError> {
    let Event::ActionSent { action, earliest, latest, .. } = steps[order].event else {
        return Err(WalkError::Missing("the action is ordered"));
    };
    let began = steps[begin].at;
    if (earliest..=latest).contains(&began) {
        Ok(())
    } else {
        Err(WalkError::Window { action, began, earliest, latest })
    }
}

/// A warm INFER: the weights are there, and nothing but one INFER is ordered for the request.
///
/// # Errors
/// How the sequence differs from that.
pub fn warm_infer(steps: &[Step], request: RequestId) -> Result<(), WalkError> {
    let model = model_of(steps, request)?;
    let (order, _) = served(steps, request)?;
    let asked = only(
        steps,
        "the request is asked for",
        |event| matches!(event, Event::Asked { request: of, .. } if *of == request),
    )?;
    for verb in [Verb::Fetch, Verb::Load] {
        let after = sent(steps, verb, model).into_iter().filter(|&(_, place)| place > asked).count();
        if after > 0 {
            return Err(WalkError::Count { what: "weights are moved for a warm request", found: after, wanted: 0 });
        }
    }
    in_order(&[("asked", asked), ("INFER ordered", order)])
}

/// A cold start: FETCH, LOAD and INFER, each ordered after the one before was answered.
///
/// # Errors
/// How the sequence differs from that.
pub fn cold_infer(steps: &[Step], request: RequestId) -> Result<(), WalkError> {
    let model = model_of(steps, request)?;
    let (_, begin) = served(steps, request)?;
    let [(fetch, fetch_sent)] = sent(steps, Verb::Fetch, model)[..] else {
        return Err(WalkError::Missing("one FETCH"));
    };
    let [(load, load_sent)] = sent(steps, Verb::Load, model)[..] else { return Err(WalkError::Missing("one LOAD")) };
    let asked = only(
        steps,
        "the request is asked for",
        |event| matches!(event, Event::Asked { request: of, .. } if *of == request),
    )?;
    in_order(&[
        ("asked", asked),
        ("FETCH ordered", fetch_sent),
        ("FETCH begins", began(steps, "FETCH begins", fetch, Place::Disk)?),
        ("FETCH ends", over(steps, "FETCH ends", fetch, Place::Disk)?),
        ("FETCH answered", result(steps, "FETCH is answered Ok", fetch, Status::Ok)?),
        ("LOAD ordered", load_sent),
        ("LOAD begins", began(steps, "LOAD begins", load, Place::Weights)?),
        ("LOAD ends", over(steps, "LOAD ends", load, Place::Weights)?),
        ("LOAD answered", result(steps, "LOAD is answered Ok", load, Status::Ok)?),
        ("exec begins", begin),
    ])
}

/// A batch of three, bound late: in one INFER ordered after all were placed, while the device was
/// busy with something before it. Its plan is the smallest that holds three. `kept` is served from
/// it, `withdrawn` was taken back by its client, the input of `missing` did not come in time.
///
/// # Errors
/// How the sequence differs from that.
pub fn late_batch(steps: &[Step], kept: RequestId, withdrawn: RequestId, missing: RequestId) -> Result<(), WalkError> {
    let (order, begin) = served(steps, kept)?;
    let (action, _) = bound(steps, kept)?;
    let members = all(steps, |event| matches!(event, Event::Bound { action: of, .. } if *of == action));
    if members.len() != 3 {
        return Err(WalkError::Count { what: "members are bound", found: members.len(), wanted: 3 });
    }
    for request in [withdrawn, missing] {
        let (together, slot) = bound(steps, request)?;
        if together != action {
            return Err(WalkError::Missing("all three are bound to one INFER"));
        }
        let placed = only(
            steps,
            "a member is placed",
            |event| matches!(event, Event::Placed { request: of, slot: at, .. } if (*of, *at) == (request, slot)),
        )?;
        in_order(&[("placed", placed), ("INFER ordered", order)])?;
        only(steps, "a member's slot comes back", |event| *event == Event::SlotFreed { slot })?;
    }
    let before =
        all(steps, |event| matches!(event, Event::LaneEnded { action: of, place: Place::Exec, .. } if *of != action));
    if !before.iter().any(|&end| order < end && end < begin) {
        return Err(WalkError::Missing("the exec before ends between the batch's order and its begin"));
    }
    let (_, slot) = bound(steps, missing)?;
    let status = Event::ItemEnded { action, request: missing, status: Status::InputMissing };
    only(steps, "the member without input is answered so", |event| *event == status)?;
    let early = all(&steps[..begin], |event| *event == Event::InputArrived { request: missing, slot });
    if !early.is_empty() {
        return Err(WalkError::Count { what: "the missing input came", found: early.len(), wanted: 0 });
    }
    let back = ended(steps, withdrawn, End::Withdrawn)?;
    in_order(&[("INFER ordered", order), ("withdrawn", back)])
}

/// A LOAD that fails in the driver, and is planned again: the request is served from the second.
///
/// # Errors
/// How the sequence differs from that.
pub fn load_again(steps: &[Step], request: RequestId) -> Result<(), WalkError> {
    let model = model_of(steps, request)?;
    let (_, begin) = served(steps, request)?;
    let [(first, first_sent), (second, second_sent)] = sent(steps, Verb::Load, model)[..] else {
        return Err(WalkError::Missing("two LOADs"));
    };
    let failed = only(
        steps,
        "the first LOAD fails",
        |event| matches!(event, Event::ResultSent { action, status: Status::DeviceFault { .. } } if *action == first),
    )?;
    in_order(&[
        ("first LOAD ordered", first_sent),
        ("first LOAD failed", failed),
        ("second LOAD ordered", second_sent),
        ("second LOAD ends", over(steps, "the second LOAD ends", second, Place::Weights)?),
        ("second LOAD answered", result(steps, "the second LOAD is answered Ok", second, Status::Ok)?),
        ("exec begins", begin),
    ])
}
