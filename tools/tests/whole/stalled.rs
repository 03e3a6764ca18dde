//! A client that asks and never takes its answers is cut off, and the others are served meanwhile.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use runtime::base::ShapeId;
use runtime::package::Package;

use super::house::House;
use super::program::PATIENCE;
use super::raw::{Raw, request};

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
