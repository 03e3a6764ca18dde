//! Settings of a run. A run is a function of them: the seed is one.

use thiserror::Error;

use super::clock::ClockConfig;
use super::device::{DeviceFaults, DeviceTimes, ExecTimes};
use super::disk::DiskConfig;
use super::link::LinkConfig;
use super::workload::{Load, Pace};
use crate::base::limits::{
    CPU_PAGE_BYTES, MAX_DEVICES_PER_WORKER, MAX_GATEWAYS, MAX_MODELS, MAX_PAGES_PER_MODEL, MAX_REQUESTS, MAX_WORKERS,
};
use crate::base::{BatchSize, Nanos};
use crate::scheduler;

/// One model of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which of [`SimConfig::architectures`] it has.
    pub architecture: u16,
    /// Weight pages.
    pub pages: u32,
    /// Bytes of one item's input area; a multiple of 64, to which payloads are padded.
    pub input_bytes: u32,
    /// Bytes of one item's output area, likewise.
    pub output_bytes: u32,
    /// What is asked of it.
    pub load: Load,
}

/// How workers are lost and come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossConfig {
    /// Mean time between two losses; zero for never.
    pub every: Nanos,
    /// Share of the losses that end the process, so that nothing stays loaded; the others only cut
    /// its connections.
    pub crashes: f64,
    /// From a loss until the worker tries to come back.
    pub down: Nanos,
}

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// Everything that is drawn comes from it.
    pub seed: u64,
    /// Workers, at least one.
    pub workers: u16,
    /// Devices of each worker, at least one.
    pub devices: u8,
    /// Gateways, at least one; the requests of a model take turns.
    pub gateways: u16,
    /// Exec durations, by architecture.
    pub architectures: Vec<ExecTimes>,
    /// The models.
    pub models: Vec<ModelConfig>,
    /// From start until the load begins: what may be loaded before is.
    pub warm_up: Nanos,
    /// How long the load lasts.
    pub length: Nanos,
    /// Host pages of each worker.
    pub host_pages: u32,
    /// Weight pages of each device.
    pub device_pages: u32,
    /// Bytes of a page.
    pub page_bytes: u32,
    /// Slots of each device.
    pub slots: u16,
    /// Requests that each gateway holds at once.
    pub requests: u16,
    /// Between clients and gateways.
    pub client_link: LinkConfig,
    /// Between gateways, controller and workers.
    pub server_link: LinkConfig,
    /// How far the processes' clocks lie apart.
    pub clocks: ClockConfig,
    /// How often the controller compares clocks.
    pub sync_period: Nanos,
    /// How late a timer wakes its machine at most.
    pub timer_lateness: Nanos,
    /// How long things take on a device.
    pub device: DeviceTimes,
    /// What fails on a device.
    pub device_faults: DeviceFaults,
    /// The disk of each worker.
    pub disk: DiskConfig,
    /// How workers are lost.
    pub losses: LossConfig,
    /// Settings of the scheduler.
    pub scheduler: scheduler::Config,
    /// Steps recorded; 0 records none.
    pub record: usize,
}

/// Models that all look alike share the time of the clock's zero with nothing: runs start here.
pub(super) const START: Nanos = Nanos::seconds(1);

