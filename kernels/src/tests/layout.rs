//! Packed weights, element by element.

use crate::layout;
use crate::params::Groups;

#[test]
fn convolution_rows_are_in_block_tap_in_lane_out_lane() {
    let (out, input, taps) = (20u32, 18u32, 3u32);
    let weights: Vec<f32> = (0..out * input * taps).map(|i| i as f32).collect();
    let packed = layout::conv(&weights, Groups { count: 1, input, output: out }, taps);
    assert_eq!((packed.rows, packed.row_bytes), (2, input * taps * 64));
    let row = |o: u32, i: u32, tap: u32| {
        let (block, width) = (i / 16, (input - i / 16 * 16).min(16));
        let at = (block * 16 * taps + tap * width + i % 16) * 16 + o % 16;
        packed.data[(o / 16 * input * taps * 16 + at) as usize]
    };
    for i in 0..out * input * taps {
        assert_eq!(row(i / (input * taps), i / taps % input, i % taps), i as f32);
    }
    assert_eq!(packed.data.iter().filter(|v| **v == 0.0).count(), (12 * input * taps + 1) as usize);
}

#[test]
fn blocks_that_groups_share_have_a_row_for_each() {
    // Outputs 0 to 19 read inputs 0 to 2, outputs 20 to 39 inputs 3 to 5.
    let groups = Groups { count: 2, input: 3, output: 20 };
    let weights: Vec<f32> = (1..=120u8).map(f32::from).collect();
    let packed = layout::conv(&weights, groups, 1);
    assert_eq!((packed.rows, packed.row_bytes), (4, 3 * 64));
    let rows = [(0, 0), (0, 1), (1, 1), (1, 2)];
    for (row, (group, block)) in (0u32..).zip(rows) {
        assert_eq!(groups.row(group, block), row);
        for (i, lane) in (0..3).flat_map(|i| (0..16).map(move |lane| (i, lane))) {
            let o = block * 16 + lane;
            let wanted = if o / 20 == group && o < 40 { weights[(o * 3 + i) as usize] } else { 0.0 };
            assert_eq!(packed.data[((row * 3 + i) * 16 + lane) as usize], wanted);
        }
    }
    assert_eq!((groups.lanes(0, 1), groups.lanes(1, 1), groups.lanes(1, 2)), (0..4, 4..16, 0..16));
    assert_eq!((groups.inputs(1), groups.first_lane(1), groups.most_outputs()), (0..1, 3, 2));
}

#[test]
fn panels_are_the_same_from_either_orientation() {
    let (k, n) = (5usize, 19usize);
    let straight: Vec<f32> = (0..k * n).map(|i| i as f32).collect();
    let transposed: Vec<f32> = (0..k * n).map(|i| straight[i % k * n + i / k]).collect();
    let packed = layout::gemm(&straight, 5, 19, false);
    assert_eq!(packed, layout::gemm(&transposed, 5, 19, true));
    assert_eq!((packed.rows, packed.row_bytes), (2, 5 * 64));
    assert_eq!(packed.data[5 * 16 + 2 * 16 + 1], straight[2 * n + 17]);
}

#[test]
fn vectors_and_images_are_padded_with_zeros() {
    let values: Vec<f32> = (1..=34u8).map(f32::from).collect();
    let vector = layout::vector(&values);
    assert_eq!((vector.rows, vector.row_bytes, vector.data[33], vector.data[34]), (1, 192, 34.0, 0.0));
    let image = layout::blocked(&values, 1, 17, 2);
    assert_eq!(image.data.len(), 64);
    assert_eq!((image.data[1], image.data[16], image.data[32], image.data[33]), (3.0, 2.0, 33.0, 0.0));
}
