//! The gateway's logic: each request ends exactly once, and no answer after its deadline is an OK.

use super::catalog::Catalog;
use super::event::{Answer, CatalogModel, ClientId, Config, Ends, Event, Outbox, Output, Request};
use super::returns::Returns;
use super::slab::{Held, Slab};
use crate::base::{GatewayId, ModelId, Nanos, RequestId, SlotId, WorkerId};
use crate::order::record::End;
use crate::order::{Reject, Stages, Status};

/// Outputs that one request's step emits at most.
const STEP_OUTPUTS: usize = 3;

/// One gateway.
#[derive(Debug)]
pub struct Core {
    config: Config,
    catalog: Catalog,
    slab: Slab,
    returns: Returns,
    ends: Ends,
    draining: bool,
    /// The place where telling the controller of withdrawals goes on; none if nothing is owed.
    owed_from: Option<usize>,
}

impl Core {
    /// A gateway without models or clients. Takes all its memory but the catalog's.
    ///
    /// # Panics
    /// If a setting is beyond its limit.
    pub fn new(config: Config) -> Core {
        assert!(config.is_within_limits(), "a gateway's settings are beyond their limits: {config:?}");
        let capacity = u16::try_from(config.requests).unwrap_or(u16::MAX);
        Core {
            catalog: Catalog::new(config.models),
            slab: Slab::new(config.gateway, capacity),
            returns: Returns::new(config.return_bound),
            ends: Ends::default(),
            draining: false,
            owed_from: None,
            config,
        }
    }

    /// Takes one event and says what is to be done; what is left over is continued by the `Tick` that
    /// [`Core::due`] then asks for.
    ///
    /// # Panics
    /// If `out` is not empty.
    pub fn handle(&mut self, now: Nanos, event: Event, out: &mut Outbox) {
        assert!(out.is_empty(), "the outputs of the event before were not taken");
        match event {
            Event::Catalog(model) => self.catalog.add(*model),
            Event::Request(request) => self.request(now, request, out),
            Event::PayloadWhole(id) => self.payload_whole(now, id, out),
            Event::Withdraw { client, correlation } => {
                if let Some(id) = self.slab.find(client, correlation) {
                    self.take_back(now, id, out);
                }
            }
            Event::ClientGone(client) => self.client_gone(now, client),
            Event::Place { request, worker, slot } => self.placed(request, worker, slot, out),
            Event::Reject { request, reason } => self.answer(now, request, Answer::Rejected(reason), out),
            Event::Revoke { request, reason } => self.answer(now, request, Answer::Revoked(reason), out),
            Event::Fail { request, status } => self.answer(now, request, Answer::Failed(status), out),
            Event::Output { request, worker, slot, bytes, stages } => {
                self.output(now, request, (worker, slot), (u64::from(bytes), stages), out);
            }
            Event::InputSent(id) => {
                if let Some(held) = self.slab.get_mut(id) {
                    held.inputs_out = held.inputs_out.saturating_sub(1);
                }
                self.slab.settle(id);
            }
            Event::Sent(id) => self.sent(now, id, out),
            Event::Drain => self.draining = true,
            Event::Tick => self.tick(now, out),
        }
        self.pay_owed(out);
    }

    /// When it wants a `Tick` at the latest.
    pub fn due(&self) -> Option<Nanos> {
        if self.owed_from.is_some() { Some(Nanos::ZERO) } else { self.slab.due() }
    }

    /// How requests ended.
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// Requests that hold a place.
    pub fn held(&self) -> usize {
        self.slab.len()
    }

    /// A model of the catalog.
    pub fn model(&self, model: ModelId) -> Option<&CatalogModel> {
        self.catalog.get(model)
    }

    /// A model of the catalog by its name.
    pub fn model_named(&self, name: &str) -> Option<&CatalogModel> {
        self.catalog.named(name)
    }

    /// What sending an answer of that many bytes takes at most.
    pub fn return_bound(&self, now: Nanos, bytes: u64) -> Nanos {
        self.returns.bound(now, bytes)
    }

    /// Takes the number that a controller gave. Requests of an earlier number end by their deadline.
    pub fn enlist(&mut self, gateway: GatewayId) {
        self.slab.rename(gateway);
    }

