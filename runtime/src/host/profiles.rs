//! Profiles at start: read where this device was measured before, else measured now and kept.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::inventory::Inventory;
use crate::base::limits::CPU_PAGE_BYTES;
use crate::base::{Nanos, ShapeId};
use crate::device::{Architecture, Lanes, Measure, MeasureError, PlanKey};
use crate::disk::{FetchError, FetchMeasure, HostPages};
use crate::package::Digest;
use crate::profile::{self, DeviceKind, PlanSamples, Profile, SizedSample};
use crate::worker::ArchitectureId;
use crate::worker::op::TableId;

/// Time spent on measuring FETCHes, and LOADs, of one package.
const TRANSFER_BUDGET: Nanos = Nanos::millis(400);
/// Most samples of either, so that small packages take no time.
const TRANSFER_SAMPLES: usize = 9;

/// A plan that would surely hold the device longer is not measured, and what was not measured is
/// never ordered: behind it every short request would be late (the paper's largest execution).
/// Batch 1 is measured whatever it takes.
const LONGEST_EXEC: Nanos = Nanos::millis(250);

/// Why a device can't be measured.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// Work failed.
    #[error("package {package}: {source}")]
    Measure {
        /// Whose plan was being run.
        package: String,
        /// How.
        source: MeasureError,
    },
    /// The disk can't be measured at all.
    #[error("measuring the disk: {0}")]
    Disk(FetchError),
    /// A profile can't be kept.
    #[error("profile {path}: {source}")]
    Write {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where the profile of an architecture on a device is kept.
pub fn sidecar(folder: &Path, architecture: &Digest, kind: DeviceKind) -> PathBuf {
    folder.join(format!("{:016x}-{:016x}.profile", short(architecture), kind.0))
}

/// The first 64 bits of a digest, as the wire carries an architecture.
pub fn short(digest: &Digest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = digest.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// What is measured, and where profiles are kept.
#[derive(Debug)]
pub struct Profiler<'a> {
    /// The packages.
    pub inventory: &'a Inventory,
    /// Where profiles are kept.
    pub folder: &'a Path,
    /// What the device is.
    pub kind: DeviceKind,
    /// Measure even what was measured before.
    pub renew: bool,
}

/// What is about to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Whose weights or plan.
    pub package: &'a str,
    /// The plan; none for the weights, which come first.
    pub plan: Option<PlanKey>,
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
}

/// The profile of one architecture.
#[derive(Debug)]
pub struct Profiled {
    /// Place of the package that stands for it in the inventory.
    pub package: usize,
    /// What was kept of it before.
    pub before: Option<Profile>,
    /// What is planned with.
    pub profile: Profile,
    /// Why its FETCH could not be measured.
    pub unread: Option<FetchError>,
}