impl SimConfig {
    /// One worker with one device that serves one model without disturbance: exec takes `batch_one`
    /// for one item and 60% of that for each further one, in plans of every size.
    pub fn single(batch_one: Nanos, pace: Pace, slo: Nanos, length: Nanos) -> SimConfig {
        let exec = BatchSize::ALL.map(|size| {
            let further = u64::try_from(size.items() - 1).unwrap_or(0);
            Some(batch_one + Nanos(batch_one.0 * 6 / 10 * further))
        });
        SimConfig {
            seed: 1,
            workers: 1,
            devices: 1,
            gateways: 1,
            architectures: vec![exec],
            models: vec![ModelConfig {
                architecture: 0,
                pages: 3,
                input_bytes: 224 * 224 * 3 * 4,
                output_bytes: 4_032,
                load: Load { pace, slo, withdrawn: 0.0 },
            }],
            warm_up: Nanos::millis(200),
            length,
            host_pages: 256,
            device_pages: 128,
            page_bytes: u32::try_from(CPU_PAGE_BYTES).unwrap_or(u32::MAX),
            slots: 64,
            requests: 1_024,
            client_link: LinkConfig::default(),
            server_link: LinkConfig::default(),
            clocks: ClockConfig { offset: Nanos::seconds(1_000), drift_ppm: 20 },
            sync_period: Nanos::millis(20),
            timer_lateness: Nanos::micros(5),
            device: DeviceTimes::default(),
            device_faults: DeviceFaults::default(),
            disk: DiskConfig::default(),
            losses: LossConfig { every: Nanos::ZERO, crashes: 0.5, down: Nanos::millis(100) },
            scheduler: scheduler::Config::default(),
            record: 0,
        }
    }

    /// Checks every setting against its limit.
    ///
    /// # Errors
    /// The first setting that can't be run.
    pub fn check(&self) -> Result<(), SimError> {
        within("workers", u64::from(self.workers), 1, MAX_WORKERS as u64)?;
        within("devices", u64::from(self.devices), 1, MAX_DEVICES_PER_WORKER as u64)?;
        within("gateways", u64::from(self.gateways), 1, MAX_GATEWAYS as u64)?;
        within("models", self.models.len() as u64, 1, MAX_MODELS as u64)?;
        within("architectures", self.architectures.len() as u64, 1, MAX_MODELS as u64)?;
        within("slots", u64::from(self.slots), 1, 4096)?;
        within("requests held by a gateway", u64::from(self.requests), 1, MAX_REQUESTS as u64)?;
        within("host pages", u64::from(self.host_pages), 1, MAX_PAGES)?;
        within("device pages", u64::from(self.device_pages), 1, MAX_PAGES)?;
        within("page bytes", u64::from(self.page_bytes), 4096, 1 << 30)?;
        within("seconds", self.length.0, 1, Nanos::seconds(1_000_000).0)?;
        for (place, exec) in self.architectures.iter().enumerate() {
            if exec[0].is_none_or(|time| time == Nanos::ZERO) {
                return Err(SimError::NoBatchOne { architecture: place });
            }
        }
        for (place, model) in self.models.iter().enumerate() {
            if usize::from(model.architecture) >= self.architectures.len() {
                return Err(SimError::NoArchitecture { model: place, architecture: model.architecture });
            }
            within("pages of a model", u64::from(model.pages), 1, MAX_PAGES_PER_MODEL as u64)?;
            for bytes in [model.input_bytes, model.output_bytes] {
                within("bytes of a slot's area", u64::from(bytes), 64, 64 << 20)?;
                within("odd bytes of a slot's area", u64::from(bytes % 64), 0, 0)?;
            }
            within("SLO in nanoseconds", model.load.slo.0, 1, crate::base::limits::MAX_SLO.0)?;
        }
        Ok(())
    }
}

/// Pages of a tier, as many as a worker may be set to.
const MAX_PAGES: u64 = 1 << 20;

fn within(what: &'static str, value: u64, least: u64, most: u64) -> Result<(), SimError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(SimError::OutOfRange { what, value, least, most }) }
}

/// Why a run can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SimError {
    /// A setting is beyond its limits.
    #[error("{what}: {value} is not within {least} to {most}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The least that is possible.
        least: u64,
        /// The most that is possible.
        most: u64,
    },
    /// An architecture has no plan for one item.
    #[error("architecture {architecture} has no plan for a batch of 1, or one that takes no time")]
    NoBatchOne {
        /// Which.
        architecture: usize,
    },
    /// A model names an architecture that is not there.
    #[error("model {model} has architecture {architecture}, which is not there")]
    NoArchitecture {
        /// Which model.
        model: usize,
        /// What it names.
        architecture: u16,
    },
}
