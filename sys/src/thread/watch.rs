//! What disturbs a thread of any process, as the kernel counts it: of the thread itself, and of
//! the core that it last ran on.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// Nanoseconds of a tick of `/proc/stat`: Linux tells user space 100 ticks a second, whatever its
/// own are.
const TICK_NS: u64 = 10_000_000;
/// Place of the stolen time on a core's line of `/proc/stat`, after the core's name.
const STOLEN: usize = 7;

/// Counts since the thread, or the machine, began; between two of them, what came in between.
/// `None` is what the kernel does not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Disturbances {
    /// The core that the thread last ran on.
    pub core: Option<usize>,
    /// Times that the kernel took the core away from the thread.
    pub involuntary_switches: Option<u64>,
    /// Page faults of the thread without input or output.
    pub minor_faults: Option<u64>,
    /// Page faults of the thread with input or output.
    pub major_faults: Option<u64>,
    /// Nanoseconds for which the thread could have run and something else did.
    pub waited_ns: Option<u64>,
    /// Nanoseconds for which the machine below ran something else on the core, in ticks of 10 ms.
    pub stolen_ns: Option<u64>,
    /// Interrupts that the core served.
    pub interrupts: Option<u64>,
    /// Deferred halves of interrupts that the core served.
    pub soft_interrupts: Option<u64>,
}

impl Disturbances {
    /// What was counted from `earlier` to here. Counts of a core are not told where the thread went
    /// from one to another.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let between = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        let stayed = self.core.filter(|core| earlier.core == Some(*core));
        let of_core = |now, then| stayed.and_then(|_| between(now, then));
        Self {
            core: stayed,
            involuntary_switches: between(self.involuntary_switches, earlier.involuntary_switches),
            minor_faults: between(self.minor_faults, earlier.minor_faults),
            major_faults: between(self.major_faults, earlier.major_faults),
            waited_ns: between(self.waited_ns, earlier.waited_ns),
            stolen_ns: of_core(self.stolen_ns, earlier.stolen_ns),
            interrupts: of_core(self.interrupts, earlier.interrupts),
            soft_interrupts: of_core(self.soft_interrupts, earlier.soft_interrupts),
        }
    }

    /// Whether something else had the thread's core for more than a hundredth of `work_ns`, as far as
    /// the kernel tells. A kernel thread that runs for microseconds now and then disturbs nobody.
    #[must_use]
    pub fn took_time_from(&self, work_ns: u64) -> bool {
        let stolen = self.stolen_ns.is_some_and(|time| time > 0);
        let waited = self.waited_ns.map(|time| time > work_ns / 100);
        stolen || waited.unwrap_or_else(|| self.involuntary_switches.is_some_and(|times| times > 0))
    }
}

/// A kernel file that is read again and again.
#[derive(Debug)]
struct Counted {
    file: Option<File>,
    text: String,
}

impl Counted {
    fn open(path: &Path) -> Self {
        Self { file: File::open(path).ok(), text: String::new() }
    }

    /// What it says now; empty where it can't be read.
    fn read(&mut self) -> &str {
        self.text.clear();
        if let Some(file) = &mut self.file
            && (file.rewind().is_err() || file.read_to_string(&mut self.text).is_err())
        {
            self.text.clear();
        }
        &self.text
    }
}

/// Reads the counts of one thread and its core.
#[derive(Debug)]
pub struct Watch {
    stat: Counted,
    status: Counted,
    schedule: Counted,
    cores: Counted,
    interrupts: Option<[Counted; 2]>,
    core: Option<usize>,
}

impl Watch {
    /// Watches thread `thread` of process `process`.
    #[must_use]
    pub fn new(process: u32, thread: u32) -> Self {
        Self::under(Path::new("/proc"), process, thread)
    }

    /// Watches each thread of this process that was registered under a name that begins with `prefix`.
    #[must_use]
    pub fn registered(prefix: &str) -> Vec<Self> {
        let threads = super::registered().into_iter().filter(|thread| thread.name.starts_with(prefix));
        threads.map(|thread| Self::new(std::process::id(), thread.id)).collect()
    }

