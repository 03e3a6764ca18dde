//! The gateway's clients: links that said HELLO, and what they ask.

use super::{Gateway, is_client};
use crate::base::Nanos;
use crate::base::limits::MAX_CLIENTS;
use crate::gateway::{CatalogModel, ClientId, Event, Request};
use crate::host::role::{Io, clock};
use crate::net::LinkId;
use crate::wire::handshake::VERSION;
use crate::wire::message::SyncAnswer;
use crate::wire::{Catalog, Hello, Kind, Message, ModelEntry, Name, PeerFault, Sync, Welcome};

/// Links that are clients; a client's number is its link's.
#[derive(Debug)]
pub(super) struct Clients {
    links: Vec<LinkId>,
}

impl Clients {
    pub(super) fn new() -> Clients {
        Clients { links: Vec::with_capacity(MAX_CLIENTS) }
    }

    /// The link of a client that is still connected.
    pub(super) fn link(&self, client: ClientId) -> Option<LinkId> {
        let link = LinkId { index: client.index, generation: client.generation };
        self.links.contains(&link).then_some(link)
    }

    fn client(&self, link: LinkId) -> Option<ClientId> {
        self.links.contains(&link).then_some(ClientId { index: link.index, generation: link.generation })
    }

    pub(super) fn remove(&mut self, link: LinkId) -> Option<ClientId> {
        let client = self.client(link)?;
        self.links.retain(|known| *known != link);
        Some(client)
    }
}

impl Gateway {
    pub(super) fn on_client(&mut self, now: Nanos, link: LinkId, message: Message, io: &mut Io) {
        let client = self.clients.client(link);
        let kind = message.kind();
        match (message, client) {
            (Message::Hello(hello), None) => self.welcome(link, &hello, io),
            (Message::Sync(Sync { id, origin, answer: None }), Some(_)) => {
                let answer = Some(SyncAnswer { received: now, sent: clock() });
                let _ = io.net.send(link, &Message::Sync(Sync { id, origin, answer }), None);
            }
            (Message::Lookup { id, model, name }, Some(_)) => {
                let found = if name.is_empty() { self.core.model(model) } else { self.core.model_named(&name) };
                let entry = found.and_then(entry);
                let total = u32::from(entry.is_some());
                let answer = Catalog { id, index: 0, total, entry };
                if io.net.send(link, &Message::Catalog(Box::new(answer)), None).is_err() {
                    io.net.close(link);
                }
            }
            (Message::Request { id, model, shape, slo, payload }, Some(client)) => {
                let request =
                    Request { client, correlation: id, model, shape, payload_bytes: payload, arrival: now, slo };
                self.tell(now, Event::Request(request), io);
            }
            (Message::Withdraw { id }, Some(client)) => {
                self.tell(now, Event::Withdraw { client, correlation: id }, io);
            }
            _ => io.net.cut_off(link, PeerFault::Unexpected { kind: kind as u16, role: 0 }),
        }
    }

    fn welcome(&mut self, link: LinkId, hello: &Hello, io: &mut Io) {
        if !is_client(hello.role) {
            let fault = PeerFault::Unexpected { kind: Kind::Hello as u16, role: hello.role as u16 };
            return io.net.cut_off(link, fault);
        }
        if hello.version_min > VERSION || hello.version_max < VERSION {
            return io.net.cut_off(link, PeerFault::BadVersion { found: hello.version_max, own: VERSION });
        }
        if self.clients.links.len() == MAX_CLIENTS {
            let limit = u32::try_from(MAX_CLIENTS).unwrap_or(u32::MAX);
            return io.net.cut_off(link, PeerFault::TooManyPeers { connected: limit, limit });
        }
        self.clients.links.push(link);
        let welcome = Welcome {
            version: VERSION,
            features: 0,
            id: 0,
            epoch: 0,
            requests: self.config.requests.into(),
            payload_bytes: self.config.payload_bytes,
        };
        if io.net.send(link, &Message::Welcome(welcome), None).is_err() {
            io.net.close(link);
        }
    }
}

/// A model as a client is told; none if its name does not fit a frame, which no controller sends.
fn entry(model: &CatalogModel) -> Option<ModelEntry> {
    let shapes = model.inputs.iter().chain(&model.outputs).map(|tensor| tensor.shapes.len()).max().unwrap_or(1);
    Some(ModelEntry {
        model: model.model,
        name: Name::from(&model.name).ok()?,
        class: 0,
        shapes: u8::try_from(shapes).ok()?,
        inputs: model.inputs.clone(),
        outputs: model.outputs.clone(),
    })
}