impl Profiler<'_> {
    /// The profile of each architecture, by [`ArchitectureId`], and the pages back. `progress` is
    /// called before each step that is measured.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn profiles(
        &self,
        lanes: &mut Lanes,
        architectures: &[Architecture],
        pages: HostPages,
        mut progress: impl FnMut(Step<'_>),
    ) -> Result<(Vec<Profiled>, HostPages), ProfileError> {
        let places = &self.inventory.architectures;
        let mut disk = FetchMeasure::new(pages, CPU_PAGE_BYTES, places.len()).map_err(ProfileError::Disk)?;
        let steps = |place: &usize| 1 + self.inventory.packages[*place].plans.len();
        let total = places.iter().map(steps).sum();
        let mut done = 0;
        let mut profiles = Vec::new();
        for (number, &place) in places.iter().enumerate() {
            let package = &self.inventory.packages[place];
            let path = sidecar(self.folder, &package.architecture, self.kind);
            let before = read(&path);
            let known = before.clone().filter(|_| !self.renew);
            let mut tell = |plan, step| progress(Step { package: &package.name, plan, done: done + step, total });
            let (profile, unread) = match known {
                // Without FETCHes it was kept by an earlier version, or the package could not be read.
                Some(known) if !known.fetches.is_empty() => (known, None),
                known => {
                    tell(None, 0);
                    let mut measure = Measure::new(lanes, architectures);
                    let (weights, unread) = self.measure_weights(&mut measure, place, &mut disk)?;
                    let plans = match known {
                        Some(known) => known.plans,
                        None => self.measure_plans(&mut measure, number, place, &mut tell)?,
                    };
                    let profile = Profile { plans, ..weights };
                    write(&path, &profile)?;
                    (profile, unread)
                }
            };
            done += steps(&place);
            profiles.push(Profiled { package: place, before, profile, unread });
        }
        Ok((profiles, disk.into_pages()))
    }

    /// FETCHes and LOADs of a package, whose page table then points at weights; why there are none
    /// where its file can't be read: that is for its requests to find, and no reason not to start.
    fn measure_weights(
        &self,
        measure: &mut Measure<'_>,
        place: usize,
        disk: &mut FetchMeasure,
    ) -> Result<(Profile, Option<FetchError>), ProfileError> {
        let package = &self.inventory.packages[place];
        let failed = |source| ProfileError::Measure { package: package.name.clone(), source };
        let pages = u32::try_from(package.pages.len()).unwrap_or(u32::MAX);
        let table = table_of(place);
        let mut profile = Profile {
            architecture: profile::Architecture(short(&package.architecture)),
            device_kind: self.kind,
            plans: Vec::new(),
            loads: Vec::new(),
            fetches: Vec::new(),
        };
        match repeat(pages, || disk.fetch(package)) {
            Ok(fetches) => {
                profile.fetches = fetches;
                let host_page = |page| disk.pages().filled(page);
                profile.loads = repeat(pages, || measure.load(table, pages, host_page)).map_err(failed)?;
                Ok((profile, None))
            }
            Err(ring @ FetchError::Ring(_)) => Err(ProfileError::Disk(ring)),
            Err(unread) => {
                measure.point_table(table, pages).map_err(failed)?;
                Ok((profile, Some(unread)))
            }
        }
    }

    fn measure_plans(
        &self,
        measure: &mut Measure<'_>,
        number: usize,
        place: usize,
        tell: &mut impl FnMut(Option<PlanKey>, usize),
    ) -> Result<Vec<PlanSamples>, ProfileError> {
        let package = &self.inventory.packages[place];
        let failed = |source| ProfileError::Measure { package: package.name.clone(), source };
        let architecture = ArchitectureId(u16::try_from(number).unwrap_or(u16::MAX));
        let mut plans = Vec::new();
        let mut smaller: Option<(ShapeId, Nanos)> = None;
        // Ascending by shape, then by batch size.
        for (step, plan) in package.plans.iter().enumerate() {
            let too_long = |(shape, took): (ShapeId, Nanos)| shape == plan.shape && took + took > LONGEST_EXEC;
            if smaller.is_some_and(too_long) {
                continue;
            }
            let key = PlanKey { shape: plan.shape, batch: plan.batch };
            tell(Some(key), 1 + step);
            let samples = measure.plan(architecture, table_of(place), key).map_err(failed)?;
            smaller = samples.durations.iter().min().map(|&least| (plan.shape, least));
            plans.push(PlanSamples {
                shape: plan.shape.0,
                batch: plan.batch.get(),
                disturbed: u32::try_from(samples.disturbed).unwrap_or(u32::MAX),
                durations: samples.durations,
            });
        }
        Ok(plans)
    }
}

/// The page table of the package at `place`: models are numbered by `u16`.
fn table_of(place: usize) -> TableId {
    TableId(u16::try_from(place).unwrap_or(u16::MAX))
}

/// Measures a transfer of `pages` pages at least once, and on until the budget or the samples are spent.
fn repeat<E>(pages: u32, mut once: impl FnMut() -> Result<Nanos, E>) -> Result<Vec<SizedSample>, E> {
    let begin = sys::clock::now_ns();
    let mut samples = Vec::new();
    while samples.len() < TRANSFER_SAMPLES && (samples.is_empty() || sys::clock::now_ns() - begin < TRANSFER_BUDGET.0) {
        samples.push(SizedSample { pages, duration: once()? });
    }
    Ok(samples)
}

/// A profile that was kept; one that can't be read counts as none and is measured anew.
fn read(path: &Path) -> Option<Profile> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &Path, profile: &Profile) -> Result<(), ProfileError> {
    let failed = |source| ProfileError::Write { path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let text = serde_json::to_vec(profile).unwrap_or_else(|error| unreachable!("plain numbers are JSON: {error}"));
    let fresh = path.with_extension("profile.new");
    std::fs::write(&fresh, text).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)
}