    /// Counts interrupts too, which takes longer: the kernel lists all of all cores.
    #[must_use]
    pub fn with_interrupts(self) -> Self {
        let files = ["interrupts", "softirqs"].map(|name| Counted::open(&Path::new("/proc").join(name)));
        Self { interrupts: Some(files), ..self }
    }

    /// Counts interrupts and stolen time of this core, whichever the thread runs on.
    #[must_use]
    pub fn on_core(self, core: usize) -> Self {
        Self { core: Some(core), ..self }
    }

    fn under(proc: &Path, process: u32, thread: u32) -> Self {
        let task = proc.join(format!("{process}/task/{thread}"));
        Self {
            stat: Counted::open(&task.join("stat")),
            status: Counted::open(&task.join("status")),
            schedule: Counted::open(&task.join("schedstat")),
            cores: Counted::open(&proc.join("stat")),
            interrupts: None,
            core: None,
        }
    }

    /// The counts now.
    pub fn read(&mut self) -> Disturbances {
        let stat = self.stat.read();
        // The second field is the name in brackets, which may hold spaces: count after it.
        let stat = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let number = |place: usize| stat.split_ascii_whitespace().nth(place)?.parse::<u64>().ok();
        let (minor_faults, major_faults) = (number(7), number(9));
        let core = self.core.or_else(|| number(36).and_then(|core| usize::try_from(core).ok()));
        let switches = self.status.read().lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
        let involuntary_switches = switches.and_then(|count| count.trim().parse().ok());
        let waited_ns = self.schedule.read().split_ascii_whitespace().nth(1).and_then(|ns| ns.parse().ok());
        let stolen_ns = core.and_then(|core| stolen_ticks(self.cores.read(), core)).map(|ticks| ticks * TICK_NS);
        let [interrupts, soft_interrupts] = match (&mut self.interrupts, core) {
            (Some(files), Some(core)) => files.each_mut().map(|file| of_column(file.read(), core)),
            _ => [None, None],
        };
        Disturbances {
            core,
            involuntary_switches,
            minor_faults,
            major_faults,
            waited_ns,
            stolen_ns,
            interrupts,
            soft_interrupts,
        }
    }
}

/// Threads of a process whose names begin with `prefix`, ascending; none where it can't be looked at.
#[must_use]
pub fn threads_named(process: u32, prefix: &str) -> Vec<u32> {
    let folder = PathBuf::from(format!("/proc/{process}/task"));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_named = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with(prefix));
    let named = entries.map(|entry| entry.path()).filter(|path| is_named(path));
    let mut threads: Vec<u32> = named.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
    threads.sort_unstable();
    threads
}

/// Processes that have threads whose names begin with `prefix`, ascending, as far as they can be
/// looked at.
#[must_use]
pub fn processes_with(prefix: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut processes: Vec<u32> = numbers.filter(|&process| !threads_named(process, prefix).is_empty()).collect();
    processes.sort_unstable();
    processes
}

/// Ticks stolen from a core, from the text of `/proc/stat`.
fn stolen_ticks(text: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core}");
    let line = text.lines().find_map(|line| line.strip_prefix(&name).filter(|rest| rest.starts_with(' ')))?;
    line.split_ascii_whitespace().nth(STOLEN)?.parse().ok()
}

