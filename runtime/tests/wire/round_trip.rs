//! Every message survives its bytes.

use clockwork_runtime::base::limits::MAX_BODY_BYTES;
use clockwork_runtime::wire::{EncodeError, Frame, HEADER_BYTES, Header, Kind, Message, decode, encode, next_frame};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::messages::{any_message, of_kind};

/// Header and body of a message.
pub fn frame(message: &Message) -> Vec<u8> {
    let mut bytes = vec![0xAA; HEADER_BYTES + MAX_BODY_BYTES];
    let length = encode(message, &mut bytes).expect("every message fits a frame");
    bytes.truncate(length);
    bytes
}

/// A message of each kind.
pub fn one_of_each() -> Vec<Message> {
    let mut runner = TestRunner::deterministic();
    Kind::ALL.into_iter().map(|kind| of_kind(kind).new_tree(&mut runner).unwrap().current()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_message_survives_its_bytes(message in any_message()) {
        let bytes = frame(&message);
        let expected = Frame { payload: message.payload_bytes(), bytes: bytes.len(), message };
        prop_assert_eq!(next_frame(&bytes), Ok(Some(expected)));
    }

    #[test]
    fn a_body_that_grew_is_read_as_the_one_that_is_known(message in any_message(), surplus in 1usize..200) {
        let bytes = frame(&message);
        let (head, body) = bytes.split_first_chunk::<HEADER_BYTES>().unwrap();
        let header = Header::parse(head).unwrap();
        let grown = [body, &vec![0xFF; surplus][..]].concat();
        prop_assert_eq!(decode(&header, &grown), Ok(message));
    }

    #[test]
    fn what_a_body_lacks_is_zero(message in any_message(), cut in 0.0f64..1.0) {
        let bytes = frame(&message);
        let (head, body) = bytes.split_first_chunk::<HEADER_BYTES>().unwrap();
        let header = Header::parse(head).unwrap();
        let kept = (body.len() as f64 * cut) as usize;
        let mut zeroed = body.to_vec();
        zeroed[kept..].fill(0);
        prop_assert_eq!(decode(&header, &body[..kept]), decode(&header, &zeroed));
    }
}

#[test]
fn each_kind_has_its_message_and_its_number() {
    for (message, kind) in one_of_each().into_iter().zip(Kind::ALL) {
        assert_eq!(message.kind(), kind);
        assert_eq!(Kind::from_wire(kind as u16), Some(kind));
        assert_eq!(next_frame(&frame(&message)).unwrap().unwrap().message, message);
    }
}

#[test]
fn a_frame_comes_only_when_header_and_body_are_whole() {
    for message in one_of_each() {
        let bytes = frame(&message);
        for short in 0..bytes.len() {
            assert_eq!(next_frame(&bytes[..short]), Ok(None), "{short} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn a_buffer_that_is_too_small_is_named() {
    for message in one_of_each() {
        let wanted = frame(&message).len();
        let mut buffer = vec![0; wanted - 1];
        assert_eq!(encode(&message, &mut buffer), Err(EncodeError::NoRoom { wanted, available: wanted - 1 }));
    }
}
