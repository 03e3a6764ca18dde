//! Profiles at start: read where this device was measured before, else measured now and kept.

use std::path::{Path, PathBuf};

use sys::memory::{HostLease, MemoryError};
use thiserror::Error;

use super::inventory::Inventory;
use crate::base::{Nanos, ShapeId};
use crate::device::{Architecture, Lanes, Measure, MeasureError, PlanKey};
use crate::package::{Digest, Package};
use crate::profile::{self, DeviceKind, PlanSamples, Profile, SizedSample};
use crate::worker::ArchitectureId;
use crate::worker::op::TableId;

/// Time spent on measuring one plan.
const PLAN_BUDGET: Nanos = Nanos::millis(400);

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
    /// There is no memory for a page to copy.
    #[error("measuring copies: {0}")]
    Memory(#[from] MemoryError),
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
    /// Where profiles are kept; nowhere if `None`.
    pub folder: Option<&'a Path>,
    /// What the device is.
    pub kind: DeviceKind,
    /// Measure even what was measured before.
    pub renew: bool,
}

impl Profiler<'_> {
    /// The profile of each architecture, by [`ArchitectureId`]. `progress` is called before each that is measured.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn profiles(
        &self,
        lanes: &mut Lanes,
        architectures: &[Architecture],
        mut progress: impl FnMut(&Package),
    ) -> Result<Vec<Profile>, ProfileError> {
        let mut page_copy = None;
        let mut profiles = Vec::new();
        for (number, &place) in self.inventory.architectures.iter().enumerate() {
            let package = &self.inventory.packages[place];
            let path = self.folder.map(|folder| sidecar(folder, &package.architecture, self.kind));
            let known = path.as_deref().filter(|_| !self.renew).and_then(read);
            if let Some(profile) = known {
                profiles.push(profile);
                continue;
            }
            progress(package);
            let mut measure = Measure::new(lanes, architectures);
            let profile = self.measure(&mut measure, number, place, &mut page_copy)?;
            if let Some(path) = path {
                write(&path, &profile)?;
            }
            profiles.push(profile);
        }
        Ok(profiles)
    }

    #[expect(clippy::cast_possible_truncation, reason = "models are numbered by u16, pages by u32")]
    fn measure(
        &self,
        measure: &mut Measure<'_>,
        number: usize,
        place: usize,
        page_copy: &mut Option<Nanos>,
    ) -> Result<Profile, ProfileError> {
        let package = &self.inventory.packages[place];
        let failed = |source| ProfileError::Measure { package: package.name.clone(), source };
        let pages = package.pages.len() as u32;
        let table = TableId(place as u16);
        measure.point_table(table, pages).map_err(failed)?;
        let mut plans = Vec::new();
        let mut smaller: Option<(ShapeId, Nanos)> = None;
        // Ascending by shape, then by batch size.
        for plan in &package.plans {
            let too_long = |(shape, took): (ShapeId, Nanos)| shape == plan.shape && took + took > LONGEST_EXEC;
            if smaller.is_some_and(too_long) {
                continue;
            }
            let key = PlanKey { shape: plan.shape, batch: plan.batch };
            let durations = measure.plan(ArchitectureId(number as u16), table, key, PLAN_BUDGET).map_err(failed)?;
            smaller = durations.iter().min().map(|&least| (plan.shape, least));
            plans.push(PlanSamples { shape: plan.shape.0, batch: plan.batch.get(), durations });
        }
        let each = match *page_copy {
            Some(each) => each,
            None => {
                let page = HostLease::locked(package.page_bytes as usize)?.share();
                *page_copy.insert(measure.page_copy(&page).map_err(failed)?)
            }
        };
        let load = SizedSample { pages, duration: Nanos(each.0.saturating_mul(u64::from(pages))) };
        Ok(Profile {
            architecture: profile::Architecture(short(&package.architecture)),
            device_kind: self.kind,
            plans,
            loads: vec![load],
            fetches: Vec::new(),
        })
    }
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
