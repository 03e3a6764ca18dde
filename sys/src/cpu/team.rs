//! The compute threads of a device: they run one graph at a time, each its own share of the
//! tiles of each kernel, with a barrier between kernels.

use super::graph::GraphExec;
use crate::clock;
use crate::doorbell::Doorbell;
use crate::memory::Mapping;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// How often a thread looks at a barrier before it offers its core to others. Threads that have
/// cores of their own never get there.
const BARRIER_SPINS: u32 = 4096;

/// What the compute threads of one device share.
#[derive(Debug)]
pub(super) struct Team {
    threads: usize,
    spin_ns: u64,
    /// Grows by one with each graph.
    epoch: AtomicU32,
    graph: AtomicPtr<GraphExec>,
    /// Set when the leader has run its last graph; only then may the others go.
    closed: AtomicBool,
    arrived: AtomicU32,
    /// Grows by one each time that all have arrived.
    phase: AtomicU32,
    /// One for each thread; the leader's is never used.
    bells: Box<[Doorbell]>,
}

impl Team {
    pub(super) fn new(threads: usize, spin_ns: u64) -> Self {
        Self {
            threads,
            spin_ns,
            epoch: AtomicU32::new(0),
            graph: AtomicPtr::new(ptr::null_mut()),
            closed: AtomicBool::new(false),
            arrived: AtomicU32::new(0),
            phase: AtomicU32::new(0),
            bells: (0..threads).map(|_| Doorbell::futex()).collect(),
        }
    }

    /// Lets the others go; for the leader.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.ring_all();
    }

    fn ring_all(&self) {
        for bell in &self.bells {
            bell.ring();
        }
    }

    /// Waits until all threads of the team are here.
    fn barrier(&self) {
        let phase = self.phase.load(Ordering::Acquire);
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        if arrived as usize == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.phase.store(phase.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.phase.load(Ordering::Acquire) == phase {
            spins += 1;
            if spins < BARRIER_SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

/// One compute thread: its place in the team and its scratch.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    team: &'a Team,
    index: usize,
    scratch: *mut u8,
    owner: PhantomData<&'a Mapping>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(team: &'a Team, index: usize, scratch: &'a Mapping) -> Self {
        Self { team, index, scratch: scratch.pointer().as_ptr(), owner: PhantomData }
    }

    /// Runs `graph` with the whole team; for the leader.
    ///
    /// # Safety
    /// The graph's kernels may run now: whoever launched it proved that their memory is theirs.
    pub(super) unsafe fn lead(&mut self, graph: &GraphExec) {
        if self.team.threads > 1 {
            self.team.graph.store(ptr::from_ref(graph).cast_mut(), Ordering::Relaxed);
            self.team.epoch.fetch_add(1, Ordering::Release);
            self.team.ring_all();
        }
        // SAFETY: as the caller promises.
        unsafe { self.run(graph) };
    }

    /// Follows the leader until it closes the team.
    pub(super) fn follow(&mut self) {
        let mut epoch = 0;
        while self.next_epoch(&mut epoch) {
            let graph = self.team.graph.load(Ordering::Relaxed);
            // SAFETY: the leader stored the graph before the epoch and keeps it until the
            // barrier after its last kernel, which this thread takes part in; that the kernels
            // may run was promised to `lead`.
            unsafe { self.run(&*graph) };
        }
    }

    /// Waits for an epoch after `epoch`; false when the team is closed.
    fn next_epoch(&self, epoch: &mut u32) -> bool {
        let closed = &self.team.closed;
        let bell = &self.team.bells[self.index];
        let begin = clock::now_ns();
        loop {
            let current = self.team.epoch.load(Ordering::Acquire);
            if current != *epoch {
                *epoch = current;
                return true;
            }
            if closed.load(Ordering::Acquire) {
                return false;
            }
            if clock::now_ns().saturating_sub(begin) < self.team.spin_ns {
                std::hint::spin_loop();
                continue;
            }
            bell.arm();
            let idle = self.team.epoch.load(Ordering::SeqCst) == *epoch;
            if idle && !closed.load(Ordering::SeqCst) {
                bell.wait(None);
            } else {
                bell.disarm();
            }
        }
    }

    /// Runs this thread's share of every kernel.
    ///
    /// # Safety
    /// As for `lead`, and every thread of the team runs the same graph.
    unsafe fn run(&mut self, graph: &GraphExec) {
        for node in graph.nodes() {
            let parameters = node.parameters.as_ptr().cast();
            for tile in share(node.grid, self.index, self.team.threads) {
                // SAFETY: the parameter block has the size that the image states, scratch is
                // this thread's own and as large as the module's load demanded; that the
                // kernel may touch what its block names was promised to `lead`.
                unsafe { (node.function)(parameters, tile, self.scratch) };
            }
            if self.team.threads > 1 {
                self.team.barrier();
            }
        }
    }
}

/// The tiles of thread `index` of `threads`: contiguous, equal but for one.
fn share(grid: u32, index: usize, threads: usize) -> std::ops::Range<u32> {
    let bound = |part: usize| {
        let tile = u64::from(grid) * part as u64 / threads as u64;
        u32::try_from(tile).unwrap_or(grid)
    };
    bound(index)..bound(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_tile_once() {
        for (grid, threads) in [(0, 1), (1, 3), (7, 3), (u32::MAX, 64)] {
            let shares: Vec<_> = (0..threads).map(|index| share(grid, index, threads)).collect();
            assert_eq!(shares[0].start, 0);
            assert_eq!(shares[threads - 1].end, grid);
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
