//! How long things take and how large they are in the simulated world.

use arrayvec::ArrayVec;

use crate::base::{BatchSize, DeviceId, ModelId, Nanos, WorkerId};
use crate::package::Target;
use crate::profile::{Architecture, DeviceKind, PlanSamples, Profile};
use crate::scheduler::{DeviceUp, ModelSpec, ShapeSpec, SlotClass, WorkerUp};

/// splitmix64.
#[derive(Clone, Debug)]
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

/// How the simulated world behaves.
#[derive(Clone, Debug)]
pub struct Physics {
    /// Batch-1 time.
    pub one: Nanos,
    /// What each further item of a batch takes, as a share of the first.
    pub marginal: f64,
    /// Standard deviation of a duration, as a share of it.
    pub jitter: f64,
    /// Share of durations that are 1.2 times as long.
    pub spikes: f64,
    /// Share of actions that fail.
    pub faults: f64,
    pub models: u16,
    pub pages_per_model: u32,
    pub device_pages: u32,
    pub host_pages: u32,
    pub devices: u8,
    pub slots: u16,
    pub load: Nanos,
    pub fetch: Nanos,
    /// How long a payload is on its way to the worker, at least.
    pub input: Nanos,
}

impl Default for Physics {
    fn default() -> Physics {
        Physics {
            one: Nanos::millis(7),
            marginal: 0.97,
            jitter: 0.01,
            spikes: 0.005,
            faults: 0.0,
            models: 1,
            pages_per_model: 3,
            device_pages: 100,
            host_pages: 100,
            devices: 1,
            slots: 32,
            load: Nanos::millis(2),
            fetch: Nanos::millis(6),
            input: Nanos::micros(60),
        }
    }
}

impl Physics {
    pub fn duration(&self, items: usize) -> Nanos {
        Nanos((self.one.0 as f64 * (1.0 + self.marginal * (items as f64 - 1.0))) as u64)
    }

    pub fn jittered(&self, duration: Nanos, random: &mut Seeded) -> Nanos {
        let normal = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let spike = if random.unit() < self.spikes { 1.2 } else { 1.0 };
        Nanos((duration.0 as f64 * (1.0 + self.jitter * normal).max(0.5) * spike) as u64)
    }

    pub fn model(&self, model: u16, random: &mut Seeded) -> ModelSpec {
        let mut plan = |&size: &BatchSize| PlanSamples {
            shape: 0,
            batch: size.get(),
            durations: (0..200).map(|_| self.jittered(self.duration(size.items()), random)).collect(),
            disturbed: 0,
        };
        let profile = Profile {
            architecture: Architecture(1),
            device_kind: DeviceKind(1),
            plans: BatchSize::ALL.iter().map(&mut plan).collect(),
            loads: vec![],
            fetches: vec![],
        };
        ModelSpec {
            model: ModelId(u64::from(model)),
            architecture: Architecture(1),
            target: Target::CpuF32,
            pages: self.pages_per_model,
            shapes: ArrayVec::from_iter([ShapeSpec { input_bytes: 600, output_bytes: 40 }]),
            profiles: vec![profile],
        }
    }

    pub fn worker(&self, worker: u16, generation: u32) -> WorkerUp {
        let slots = SlotClass { input_bytes: 1_000, output_bytes: 100, count: self.slots };
        let device = |device| DeviceUp {
            device: DeviceId(device),
            kind: DeviceKind(1),
            pages: self.device_pages,
            slots: ArrayVec::from_iter([slots]),
            resident: vec![],
        };
        WorkerUp {
            worker: WorkerId(worker),
            target: Target::CpuF32,
            host_pages: self.host_pages,
            credits: 64,
            slot_generation: generation,
            clock_error: Nanos::ZERO,
            devices: (0..self.devices).map(device).collect(),
            fetched: vec![],
            fetches: vec![],
            loads: vec![],
        }
    }
}
