//! What this machine is, and what it lacks for predictable serving. Each lack is a finding with
//! what it costs and what to do; none of them keeps anything from running.

mod finding;

pub use finding::{Finding, Lack};

use crate::uring::{Ring, RingConfig, TaskWork};
use std::fs;
use std::path::{Path, PathBuf};

/// Locked memory below which only small models fit, in bytes.
const LEAST_MEMLOCK_BYTES: u64 = 1 << 30;
/// Cores from which on every role has its own.
const LEAST_CORES: usize = 4;
/// Idle states that take longer to leave than this many microseconds are deep.
const DEEP_IDLE_MICROSECONDS: u64 = 20;

/// The machine, as far as it bears on predictability.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// The processor's own name.
    pub processor: String,
    /// The kernel's release.
    pub kernel: String,
    /// Cores that the thread which looked may run on: look before pinning it.
    pub cores: Vec<usize>,
    /// Cores that the kernel keeps other work off.
    pub isolated_cores: Vec<usize>,
    /// Instruction sets that our kernels have paths for, those that this processor has.
    pub instruction_sets: Vec<&'static str>,
    /// All memory, in bytes.
    pub memory_bytes: u64,
    /// What is missing.
    pub findings: Vec<Finding>,
}

impl Machine {
    /// Looks at this machine.
    #[must_use]
    pub fn probe() -> Self {
        let files = Files { root: PathBuf::from("/") };
        let cores = crate::thread::cores();
        let isolated_cores = parse_list(&files.text("sys/devices/system/cpu/isolated"));
        let instruction_sets = instruction_sets();
        let mut lacks = Vec::new();
        lacks.extend(io_uring());
        lacks.extend(memlock());
        lacks.extend(files.huge_pages());
        lacks.extend(files.swap());
        lacks.extend(files.real_time_throttle());
        lacks.extend(files.simultaneous_threads());
        lacks.extend(files.governor(&cores));
        lacks.extend(files.deep_idle(&cores));
        lacks.extend(files.clock_source());
        if isolated_cores.is_empty() {
            lacks.push(Lack::NoIsolatedCores);
        }
        if cores.len() < LEAST_CORES {
            lacks.push(Lack::FewCores { cores: cores.len(), wanted: LEAST_CORES });
        }
        for wanted in ["avx2", "avx512f", "avx512vl"] {
            if !instruction_sets.contains(&wanted) {
                lacks.push(Lack::NoInstructionSet { name: wanted });
            }
        }
        Self {
            processor: files.field("proc/cpuinfo", "model name"),
            kernel: files.text("proc/sys/kernel/osrelease"),
            cores,
            isolated_cores,
            instruction_sets,
            memory_bytes: files.kibibytes("MemTotal"),
            findings: lacks.into_iter().map(Finding::new).collect(),
        }
    }
}

/// The kernel's files under a root, so that tests can have their own.
struct Files {
    root: PathBuf,
}

impl Files {
    /// The trimmed text of a file; empty when there is none.
    fn text(&self, path: &str) -> String {
        let text = fs::read_to_string(self.root.join(path)).unwrap_or_default();
        text.trim().to_owned()
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.text(path).parse().ok()
    }

    /// The value of the first `name: value` line.
    fn field(&self, path: &str, name: &str) -> String {
        let text = self.text(path);
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(key, _)| key.trim() == name);
        found.map_or(String::new(), |(_, value)| value.trim().to_owned())
    }

    /// A line of `/proc/meminfo`, in bytes.
    fn kibibytes(&self, name: &str) -> u64 {
        let value = self.field("proc/meminfo", name);
        let number = value.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        number.unwrap_or(0) * 1024
    }

    fn huge_pages(&self) -> Option<Lack> {
        let free: u64 = self.field("proc/meminfo", "HugePages_Free").parse().unwrap_or(0);
        let transparent = self.text("sys/kernel/mm/transparent_hugepage/enabled");
        (free == 0).then_some(Lack::NoHugePages { transparent: !transparent.contains("[never]") })
    }

    fn swap(&self) -> Option<Lack> {
        let bytes = self.kibibytes("SwapTotal");
        (bytes > 0).then_some(Lack::Swap { bytes })
    }

    fn real_time_throttle(&self) -> Option<Lack> {
        let period_us = self.number("proc/sys/kernel/sched_rt_period_us")?;
        let runtime = self.text("proc/sys/kernel/sched_rt_runtime_us").parse::<i64>().ok()?;
        let runtime_us = u64::try_from(runtime).ok()?;
        (runtime_us < period_us).then_some(Lack::RealTimeThrottle { runtime_us, period_us })
    }

    fn simultaneous_threads(&self) -> Option<Lack> {
        (self.number("sys/devices/system/cpu/smt/active")? == 1).then_some(Lack::SimultaneousThreads)
    }

    fn core_path(core: usize) -> PathBuf {
        Path::new("sys/devices/system/cpu").join(format!("cpu{core}"))
    }

    fn governor(&self, cores: &[usize]) -> Option<Lack> {
        cores.iter().find_map(|core| {
            let path = Self::core_path(*core).join("cpufreq/scaling_governor");
            let name = self.text(path.to_str()?);
            let other = !name.is_empty() && name != "performance";
            other.then_some(Lack::Governor { core: *core, name })
        })
    }

    fn deep_idle(&self, cores: &[usize]) -> Option<Lack> {
        let core = *cores.first()?;
        let states = Self::core_path(core).join("cpuidle");
        let entries = fs::read_dir(self.root.join(&states)).ok()?;
        let latency = |name: &str| {
            let state = states.join(name);
            let disabled = self.number(state.join("disable").to_str()?)?;
            let microseconds = self.number(state.join("latency").to_str()?)?;
            (disabled == 0).then_some(microseconds)
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let deepest = names.filter_map(|name| latency(&name)).max()?;
        (deepest > DEEP_IDLE_MICROSECONDS).then_some(Lack::DeepIdle { microseconds: deepest })
    }

    fn clock_source(&self) -> Option<Lack> {
        let name = self.text("sys/devices/system/clocksource/clocksource0/current_clocksource");
        let slow = !name.is_empty() && name != "tsc" && name != "arch_sys_counter";
        slow.then_some(Lack::SlowClock { name })
    }
}

