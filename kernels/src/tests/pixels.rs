//! Pictures of bytes.

use super::harness::{Machine, noise, same, sets, unblock};
use crate::layout;
use crate::operand::{Operand, Space};
use crate::params::{Block, EnterPixels};
use bytemuck::Zeroable;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_byte_becomes_what_its_channel_s_table_says(
        n in 1usize..=3, channels in 1usize..=16, hw in 1usize..=40, blocks in 0u32..=2, interleaved in any::<bool>(),
    ) {
        let table = noise(3, channels * 256);
        let len = channels * hw;
        let pictures: Vec<Vec<u8>> = (0..n).map(|item| (0..len).map(|i| u8::try_from((i * 37 + item * 91) % 256).unwrap()).collect()).collect();
        let reference: Vec<f32> = (0..n * len).map(|i| {
            let (item, channel, place) = (i / len, i / hw % channels, i % hw);
            let at = if interleaved { place * channels + channel } else { channel * hw + place };
            table[channel * 256 + usize::from(pictures[item][at])]
        }).collect();
        let [rows, c] = [n, channels].map(|x| u32::try_from(x).unwrap());
        for set in sets() {
            let mut m = Machine::new();
            m.inputs = pictures.iter().map(|picture| {
                let mut area = picture.clone();
                area.resize(len.next_multiple_of(64), 0xff);
                area.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect()
            }).collect();
            let x = Operand { space: Space::Input as u32, page: 0, offset: 0, rows_per_page: 1 };
            let table = m.weights(&layout::constant(&table), 1);
            let room = if blocks == 0 { n * len } else { n * blocks as usize * hw * 16 };
            let y = m.room(room);
            let side = u32::try_from(hw).unwrap();
            let interleaved = interleaved.into();
            m.run(set, &EnterPixels { x, table, y, n: rows, channels: c, hw: side, interleaved, blocks });
            let found = m.read(y, room);
            same(&if blocks == 0 { found } else { unblock(&found, [n, channels, hw, blocks as usize]) }, &reference);
        }
    }
}

#[test]
fn more_channels_than_a_block_are_refused() {
    let x = Operand { rows_per_page: 1, ..Operand::zeroed() };
    let block = EnterPixels { x, n: 1, channels: 16, hw: 4, blocks: 1, ..EnterPixels::zeroed() };
    assert_eq!(block.check(), Ok(()));
    assert!(EnterPixels { channels: 17, ..block }.check().is_err());
    assert!(EnterPixels { interleaved: 2, ..block }.check().is_err());
    assert!(EnterPixels { n: 0, ..block }.check().is_err());
}
