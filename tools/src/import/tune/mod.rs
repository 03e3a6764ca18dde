//! Which algorithm computes which convolution: from measured times, or by rule.
//!
//! A layer's choice follows from its shape without the batch, its times, and how often weights are
//! used for each load; so every batch of a model, and every shape variant that shares a layer's
//! weights, gets the same algorithm over the same packed weights.

mod layer;
mod measure;
mod rule;
mod table;

use std::collections::HashMap;
use std::path::PathBuf;

use blake3::Hash;
use thiserror::Error;

pub use self::layer::{Algorithm, Layer};
use self::measure::MeasureError;
use self::table::{Table, TableError};
use crate::import::lower::cpu_f32::{Cache, Device};

/// Bytes of weights that are loaded in a nanosecond: from memory to the device, or from a fast disk.
const LOADED_PER_NS: u64 = 4;

/// How plans are fitted to a device: algorithms chosen, batches cut.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where times come from.
    pub source: Source,
    /// Runs of a model for each load of its weights: more favour quick algorithms, fewer small weights,
    /// 0 the smallest weights alone.
    pub runs_per_load: u64,
    /// Compute threads of the device that the model will run on: each number of them has times of its own.
    pub threads: usize,
    /// What lies near each of them.
    pub cache: Cache,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { source: Source::Rule, runs_per_load: 10, threads: 1, cache: Cache::default() }
    }
}

/// Where times come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A built-in rule, the same on every machine.
    Rule,
    /// The table in that file, or in the usual one of this kind of device. What it lacks is measured and kept.
    Table(Option<PathBuf>),
}

/// Why algorithms can't be chosen.
#[derive(Debug, Error)]
pub enum TuneError {
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A measurement.
    #[error("{layer}: can't be measured: {source}")]
    Measure {
        /// The layer.
        layer: Layer,
        /// Why.
        source: Box<MeasureError>,
    },
}

/// Chooses algorithms.
#[derive(Debug)]
pub struct Tuner {
    settings: Settings,
    /// Opened when it is first asked: a model without such layers needs none.
    table: Option<Table>,
}

/// The algorithm of each convolution, by its weights: what is not here is computed directly.
#[derive(Debug, Default)]
pub struct Choices {
    patches: HashMap<Hash, u32>,
    /// Layers by patches of 2x2 and of 4x4.
    counts: [usize; 2],
    /// Bytes by which packed weights are larger than without patches.
    growth: u64,
}

impl Choices {
    /// Places of a patch along each side, if the layer with these weights is computed by patches.
    pub fn patch(&self, layer: &Layer, weights: &[f32]) -> Option<u32> {
        if self.patches.is_empty() || !layer.allows(Algorithm::Patches(2)) {
            return None;
        }
        let patch = self.patches.get(&digest(layer, weights)).copied()?;
        layer.allows(Algorithm::Patches(patch)).then_some(patch)
    }

    /// Layers by patches of 2x2 and of 4x4.
    pub fn counts(&self) -> [usize; 2] {
        self.counts
    }

    /// Bytes by which packed weights are larger than without patches.
    pub fn growth(&self) -> u64 {
        self.growth
    }
}

/// What identifies weights: their values, and how they are cut into channels.
pub fn digest(layer: &Layer, weights: &[f32]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(bytemuck::cast_slice(&[layer.in_channels, layer.out_channels, layer.groups]));
    hasher.update(bytemuck::cast_slice(weights));
    hasher.finalize()
}

impl Tuner {
    /// A tuner with those settings.
    pub fn new(settings: &Settings) -> Tuner {
        Tuner { settings: settings.clone(), table: None }
    }

    /// The device that plans are for.
    pub fn device(&self) -> Device {
        Device { threads: self.settings.threads, cache: self.settings.cache }
    }

    /// Chooses for the layers of all variants of a model; `progress` is told the share that is done, and what
    /// comes next.
    ///
    /// # Errors
    /// [`TuneError`].
    pub fn choose(
        &mut self,
        layers: &[(Layer, Hash)],
        progress: &mut dyn FnMut(f64, &str),
    ) -> Result<Choices, TuneError> {
        let mut choices = Choices::default();
        if self.settings.runs_per_load == 0 {
            return Ok(choices);
        }
        // In the order of the model, so that the file of a table grows in the same order too.
        let mut order: Vec<Hash> = Vec::new();
        let mut shapes: HashMap<Hash, Vec<Layer>> = HashMap::new();
        for &(layer, hash) in layers {
            let known = shapes.entry(hash).or_insert_with(|| {
                order.push(hash);
                Vec::new()
            });
            if !known.contains(&layer) {
                known.push(layer);
            }
        }
        for (done, hash) in order.iter().enumerate() {
            let known = &shapes[hash];
            #[expect(clippy::cast_precision_loss, reason = "shown to people")]
            progress(done as f64 / order.len() as f64, &format!("tuning {}", known[0]));
            if let Algorithm::Patches(patch) = self.best(known)? {
                choices.patches.insert(*hash, patch);
                choices.counts[usize::from(patch == 4)] += 1;
                let [direct, patches] =
                    [Algorithm::Direct, Algorithm::Patches(patch)].map(|one| known[0].weight_bytes(one));
                choices.growth += patches - direct;
            }
        }
        Ok(choices)
    }

    /// The algorithm for layers that share their weights.
    fn best(&mut self, layers: &[Layer]) -> Result<Algorithm, TuneError> {
        let mut best = (u64::MAX, Algorithm::Direct);
        for algorithm in Algorithm::ALL {
            let mut sum = Some(0u64);
            for layer in layers {
                sum = sum.zip(self.time(layer, algorithm)?).map(|(sum, ns)| sum.saturating_add(ns));
            }
            let Some(ns) = sum else { continue };
            let load = layers[0].weight_bytes(algorithm) / LOADED_PER_NS;
            let cost = ns.saturating_mul(self.settings.runs_per_load).saturating_add(load);
            if cost < best.0 {
                best = (cost, algorithm);
            }
        }
        Ok(best.1)
    }

    /// Nanoseconds of one item.
    fn time(&mut self, layer: &Layer, algorithm: Algorithm) -> Result<Option<u64>, TuneError> {
        let threads = self.settings.threads;
        let Source::Table(path) = &self.settings.source else {
            // The fit is for one thread; how well the tiles of a layer divide among several it does not know.
            return Ok(rule::cost(layer, algorithm).map(|ns| ns / threads as u64));
        };
        let table = match &mut self.table {
            Some(table) => table,
            none => none.insert(Table::open(path.as_deref(), threads)?),
        };
        if let Some(times) = table.times(layer) {
            return Ok(times.of(algorithm));
        }
        let failed = |source| TuneError::Measure { layer: *layer, source: Box::new(source) };
        let times = measure::measure(layer, threads).map_err(failed)?;
        Ok(table.keep(layer, times)?.of(algorithm))
    }
}

#[cfg(test)]
mod tests;
