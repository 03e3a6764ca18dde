//! The packages of a worker, and what they ask of it: slot classes, page tables, architectures.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::ShapeId;
use crate::base::limits::{MAX_MODELS, MAX_SHAPES, MAX_SLOT_CLASSES};
use crate::package::{Digest, Package, PackageError, Target};
use crate::worker::config::{SlotClass, SlotClasses};
use crate::worker::{ArchitectureId, ModelInfo, PlanSet};

/// Why the packages of a folder can't be served.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// The folder can't be read.
    #[error("models folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A package is broken.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A package is made for other devices.
    #[error("package {path}: made for target {found}, this worker serves {wanted}; import it for that target")]
    Target {
        /// The package.
        path: PathBuf,
        /// Its target.
        found: Target,
        /// The worker's.
        wanted: Target,
    },
    /// A package has pages of another length.
    #[error("package {path}: pages of {found} bytes, this worker has pages of {wanted} bytes")]
    PageBytes {
        /// The package.
        path: PathBuf,
        /// Its page length.
        found: u32,
        /// The worker's.
        wanted: u32,
    },
    /// Two files hold the same model.
    #[error("packages {first} and {second} hold the same model; remove one")]
    Twice {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// There are too many packages.
    #[error("models folder {path}: {found} packages, at most {MAX_MODELS} can be served")]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
}

/// The packages of a worker.
#[derive(Debug)]
pub struct Inventory {
    /// The packages, by name.
    pub packages: Vec<Package>,
    /// What the worker's logic knows of each.
    pub infos: Vec<ModelInfo>,
    /// The package that each architecture is built from, by [`ArchitectureId`].
    pub architectures: Vec<usize>,
    /// Slots that the device needs.
    pub classes: SlotClasses,
}

impl Inventory {
    /// Opens every `.cwk` of `folder` and plans slots: `slots` in each class.
    ///
    /// # Errors
    /// [`InventoryError`] names the package and what is wrong with it.
    pub fn open(folder: &Path, target: Target, page_bytes: u32, slots: u16) -> Result<Inventory, InventoryError> {
        let mut packages = Vec::new();
        for path in package_files(folder)? {
            packages.push(checked(path, target, page_bytes)?);
        }
        packages.sort_by(|one: &Package, other| one.name.cmp(&other.name));
        for (place, package) in packages.iter().enumerate() {
            if let Some(twin) = packages[..place].iter().find(|twin| twin.id == package.id) {
                return Err(InventoryError::Twice { first: twin.path.clone(), second: package.path.clone() });
            }
        }
        Ok(Inventory::plan(packages, slots))
    }

    /// The inventory of a single package.
    ///
    /// # Errors
    /// [`InventoryError`] says what is wrong with it.
    pub fn of(package: &Path, target: Target, page_bytes: u32, slots: u16) -> Result<Inventory, InventoryError> {
        Ok(Inventory::plan(vec![checked(package.to_path_buf(), target, page_bytes)?], slots))
    }

    fn plan(packages: Vec<Package>, slots: u16) -> Inventory {
        let areas: Vec<(u32, u32)> = packages.iter().map(largest_areas).collect();
        let bounds = class_bounds(&areas);
        let mut classes = SlotClasses::default();
        for (class, bound) in classes.iter_mut().zip(&bounds) {
            *class = SlotClass { count: slots, input_bytes: bound.0, output_bytes: bound.1 };
        }
        let mut digests: Vec<Digest> = Vec::new();
        let mut architectures = Vec::new();
        let mut infos = Vec::new();
        for (place, package) in packages.iter().enumerate() {
            let known = digests.iter().position(|digest| *digest == package.architecture);
            let architecture = known.unwrap_or_else(|| {
                digests.push(package.architecture);
                architectures.push(place);
                digests.len() - 1
            });
            let class = bounds.iter().position(|bound| fits(areas[place], *bound)).unwrap_or(0);
            infos.push(info(package, architecture, class));
        }
        Inventory { packages, infos, architectures, classes }
    }
}