/// The sum of a core's column in a table whose head names the cores and whose rows begin with a name.
fn of_column(text: &str, core: usize) -> Option<u64> {
    let mut lines = text.lines();
    let name = format!("CPU{core}");
    let column = lines.next()?.split_ascii_whitespace().position(|head| head == name)?;
    let count = |line: &str| line.split_ascii_whitespace().nth(column + 1)?.parse::<u64>().ok();
    // Rows such as ERR have one count for all cores: they have a first column only.
    let counts = lines.filter(|line| line.split_ascii_whitespace().count() > 2);
    Some(counts.filter_map(count).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the kernel's, of thread 8 of process 7 on core 1.
    fn proc(switches: u64, stolen: u64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let task = folder.path().join("7/task/8");
        fs::create_dir_all(&task).unwrap();
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let mut fields = fields;
        (fields[0], fields[7], fields[9], fields[36]) = ("R".into(), "70".into(), "2".into(), "1".into());
        fs::write(task.join("stat"), format!("8 (a (name) x) {}\n", fields.join(" "))).unwrap();
        let status = format!("Name:\tx\nvoluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t{switches}\n");
        fs::write(task.join("status"), status).unwrap();
        fs::write(task.join("schedstat"), "100 40 3\n").unwrap();
        let cores = format!("cpu  1 1 1 1 1 1 1 99 0 0\ncpu0 1 1 1 1 1 1 1 90 0 0\ncpu1 1 1 1 1 1 1 1 {stolen} 0 0\n");
        fs::write(folder.path().join("stat"), cores).unwrap();
        folder
    }

    #[test]
    fn the_kernels_counts_are_read_and_told_apart() {
        let (first, second) = (proc(5, 3), proc(6, 3));
        let first = Watch::under(first.path(), 7, 8).read();
        assert_eq!((first.core, first.minor_faults, first.major_faults), (Some(1), Some(70), Some(2)));
        assert_eq!((first.involuntary_switches, first.waited_ns), (Some(5), Some(40)));
        assert_eq!((first.stolen_ns, first.interrupts), (Some(30_000_000), None));
        let between = Watch::under(second.path(), 7, 8).read().since(&first);
        assert_eq!((between.involuntary_switches, between.stolen_ns), (Some(1), Some(0)));
        let stolen = proc(5, 4);
        assert!(Watch::under(stolen.path(), 7, 8).read().since(&first).took_time_from(u64::MAX));
    }

    #[test]
    fn a_hundredth_of_the_work_is_no_disturbance() {
        let waited = Disturbances { waited_ns: Some(10), involuntary_switches: Some(1), ..Disturbances::default() };
        assert!(!waited.took_time_from(1_000) && waited.took_time_from(999));
        // A kernel that does not say how long says how often.
        assert!(Disturbances { waited_ns: None, ..waited }.took_time_from(1_000));
    }

    #[test]
    fn counts_of_two_cores_are_not_subtracted() {
        let folder = proc(5, 3);
        let here = Watch::under(folder.path(), 7, 8).read();
        let there = Watch::under(folder.path(), 7, 8).on_core(0).read();
        assert_eq!((there.stolen_ns, there.since(&here).stolen_ns), (Some(900_000_000), None));
        assert_eq!(there.since(&here).involuntary_switches, Some(0));
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_not_made_up() {
        let none = Watch::new(u32::MAX, u32::MAX).read();
        assert_eq!(none, Disturbances::default());
        assert!(!none.since(&none).took_time_from(1));
    }

    #[test]
    fn a_column_is_summed_without_the_rows_that_have_none() {
        let text =
            "           CPU0       CPU2\n  0:  5  7  IO-APIC 2-edge timer\nLOC: 100 2000 Local\nERR:  9\nMIS:  0\n";
        assert_eq!((of_column(text, 0), of_column(text, 2), of_column(text, 1)), (Some(105), Some(2007), None));
    }

    #[test]
    fn this_machine_counts_the_switches_of_a_thread_of_this_process() {
        let mut watch = Watch::new(std::process::id(), super::super::current_id()).with_interrupts();
        let first = watch.read();
        let second = watch.read();
        assert!(first.involuntary_switches.is_some() && first.minor_faults.is_some());
        assert!(second.involuntary_switches >= first.involuntary_switches);
        let name = std::thread::current();
        let prefix: String = name.name().unwrap_or_default().chars().take(15).collect();
        assert!(threads_named(std::process::id(), &prefix).contains(&super::super::current_id()));
    }
}
