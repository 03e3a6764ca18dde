//! What a link still has to send: frames gathered in blocks, payloads between them, in order.

use std::collections::VecDeque;

use sys::memory::{HostLease, LeaseError};
use sys::uring::{Op, Socket};

use super::error::{SendCause, SendError};
use super::link::PayloadOut;
use crate::wire::{Message, encode};

/// Bytes of a block of frames; the longest frame without payload must fit.
const BLOCK_BYTES: usize = 8 << 10;
/// Blocks of one link, at most this many frames of the longest kind can be queued.
const BLOCKS: usize = 8;
/// Bytes of a small block: the frame before a payload, which no other frame can share.
const HEAD_BYTES: usize = 256;
/// Small blocks of one link, and so payloads that can be queued: more than a gateway or a worker
/// has for another at once, however they are set but for the largest slabs.
const HEADS: usize = 512;
/// Blocks and payloads queued at one link.
const CHUNKS: usize = 2 * HEADS + BLOCKS;

/// The memory that one link's frames are gathered in.
#[derive(Debug)]
pub(super) struct Blocks {
    large: Vec<HostLease>,
    small: Vec<HostLease>,
}

impl Blocks {
    /// Bytes of one link's blocks.
    pub(super) const BYTES: usize = BLOCKS * BLOCK_BYTES + HEADS * HEAD_BYTES;

    /// Cuts [`Blocks::BYTES`] up.
    ///
    /// # Errors
    /// If the lease is shorter.
    pub(super) fn cut(lease: HostLease) -> Result<Blocks, LeaseError> {
        let (large, small) = lease.split_at(BLOCKS * BLOCK_BYTES);
        Ok(Blocks { large: large.split_into(BLOCKS, BLOCK_BYTES)?, small: small.split_into(HEADS, HEAD_BYTES)? })
    }

    /// A block that a message fits into, with the message in it. A large one gathers further frames
    /// behind other frames; behind a payload mostly the next payload follows, and a small one does.
    fn take(&mut self, message: &Message, gathers: bool) -> Result<Chunk, SendCause> {
        let mut cause = SendCause::Full { limit: BLOCKS };
        for large in [gathers, !gathers] {
            let free = if large { &mut self.large } else { &mut self.small };
            let Some(mut block) = free.pop() else { continue };
            match encode(message, &mut block) {
                Ok(filled) => return Ok(Chunk::Frames { block, filled }),
                Err(error) => cause = SendCause::Encode(error),
            }
            free.push(block);
        }
        Err(cause)
    }

    fn put(&mut self, block: HostLease) {
        if block.len() == BLOCK_BYTES { self.large.push(block) } else { self.small.push(block) }
    }

    fn are_whole(&self) -> bool {
        self.large.len() == BLOCKS && self.small.len() == HEADS
    }
}

#[derive(Debug)]
enum Chunk {
    Frames { block: HostLease, filled: usize },
    Payload(PayloadOut),
}

/// What the operation under way sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnderWay {
    Frames { bytes: usize },
    Payload { tag: u64, bytes: usize },
}

/// A payload that is no longer needed.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) tag: u64,
    pub(super) lease: HostLease,
    pub(super) whole: bool,
}

/// The queue of one link.
#[derive(Debug)]
pub(super) struct Outgoing {
    free: Blocks,
    chunks: VecDeque<Chunk>,
    under_way: Option<UnderWay>,
}

impl Outgoing {
    pub(super) fn new(blocks: Blocks) -> Outgoing {
        assert!(blocks.are_whole(), "a link has {BLOCKS} blocks and {HEADS} small ones");
        Outgoing { free: blocks, chunks: VecDeque::with_capacity(CHUNKS), under_way: None }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.under_way.is_none()
    }

    /// How many messages without payload surely fit.
    pub(super) fn room(&self) -> usize {
        self.free.large.len()
    }

    /// Appends a message and its payload.
    pub(super) fn push(&mut self, message: &Message, payload: Option<PayloadOut>) -> Result<(), SendError> {
        let full = SendCause::Full { limit: BLOCKS };
        if self.chunks.len() + 2 > CHUNKS {
            return Err(SendError { cause: full, payload: payload.map(|payload| payload.lease) });
        }
        if let Err(cause) = self.push_frame(message) {
            return Err(SendError { cause, payload: payload.map(|payload| payload.lease) });
        }
        if let Some(payload) = payload {
            assert_eq!(payload.bytes, message.payload_bytes() as usize, "a message states its payload's length");
            self.chunks.push_back(Chunk::Payload(payload));
        }
        Ok(())
    }

    fn push_frame(&mut self, message: &Message) -> Result<(), SendCause> {
        if let Some(Chunk::Frames { block, filled }) = self.chunks.back_mut()
            && let Ok(bytes) = encode(message, &mut block[*filled..])
        {
            *filled += bytes;
            return Ok(());
        }
        let gathers = matches!(self.chunks.back(), Some(Chunk::Frames { .. }));
        self.chunks.push_back(self.free.take(message, gathers)?);
        Ok(())
    }

