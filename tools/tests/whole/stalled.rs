//! A client that never takes its answers, or never ends what it sends, is cut off, and the others are
//! served meanwhile.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use runtime::base::{ModelId, Nanos, ShapeId};
use runtime::package::Package;
use runtime::wire::handshake::VERSION;
use runtime::wire::{Message, Outcome, PeerFault, Response};

use super::house::{House, Server};
use super::program::PATIENCE;
use super::raw::{Raw, frame, hello, request};

#[test]
fn a_client_that_takes_no_answers_is_cut_off() {
    let house = House::new(&[1]);
    let mut server = house.serve(1);
    let package = Package::open(house.package(1)).expect("the package is whole");
    let bytes = u32::try_from(house.input().len() * 4).expect("small");
    let mut deaf = Raw::welcome(&server.gateway);
    deaf.stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a timeout can be set");

    let until = Instant::now() + PATIENCE;
    let mut stalled_once = false;
    let mut id = 0;
    let mut rest: Vec<u8> = Vec::new();
    loop {
        if rest.is_empty() {
            rest = request(id, package.id, ShapeId(0), bytes);
            rest.resize(rest.len() + bytes as usize, 0);
            id += 1;
        }
        match deaf.stream.write(&rest) {
            Ok(count) => drop(rest.drain(..count)),
            // The server takes no more from a peer that takes nothing: others are served meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                stalled_once = true;
                house.assert_serves(&mut server, 1);
            }
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
                    "cut off, not {error}"
                );
                break;
            }
        }
        assert!(Instant::now() < until, "{id} requests and never cut off (stalled: {stalled_once})");
    }
    house.assert_serves(&mut server, 1);
}

/// Whether the server has ended a connection, or what it said. Does not wait.
fn heard(raw: &mut Raw) -> Option<Option<Message>> {
    raw.stream.set_nonblocking(true).expect("a mode can be set");
    let mut one = [0];
    let waits = raw.stream.peek(&mut one).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    raw.stream.set_nonblocking(false).expect("a mode can be set");
    if waits { None } else { Some(raw.next()) }
}

/// Sends one byte at a time and asks for others in between, until something comes back.
fn trickle(house: &House, server: &mut Server, raw: &mut Raw, bytes: &[u8]) -> Option<Message> {
    let until = Instant::now() + PATIENCE;
    let mut left = bytes.iter();
    loop {
        if let Some(byte) = left.next() {
            // The server may have ended it already, which is found below.
            let _ = raw.stream.write(&[*byte]);
        }
        house.assert_serves(server, 1);
        if let Some(said) = heard(raw) {
            return said;
        }
        assert!(Instant::now() < until, "never cut off, {} bytes left", left.len());
    }
}

#[test]
fn a_client_that_trickles_is_cut_off_in_its_time() {
    let house = House::new(&[1]);
    let mut server = house.serve(1);
    let package = Package::open(house.package(1)).expect("the package is whole");
    let bytes = u32::try_from(house.input().len() * 4).expect("small");
    let limit = |said: Option<Message>| match said {
        Some(Message::Fault(PeerFault::Stalled { waited_ms, limit_ms })) if waited_ms >= limit_ms => limit_ms,
        other => panic!("{other:?} instead of a fault"),
    };

    // A HELLO that never ends, and a REQUEST: one byte of each is missing.
    let whole = hello(VERSION);
    let mut raw = Raw::connect(&server.gateway);
    assert_eq!(limit(trickle(&house, &mut server, &mut raw, &whole[..whole.len() - 1])), 2_000);
    assert_eq!(raw.next(), None, "nothing follows a fault");
    let whole = request(1, package.id, ShapeId(0), bytes);
    let mut raw = Raw::welcome(&server.gateway);
    assert_eq!(limit(trickle(&house, &mut server, &mut raw, &whole[..whole.len() - 1])), 2_000);
    assert_eq!(raw.next(), None, "nothing follows a fault");
    // Who connects and says nothing keeps a place from others.
    let mut raw = Raw::connect(&server.gateway);
    assert_eq!(limit(trickle(&house, &mut server, &mut raw, &[])), 2_000);

    // A payload that comes too slowly: its request ends at its deadline, and then the connection.
    let slo = Nanos::seconds(1);
    let mut raw = Raw::welcome(&server.gateway);
    raw.send(&frame(&Message::Request { id: 7, model: package.id, shape: ShapeId(0), slo, payload: bytes }));
    let said = trickle(&house, &mut server, &mut raw, &vec![0; bytes as usize - 1]);
    let expired = |response: &Response| response.id == 7 && response.outcome == Outcome::Expired;
    assert!(matches!(&said, Some(Message::Response(response)) if expired(response)), "{said:?}");
    assert_eq!(trickle(&house, &mut server, &mut raw, &[0; 100]), None, "the connection ends");
    // A payload that nobody wants may take as long as its length asks for, and no longer.
    let mut raw = Raw::welcome(&server.gateway);
    raw.send(&request(8, ModelId(1), ShapeId(0), bytes));
    let said = trickle(&house, &mut server, &mut raw, &[]);
    assert!(matches!(&said, Some(Message::Response(response)) if response.id == 8), "{said:?}");
    assert!(limit(trickle(&house, &mut server, &mut raw, &[0; 100])) >= 2_000);
    house.assert_serves(&mut server, 1);
}
