//! What a machine may lack, what that costs and what to do.

/// Something that a machine lacks for predictable serving.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lack {
    /// The kernel has no io_uring or forbids it. Nothing of ours reads or listens without it.
    NoIoUring {
        /// What the kernel said.
        reason: String,
    },
    /// The kernel can't defer completions to the thread that asks for them.
    OldIoUring,
    /// The limit on locked memory is low.
    MemoryLock {
        /// The limit.
        bytes: u64,
    },
    /// No huge pages are reserved.
    NoHugePages {
        /// Whether the kernel may make some on its own.
        transparent: bool,
    },
    /// The kernel may move memory to disk.
    Swap {
        /// How much.
        bytes: u64,
    },
    /// The kernel stops real-time threads now and then.
    RealTimeThrottle {
        /// Microseconds that they may run.
        runtime_us: u64,
        /// Out of so many microseconds.
        period_us: u64,
    },
    /// Two threads share each core's units.
    SimultaneousThreads,
    /// A core may run slower than it can.
    Governor {
        /// The core.
        core: usize,
        /// Its governor.
        name: String,
    },
    /// An idle core may fall asleep deeply.
    DeepIdle {
        /// Microseconds that waking takes.
        microseconds: u64,
    },
    /// Reading the clock is slow.
    SlowClock {
        /// The source in use.
        name: String,
    },
    /// No core is kept free of other work.
    NoIsolatedCores,
    /// Roles have to share cores.
    FewCores {
        /// Cores there are.
        cores: usize,
        /// Cores from which on every role has its own.
        wanted: usize,
    },
    /// The processor lacks an instruction set that our kernels have a path for.
    NoInstructionSet {
        /// Its name.
        name: &'static str,
    },
}

/// A lack, in sentences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The lack.
    pub lack: Lack,
    /// What is the case.
    pub what: String,
    /// What that costs.
    pub costs: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    pub(super) fn new(lack: Lack) -> Self {
        let what = what(&lack);
        let (costs, remedy) = consequence(&lack);
        Self { what, costs: costs.to_owned(), remedy: remedy.to_owned(), lack }
    }
}

fn what(lack: &Lack) -> String {
    match lack {
        Lack::NoIoUring { reason } => format!("io_uring can't be used: {reason}."),
        Lack::OldIoUring => "This kernel's io_uring can't defer completions.".to_owned(),
        Lack::MemoryLock { bytes } => {
            format!("This process may lock {} MiB of memory.", bytes >> 20)
        }
        Lack::NoHugePages { transparent: true } => {
            "No huge pages are reserved; the kernel may merge small ones.".to_owned()
        }
        Lack::NoHugePages { transparent: false } => {
            "No huge pages are reserved, and the kernel makes none on its own.".to_owned()
        }
        Lack::Swap { bytes } => format!("{} MiB of swap are on.", bytes >> 20),
        Lack::RealTimeThrottle { runtime_us, period_us } => {
            format!("Real-time threads run at most {runtime_us} of every {period_us} us.")
        }
        Lack::SimultaneousThreads => "Two hardware threads share each core.".to_owned(),
        Lack::Governor { core, name } => format!("Core {core} runs under the governor '{name}'."),
        Lack::DeepIdle { microseconds } => {
            format!("Idle cores enter states that take {microseconds} us to leave.")
        }
        Lack::SlowClock { name } => format!("The clock is '{name}'."),
        Lack::NoIsolatedCores => "No core is isolated.".to_owned(),
        Lack::FewCores { cores, wanted } => {
            format!("Cores: {cores}; a role each takes {wanted}.")
        }
        Lack::NoInstructionSet { name } => format!("The processor has no {name}."),
    }
}

/// What a lack costs, and what to do.
fn consequence(lack: &Lack) -> (&'static str, &'static str) {
    match lack {
        Lack::NoIoUring { .. } => (
            "Nothing can be served.",
            "Use Linux 5.19 or newer with kernel.io_uring_disabled=0, and allow io_uring in the \
             container's seccomp profile.",
        ),
        Lack::OldIoUring => {
            ("Completions may interrupt a thread at any time, by a few microseconds each.", "Use Linux 6.1 or newer.")
        }
        Lack::MemoryLock { .. } => (
            "Pages beyond that may be moved to disk under pressure; an access then takes \
             milliseconds.",
            "Raise the limit: ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit.",
        ),
        Lack::NoHugePages { .. } => (
            "More address translations miss, mostly in large matrices.",
            "Reserve some: sysctl vm.nr_hugepages=N, with N of 2 MiB each.",
        ),
        Lack::Swap { .. } => ("Memory that could not be locked may be moved to disk.", "Turn swap off: swapoff -a."),
        Lack::RealTimeThrottle { .. } => (
            "A thread that spins in a real-time class is stopped for the rest of each period; ours \
             therefore never do.",
            "Nothing, unless real-time classes are wanted: sysctl kernel.sched_rt_runtime_us=-1.",
        ),
        Lack::SimultaneousThreads => (
            "Work on the sibling of a compute core slows kernels by up to a half.",
            "Keep the siblings of compute cores idle, or boot with nosmt.",
        ),
        Lack::Governor { .. } => (
            "Execution times depend on how busy the core was before.",
            "Set it: cpupower frequency-set -g performance.",
        ),
        Lack::DeepIdle { .. } => (
            "The first work after a pause starts that much later.",
            "Boot with processor.max_cstate=1, or: cpupower idle-set -D 10.",
        ),
        Lack::SlowClock { .. } => (
            "Every reading of the clock takes about a microsecond, and every stage reads it.",
            "Find out why the kernel distrusts tsc (dmesg), and boot with clocksource=tsc.",
        ),
        Lack::NoIsolatedCores => (
            "Other threads and interrupts take turns on compute cores; the worst cases are theirs.",
            "Boot with isolcpus=, nohz_full= and irqaffinity= for the compute cores.",
        ),
        Lack::FewCores { .. } => (
            "Roles take turns on one core, and start up to 100 us late.",
            "Use a machine with more cores, or accept the placement 'dense'.",
        ),
        Lack::NoInstructionSet { .. } => {
            ("Kernels take a path with narrower vectors.", "Nothing but another processor; results stay right.")
        }
    }
}
