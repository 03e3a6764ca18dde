//! Whatever bytes come, the answer is a message or a fault that names what is wrong.

use clockwork_runtime::base::limits::{MAX_BODY_BYTES, MAX_PAYLOAD_BYTES};
use clockwork_runtime::wire::{HEADER_BYTES, Header, Kind, Message, PeerFault, decode, next_frame};
use proptest::prelude::*;

use crate::messages::any_message;
use crate::round_trip::{frame, one_of_each};

/// A frame with fields of its header overwritten and its checksum made right again.
fn forged(message: &Message, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut forged = frame(message);
    forged[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut forged);
    forged
}

fn seal(frame: &mut [u8]) {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&frame[..28]), &frame[HEADER_BYTES..]);
    frame[28..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
}

fn header(kind: Kind, body: &[u8]) -> Header {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(b"CWK1");
    bytes[4] = 1;
    bytes[6..8].copy_from_slice(&(kind as u16).to_le_bytes());
    bytes[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
    bytes[16..24].fill(0xE7);
    Header::parse(&bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some(frame)) = next_frame(&bytes) {
            prop_assert!(frame.bytes <= bytes.len());
        }
    }

    #[test]
    fn arbitrary_bodies_do_no_harm(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        body in prop::collection::vec(prop_oneof![0u8..9, any::<u8>()], 0..6000),
    ) {
        let header = header(kind, &body);
        match decode(&header, &body) {
            Ok(message) => prop_assert_eq!(message.kind(), kind),
            Err(PeerFault::BadField { kind: named, .. }) => prop_assert_eq!(named, kind as u16),
            Err(other) => prop_assert!(false, "{} is not the fault of a body", other),
        }
    }

    #[test]
    fn a_flipped_bit_never_passes(message in any_message(), bit: prop::sample::Index) {
        let mut bytes = frame(&message);
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        match next_frame(&bytes) {
            Ok(Some(frame)) => prop_assert!(false, "bit {} passed as {:?}", bit, frame.message),
            // A flipped length may ask for more than there is.
            Ok(None) => prop_assert!((64..96).contains(&bit)),
            Err(_) => {}
        }
    }
}

#[test]
fn each_limit_of_a_header_is_named() {
    let message = Message::Goodbye;
    let limit = MAX_BODY_BYTES as u32;
    let long = limit + 1;
    let cases = [
        (0, b"GET ".to_vec(), PeerFault::BadMagic { found: u32::from_le_bytes(*b"GET ") }),
        (4, vec![2, 0], PeerFault::BadVersion { found: 2, own: 1 }),
        (6, vec![0xFF, 0x7F], PeerFault::UnknownKind { kind: 0x7FFF }),
        (8, long.to_le_bytes().to_vec(), PeerFault::BodyTooLong { bytes: long, limit }),
        (12, vec![1, 0, 0, 0], PeerFault::PayloadTooLong { bytes: 1, limit: 0 }),
    ];
    for (at, bytes, fault) in cases {
        assert_eq!(next_frame(&forged(&message, at, &bytes)), Err(fault));
    }
    let request = one_of_each().into_iter().find(|message| message.kind() == Kind::Request).unwrap();
    let (bytes, limit) = (u32::MAX, MAX_PAYLOAD_BYTES as u32);
    let fault = PeerFault::PayloadTooLong { bytes, limit };
    assert_eq!(next_frame(&forged(&request, 12, &bytes.to_le_bytes())), Err(fault));
}

#[test]
fn a_wrong_checksum_is_told_with_both_values() {
    let mut bytes = frame(&Message::Goodbye);
    let right = u32::from_le_bytes(bytes[28..32].try_into().unwrap());
    bytes[28] ^= 1;
    assert_eq!(next_frame(&bytes), Err(PeerFault::BadChecksum { found: right ^ 1, computed: right }));
}

#[test]
fn meaningless_values_are_named_by_their_offset() {
    let cases = [
        (Kind::Hello, 0, 99, "role"),
        (Kind::Request, 16, 255, "shape"),
        (Kind::Response, 0, 99, "outcome"),
        (Kind::Action, 48, 9, "verb"),
        (Kind::Result, 0, 99, "status"),
        (Kind::Freed, 0, 99, "count"),
        (Kind::StatusQuery, 0, 99, "topic"),
        (Kind::Ended, 8, 99, "end"),
        (Kind::Peer, 0, 5, "family"),
    ];
    for (kind, field, value, what) in cases {
        let message = one_of_each().into_iter().find(|message| message.kind() == kind).unwrap();
        let wide = if kind == Kind::Request { vec![value, 1] } else { vec![value, 0] };
        let bytes = forged(&message, HEADER_BYTES + field, if kind == Kind::Action { &wide[..1] } else { &wide });
        let fault = PeerFault::BadField { kind: kind as u16, field: field as u32 };
        assert_eq!(next_frame(&bytes), Err(fault), "{what}");
    }
}

#[test]
fn a_fault_survives_its_numbers() {
    let faults = [
        PeerFault::BadMagic { found: 7 },
        PeerFault::BadVersion { found: 9, own: 1 },
        PeerFault::BadChecksum { found: 1, computed: 2 },
        PeerFault::UnknownKind { kind: 99 },
        PeerFault::BodyTooLong { bytes: 70_000, limit: 65_536 },
        PeerFault::PayloadTooLong { bytes: 1, limit: 0 },
        PeerFault::BadField { kind: 10, field: 16 },
        PeerFault::Unexpected { kind: 10, role: 3 },
        PeerFault::CreditExceeded { kind: 40, outstanding: 65 },
        PeerFault::StaleEpoch { found: 1, seen: 2 },
        PeerFault::Stalled { waited_ms: 1001, limit_ms: 1000 },
        PeerFault::TooManyPeers { connected: 16, limit: 16 },
        PeerFault::Incompatible { target: 2, page_bytes: 1 << 24 },
        PeerFault::Unknown { code: 999, first: u64::MAX, second: 3 },
    ];
    for fault in faults {
        let (code, first, second) = fault.to_wire();
        assert_eq!(PeerFault::from_wire(code, first, second), fault);
    }
}
