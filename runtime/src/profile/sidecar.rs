//! The `.profile` file beside a package: durations measured on one kind of device, as JSON.

use serde::{Deserialize, Serialize};

use crate::base::{BatchSize, Nanos, ShapeId};

use super::window::PERCENTILE_SAMPLES;

/// Packages with equal plans share one architecture: the first 64 bits of the plans' digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Architecture(pub u64);

/// A kind of device: the first 64 bits of the digest of its fingerprint (name, cores, clocks, driver).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceKind(pub u64);

impl DeviceKind {
    /// The kind of device that a worker calls by that name.
    pub fn named(name: &str) -> DeviceKind {
        let digest = blake3::hash(name.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        DeviceKind(u64::from_le_bytes(first))
    }
}

/// Everything measured of one architecture on one kind of device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Whose plans were measured.
    pub architecture: Architecture,
    /// What they were measured on.
    pub device_kind: DeviceKind,
    /// Executions, by plan.
    pub plans: Vec<PlanSamples>,
    /// Host to device copies of all weight pages.
    #[serde(default)]
    pub loads: Vec<SizedSample>,
    /// Disk to host reads of all weight pages.
    #[serde(default)]
    pub fetches: Vec<SizedSample>,
}

/// Executions of one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSamples {
    /// Index of the shape variant.
    pub shape: u8,
    /// Batch size.
    pub batch: u8,
    /// Measured durations in nanoseconds, oldest first.
    pub durations: Vec<Nanos>,
    /// How many of them saw a core taken from a compute thread.
    #[serde(default)]
    pub disturbed: u32,
}

/// One transfer of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizedSample {
    /// Pages moved.
    pub pages: u32,
    /// How long it took.
    pub duration: Nanos,
}

impl SizedSample {
    /// Samples whose `expected` and `bound` are those given, as [`PlanSamples::from_times`] has them
    /// for a plan. They are few, so that what is measured then soon counts for more.
    pub fn from_times(pages: u32, expected: Nanos, bound: Nanos) -> [SizedSample; 3] {
        // Below 100 samples the bound is 1.5 times the largest.
        let largest = Nanos(bound.0 / 3 * 2).max(expected);
        [expected, expected, largest].map(|duration| SizedSample { pages, duration })
    }
}

impl PlanSamples {
    /// Samples whose `expected` and p99 `bound` are those given: what a peer that knows only the two
    /// numbers says, in the form that measurements then take over from.
    pub fn from_times(shape: ShapeId, batch: BatchSize, expected: Nanos, bound: Nanos) -> PlanSamples {
        let mut durations = vec![expected; PERCENTILE_SAMPLES - 2];
        durations.extend([bound.max(expected); 2]);
        PlanSamples { shape: shape.0, batch: batch.get(), durations, disturbed: 0 }
    }

    /// The plan's key, if the batch size is one that plans exist for.
    pub fn key(&self) -> Option<(ShapeId, BatchSize)> {
        Some((ShapeId(self.shape), BatchSize::new(self.batch)?))
    }
}
