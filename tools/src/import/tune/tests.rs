use super::table::Times as Measured;
use super::*;

fn layer(channels: u32, side: u32) -> Layer {
    Layer {
        in_channels: channels,
        out_channels: channels,
        groups: 1,
        input: [side; 2],
        output: [side; 2],
        pads: [1; 2],
    }
}

fn weights(layer: &Layer, value: f32) -> Vec<f32> {
    vec![value; (layer.in_channels * layer.out_channels * 9) as usize]
}

/// A tuner over a table that knows `known`.
fn tuner(folder: &tempfile::TempDir, known: &[(Layer, Measured)], runs_per_load: u64) -> Tuner {
    let path = folder.path().join("tuning.toml");
    let mut table = Table::open(Some(&path), 1).unwrap();
    for (layer, times) in known {
        table.keep(layer, *times).unwrap();
    }
    Tuner::new(&Settings { source: Source::Table(Some(path)), runs_per_load, ..Settings::default() })
}

#[test]
fn the_quickest_wins_unless_its_weights_cost_more_than_it_saves() {
    let folder = tempfile::tempdir().unwrap();
    let one = layer(64, 14);
    let values = weights(&one, 1.0);
    // Patches of two load 7 * 64 * 64 * 4 bytes more, 28.7 us; patches of four 110.6 us.
    let times = Measured { direct: 98_000, patches_2: Some(70_000), patches_4: Some(60_000) };
    for (runs, wanted) in [(0, None), (1, None), (2, Some(2)), (8, Some(2)), (9, Some(4)), (1000, Some(4))] {
        let choices =
            tuner(&folder, &[(one, times)], runs).choose(&[(one, digest(&one, &values))], &mut |_, _| {}).unwrap();
        assert_eq!(choices.patch(&one, &values), wanted, "{runs} runs");
        let points = wanted.map_or(9, |patch| (patch + 2) * (patch + 2));
        assert_eq!(choices.growth(), u64::from(points - 9) * 64 * 64 * 4);
    }
}

#[test]
fn shapes_that_share_weights_share_their_algorithm() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (layer(16, 8), layer(16, 64));
    let values = weights(&small, 0.5);
    let quick = Measured { direct: 1_000, patches_2: None, patches_4: Some(500_000) };
    let slow = Measured { direct: 900_000, patches_2: Some(1), patches_4: Some(300_000) };
    let mut tuner = tuner(&folder, &[(small, quick), (large, slow)], 10);
    let both = tuner.choose(&[small, large].map(|layer| (layer, digest(&layer, &values))), &mut |_, _| {}).unwrap();
    assert_eq!((both.patch(&small, &values), both.patch(&large, &values)), (Some(4), Some(4)));
    assert_eq!(both.counts(), [0, 1]);
    let alone = tuner.choose(&[(small, digest(&small, &values))], &mut |_, _| {}).unwrap();
    assert_eq!(alone.patch(&small, &values), None);
    assert_eq!(both.patch(&small, &weights(&small, 0.25)), None);
}

#[test]
fn the_rule_takes_patches_where_there_is_much_to_multiply() {
    let mut tuner = Tuner::new(&Settings::default());
    let mut chosen = |layer: Layer| tuner.best(&[layer]).unwrap();
    assert_eq!(chosen(layer(64, 56)), Algorithm::Patches(4));
    assert_eq!(chosen(Layer { in_channels: 3, ..layer(64, 224) }), Algorithm::Direct);
    // A depthwise convolution has no other way.
    assert_eq!(chosen(Layer { in_channels: 1, groups: 64, ..layer(64, 56) }), Algorithm::Direct);
}

#[test]
fn each_number_of_threads_has_a_table_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.toml");
    let times = Measured { direct: 9, patches_2: None, patches_4: None };
    Table::open(Some(&path), 2).unwrap().keep(&layer(16, 8), times).unwrap();
    assert_eq!(Table::open(Some(&path), 2).unwrap().times(&layer(16, 8)), Some(times));
    let other = Table::open(Some(&path), 1).unwrap_err().to_string();
    assert!(other.contains(", 2 threads`, and this device is `"), "{other}");
}

#[test]
fn more_threads_favour_small_weights() {
    let chosen = |threads| {
        let mut tuner = Tuner::new(&Settings { threads, runs_per_load: 2, ..Settings::default() });
        tuner.best(&[layer(512, 7)]).unwrap()
    };
    assert_eq!((chosen(1), chosen(16)), (Algorithm::Patches(2), Algorithm::Direct));
}
