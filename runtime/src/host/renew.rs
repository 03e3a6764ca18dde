//! Measuring profiles anew, without serving.

use std::path::Path;

use super::config::Config;
use super::placement::Placement;
use super::profiles::{Profiled, Step};
use super::serve::ServeError;
use super::worker::{Wanted, ready};

/// An architecture that was measured anew.
#[derive(Debug)]
pub struct Renewed {
    /// The models that run its plans, by name; the first stands for them.
    pub models: Vec<String>,
    /// What was kept before, what is kept now, and why its FETCH could not be measured.
    pub profiled: Profiled,
}

/// What was measured, and where.
#[derive(Debug)]
pub struct Renewal {
    /// Which thread ran where.
    pub placement: String,
    /// By architecture.
    pub architectures: Vec<Renewed>,
}

/// Measures the plans and transfers of all packages of the models folder, or of `package` alone, and
/// keeps the profiles where a worker of this configuration looks for them.
///
/// # Errors
/// [`ServeError`] says what is wrong and what to do.
pub fn renew(config: &Config, package: Option<&Path>, progress: impl FnMut(Step<'_>)) -> Result<Renewal, ServeError> {
    config.check()?;
    let placement = Placement::of(config, &sys::thread::cores(), config.worker.threads.into());
    let wanted = Wanted { package, renew: true };
    let ready = ready(&config.worker, &placement, None, &wanted, progress).map_err(Box::new)?;
    let inventory = &ready.inventory;
    let models = |profiled: &Profiled| {
        let architecture = inventory.infos[profiled.package].architecture;
        let alike = inventory.packages.iter().zip(&inventory.infos);
        alike.filter(|(_, info)| info.architecture == architecture).map(|(package, _)| package.name.clone()).collect()
    };
    let renewed = |profiled| Renewed { models: models(&profiled), profiled };
    let architectures = ready.profiles.into_iter().map(renewed).collect();
    Ok(Renewal { placement: placement.to_string(), architectures })
}