    /// Payload bytes of a request that still holds its place.
    pub fn input_bytes(&mut self, request: RequestId) -> Option<u32> {
        self.slab.get_mut(request).map(|held| held.request.payload_bytes)
    }

    /// When the first byte of a request came that still holds its place.
    pub fn arrival(&mut self, request: RequestId) -> Option<Nanos> {
        self.slab.get_mut(request).map(|held| held.request.arrival)
    }

    /// Where a request that still holds its place was placed last.
    pub fn placed_at(&mut self, request: RequestId) -> Option<(WorkerId, SlotId)> {
        self.slab.get_mut(request).and_then(|held| held.placed)
    }

    /// Payload bytes of the answer that a request which still holds its place will get.
    pub fn output_bytes(&mut self, request: RequestId) -> Option<u32> {
        self.slab.get_mut(request).and_then(|held| u32::try_from(held.output_bytes).ok())
    }

    fn request(&mut self, now: Nanos, request: Request, out: &mut Outbox) {
        self.ends.requests += 1;
        let bytes = request.payload_bytes;
        let checked = if self.draining {
            Err(Reject::Draining)
        } else {
            self.catalog.check(request.model, request.shape, u64::from(bytes))
        };
        let admitted = checked.and_then(|output_bytes| {
            if bytes > self.config.payload_bytes {
                return Err(Reject::Overloaded);
            }
            let deadline = request.arrival + request.slo.min(self.config.max_slo);
            let id = self.slab.add(Held::new(request, deadline, output_bytes)).ok_or(Reject::Overloaded)?;
            Ok((id, deadline))
        });
        match admitted {
            Ok((id, deadline)) => {
                self.slab.wake(id, deadline.max(now));
                out.push(Output::Receive { client: request.client, request: id, bytes });
            }
            Err(reason) => {
                self.ends.count(End::Rejected);
                out.push(Output::Refuse { client: request.client, correlation: request.correlation, reason });
                out.push(Output::Drain { client: request.client, bytes });
            }
        }
    }

    fn payload_whole(&mut self, now: Nanos, id: RequestId, out: &mut Outbox) {
        let Some(held) = self.slab.get_mut(id) else { return };
        held.receiving = false;
        if held.answer.is_some() {
            self.slab.settle(id);
            return;
        }
        let (request, deadline) = (held.request, held.deadline);
        let return_bound = self.returns.bound(now, held.output_bytes);
        if now + return_bound >= deadline {
            let predicted = (now + return_bound).since(request.arrival);
            self.answer(now, id, Answer::Rejected(Reject::WouldBeLate { predicted }), out);
            return;
        }
        held.asked = true;
        out.push(Output::Ask {
            request: id,
            model: request.model,
            shape: request.shape,
            arrival: request.arrival,
            slo: deadline.since(request.arrival),
            return_bound,
        });
    }

    fn placed(&mut self, id: RequestId, worker: WorkerId, slot: SlotId, out: &mut Outbox) {
        let Some(held) = self.slab.open_mut(id).filter(|held| held.asked) else { return };
        held.placed = Some((worker, slot));
        held.inputs_out += 1;
        out.push(Output::Input { request: id, worker, slot });
    }

    fn output(
        &mut self,
        now: Nanos,
        id: RequestId,
        from: (WorkerId, SlotId),
        (bytes, stages): (u64, Stages),
        out: &mut Outbox,
    ) {
        let Some(held) = self.slab.open_mut(id).filter(|held| held.placed == Some(from)) else { return };
        let answer = if bytes != held.output_bytes {
            Answer::Failed(Status::BadAction)
        } else if now + self.returns.bound(now, bytes) <= held.deadline {
            Answer::Ok
        } else {
            Answer::Late
        };
        self.respond(now, id, answer, stages, out);
    }

    fn answer(&mut self, now: Nanos, id: RequestId, answer: Answer, out: &mut Outbox) {
        if self.slab.open_mut(id).is_some() {
            self.respond(now, id, answer, Stages::default(), out);
        }
    }

    /// Answers an open request. An OK is counted when it is sent, everything else now.
    fn respond(&mut self, now: Nanos, id: RequestId, answer: Answer, stages: Stages, out: &mut Outbox) {
        let Some(held) = self.slab.open_mut(id) else { unreachable!("only an open request is answered") };
        held.answer = Some(answer);
        held.sending = Some(now);
        let Request { client, correlation, .. } = held.request;
        let tell = held.asked && answer == Answer::Late;
        self.slab.wake(id, now + self.config.patience);
        out.push(Output::Respond { client, correlation, request: id, answer, stages });
        if answer != Answer::Ok {
            self.ends.count(answer.end());
        }
        if tell {
            out.push(Output::Ended { request: id, end: End::Late, at: now });
        }
    }

