//! The ring itself.

use super::op::{Completion, FileRef, Op, PushCause, PushError};
use super::registered::{Buffers, Files, RegisteredFile};
use super::slots::{InFlight, SlotId, Slots};
use super::socket::Socket;
use crate::clock;
use crate::doorbell::Doorbell;
use crate::memory::HostLease;
use io_uring::types::{CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

/// Operations under way of one ring at most; the kernel's bound on entries.
pub const MAX_OPERATIONS: u32 = 32_768;
/// What the kernel transfers at once at most.
const MAX_TRANSFER_BYTES: usize = 0x7fff_f000;
/// User data of the ring's own operations. Slot ids never have the highest bit.
const WAKE: u64 = u64::MAX;
const CANCEL: u64 = u64::MAX - 1;

/// What a ring is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingConfig {
    /// Operations that can be under way, at most [`MAX_OPERATIONS`].
    pub operations: u32,
    /// Files that can be registered.
    pub files: u32,
    /// Memory that can be registered, in buffers of at most 1 GiB.
    pub buffers: u32,
}

/// Where the kernel does the work that completes operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskWork {
    /// Only when the ring's thread enters the kernel for it: nothing interrupts the thread.
    Deferred,
    /// Whenever the thread enters the kernel for any reason.
    Cooperative,
    /// Whenever the kernel sees fit.
    Default,
}

/// A ring that can't be made, or not what it was made for.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The kernel has no io_uring, or forbids it.
    #[error("io_uring can't be set up ({0}); see /proc/sys/kernel/io_uring_disabled")]
    SetUp(io::Error),
    /// Files or memory can't be registered.
    #[error("registering {what} with io_uring: {reason}")]
    Register {
        /// What.
        what: &'static str,
        /// The kernel's reason.
        reason: io::Error,
    },
    /// All places for files or buffers are taken.
    #[error("the ring was made for {limit} registered {what}, not more")]
    NoPlace {
        /// What.
        what: &'static str,
        /// How many.
        limit: u32,
    },
    /// The kernel did not take or complete operations. A ring belongs to the thread that first
    /// submitted or waited: another gets this error.
    #[error("io_uring_enter: {0}")]
    Enter(io::Error),
    /// The doorbell has no event behind it, or the ring listens to one already.
    #[error("a ring listens to one doorbell, made by `Doorbell::event`")]
    Doorbell,
}

/// An io_uring and the operations under way in it. It may be made on one thread and moved to
/// another; from the first [`Ring::submit`] or [`Ring::wait`] on it stays with that thread.
pub struct Ring {
    ring: IoUring,
    config: RingConfig,
    task_work: TaskWork,
    enabled: bool,
    slots: Slots,
    files: Files,
    buffers: Buffers,
    bell: Option<Doorbell>,
    /// Whether the poll on the doorbell's event is under way.
    listening: bool,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Ring with {} of {:?} under way", self.slots.used(), self.config)
    }
}

fn set_up(config: RingConfig) -> Result<(IoUring, TaskWork), RingError> {
    // The ring's own wake and cancels need places too.
    let entries = config.operations.clamp(1, MAX_OPERATIONS).next_power_of_two();
    let mut deferred = IoUring::builder();
    deferred.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().setup_r_disabled();
    let mut cooperative = IoUring::builder();
    cooperative.setup_coop_taskrun().setup_taskrun_flag().setup_r_disabled();
    let mut plain = IoUring::builder();
    plain.setup_r_disabled();
    if let Ok(ring) = deferred.build(entries) {
        return Ok((ring, TaskWork::Deferred));
    }
    if let Ok(ring) = cooperative.build(entries) {
        return Ok((ring, TaskWork::Cooperative));
    }
    plain.build(entries).map(|ring| (ring, TaskWork::Default)).map_err(RingError::SetUp)
}

