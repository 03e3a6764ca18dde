//! The operations under way: a slab whose places never move, since the kernel writes into them.

use super::op::Op;
use std::mem::MaybeUninit;
use std::net::SocketAddr;

/// An operation under way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) user: u64,
    pub(super) op: Op,
}

struct Slot {
    generation: u32,
    in_flight: Option<InFlight>,
    /// The address of a connect, which the kernel reads while it is under way.
    address: MaybeUninit<libc::sockaddr_storage>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.in_flight.fmt(formatter)
    }
}

/// A fixed number of places.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Box<[Slot]>,
    free: Vec<u32>,
}

/// The name of an operation under way, which the kernel carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SlotId {
    index: u32,
    generation: u32,
}

impl SlotId {
    pub(super) fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        let slot = |_| Slot { generation: 0, in_flight: None, address: MaybeUninit::uninit() };
        Self { slots: (0..count).map(slot).collect(), free: (0..count).rev().collect() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn used(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Takes a place. There is one: the caller has asked `is_full`.
    pub(super) fn insert(&mut self, in_flight: InFlight) -> SlotId {
        let Some(index) = self.free.pop() else { unreachable!("the caller has made sure that a place is free") };
        let slot = &mut self.slots[index as usize];
        slot.in_flight = Some(in_flight);
        SlotId { index, generation: slot.generation }
    }

    pub(super) fn get(&self, id: SlotId) -> &Op {
        match &self.slots[id.index as usize].in_flight {
            Some(in_flight) => &in_flight.op,
            None => unreachable!("an id lives as long as its operation"),
        }
    }

    /// Takes out the operation of this packed id.
    pub(super) fn remove(&mut self, packed: u64) -> InFlight {
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of a packed id")]
        let (index, generation) = (packed as u32, (packed >> 32) as u32);
        let slot = &mut self.slots[index as usize];
        assert!(slot.generation == generation, "the kernel completes an operation once");
        slot.generation = generation.wrapping_add(1) & (u32::MAX >> 1);
        self.free.push(index);
        match slot.in_flight.take() {
            Some(in_flight) => in_flight,
            None => unreachable!("the kernel completes an operation once"),
        }
    }

    /// The `nth` operation of this user number.
    pub(super) fn of_user(&self, user: u64, nth: usize) -> Option<SlotId> {
        let all = (0_u32..).zip(&self.slots);
        let mut mine = all.filter(|(_, slot)| slot.in_flight.as_ref().is_some_and(|it| it.user == user));
        let (index, slot) = mine.nth(nth)?;
        Some(SlotId { index, generation: slot.generation })
    }

    /// Writes `address` where it stays as long as operation `id`; pointer and size.
    pub(super) fn put_address(&mut self, id: SlotId, address: &SocketAddr) -> (*const libc::sockaddr, libc::socklen_t) {
        let place = self.slots[id.index as usize].address.as_mut_ptr();
        let bytes = match address {
            SocketAddr::V4(address) => {
                let value = libc::sockaddr_in {
                    sin_family: AF_INET,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: `sockaddr_storage` has room and alignment for every address.
                unsafe { place.cast::<libc::sockaddr_in>().write(value) };
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(address) => {
                let value = libc::sockaddr_in6 {
                    sin6_family: AF_INET6,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                // SAFETY: as above.
                unsafe { place.cast::<libc::sockaddr_in6>().write(value) };
                size_of::<libc::sockaddr_in6>()
            }
        };
        let Ok(bytes) = libc::socklen_t::try_from(bytes) else { unreachable!("an address has a few bytes") };
        (place.cast_const().cast(), bytes)
    }

    /// Gives up all places without freeing them, when the kernel may still use them.
    pub(super) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.slots));
    }
}

#[allow(clippy::cast_possible_truncation, reason = "families are small numbers")]
const AF_INET: libc::sa_family_t = libc::AF_INET as libc::sa_family_t;
#[allow(clippy::cast_possible_truncation, reason = "families are small numbers")]
const AF_INET6: libc::sa_family_t = libc::AF_INET6 as libc::sa_family_t;
