//! What a link still has to send: frames gathered in blocks, payloads between them, in order.

use std::collections::VecDeque;

use sys::memory::HostLease;
use sys::uring::{Op, Socket};

use super::error::{SendCause, SendError};
use super::link::PayloadOut;
use crate::wire::{Message, encode};

/// Bytes of a block of frames; the longest frame without payload must fit.
pub(super) const BLOCK_BYTES: usize = 8 << 10;
/// Blocks of one link, at most this many frames of the longest kind can be queued.
pub(super) const BLOCKS: usize = 8;
/// Blocks and payloads queued at one link.
const CHUNKS: usize = 1024;

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
    free: Vec<HostLease>,
    chunks: VecDeque<Chunk>,
    under_way: Option<UnderWay>,
}

impl Outgoing {
    pub(super) fn new(blocks: Vec<HostLease>) -> Outgoing {
        assert_eq!(blocks.len(), BLOCKS, "a link has {BLOCKS} blocks");
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
        self.free.len()
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
        let Some(mut block) = self.free.pop() else { return Err(SendCause::Full { limit: BLOCKS }) };
        match encode(message, &mut block) {
            Ok(filled) => {
                self.chunks.push_back(Chunk::Frames { block, filled });
                Ok(())
            }
            Err(error) => {
                self.free.push(block);
                Err(SendCause::Encode(error))
            }
        }
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
                self.free.push(lease);
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
                self.free.push(block);
                None
            }
            Chunk::Payload(PayloadOut { tag, lease, .. }) => Some(Gone { tag, lease, whole: false }),
        })
    }

    /// The blocks, for the next link.
    pub(super) fn into_blocks(self) -> Vec<HostLease> {
        assert_eq!(self.free.len(), BLOCKS, "every block has come back");
        self.free
    }
}
