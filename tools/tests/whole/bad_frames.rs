//! Peers that do not speak the protocol are told why and cut off; the others notice nothing.

use runtime::base::limits::{MAX_BODY_BYTES, MAX_PAYLOAD_BYTES};
use runtime::base::{ModelId, ShapeId};
use runtime::package::Package;
use runtime::wire::handshake::VERSION;
use runtime::wire::{Kind, Message, PeerFault};

use super::house::House;
use super::raw::{Raw, hello, lookup, request};

/// A HELLO with some bytes replaced.
fn spoiled(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = hello(VERSION);
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

/// Whether a fault is the right one.
type Fits = fn(PeerFault) -> bool;

/// First frames that are wrong, and what is said to each. Header: magic, version, kind, lengths.
fn wrong_frames() -> Vec<(Vec<u8>, Fits)> {
    let far = u32::MAX.to_le_bytes();
    let body = u32::try_from(MAX_BODY_BYTES + 1).expect("a limit").to_le_bytes();
    let payload = u32::try_from(MAX_PAYLOAD_BYTES + 1).expect("a limit").to_le_bytes();
    let mut long_request = request(1, ModelId(1), ShapeId(0), 4);
    long_request[12..16].copy_from_slice(&payload);
    vec![
        (spoiled(0, b"HTTP"), |fault| matches!(fault, PeerFault::BadMagic { .. })),
        (b"GET / HTTP/1.1\r\nHost: clockwork\r\n\r\n".to_vec(), |fault| matches!(fault, PeerFault::BadMagic { .. })),
        (vec![0xff; 4096], |fault| matches!(fault, PeerFault::BadMagic { .. })),
        (spoiled(4, &[0xfe, 0xca]), |fault| fault == PeerFault::BadVersion { found: 0xcafe, own: VERSION }),
        (hello(VERSION + 1), |fault| fault == PeerFault::BadVersion { found: VERSION + 1, own: VERSION }),
        (spoiled(6, &[0xff, 0xff]), |fault| fault == PeerFault::UnknownKind { kind: 0xffff }),
        (spoiled(8, &far), |fault| matches!(fault, PeerFault::BodyTooLong { bytes: u32::MAX, .. })),
        (spoiled(8, &body), |fault| matches!(fault, PeerFault::BodyTooLong { .. })),
        (spoiled(12, &[1]), |fault| matches!(fault, PeerFault::PayloadTooLong { bytes: 1, limit: 0 })),
        (long_request, |fault| matches!(fault, PeerFault::PayloadTooLong { .. })),
        (spoiled(28, &[0x55, 0x55]), |fault| matches!(fault, PeerFault::BadChecksum { .. })),
        (lookup("tiny-1"), |fault| matches!(fault, PeerFault::Unexpected { .. })),
    ]
}

#[test]
fn wrong_frames_are_named_and_end_only_their_connection() {
    let house = House::new(&[1]);
    let mut server = house.serve(1);
    for address in [server.gateway.clone(), server.controller.clone()] {
        for (number, (bytes, fits)) in wrong_frames().into_iter().enumerate() {
            let mut raw = Raw::connect(&address);
            raw.send(&bytes);
            let fault = raw.fault();
            assert!(fits(fault), "wrong frame {number}: {fault}");
            house.assert_serves(&mut server, 1);
        }
        // Half a header, half a body, and nothing at all.
        for length in [0, 16, hello(VERSION).len() - 1] {
            let mut raw = Raw::connect(&address);
            raw.send(&hello(VERSION)[..length]);
            drop(raw);
            house.assert_serves(&mut server, 1);
        }
    }

    // After the handshake: frames of other roles, a second HELLO, garbage.
    let others = [Message::Discard { slot: runtime::base::SlotId::from_bits(0) }, Message::Withdraw { id: 7 }];
    let mut raw = Raw::welcome(&server.gateway);
    raw.send(&super::raw::frame(&others[1]));
    raw.send(&super::raw::frame(&others[0]));
    let kind = Kind::Discard as u16;
    assert!(matches!(raw.fault(), PeerFault::Unexpected { kind: found, .. } if found == kind));
    let mut raw = Raw::welcome(&server.gateway);
    raw.send(&hello(VERSION));
    assert!(matches!(raw.fault(), PeerFault::Unexpected { .. }));
    let mut raw = Raw::welcome(&server.gateway);
    raw.send(&[0; 64]);
    assert_eq!(raw.fault(), PeerFault::BadMagic { found: 0 });
    house.assert_serves(&mut server, 1);

    // A request whose payload never becomes whole: the connection goes away in the middle, more
    // often than the gateway has places.
    let package = Package::open(house.package(1)).expect("the package is whole");
    let bytes = u32::try_from(house.input().len() * 4).expect("small");
    for id in 0..40 {
        let mut raw = Raw::welcome(&server.gateway);
        raw.send(&request(id, package.id, ShapeId(0), bytes));
        raw.send(&[0; 100]);
    }
    house.assert_serves(&mut server, 1);
}
