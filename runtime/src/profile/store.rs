//! Measured durations of everything that is planned, by what they depend on.

use crate::base::limits::{MAX_BATCH, MAX_PAGES_PER_MODEL};
use crate::base::{BatchSize, Nanos, ShapeId};

use super::sidecar::{Architecture, DeviceKind, Profile, SizedSample};
use super::window::{DurationWindow, Percentile};

/// Places of the table of transfer sizes: one for each power of two up to the largest model.
const SIZES: usize = MAX_PAGES_PER_MODEL.ilog2() as usize + 1;

/// What a batch of a given number of items costs by its cheapest plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The cheapest plan that holds the items.
    pub batch: BatchSize,
    /// What it probably takes.
    pub expected: Nanos,
    /// What it takes at most.
    pub bound: Nanos,
}

/// `e[n]`: for each number of items the cheapest plan that holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanCosts {
    by_items: [Option<Cost>; MAX_BATCH],
}

impl PlanCosts {
    /// The cost of `items` items; none for 0, or more than any measured plan holds.
    pub fn of(&self, items: usize) -> Option<Cost> {
        *self.by_items.get(items.checked_sub(1)?)?
    }

    /// The cost of one item; none where no plan was measured.
    pub fn one(&self) -> Option<Cost> {
        self.by_items[0]
    }
}

/// Names an entry of a [`ProfileStore`]: one (architecture, shape, device kind).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry(u32);

#[derive(Debug)]
struct Plans {
    architecture: Architecture,
    shape: ShapeId,
    kind: DeviceKind,
    windows: [Option<Box<DurationWindow>>; BatchSize::ALL.len()],
    costs: PlanCosts,
}

impl Plans {
    /// Renews `e[n]` after a window changed: at most 16 times 5 comparisons.
    fn renew(&mut self, percentile: Percentile) {
        let measured = BatchSize::ALL.map(|batch| {
            let window = self.windows[batch.ordinal()].as_ref()?;
            Some(Cost { batch, expected: window.expected()?, bound: window.bound(percentile)? })
        });
        for (i, place) in self.costs.by_items.iter_mut().enumerate() {
            let holding = measured.iter().flatten().filter(|cost| cost.batch.items() > i);
            *place = holding.min_by_key(|cost| (cost.bound, cost.batch)).copied();
        }
    }
}

/// Transfers by size: durations per page, for each power of two of pages.
#[derive(Debug, Default)]
pub struct TransferTimes {
    per_page: [Option<Box<DurationWindow>>; SIZES],
}

impl TransferTimes {
    /// Makes room for models of `pages` pages. Allocates: off the path.
    pub fn prepare(&mut self, pages: u32) {
        self.per_page[size_class(pages)].get_or_insert_default();
    }

    /// Adds a measured transfer. Sizes that were not prepared for are not kept.
    pub fn record(&mut self, sample: SizedSample) {
        if let Some(window) = &mut self.per_page[size_class(sample.pages)] {
            window.record(Nanos(sample.duration.0 / u64::from(sample.pages.max(1))));
        }
    }

    /// Adds what was measured before serving, and makes room for it. Allocates: off the path.
    pub fn seed(&mut self, samples: &[SizedSample]) {
        for &sample in samples {
            self.prepare(sample.pages);
            self.record(sample);
        }
    }

    /// (expected, bound) of a transfer of `pages` pages, from the nearest size that was measured;
    /// `per_page` for each while nothing was.
    pub fn of(&self, pages: u32, percentile: Percentile, per_page: Nanos) -> (Nanos, Nanos) {
        let class = size_class(pages);
        let measured = |i: usize| {
            let window = self.per_page.get(i)?.as_ref()?;
            Some((window.expected()?, window.bound(percentile)?))
        };
        let nearest = (0..SIZES).find_map(|d| measured(class + d).or_else(|| measured(class.checked_sub(d)?)));
        let (expected, bound) = nearest.unwrap_or((per_page, per_page.three_halves()));
        let times = |each: Nanos| Nanos(each.0.saturating_mul(u64::from(pages.max(1))));
        (times(expected), times(bound))
    }
}

/// The size's place in the table of transfer sizes.
fn size_class(pages: u32) -> usize {
    (pages.max(1).ilog2() as usize).min(SIZES - 1)
}

/// Durations by (architecture, shape, batch size, device kind).
#[derive(Debug)]
pub struct ProfileStore {
    percentile: Percentile,
    entries: Vec<Plans>,
}

impl ProfileStore {
    /// An empty store whose bounds are at `percentile`.
    pub fn new(percentile: Percentile) -> ProfileStore {
        ProfileStore { percentile, entries: Vec::new() }
    }

    /// The percentile of its bounds.
    pub fn percentile(&self) -> Percentile {
        self.percentile
    }

    /// Takes the samples of a sidecar for plans that have none yet. Allocates: off the path.
    pub fn seed(&mut self, profile: &Profile) {
        let fresh = self.entries.len();
        for plan in &profile.plans {
            let Some((shape, batch)) = plan.key() else { continue };
            let entry = self.find_or_add(profile.architecture, shape, profile.device_kind);
            let plans = &mut self.entries[entry];
            if entry < fresh && plans.windows[batch.ordinal()].is_some() {
                continue; // Measured on while serving: newer than the sidecar.
            }
            let window = plans.windows[batch.ordinal()].get_or_insert_default();
            plan.durations.iter().for_each(|&duration| window.record(duration));
            plans.renew(self.percentile);
        }
    }