    /// The next send, if none is under way.
    pub(super) fn next_op(&mut self, socket: &Socket) -> Option<Op> {
        if self.under_way.is_some() {
            return None;
        }
        let (under_way, lease, bytes) = match self.chunks.pop_front()? {
            Chunk::Frames { block, filled } => (UnderWay::Frames { bytes: filled }, block, filled),
            Chunk::Payload(PayloadOut { tag, lease, bytes }) => (UnderWay::Payload { tag, bytes }, lease, bytes),
        };
        self.under_way = Some(under_way);
        let more = !self.chunks.is_empty();
        Some(Op::Send { socket: socket.clone(), lease, range: 0..bytes, more })
    }

    /// Takes the lease of a completed send back; says whether all was sent, and which payload is done.
    pub(super) fn complete(&mut self, sent: usize, lease: HostLease) -> (bool, Option<Gone>) {
        match self.under_way.take() {
            Some(UnderWay::Frames { bytes }) => {
                self.free.put(lease);
                (sent == bytes, None)
            }
            Some(UnderWay::Payload { tag, bytes }) => {
                let whole = sent == bytes;
                (whole, Some(Gone { tag, lease, whole }))
            }
            None => unreachable!("a send completes once"),
        }
    }

    /// Throws one queued chunk away; gives the payload if it was one. `None` when nothing is left.
    pub(super) fn give_up(&mut self) -> Option<Option<Gone>> {
        assert!(self.under_way.is_none(), "a send that is under way completes first");
        Some(match self.chunks.pop_front()? {
            Chunk::Frames { block, .. } => {
                self.free.put(block);
                None
            }
            Chunk::Payload(PayloadOut { tag, lease, .. }) => Some(Gone { tag, lease, whole: false }),
        })
    }

    /// The blocks, for the next link.
    pub(super) fn into_blocks(self) -> Blocks {
        assert!(self.free.are_whole(), "every block has come back");
        self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DeviceId, GatewayId, RequestId, SlotId};
    use crate::wire::{HEADER_BYTES, next_frame};

    const PAYLOAD: u32 = 16;

    fn input(index: u16) -> (Message, PayloadOut) {
        let request = RequestId { gateway: GatewayId(0), index, generation: 1 };
        let slot = SlotId { device: DeviceId(0), class: 0, index, generation: 1 };
        let lease = HostLease::locked(PAYLOAD as usize).unwrap();
        let payload = PayloadOut { tag: index.into(), lease, bytes: PAYLOAD as usize };
        (Message::Input { request, slot, payload: PAYLOAD }, payload)
    }

    fn outgoing() -> Outgoing {
        Outgoing::new(Blocks::cut(HostLease::locked(Blocks::BYTES).unwrap()).unwrap())
    }

    /// The message of a sent block.
    fn message(op: &Op) -> Message {
        let Op::Send { lease, range, .. } = op else { panic!("it sends: {op:?}") };
        assert!(range.len() >= HEADER_BYTES);
        next_frame(&lease[range.clone()]).unwrap().unwrap().message
    }

    /// Sends everything; the messages and payloads that went out, in order.
    fn send_all(outgoing: &mut Outgoing) -> (Vec<Message>, Vec<u64>) {
        let socket = Socket::unconnected(&"127.0.0.1:1".parse().unwrap()).unwrap();
        let (mut messages, mut tags) = (Vec::new(), Vec::new());
        while let Some(op) = outgoing.next_op(&socket) {
            if matches!(outgoing.under_way, Some(UnderWay::Frames { .. })) {
                messages.push(message(&op));
            }
            let Op::Send { lease, range, .. } = op else { panic!("it sends") };
            let (whole, gone) = outgoing.complete(range.len(), lease);
            assert!(whole);
            tags.extend(gone.map(|gone| gone.tag));
        }
        (messages, tags)
    }

    #[test]
    fn the_inputs_of_a_full_slab_can_be_queued_at_once() {
        let mut outgoing = outgoing();
        let inputs: Vec<Message> = (0..512)
            .map(|index| {
                let (message, payload) = input(index);
                outgoing.push(&message, Some(payload)).unwrap();
                message
            })
            .collect();
        let (sent, tags) = send_all(&mut outgoing);
        assert_eq!(sent, inputs);
        assert_eq!(tags, (0..512).collect::<Vec<u64>>());
        assert!(outgoing.into_blocks().are_whole());
    }

    #[test]
    fn frames_without_payload_share_blocks() {
        let mut outgoing = outgoing();
        for id in 0..1000 {
            outgoing.push(&Message::Withdraw { id }, None).unwrap();
        }
        assert!(outgoing.room() > 0);
        let refused = std::iter::repeat_with(|| outgoing.push(&Message::Withdraw { id: 0 }, None));
        let refused = refused.take(1 << 20).find_map(Result::err).unwrap();
        assert!(matches!(refused.cause, SendCause::Full { .. }));
        send_all(&mut outgoing);
        assert!(outgoing.into_blocks().are_whole());
    }

    #[test]
    fn a_payload_that_does_not_fit_comes_back() {
        let mut outgoing = outgoing();
        let refused = (0..=u16::MAX).find_map(|index| {
            let (message, payload) = input(index);
            outgoing.push(&message, Some(payload)).err()
        });
        assert!(refused.unwrap().payload.is_some());
        while outgoing.give_up().is_some() {}
        assert!(outgoing.into_blocks().are_whole());
    }
}