impl Ring {
    /// Makes a ring and takes all that it will need.
    ///
    /// # Errors
    /// When the kernel has no io_uring or refuses the tables.
    pub fn new(config: RingConfig) -> Result<Self, RingError> {
        let (ring, task_work) = set_up(config)?;
        let register = |what| move |reason| RingError::Register { what, reason };
        if config.files > 0 {
            ring.submitter().register_files_sparse(config.files).map_err(register("files"))?;
        }
        if config.buffers > 0 {
            let made = ring.submitter().register_buffers_sparse(config.buffers);
            made.map_err(register("buffers"))?;
        }
        Ok(Self {
            ring,
            config,
            task_work,
            enabled: false,
            slots: Slots::new(config.operations),
            files: Files::new(config.files),
            buffers: Buffers::default(),
            bell: None,
            listening: false,
        })
    }

    /// Where the kernel completes the operations of this ring.
    #[must_use]
    pub fn task_work(&self) -> TaskWork {
        self.task_work
    }

    /// Operations under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.slots.used()
    }

    /// Has [`Self::wait`] end when `bell` is rung.
    ///
    /// # Errors
    /// When the ring has a doorbell, or this one has no event behind it.
    pub fn listen(&mut self, bell: Doorbell) -> Result<(), RingError> {
        if self.bell.is_some() || bell.event_fd().is_none() {
            return Err(RingError::Doorbell);
        }
        self.bell = Some(bell);
        Ok(())
    }

    /// Registers a file, so that reads of it need no look-up.
    ///
    /// # Errors
    /// When all places are taken, or the kernel refuses.
    pub fn register_file(&mut self, file: Arc<File>) -> Result<RegisteredFile, RingError> {
        let fd = file.as_raw_fd();
        let limit = self.config.files;
        let place = self.files.insert(file).ok_or(RingError::NoPlace { what: "files", limit })?;
        if let Err(reason) = self.ring.submitter().register_files_update(place.index(), &[fd]) {
            self.files.remove(place);
            return Err(RingError::Register { what: "a file", reason });
        }
        Ok(place)
    }

    /// Takes a file out again; reads under way keep it open.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn unregister_file(&mut self, file: RegisteredFile) -> Result<(), RingError> {
        if self.files.remove(file).is_none() {
            return Ok(());
        }
        let updated = self.ring.submitter().register_files_update(file.index(), &[-1]);
        updated.map(drop).map_err(|reason| RingError::Register { what: "no file", reason })
    }

    /// Registers the whole allocation behind `lease`, so that reads into any lease of it need
    /// not pin it anew. The ring keeps the allocation.
    ///
    /// # Errors
    /// When there is no place for it, or the kernel refuses, mostly because of the `memlock`
    /// limit; reads then work unregistered.
    pub fn register_memory(&mut self, lease: &HostLease) -> Result<(), RingError> {
        let limit = self.config.buffers;
        let chunks = Buffers::chunks_of(lease);
        let begin = u32::try_from(self.buffers.len()).unwrap_or(u32::MAX);
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        if begin.checked_add(count).is_none_or(|end| end > limit) {
            return Err(RingError::NoPlace { what: "buffers", limit });
        }
        // SAFETY: the region stays mapped as long as `buffers` holds it, which is as long as the
        // ring, and the kernel accesses it only in operations, which hold leases.
        unsafe { self.ring.submitter().register_buffers_update(begin, &chunks, None) }
            .map_err(|reason| RingError::Register { what: "memory", reason })?;
        self.buffers.insert(lease);
        Ok(())
    }

    /// Takes an operation, under a number that its completion will carry. It reaches the kernel
    /// with the next [`Self::submit`] or [`Self::wait`].
    ///
    /// # Errors
    /// When the ring is full or the operation can't be meant; it comes back in the error.
    pub fn push(&mut self, user: u64, op: Op) -> Result<(), Box<PushError>> {
        if let Some(cause) = self.refusal(&op) {
            return Err(Box::new(PushError { cause, op }));
        }
        if let Err(error) = self.make_room() {
            return Err(Box::new(PushError { cause: PushCause::Submit(error), op }));
        }
        let id = self.slots.insert(InFlight { user, op });
        let entry = self.entry(id).user_data(id.pack());
        self.queue(&entry);
        Ok(())
    }

    fn refusal(&self, op: &Op) -> Option<PushCause> {
        if self.slots.is_full() {
            return Some(PushCause::Full { capacity: self.slots.capacity() });
        }
        if let Op::Read { file: FileRef::Registered(file), .. } = op
            && !self.files.contains(*file)
        {
            return Some(PushCause::UnknownFile);
        }
        let (lease, range) = op.memory()?;
        let sound = range.start < range.end && range.end <= lease.len() && range.len() <= MAX_TRANSFER_BYTES;
        (!sound).then(|| PushCause::Range { range: range.clone(), bytes: lease.len() })
    }

    /// The kernel's form of the operation in a slot, without its number.
    fn entry(&mut self, id: SlotId) -> squeue::Entry {
        let op = self.slots.get(id);
        let (pointer, length) = op.memory().map_or((std::ptr::null_mut(), 0), |(lease, range)| {
            // `refusal` has bounded the length.
            let length = u32::try_from(range.len()).unwrap_or(0);
            (lease.pointer().as_ptr().wrapping_add(range.start), length)
        });
        match op {
            Op::Read { file, offset, lease, range } => {
                let buffer = self.buffers.find(lease, range);
                match (file, buffer) {
                    (FileRef::Registered(file), Some(buffer)) => {
                        opcode::ReadFixed::new(Fixed(file.index()), pointer, length, buffer).offset(*offset).build()
                    }
                    (FileRef::Registered(file), None) => {
                        opcode::Read::new(Fixed(file.index()), pointer, length).offset(*offset).build()
                    }
                    (FileRef::Open(file), Some(buffer)) => {
                        opcode::ReadFixed::new(Fd(file.as_raw_fd()), pointer, length, buffer).offset(*offset).build()
                    }
                    (FileRef::Open(file), None) => {
                        opcode::Read::new(Fd(file.as_raw_fd()), pointer, length).offset(*offset).build()
                    }
                }
            }
            Op::Accept { listener } => {
                let none = std::ptr::null_mut();
                opcode::Accept::new(Fd(listener.raw()), none, std::ptr::null_mut()).flags(libc::SOCK_CLOEXEC).build()
            }
            Op::Receive { socket, whole, .. } => {
                let flags = if *whole { libc::MSG_WAITALL } else { 0 };
                opcode::Recv::new(Fd(socket.raw()), pointer, length).flags(flags).build()
            }
            Op::Send { socket, more, .. } => {
                let more = if *more { libc::MSG_MORE } else { 0 };
                let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | more;
                opcode::Send::new(Fd(socket.raw()), pointer, length).flags(flags).build()
            }
            Op::Connect { socket, address } => {
                let (fd, address) = (Fd(socket.raw()), *address);
                let (pointer, bytes) = self.slots.put_address(id, &address);
                opcode::Connect::new(fd, pointer, bytes).build()
            }
        }
    }

    /// Asks the kernel to cancel the operations under this number. They complete all the same,
    /// with `ECANCELED` or as if nothing had been asked.
    ///
    /// # Errors
    /// When the kernel does not take what is queued.
    pub fn cancel(&mut self, user: u64) -> Result<(), RingError> {
        let mut next = 0;
        // One after another, since each needs room in the queue. Operations end only in `next`,
        // so their order stands still meanwhile.
        while let Some(id) = self.slots.of_user(user, next) {
            self.make_room().map_err(RingError::Enter)?;
            self.queue(&opcode::AsyncCancel::new(id.pack()).build().user_data(CANCEL));
            next += 1;
        }
        Ok(())
    }

    /// Makes sure that the submission queue takes one entry more.
    fn make_room(&mut self) -> io::Result<()> {
        if self.ring.submission().is_full() {
            self.enable()?;
            self.ring.submit()?;
        }
        Ok(())
    }

    fn queue(&mut self, entry: &squeue::Entry) {
        // SAFETY: what the entry points to is owned by a slot, by `bell` or by `buffers`, and is
        // kept until the operation has completed, on drop of the ring too.
        let pushed = unsafe { self.ring.submission().push(entry) };
        assert!(pushed.is_ok(), "the caller has made room");
    }

    fn enable(&mut self) -> io::Result<()> {
        if !self.enabled {
            self.ring.submitter().register_enable_rings()?;
            self.enabled = true;
        }
        Ok(())
    }

    /// Puts the poll on the doorbell's event in, if it is not under way.
    fn arm_bell(&mut self) -> io::Result<()> {
        let event = self.bell.as_ref().and_then(Doorbell::event_fd).map(|fd| fd.as_raw_fd());
        if let Some(event) = event
            && !self.listening
        {
            self.make_room()?;
            let readable = u32::from(libc::POLLIN.unsigned_abs());
            let poll = opcode::PollAdd::new(Fd(event), readable);
            self.queue(&poll.build().user_data(WAKE));
            self.listening = true;
        }
        Ok(())
    }

    /// Hands what is queued to the kernel and lets it complete what it can. For a thread that
    /// spins: makes no system call when there is neither.
    ///
    /// # Errors
    /// When the kernel does not take operations.
    pub fn submit(&mut self) -> Result<(), RingError> {
        self.enable().map_err(RingError::Enter)?;
        let queue = self.ring.submission();
        let idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        if idle {
            return Ok(());
        }
        harmless(self.ring.submit()).map_err(RingError::Enter)
    }

    /// Hands what is queued to the kernel and sleeps until a completion, the doorbell, or
    /// `until_ns` of [`clock::now_ns`]. Returns at once when a completion is there already. May
    /// also return early for no reason.
    ///
    /// # Errors
    /// When the kernel does not take operations.
    pub fn wait(&mut self, until_ns: Option<u64>) -> Result<(), RingError> {
        self.enable().map_err(RingError::Enter)?;
        self.arm_bell().map_err(RingError::Enter)?;
        if !self.ring.completion().is_empty() {
            return self.submit();
        }
        let result = match until_ns {
            None => self.ring.submit_and_wait(1),
            Some(until_ns) => {
                let left = until_ns.saturating_sub(clock::now_ns());
                let nanoseconds = u32::try_from(left % clock::NANOS_PER_SECOND).unwrap_or(0);
                let left = Timespec::new().sec(left / clock::NANOS_PER_SECOND).nsec(nanoseconds);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&left))
            }
        };
        harmless(result).map_err(RingError::Enter)
    }

    /// The next completion, if there is one. Makes no system call unless the doorbell was rung.
    #[allow(clippy::should_implement_trait, reason = "an empty ring is not an ended iterator")]
    pub fn next(&mut self) -> Option<Completion> {
        loop {
            let entry = self.ring.completion().next()?;
            match entry.user_data() {
                CANCEL => {}
                WAKE => self.hear_bell(),
                packed => return Some(self.complete(packed, entry.result())),
            }
        }
    }

    fn hear_bell(&mut self) {
        self.listening = false;
        if let Some(bell) = &self.bell {
            bell.drain();
        }
    }

    fn complete(&mut self, packed: u64, result: i32) -> Completion {
        let InFlight { user, op } = self.slots.remove(packed);
        let mut socket = None;
        let mut result = match u32::try_from(result) {
            Ok(value) => Ok(value),
            Err(_) => Err(io::Error::from_raw_os_error(-result)),
        };
        if let (Op::Accept { .. }, Ok(fd)) = (&op, &mut result) {
            // SAFETY: a successful accept gives an open descriptor that is nobody else's.
            let accepted = unsafe { OwnedFd::from_raw_fd(fd.cast_signed()) };
            socket = Some(Socket::from_fd(accepted));
            *fd = 0;
        }
        Completion { user, result, lease: op.into_lease(), socket }
    }

    /// Cancels everything and waits until nothing is under way.
    fn drain(&mut self) -> io::Result<()> {
        if self.slots.used() == 0 && !self.listening {
            return Ok(());
        }
        self.enable()?;
        self.make_room()?;
        let all = opcode::AsyncCancel2::new(CancelBuilder::any().all());
        self.queue(&all.build().user_data(CANCEL));
        loop {
            while self.next().is_some() {}
            if self.slots.used() == 0 && !self.listening {
                return Ok(());
            }
            harmless(self.ring.submit_and_wait(1))?;
        }
    }
}

/// An expired limit, a signal or a full completion queue is no failure: the caller looks again.
fn harmless(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

impl Drop for Ring {
    /// Cancels what is under way and waits for it. What the kernel may still use is leaked.
    fn drop(&mut self) {
        if self.drain().is_err() {
            self.slots.leak();
            std::mem::forget(std::mem::take(&mut self.buffers));
            std::mem::forget(self.bell.take());
        }
    }
}