/// A ring is made and given up: the only sure test.
fn io_uring() -> Option<Lack> {
    match Ring::new(RingConfig { operations: 1, files: 0, buffers: 0 }) {
        Ok(ring) if ring.task_work() == TaskWork::Deferred => None,
        Ok(_) => Some(Lack::OldIoUring),
        Err(error) => Some(Lack::NoIoUring { reason: error.to_string() }),
    }
}

fn memlock() -> Option<Lack> {
    let bytes = crate::memory::lock_limit()?;
    (bytes < LEAST_MEMLOCK_BYTES).then_some(Lack::MemoryLock { bytes })
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<&'static str> {
    let known = [
        ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
        ("avx", std::is_x86_feature_detected!("avx")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("f16c", std::is_x86_feature_detected!("f16c")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512vl", std::is_x86_feature_detected!("avx512vl")),
        ("avx512vnni", std::is_x86_feature_detected!("avx512vnni")),
    ];
    known.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<&'static str> {
    Vec::new()
}

/// The numbers of a list as the kernel writes it, such as `0-2,7`.
fn parse_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(contents: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in contents {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files = Files { root: root.path().to_owned() };
        (root, files)
    }

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("0-2,7"), [0, 1, 2, 7]);
        assert_eq!(parse_list(""), []);
        assert_eq!(parse_list("nonsense"), []);
    }

    #[test]
    fn each_lack_is_found_where_it_is() {
        let (_root, files) = files(&[
            ("proc/meminfo", "MemTotal: 8 kB\nHugePages_Free:       0\nSwapTotal:   4 kB\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
            ("proc/sys/kernel/sched_rt_period_us", "1000000\n"),
            ("proc/sys/kernel/sched_rt_runtime_us", "950000\n"),
            ("sys/devices/system/cpu/smt/active", "1\n"),
            ("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave\n"),
            ("sys/devices/system/cpu/cpu3/cpuidle/state2/latency", "133\n"),
            ("sys/devices/system/cpu/cpu3/cpuidle/state2/disable", "0\n"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"),
        ]);
        assert_eq!(files.kibibytes("MemTotal"), 8192);
        assert_eq!(files.huge_pages(), Some(Lack::NoHugePages { transparent: false }));
        assert_eq!(files.swap(), Some(Lack::Swap { bytes: 4096 }));
        let throttle = Lack::RealTimeThrottle { runtime_us: 950_000, period_us: 1_000_000 };
        assert_eq!(files.real_time_throttle(), Some(throttle));
        assert_eq!(files.simultaneous_threads(), Some(Lack::SimultaneousThreads));
        let governor = Lack::Governor { core: 3, name: "powersave".to_owned() };
        assert_eq!(files.governor(&[3]), Some(governor));
        assert_eq!(files.deep_idle(&[3]), Some(Lack::DeepIdle { microseconds: 133 }));
        assert_eq!(files.clock_source(), Some(Lack::SlowClock { name: "hpet".to_owned() }));
    }

    #[test]
    fn nothing_is_found_where_all_is_well_or_unknown() {
        let (_root, well) = files(&[
            ("proc/meminfo", "HugePages_Free:       9\nSwapTotal:   0 kB\n"),
            ("proc/sys/kernel/sched_rt_period_us", "1000000\n"),
            ("proc/sys/kernel/sched_rt_runtime_us", "-1\n"),
            ("sys/devices/system/cpu/smt/active", "0\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state2/latency", "133\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state2/disable", "1\n"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
        ]);
        let (_empty, unknown) = files(&[]);
        for files in [&well, &unknown] {
            assert_eq!(files.swap(), None);
            assert_eq!(files.real_time_throttle(), None);
            assert_eq!(files.simultaneous_threads(), None);
            assert_eq!(files.governor(&[0]), None);
            assert_eq!(files.deep_idle(&[0]), None);
            assert_eq!(files.clock_source(), None);
        }
        assert_eq!(well.huge_pages(), None);
    }

    #[test]
    fn this_machine_has_a_core_and_memory_and_every_finding_explains_itself() {
        let machine = Machine::probe();
        assert!(!machine.cores.is_empty() && machine.memory_bytes > 0);
        assert!(!machine.kernel.is_empty());
        for finding in &machine.findings {
            let sentences = [&finding.what, &finding.costs, &finding.remedy];
            assert!(sentences.iter().all(|sentence| sentence.ends_with('.')), "{finding:?}");
        }
    }
}
