//! What the kernel counts of the server's compute threads while a client asks, where both are on one
//! machine.

use serde::Serialize;
use sys::cpu::compute_thread_prefix;
use sys::thread::{Disturbances, Watch, processes_with, threads_named};

/// What was counted between two readings, summed over the compute threads. None where the kernel does
/// not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Times that the kernel took a core away from a compute thread.
    pub involuntary_switches: Option<u64>,
    /// For how long one could have run and something else did.
    pub waited_ns: Option<u64>,
    /// For how long the machine below ran something else on its core, in ticks of 10 ms.
    pub stolen_ns: Option<u64>,
    /// Page faults without input or output.
    pub minor_faults: Option<u64>,
    /// Page faults with input or output.
    pub major_faults: Option<u64>,
    /// Interrupts on its core.
    pub interrupts: Option<u64>,
    /// Deferred halves of interrupts on its core.
    pub soft_interrupts: Option<u64>,
}

/// Names of the counts as columns, in the order of [`Counts::cells`].
pub const COLUMNS: [&str; 7] =
    ["switches", "waited", "stolen", "minor faults", "major faults", "interrupts", "softirqs"];

impl Counts {
    fn of(counted: &Disturbances) -> Counts {
        Counts {
            involuntary_switches: counted.involuntary_switches,
            waited_ns: counted.waited_ns,
            stolen_ns: counted.stolen_ns,
            minor_faults: counted.minor_faults,
            major_faults: counted.major_faults,
            interrupts: counted.interrupts,
            soft_interrupts: counted.soft_interrupts,
        }
    }

    /// Each count made of the same count of all of `parts` by `make`.
    fn each(parts: &[Counts], make: impl Fn(Vec<u64>) -> Option<u64>) -> Counts {
        let one = |count: fn(&Counts) -> Option<u64>| make(parts.iter().map(count).collect::<Option<_>>()?);
        Counts {
            involuntary_switches: one(|counts| counts.involuntary_switches),
            waited_ns: one(|counts| counts.waited_ns),
            stolen_ns: one(|counts| counts.stolen_ns),
            minor_faults: one(|counts| counts.minor_faults),
            major_faults: one(|counts| counts.major_faults),
            interrupts: one(|counts| counts.interrupts),
            soft_interrupts: one(|counts| counts.soft_interrupts),
        }
    }

    /// The sum of each count; none of none.
    fn sum(parts: &[Counts]) -> Counts {
        Counts::each(parts, |values| (!values.is_empty()).then(|| values.iter().sum()))
    }

    /// The median of each count; none where one lacks it.
    pub fn median(parts: &[Counts]) -> Counts {
        Counts::each(parts, |values| crate::capacity::median(&values))
    }

    /// As people read them.
    pub fn cells(&self) -> [String; 7] {
        let number = |count: Option<u64>| count.map_or_else(|| "n/a".to_owned(), |count| count.to_string());
        let time = |ns: Option<u64>| ns.map_or_else(|| "n/a".to_owned(), |ns| runtime::base::Nanos(ns).to_string());
        [
            number(self.involuntary_switches),
            time(self.waited_ns),
            time(self.stolen_ns),
            number(self.minor_faults),
            number(self.major_faults),
            number(self.interrupts),
            number(self.soft_interrupts),
        ]
    }
}

/// Reads the counts of a server's compute threads.
#[derive(Debug)]
pub struct Reader {
    process: Option<u32>,
    watches: Vec<Watch>,
    before: Vec<Disturbances>,
}

impl Reader {
    /// Reads those of `process`, or of the only process that has compute threads. `core` is the
    /// compute core; where it is not named, the core that the thread last ran on.
    pub fn new(process: Option<u32>, core: Option<usize>) -> Reader {
        let prefix = compute_thread_prefix(0);
        let process = process.or_else(|| match processes_with(&prefix).as_slice() {
            [only] => Some(*only),
            _ => None,
        });
        let threads = process.map(|process| threads_named(process, &prefix)).unwrap_or_default();
        let watch = |process, thread| {
            let watch = Watch::new(process, thread).with_interrupts();
            match core {
                Some(core) if threads.len() == 1 => watch.on_core(core),
                _ => watch,
            }
        };
        let watches = threads.iter().filter_map(|&thread| Some(watch(process?, thread))).collect();
        let mut reader = Reader { process, watches, before: Vec::new() };
        reader.before = reader.watches.iter_mut().map(Watch::read).collect();
        reader
    }

    /// The process that is read, if it has compute threads.
    pub fn process(&self) -> Option<u32> {
        self.process.filter(|_| !self.watches.is_empty())
    }

    /// What was counted since the reading before.
    pub fn since_before(&mut self) -> Counts {
        let mut parts = Vec::with_capacity(self.watches.len());
        for (watch, before) in self.watches.iter_mut().zip(&mut self.before) {
            let now = watch.read();
            parts.push(Counts::of(&now.since(before)));
            *before = now;
        }
        Counts::sum(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_threads_and_lacking_ones_stay_so() {
        let one = Counts { interrupts: Some(3), waited_ns: Some(1_500), ..Counts::default() };
        let other = Counts { interrupts: Some(4), ..Counts::default() };
        let sum = Counts::sum(&[one, other]);
        assert_eq!((sum.interrupts, sum.waited_ns, sum.minor_faults), (Some(7), None, None));
        assert_eq!(Counts::sum(&[]), Counts::default());
        assert_eq!(Counts::median(&[one, other, one]).interrupts, Some(3));
        assert_eq!(one.cells(), ["n/a", "1.5 us", "n/a", "n/a", "n/a", "3", "n/a"]);
    }

    #[test]
    fn the_compute_threads_of_a_process_are_read_and_nothing_is_made_up_without() {
        let mut none = Reader::new(Some(std::process::id()), None);
        assert_eq!((none.process(), none.since_before()), (None, Counts::default()));
        let name = format!("{}0", compute_thread_prefix(0));
        let (finish, until) = std::sync::mpsc::channel::<()>();
        let (started, starts) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            started.send(()).unwrap();
            until.recv().unwrap();
        });
        starts.recv().unwrap();
        let mut reader = Reader::new(Some(std::process::id()), None);
        assert_eq!(reader.process(), Some(std::process::id()));
        assert!(processes_with(&compute_thread_prefix(0)).contains(&std::process::id()));
        assert_eq!(reader.since_before().major_faults, Some(0));
        finish.send(()).unwrap();
        thread.unwrap().join().unwrap();
    }
}
