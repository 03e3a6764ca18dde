//! An allocator that counts, for each registered thread, what it is asked for.

use super::counters::MAX_THREADS;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Allocations and frees of the thread that holds the place of the same index among the
/// registered threads.
static COUNTS: [Counts; MAX_THREADS] = [const { Counts::new() }; MAX_THREADS];

thread_local! {
    // Constant and without a destructor: the allocator may look at it at any time of a thread's
    // life, and looking allocates nothing.
    static MINE: Cell<Option<&'static Counts>> = const { Cell::new(None) };
}

struct Counts {
    allocations: AtomicU64,
    frees: AtomicU64,
}

impl Counts {
    const fn new() -> Self {
        Self { allocations: AtomicU64::new(0), frees: AtomicU64::new(0) }
    }

    fn read(&self) -> Allocations {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Allocations { allocations: read(&self.allocations), frees: read(&self.frees) }
    }
}

/// The system's allocator, which counts what each registered thread asks of it. A test makes it
/// the `#[global_allocator]` to prove that a path allocates nothing; elsewhere all counts stay 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

/// What the allocator has counted of one thread since it was registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allocations {
    /// Calls of `malloc`, `calloc` and `realloc`.
    pub allocations: u64,
    /// Calls of `free`.
    pub frees: u64,
}

/// Has what the calling thread does counted at `place`, from 0 on.
pub(super) fn count_current(place: usize) {
    let counts = &COUNTS[place];
    counts.allocations.store(0, Ordering::Relaxed);
    counts.frees.store(0, Ordering::Relaxed);
    MINE.set(Some(counts));
}

/// What was counted at `place`.
pub(super) fn counted(place: usize) -> Allocations {
    COUNTS[place].read()
}

/// What was counted of the calling thread; nothing where it is not registered.
pub(super) fn of_current() -> Allocations {
    MINE.get().map(Counts::read).unwrap_or_default()
}

fn allocated() {
    if let Some(counts) = MINE.get() {
        counts.allocations.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged, and counting neither
// allocates nor panics.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        allocated();
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        allocated();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(counts) = MINE.get() {
            counts.frees.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) };
    }
}
