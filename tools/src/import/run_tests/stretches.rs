//! Batches that go through launches in parts: the same bits, in less workspace.

use super::*;
use crate::import::lower::cpu_f32::Cache;
use crate::import::random::uniform;
use proptest::prelude::*;

/// A cache that keeps an item of a small model, but no batch.
const SMALL: Cache = Cache { near: 64 << 10, far: 512 << 10, launch: 64 };
/// One in which each byte less between two uses of a byte is worth another launch.
const NONE: Cache = Cache { near: 0, far: 64 << 10, launch: 0 };
/// One that keeps all.
const LARGE: Cache = Cache { near: u64::MAX - 1, far: u64::MAX, launch: 1 };

/// A model of one input and one output, and its dimensions.
struct Chain {
    model: Model,
    channels: i64,
    side: i64,
    nodes: usize,
}

impl Chain {
    fn new(channels: i64, side: i64) -> Chain {
        let model = Model::default().input::<f32>("v0", FLOAT, &[1, channels, side, side], &[]);
        Chain { model, channels, side, nodes: 0 }
    }

    fn last(&self) -> String {
        format!("v{}", self.nodes)
    }

    fn node(mut self, operator: &str, more: &[&str], attributes: Vec<AttributeProto>) -> Chain {
        let last = self.last();
        self.nodes += 1;
        let inputs: Vec<&str> = std::iter::once(last.as_str()).chain(more.iter().copied()).collect();
        self.model = self.model.node(operator, &inputs, &format!("v{}", self.nodes), attributes);
        self
    }

    /// A convolution that keeps height and width.
    fn conv(mut self, out: i64, size: i64, group: i64) -> Chain {
        let (name, of_group) = (format!("w{}", self.nodes), self.channels / group);
        let len = usize::try_from(out * of_group * size * size).unwrap();
        self.model = self.model.stored(&name, FLOAT, &[out, of_group, size, size], &uniform(7, &name, len, 0.5));
        self.channels = out;
        self.node("Conv", &[&name], vec![int("group", group), ints("pads", &[size / 2; 4])])
    }

    /// One of a few operators; `wish` says which.
    fn grown(self, wish: u8) -> Chain {
        let channels = self.channels;
        match wish {
            0 => self.conv(24, 1, 1),
            1 => self.conv(33, 3, 1),
            2 => self.conv(channels, 3, channels),
            3 => self.node("Sigmoid", &[], vec![]),
            4 => self.node("MaxPool", &[], vec![ints("kernel_shape", &[3; 2]), ints("pads", &[1; 4])]),
            5 => {
                let before = self.last();
                self.conv(channels, 1, 1).node("Add", &[&before], vec![])
            }
            6 => {
                let before = self.last();
                let mut grown = self.conv(16, 1, 1).node("Concat", &[&before], vec![int("axis", 1)]);
                grown.channels += channels;
                grown
            }
            _ => {
                // Along the places and back: a product of which the batch is no dimension of its own.
                let shape = [0, channels, -1];
                let (flat, back) = (format!("f{}", self.nodes), format!("b{}", self.nodes));
                let side = self.side;
                let mut chain = self;
                chain.model = chain.model.stored(&flat, INT64, &[3], &shape);
                chain.model = chain.model.stored(&back, INT64, &[4], &[0, channels, side, side]);
                chain.node("Reshape", &[&flat], vec![]).node("Softmax", &[], vec![int("axis", 2)]).node(
                    "Reshape",
                    &[&back],
                    vec![],
                )
            }
        }
    }

    /// The package, for that cache and so many threads.
    fn package(&self, cache: Cache, threads: usize) -> (TempDir, Package) {
        let model = Model {
            graph: self.model.graph.clone(),
            tuning: Settings { cache, threads, ..Settings::default() },
            ..Model::default()
        };
        let (folder, report) = model.imported(&[(&self.last(), FLOAT)]);
        report.unwrap();
        let package = Package::open(folder.path().join("m.cwk")).unwrap();
        (folder, package)
    }
}

/// The outputs of a batch of random items, which do not depend on its size.
fn outputs(package: &Package, batch: BatchSize, set: InstructionSet, threads: usize, first: usize) -> Vec<u8> {
    let mut solo = Solo::load(package, ShapeId(0), batch, set, threads, Cut::Whole).unwrap();
    let len = solo.layout().inputs.bytes as usize / 4;
    let item = |i: usize| bytes(&uniform(i as u64, "item", len, 1.0));
    let areas: Vec<u8> = (first..first + batch.items()).flat_map(item).collect();
    solo.write_inputs(&areas).unwrap();
    solo.run().unwrap();
    solo.read_outputs().unwrap()
}

fn plan(package: &Package, batch: BatchSize) -> (usize, u32) {
    let plan = package.plan(ShapeId(0), batch).unwrap();
    (plan.launches.len(), plan.workspace_bytes)
}

#[test]
fn a_chain_that_leaves_the_cache_goes_in_parts() {
    let wide = (0..4).fold(Chain::new(16, 16), |chain, _| chain.conv(64, 1, 1));
    let (_one, apart) = wide.package(SMALL, 1);
    let (_two, whole) = wide.package(LARGE, 1);
    let [one, two, eight] = [1, 2, 8].map(|n| BatchSize::new(n).unwrap());
    assert_eq!(plan(&apart, one), plan(&whole, one));
    assert!(plan(&apart, two).0 > plan(&whole, two).0);
    let ((launches, workspace), (few, all)) = (plan(&apart, eight), plan(&whole, eight));
    assert!(launches > 4 * few && workspace < all / 4, "{launches} of {few} launches, {workspace} of {all} bytes");
    let names: Vec<&str> = apart.computes(ShapeId(0), eight).collect();
    assert_eq!(names.len(), launches);
    // Threads that wait for one another after each launch get no more launches.
    let (_three, shared) = wide.package(SMALL, 2);
    assert_eq!(plan(&shared, eight), plan(&whole, eight));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parts_change_no_bit(
        channels in 1i64..=40, side in 1i64..=9, wishes in prop::collection::vec(0u8..8, 2..9), threads in 1usize..=2,
    ) {
        let chain = wishes.iter().fold(Chain::new(channels, side), |chain, &wish| chain.grown(wish));
        let (_folder, package) = chain.package(NONE, 1);
        let eight = BatchSize::new(8).unwrap();
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            let alone: Vec<u8> = (0..8).flat_map(|i| outputs(&package, BatchSize::ONE, set, 1, i)).collect();
            prop_assert!(alone == outputs(&package, eight, set, threads, 0), "{set:?}");
        }
    }
}
