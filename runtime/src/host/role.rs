//! What a thread runs: roles, polled in turn, over one ring and one network.

use std::sync::mpsc::Sender;

use sys::doorbell::Doorbell;
use sys::uring::{Completion, Ring, RingConfig};

use super::orders::{Notice, Order, Orders};
use crate::base::Nanos;
use crate::net::{Net, NetConfig, NetError, NetEvent, Owner, is_net_completion};
use crate::order::record::Record;

/// Links of one thread.
const LINKS: usize = 128;
/// Operations of one thread's ring: each link has a receive and a send, and there is the disk.
const OPERATIONS: u32 = 1024;
/// A thread that sleeps wakes this much before the next known event and polls from there.
const WAKE_AHEAD: Nanos = Nanos::micros(100);
/// How often slow peers are looked for.
const NET_PERIOD: Nanos = Nanos::millis(250);

/// When a role wants to be polled again, unless something happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Poll {
    /// At once: there is more to do.
    Now,
    /// At that time.
    At(Nanos),
    /// When something happens.
    Idle,
}

impl Poll {
    /// The poll for a machine's `due()`.
    pub fn due(due: Option<Nanos>) -> Poll {
        due.map_or(Poll::Idle, Poll::At)
    }
}

/// The ring and the network of a thread.
#[derive(Debug)]
pub struct Io {
    /// The ring.
    pub ring: Ring,
    /// The network.
    pub net: Net,
}

/// One role: everything that it does is bounded, and nothing blocks.
pub trait Role {
    /// Takes an event of one of its links.
    fn on_net(&mut self, now: Nanos, event: NetEvent, io: &mut Io);

    /// Whether a completion that is not the network's is this role's.
    fn owns(&self, user: u64) -> bool;

    /// Takes a completion that [`Role::owns`].
    fn on_completion(&mut self, now: Nanos, completion: Completion, io: &mut Io);

    /// Does what time or devices have made possible; says when it wants to be polled again.
    fn poll(&mut self, now: Nanos, io: &mut Io) -> Poll;

    /// Whether it can do its work: its peers know it, and it knows them.
    fn is_ready(&self) -> bool;

    /// Takes on nothing new from here on.
    fn refuse(&mut self, now: Nanos, io: &mut Io);

    /// Whether all that it took on is finished.
    fn is_quiet(&self) -> bool;

    /// What it recorded, at its end.
    fn take_record(&mut self) -> Record;
}

/// How a thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It sleeps until shortly before the next known event.
    Sleep,
    /// It never sleeps.
    Spin,
}

/// A thread's ring, network and doorbell, made before its roles.
#[derive(Debug)]
pub struct Station {
    /// Ring and network.
    pub io: Io,
    /// Wakes the thread.
    pub bell: Doorbell,
}

impl Station {
    /// Takes ring, links and doorbell.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn new() -> Result<Station, NetError> {
        let mut ring = Ring::new(RingConfig { operations: OPERATIONS, files: 4096, buffers: 64 })?;
        let bell = Doorbell::event().map_err(sys::uring::RingError::SetUp)?;
        ring.listen(bell.clone())?;
        let net = Net::new(NetConfig { links: LINKS })?;
        Ok(Station { io: Io { ring, net }, bell })
    }

    /// Runs `roles`, whose places are their [`Owner`]s, until `orders` say stop and the bell is rung.
    /// Notices are for whoever gives the orders.
    ///
    /// # Errors
    /// [`NetError::Ring`] if the ring fails: nothing can go on without it.
    ///
    /// # Panics
    /// If an event belongs to a role that is not here.
    pub fn run(
        mut self,
        roles: &mut [(Owner, Box<dyn Role + Send>)],
        waiting: Waiting,
        orders: &Orders,
        notices: &Sender<Notice>,
    ) -> Result<(), NetError> {
        let mut looked_at = Nanos::ZERO;
        let mut heralds: Vec<Herald> = roles.iter().map(|(owner, _)| Herald::new(*owner)).collect();
        while orders.get() != Order::Stop {
            let mut next = self.turn(roles)?;
            if next != Poll::Now && waiting == Waiting::Sleep {
                // Work that was published before the bell was armed is found by one more turn.
                self.bell.arm();
                next = self.turn(roles)?;
            }
            let now = clock();
            let order = orders.get();
            for (herald, (_, role)) in heralds.iter_mut().zip(roles.iter_mut()) {
                herald.attend(now, role.as_mut(), order, &mut self.io, notices);
            }
            if now.since(looked_at) > NET_PERIOD {
                looked_at = now;
                self.io.net.tick(now);
            }
            let until = match next {
                Poll::Now => now,
                Poll::At(at) => at.min(looked_at + NET_PERIOD) - WAKE_AHEAD,
                Poll::Idle => looked_at + NET_PERIOD,
            };
            if waiting == Waiting::Sleep && until > now && orders.get() == order {
                self.io.ring.wait(Some(until.0))?;
            } else {
                self.io.ring.submit()?;
            }
            self.bell.disarm();
        }
        Ok(())
    }

    /// One turn: completions, events, roles, then what they want to send.
    fn turn(&mut self, roles: &mut [(Owner, Box<dyn Role + Send>)]) -> Result<Poll, NetError> {
        let now = clock();
        while let Some(completion) = self.io.ring.next() {
            if is_net_completion(completion.user) {
                self.io.net.complete(&mut self.io.ring, completion);
            } else {
                for (_, role) in roles.iter_mut() {
                    if role.owns(completion.user) {
                        role.on_completion(now, completion, &mut self.io);
                        break;
                    }
                }
            }
        }
        self.io.net.flush(&mut self.io.ring, now);
        while let Some((owner, event)) = self.io.net.next_event() {
            let Some((_, role)) = roles.iter_mut().find(|(place, _)| *place == owner) else {
                unreachable!("every link belongs to a role of its thread: {owner:?}")
            };
            role.on_net(now, event, &mut self.io);
        }
        let mut next = Poll::Idle;
        for (_, role) in roles.iter_mut() {
            next = next.min(role.poll(now, &mut self.io));
        }
        self.io.net.flush(&mut self.io.ring, now);
        self.io.ring.submit()?;
        Ok(if self.io.net.has_events() { Poll::Now } else { next })
    }
}

/// Passes orders on to one role, and tells of it.
#[derive(Debug)]
struct Herald {
    owner: Owner,
    /// The role has said that it is ready.
    ready: bool,
    /// The order that the role has.
    order: Order,
    /// The order under which the role has said that it is quiet.
    quiet: Order,
}

impl Herald {
    fn new(owner: Owner) -> Herald {
        Herald { owner, ready: false, order: Order::Serve, quiet: Order::Serve }
    }

    /// Nobody listens any more once the process ends at once: then nothing is told, and nothing lost.
    fn attend(&mut self, now: Nanos, role: &mut dyn Role, order: Order, io: &mut Io, notices: &Sender<Notice>) {
        if !self.ready && role.is_ready() {
            self.ready = true;
            let _ = notices.send(Notice::Ready(self.owner));
        }
        if self.order == Order::Serve && order > Order::Serve {
            role.refuse(now, io);
        }
        self.order = order;
        if self.quiet != order && role.is_quiet() && !io.net.is_sending() {
            self.quiet = order;
            let _ = notices.send(Notice::Quiet(self.owner, order));
        }
    }
}

/// The time now, on the clock that everything on this machine is planned by.
pub fn clock() -> Nanos {
    Nanos(sys::clock::now_ns())
}