    fn sent(&mut self, now: Nanos, id: RequestId, out: &mut Outbox) {
        let Some(held) = self.slab.get_mut(id) else { return };
        let Some(since) = held.sending.take() else { return };
        let (answer, deadline, bytes) = (held.answer, held.deadline, held.output_bytes);
        if matches!(answer, Some(Answer::Ok | Answer::Late)) {
            self.returns.record(now, bytes, now.since(since));
        }
        if answer == Some(Answer::Ok) {
            let end = if now <= deadline { End::Ok } else { End::Late };
            self.ends.count(end);
            out.push(Output::Ended { request: id, end, at: since });
        }
        self.wake_for_payload(now, id);
        self.slab.settle(id);
    }

    /// An answered request whose payload is still coming is given the client's patience for it.
    fn wake_for_payload(&mut self, now: Nanos, id: RequestId) {
        let receiving = self.slab.get_mut(id).is_some_and(|held| held.receiving);
        self.slab.wake(id, if receiving { now + self.config.patience } else { Nanos::MAX });
    }

    /// The client takes an open request back, and is told that it ended so.
    fn take_back(&mut self, now: Nanos, id: RequestId, out: &mut Outbox) {
        let Some(held) = self.slab.open_mut(id) else { return };
        held.sending = Some(now);
        let Request { client, correlation, .. } = held.request;
        self.withdraw(id);
        self.slab.wake(id, now + self.config.patience);
        let (answer, stages) = (Answer::Withdrawn, Stages::default());
        out.push(Output::Respond { client, correlation, request: id, answer, stages });
    }

    /// An open request is not wanted any more.
    fn withdraw(&mut self, id: RequestId) {
        let Some(held) = self.slab.open_mut(id) else { return };
        held.answer = Some(Answer::Withdrawn);
        held.owes_withdraw = held.asked;
        if held.asked {
            self.owed_from = Some(0);
        }
        let receiving = held.receiving;
        let patience = held.deadline + self.config.patience;
        self.ends.count(End::Withdrawn);
        self.slab.wake(id, if receiving { patience } else { Nanos::MAX });
        self.slab.settle(id);
    }

    /// Nothing more is received from or sent to this client.
    fn client_gone(&mut self, now: Nanos, client: ClientId) {
        for place in 0..self.slab.capacity() {
            let Some(id) = self.slab.at(place) else { continue };
            let Some(held) = self.slab.get_mut(id).filter(|held| held.request.client == client) else { continue };
            held.receiving = false;
            let unsent = held.sending.take().is_some() && held.answer == Some(Answer::Ok);
            let late = now > held.deadline;
            if unsent {
                self.ends.count(if late { End::Late } else { End::Withdrawn });
            }
            self.withdraw(id);
            self.slab.wake(id, Nanos::MAX);
            self.slab.settle(id);
        }
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        while out.remaining_capacity() >= STEP_OUTPUTS {
            let Some(id) = self.slab.next_due(now) else { return };
            let Some(held) = self.slab.get_mut(id) else { unreachable!("a timer belongs to a held request") };
            let client = held.request.client;
            if held.answer.is_none() {
                self.answer(now, id, Answer::Late, out);
            } else {
                // It takes no answer, or sends no payload: the host says `ClientGone` next.
                self.slab.wake(id, now + self.config.patience);
                out.push(Output::CutOff(client));
            }
        }
    }

    /// Tells the controller of withdrawals, as far as the outputs have room.
    fn pay_owed(&mut self, out: &mut Outbox) {
        let Some(from) = self.owed_from else { return };
        for place in from..self.slab.capacity() {
            let Some(id) = self.slab.at(place) else { continue };
            let Some(held) = self.slab.get_mut(id).filter(|held| held.owes_withdraw) else { continue };
            if out.is_full() {
                self.owed_from = Some(place);
                return;
            }
            held.owes_withdraw = false;
            out.push(Output::Withdraw(id));
            self.slab.settle(id);
        }
        self.owed_from = None;
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
