//! The fault injector: a decorator over any filling that makes entry points fail, take longer or
//! stall. Its rules are the process's, since an entry point is a plain function.

use super::driver::Driver;
use super::error::{DriverCode, OpenError};
use super::load;
use super::table::{DriverTable, ENTRY_POINTS, driver_table};
use super::types::*;
use crate::clock;
use crate::cpu::CpuConfig;
use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// What happens to a call that a rule picks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It returns this code and does nothing.
    Fail(DriverCode),
    /// It takes this much longer, in nanoseconds.
    Slow(u64),
    /// It stalls until the rules are changed, then goes on.
    Stall,
}

/// Which calls of an entry point a rule picks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// The call of this number, counted from 1, and no other.
    Nth(u64),
    /// Every call from this number on.
    From(u64),
    /// Each call with this chance, in millionths, decided by the seed and the call's number.
    Chance(u32),
}

/// One rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultRule {
    /// The entry point, one of [`ENTRY_POINTS`].
    pub entry: &'static str,
    /// Which of its calls.
    pub when: When,
    /// What happens to them.
    pub fault: Fault,
}

/// The fault injector of this process.
#[derive(Debug)]
pub struct Faults {
    inner: OnceLock<DriverTable>,
    /// Whether there are any rules, so that calls without any take no lock.
    any: AtomicBool,
    rules: Mutex<Rules>,
    changed: Condvar,
}

#[derive(Debug)]
struct Rules {
    seed: u64,
    /// Grows with each change, which ends stalls.
    version: u64,
    rules: Vec<(FaultRule, u64)>,
    injected: u64,
}

static FAULTS: Faults = Faults {
    inner: OnceLock::new(),
    any: AtomicBool::new(false),
    rules: Mutex::new(Rules { seed: 0, version: 0, rules: Vec::new(), injected: 0 }),
    changed: Condvar::new(),
};

impl std::fmt::Debug for DriverTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "DriverTable of {} entry points", ENTRY_POINTS.len())
    }
}

impl Faults {
    /// The fault injector of this process.
    #[must_use]
    pub fn process() -> &'static Self {
        &FAULTS
    }

    /// [`Driver::cpu`], decorated.
    ///
    /// # Errors
    /// As [`Driver::cpu`], and when this process decorates another filling already.
    pub fn cpu(&'static self, config: &CpuConfig) -> Result<Driver, OpenError> {
        Driver::start_cpu(config, Some(self))
    }

    /// [`Driver::libcuda`], decorated.
    ///
    /// # Errors
    /// As [`Driver::libcuda`], and when this process decorates another filling already.
    pub fn libcuda(&'static self) -> Result<Driver, OpenError> {
        Driver::open_libcuda(Path::new(load::LIBRARY), Some(self))
    }

    /// Replaces all rules; calls are counted anew and stalled ones go on.
    ///
    /// # Panics
    /// When a rule names an entry point that does not exist.
    pub fn set(&self, seed: u64, rules: &[FaultRule]) {
        for rule in rules {
            assert!(ENTRY_POINTS.contains(&rule.entry), "no entry point is called {}", rule.entry);
        }
        let mut current = self.lock();
        current.seed = seed;
        current.version += 1;
        current.injected = 0;
        current.rules = rules.iter().map(|rule| (*rule, 0)).collect();
        self.any.store(!rules.is_empty(), Ordering::Release);
        drop(current);
        self.changed.notify_all();
    }

    /// Takes all rules away; stalled calls go on.
    pub fn clear(&self) {
        self.set(0, &[]);
    }

    /// How many faults the present rules have caused.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.lock().injected
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `table` with every entry point replaced by its decorated one.
    pub(super) fn decorate(&self, table: DriverTable) -> Result<DriverTable, OpenError> {
        let inner = self.inner.get_or_init(|| table);
        let address = |table: &DriverTable| table.cuInit as usize;
        if address(inner) != address(&table) {
            return Err(OpenError::FaultyInUse);
        }
        Ok(decorated())
    }

    /// What the rules do to this call of `entry`: the code to return instead of calling.
    fn before(&self, entry: &'static str) -> Option<CUresult> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut rules = self.lock();
        let fault = rules.pick(entry)?;
        match fault {
            Fault::Fail(code) => Some(cudaError_enum(code.0)),
            Fault::Slow(ns) => {
                drop(rules);
                clock::sleep_until(clock::now_ns() + ns);
                None
            }
            Fault::Stall => {
                let version = rules.version;
                while rules.version == version {
                    rules = self.changed.wait(rules).unwrap_or_else(PoisonError::into_inner);
                }
                None
            }
        }
    }
}

impl Rules {
    /// Counts this call of `entry` in all its rules; the fault of the first that picks it.
    fn pick(&mut self, entry: &'static str) -> Option<Fault> {
        let seed = self.seed;
        let mut picked = None;
        for (place, (rule, calls)) in (0_u64..).zip(&mut self.rules) {
            if rule.entry != entry {
                continue;
            }
            *calls += 1;
            let hit = match rule.when {
                When::Nth(number) => *calls == number,
                When::From(number) => *calls >= number,
                When::Chance(millionths) => {
                    mix(seed ^ mix(place) ^ mix(*calls).rotate_left(32)) % 1_000_000 < u64::from(millionths)
                }
            };
            if hit && picked.is_none() {
                picked = Some(rule.fault);
            }
        }
        self.injected += u64::from(picked.is_some());
        picked
    }
}

/// The output function of splitmix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

macro_rules! define_decorators {
    ($($name:ident: $generated:ident = ($($argument:ident: $kind:ty),*);)*) => {
        $(
            #[allow(non_snake_case, clippy::too_many_arguments)]
            unsafe extern "C" fn $name($($argument: $kind),*) -> CUresult {
                if let Some(code) = FAULTS.before(stringify!($name)) {
                    return code;
                }
                let Some(inner) = FAULTS.inner.get() else {
                    unreachable!("a decorated table is only given out over an inner one")
                };
                // SAFETY: the caller keeps the contract of this entry point.
                unsafe { (inner.$name)($($argument),*) }
            }
        )*

        fn decorated() -> DriverTable {
            DriverTable { $($name,)* }
        }
    };
}
driver_table!(define_decorators);