    fn find_or_add(&mut self, architecture: Architecture, shape: ShapeId, kind: DeviceKind) -> usize {
        let same = |p: &Plans| (p.architecture, p.shape, p.kind) == (architecture, shape, kind);
        self.entries.iter().position(same).unwrap_or_else(|| {
            let (windows, costs) = ([const { None }; BatchSize::ALL.len()], PlanCosts::default());
            self.entries.push(Plans { architecture, shape, kind, windows, costs });
            self.entries.len() - 1
        })
    }

    /// The entry of these plans, if any was measured. Scans: off the path, keep what it gives.
    pub fn entry(&self, architecture: Architecture, shape: ShapeId, kind: DeviceKind) -> Option<Entry> {
        let same = |p: &Plans| (p.architecture, p.shape, p.kind) == (architecture, shape, kind);
        let place = self.entries.iter().position(same)?;
        u32::try_from(place).ok().map(Entry)
    }

    /// `e[n]` of an entry.
    pub fn costs(&self, entry: Entry) -> &PlanCosts {
        &self.entries[entry.0 as usize].costs
    }

    /// Adds a measured execution. Plans that no sidecar seeded are not kept.
    pub fn record(&mut self, entry: Entry, batch: BatchSize, duration: Nanos) {
        let plans = &mut self.entries[entry.0 as usize];
        if let Some(window) = &mut plans.windows[batch.ordinal()] {
            window.record(duration);
            plans.renew(self.percentile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::PlanSamples;

    fn profile(plans: &[(u8, u64)]) -> Profile {
        let plan = |&(batch, us): &(u8, u64)| PlanSamples {
            shape: 0,
            batch,
            durations: vec![Nanos::micros(us); 100],
            disturbed: 0,
        };
        Profile {
            architecture: Architecture(1),
            device_kind: DeviceKind(2),
            plans: plans.iter().map(plan).collect(),
            loads: vec![],
            fetches: vec![],
        }
    }

    #[test]
    fn the_cheapest_plan_that_holds_them() {
        let mut store = ProfileStore::new(Percentile::P99);
        // The plan for 2 is slower than that for 4: two items are cheaper in the latter.
        store.seed(&profile(&[(1, 100), (2, 300), (4, 250)]));
        let entry = store.entry(Architecture(1), ShapeId(0), DeviceKind(2)).unwrap();
        let batch = |n| store.costs(entry).of(n).map(|cost| cost.batch.get());
        assert_eq!([0, 1, 2, 3, 4, 5].map(batch), [None, Some(1), Some(4), Some(4), Some(4), None]);
    }

    #[test]
    fn what_was_measured_while_serving_outlives_a_second_sidecar() {
        let mut store = ProfileStore::new(Percentile::P99);
        store.seed(&profile(&[(1, 100)]));
        let entry = store.entry(Architecture(1), ShapeId(0), DeviceKind(2)).unwrap();
        (0..101).for_each(|_| store.record(entry, BatchSize::ONE, Nanos::micros(120)));
        store.seed(&profile(&[(1, 100)]));
        assert_eq!(store.costs(entry).one().unwrap().expected, Nanos::micros(120));
    }

    #[test]
    fn transfers_scale_from_the_nearest_size() {
        let mut times = TransferTimes::default();
        let default = Nanos::micros(7);
        assert_eq!(times.of(10, Percentile::P99, default).0, Nanos::micros(70));
        times.prepare(8);
        times.record(SizedSample { pages: 8, duration: Nanos::micros(80) });
        assert_eq!(times.of(100, Percentile::P99, default), (Nanos::micros(1_000), Nanos::micros(1_500)));
    }

    #[test]
    fn a_peers_two_numbers_of_a_transfer_are_planned_with() {
        let mut times = TransferTimes::default();
        times.seed(&SizedSample::from_times(4, Nanos::micros(80), Nanos::micros(150)));
        let planned = times.of(4, Percentile::P99, Nanos::millis(4));
        assert_eq!(planned, (Nanos::micros(80), Nanos::micros(150)));
    }

    #[test]
    fn two_numbers_become_samples_with_just_these() {
        let (expected, bound) = (Nanos::micros(90), Nanos::micros(120));
        let plan = PlanSamples::from_times(ShapeId(0), BatchSize::ONE, expected, bound);
        let mut store = ProfileStore::new(Percentile::P99);
        store.seed(&Profile { plans: vec![plan], ..profile(&[]) });
        let entry = store.entry(Architecture(1), ShapeId(0), DeviceKind(2)).unwrap();
        let cost = store.costs(entry).one().unwrap();
        assert_eq!((cost.expected, cost.bound), (expected, bound));
    }

    #[test]
    fn kinds_of_device_are_told_apart_by_name() {
        assert_eq!(DeviceKind::named("cpu-avx512"), DeviceKind::named("cpu-avx512"));
        assert_ne!(DeviceKind::named("cpu-avx512"), DeviceKind::named("cpu-avx2"));
    }

    #[test]
    fn a_sidecar_survives_json() {
        let before = profile(&[(1, 100)]);
        let after: Profile = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
        assert_eq!(before, after);
    }
}