fn package_files(folder: &Path) -> Result<Vec<PathBuf>, InventoryError> {
    let unreadable = |source| InventoryError::Folder { path: folder.to_path_buf(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "cwk") {
            paths.push(path);
        }
    }
    if paths.len() > MAX_MODELS {
        return Err(InventoryError::TooMany { path: folder.to_path_buf(), found: paths.len() });
    }
    Ok(paths)
}

fn checked(path: PathBuf, target: Target, page_bytes: u32) -> Result<Package, InventoryError> {
    let package = Package::open(&path)?;
    if package.target != target {
        return Err(InventoryError::Target { path, found: package.target, wanted: target });
    }
    if package.page_bytes != page_bytes {
        return Err(InventoryError::PageBytes { path, found: package.page_bytes, wanted: page_bytes });
    }
    Ok(package)
}

/// Bytes of the largest input and output area over the package's shape variants.
fn largest_areas(package: &Package) -> (u32, u32) {
    shapes(package)
        .filter_map(|shape| package.slot_layout(shape))
        .fold((0, 0), |(input, output), layout| (input.max(layout.inputs.bytes), output.max(layout.outputs.bytes)))
}

fn shapes(package: &Package) -> impl Iterator<Item = ShapeId> {
    (0..).map(ShapeId).take(package.shape_variants().min(MAX_SHAPES))
}

fn fits(area: (u32, u32), bound: (u32, u32)) -> bool {
    area.0 <= bound.0 && area.1 <= bound.1
}

/// At most [`MAX_SLOT_CLASSES`] pairs of bounds that every area fits one of, ascending: the sizes
/// that occur, neighbours joined where that wastes least.
fn class_bounds(areas: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut bounds: Vec<(u32, u32)> = areas.to_vec();
    bounds.sort_by_key(|&(input, output)| (u64::from(input) + u64::from(output), input));
    bounds.dedup();
    while bounds.len() > MAX_SLOT_CLASSES {
        let joined = |one: (u32, u32), next: (u32, u32)| (one.0.max(next.0), one.1.max(next.1));
        let waste = |place: &usize| {
            let (one, next) = (bounds[*place], bounds[*place + 1]);
            let bound = joined(one, next);
            let size = |pair: (u32, u32)| u64::from(pair.0) + u64::from(pair.1);
            2 * size(bound) - size(one) - size(next)
        };
        let Some(place) = (0..bounds.len() - 1).min_by_key(waste) else { break };
        bounds[place] = joined(bounds[place], bounds[place + 1]);
        bounds.remove(place + 1);
    }
    bounds
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "architectures and classes are fewer than models and MAX_SLOT_CLASSES"
)]
fn info(package: &Package, architecture: usize, class: usize) -> ModelInfo {
    let mut plans = PlanSet::EMPTY;
    for plan in &package.plans {
        plans.insert(plan.shape, plan.batch);
    }
    let (mut input_bytes, mut output_bytes) = ([0; MAX_SHAPES], [0; MAX_SHAPES]);
    for shape in shapes(package) {
        if let Some(layout) = package.slot_layout(shape) {
            input_bytes[usize::from(shape.0)] = layout.inputs.bytes;
            output_bytes[usize::from(shape.0)] = layout.outputs.bytes;
        }
    }
    ModelInfo {
        id: package.id,
        architecture: ArchitectureId(architecture as u16),
        pages: package.pages.len() as u32,
        bytes: package.pages.len() as u64 * u64::from(package.page_bytes),
        class: class as u8,
        plans,
        input_bytes,
        output_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_sizes_get_a_class_each() {
        assert_eq!(class_bounds(&[(64, 8), (128, 8), (64, 8)]), [(64, 8), (128, 8)]);
    }

    #[test]
    fn many_sizes_share_classes_that_hold_them_all() {
        let areas: Vec<_> = (1..=9).map(|n| (n * 64, 640 - n * 64)).collect();
        let bounds = class_bounds(&areas);
        assert_eq!(bounds.len(), MAX_SLOT_CLASSES);
        assert!(areas.iter().all(|area| bounds.iter().any(|bound| fits(*area, *bound))));
    }
}
