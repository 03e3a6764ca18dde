//! The ring of commands behind a stream.
//!
//! A queue has two locks that are never waited for by anybody slower: `pushing` is held for the
//! few instructions of a push, and `claimed` is only ever tried. Beside each command stands the
//! tag of the engine that may take it, readable without the claim, so that an engine never
//! claims, even for a moment, what another should take.

use super::super::engine::Engine;
use super::Command;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

/// The tag of a command that any engine may take: one at the beginning of a stream.
const ANY: u8 = 3;
/// Set in a tag when the command needs no engine of its own.
const INLINE: u8 = 1 << 7;

#[derive(Debug)]
pub(super) struct Queue {
    cells: Box<[UnsafeCell<MaybeUninit<Command>>]>,
    tags: Box<[AtomicU8]>,
    /// Commands done since the beginning.
    head: AtomicU64,
    /// Commands put in since the beginning.
    tail: AtomicU64,
    pushing: AtomicBool,
    claimed: AtomicBool,
    /// The engine that the last command went to; commands without one of their own follow it.
    last: AtomicU8,
    /// Bytes of the head copy already done.
    progress: AtomicUsize,
}

// SAFETY: a cell is written only by the holder of `pushing` before `tail` passes it, and read
// only by the holder of `claimed` between `head` and `tail`; commands may change threads, since
// whoever queues one gives up what it points to until it is done.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    pub(super) fn new(commands: usize) -> Self {
        assert!(commands.is_power_of_two(), "the configuration was checked");
        Self {
            cells: (0..commands).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
            tags: (0..commands).map(|_| AtomicU8::new(ANY)).collect(),
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            pushing: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            last: AtomicU8::new(ANY),
            progress: AtomicUsize::new(0),
        }
    }

    /// Forgets which engine served last, for a new stream in this place.
    pub(super) fn reset(&self) {
        self.last.store(ANY, Ordering::Relaxed);
    }

    fn index(&self, count: u64) -> usize {
        // The mask makes the truncation harmless.
        #[allow(clippy::cast_possible_truncation, reason = "masked to the ring's size")]
        let index = count as usize & (self.cells.len() - 1);
        index
    }

    /// Puts a command in; the engine to wake (`None`: any), or the command back when it is full.
    pub(super) fn push(&self, command: Command, engine: Option<Engine>) -> Result<Option<Engine>, Command> {
        while self.pushing.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        let tail = self.tail.load(Ordering::Relaxed);
        let used = tail - self.head.load(Ordering::Acquire);
        if used == self.cells.len() as u64 {
            self.pushing.store(false, Ordering::Release);
            return Err(command);
        }
        let (place, tag) = match engine {
            Some(engine) => (engine as u8, engine as u8),
            None => {
                let last = self.last.load(Ordering::Relaxed);
                (last, last | INLINE)
            }
        };
        self.last.store(place, Ordering::Relaxed);
        let index = self.index(tail);
        // SAFETY: the cell lies outside of head..tail, so nobody reads it, and `pushing` keeps
        // other writers out.
        unsafe { (*self.cells[index].get()).write(command) };
        self.tags[index].store(tag, Ordering::Relaxed);
        self.tail.store(tail + 1, Ordering::Release);
        self.pushing.store(false, Ordering::Release);
        Ok(engine_of(tag))
    }

    /// The tag of the head; `None` when the queue is empty.
    fn head_tag(&self) -> Option<u8> {
        let head = self.head.load(Ordering::Acquire);
        if head == self.tail.load(Ordering::Acquire) {
            return None;
        }
        Some(self.tags[self.index(head)].load(Ordering::Acquire))
    }

    /// The engine of the head (`Some(None)`: any); `None` when the queue is empty.
    pub(super) fn head_engine(&self) -> Option<Option<Engine>> {
        self.head_tag().map(engine_of)
    }

    pub(super) fn head_is_for(&self, engine: Engine) -> bool {
        self.head_engine().is_some_and(|head| head.is_none_or(|head| head == engine))
    }

    /// Whether there is a head and it needs no engine of its own.
    pub(super) fn next_is_inline(&self) -> bool {
        self.head_tag().is_some_and(|tag| tag & INLINE != 0)
    }

    /// Tries to become the only one who takes commands out.
    pub(super) fn claim(&self) -> bool {
        fence(Ordering::SeqCst);
        self.claimed.compare_exchange(false, true, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    pub(super) fn release(&self) {
        self.claimed.store(false, Ordering::SeqCst);
    }

    /// The head command. The caller holds the claim, and the queue is not empty.
    pub(super) fn head(&self) -> &Command {
        let head = self.head.load(Ordering::Relaxed);
        assert!(head < self.tail.load(Ordering::Acquire), "the caller has seen a head");
        // SAFETY: between head and tail the cell is initialised, and only the holder of the
        // claim moves head.
        unsafe { (*self.cells[self.index(head)].get()).assume_init_ref() }
    }

    /// Drops the head command and moves on. The caller holds the claim and no borrow of it.
    pub(super) fn pop(&self) {
        let head = self.head.load(Ordering::Relaxed);
        assert!(head < self.tail.load(Ordering::Acquire), "the caller has seen a head");
        // SAFETY: as for `head`; moving head below gives the cell up.
        drop(unsafe { (*self.cells[self.index(head)].get()).assume_init_read() });
        self.progress.store(0, Ordering::Relaxed);
        self.head.store(head + 1, Ordering::Release);
    }

    pub(super) fn progress(&self) -> usize {
        self.progress.load(Ordering::Relaxed)
    }

    pub(super) fn set_progress(&self, bytes: usize) {
        self.progress.store(bytes, Ordering::Relaxed);
    }

    /// The number of commands put in so far.
    pub(super) fn end(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }

    /// Whether the first `count` commands are done.
    pub(super) fn has_done(&self, count: u64) -> bool {
        self.head.load(Ordering::Acquire) >= count
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        while self.head_tag().is_some() {
            self.pop();
        }
    }
}

fn engine_of(tag: u8) -> Option<Engine> {
    match tag & !INLINE {
        0 => Some(Engine::Compute),
        1 => Some(Engine::CopyIn),
        2 => Some(Engine::CopyOut),
        _ => None,
    }
}
