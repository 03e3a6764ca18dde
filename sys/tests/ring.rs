//! The ring: files past the page cache, sockets over loopback, doorbells, cancels and drops.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test may panic")]

use clockwork_sys::clock;
use clockwork_sys::doorbell::Doorbell;
use clockwork_sys::memory::HostLease;
use clockwork_sys::uring::*;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

const BLOCK: usize = 256 << 10;

fn ring() -> Ring {
    Ring::new(RingConfig { operations: 16, files: 4, buffers: 4 }).unwrap()
}

fn next(ring: &mut Ring) -> Completion {
    loop {
        if let Some(completion) = ring.next() {
            return completion;
        }
        ring.wait(None).unwrap();
    }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index / 4096 * 31 + index % 241) as u8).collect()
}

/// A file of `content(bytes)` on the disk where this test is built, which knows `O_DIRECT`
/// wherever any file system of the machine does.
fn file(bytes: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    file.write_all(&content(bytes)).unwrap();
    file.as_file().sync_all().unwrap();
    file
}

#[test]
fn a_file_is_read_into_the_parts_of_a_lease() {
    let bytes = 4 * BLOCK;
    let named = file(bytes);
    let (file, caching) = open_direct(named.path()).unwrap();
    println!("{caching:?}");
    let file = Arc::new(file);
    let lease = HostLease::locked(bytes).unwrap();
    let mut ring = ring();
    let registered = ring.register_file(Arc::clone(&file)).unwrap();
    ring.register_memory(&lease).unwrap();
    let parts = lease.split_into(4, BLOCK).unwrap();
    for (index, lease) in (0_u64..).zip(parts) {
        // Registered and not: both are the same read.
        let file = if index % 2 == 0 { FileRef::Registered(registered) } else { FileRef::Open(Arc::clone(&file)) };
        let offset = index * BLOCK as u64;
        ring.push(index, Op::Read { file, offset, lease, range: 0..BLOCK }).unwrap();
    }
    let unregistered = HostLease::locked(BLOCK).unwrap();
    let file = FileRef::Registered(registered);
    ring.push(4, Op::Read { file, offset: 0, lease: unregistered, range: 0..BLOCK }).unwrap();
    let wanted = content(bytes);
    for _ in 0..5 {
        let completion = next(&mut ring);
        assert_eq!(completion.result.unwrap() as usize, BLOCK);
        let start = completion.user as usize % 4 * BLOCK;
        assert!(completion.lease.unwrap()[..] == wanted[start..start + BLOCK]);
    }
    assert_eq!(ring.in_flight(), 0);
}

#[test]
fn a_read_past_the_end_is_short_and_a_stale_file_is_refused() {
    let named = file(BLOCK);
    let mut ring = ring();
    let file = Arc::new(open_direct(named.path()).unwrap().0);
    let registered = ring.register_file(file).unwrap();
    let lease = HostLease::locked(2 * BLOCK).unwrap();
    let file = FileRef::Registered(registered);
    let read = Op::Read { file: file.clone(), offset: 0, lease, range: 0..2 * BLOCK };
    ring.push(0, read).unwrap();
    let completion = next(&mut ring);
    assert_eq!(completion.result.unwrap() as usize, BLOCK);
    ring.unregister_file(registered).unwrap();
    let read = Op::Read { file, offset: 0, lease: completion.lease.unwrap(), range: 0..1 };
    let refused = ring.push(0, read).unwrap_err();
    assert!(matches!(refused.cause, PushCause::UnknownFile));
}

#[test]
fn ranges_outside_of_the_lease_and_more_operations_than_places_are_refused() {
    let named = file(4096);
    let file = FileRef::Open(Arc::new(open_direct(named.path()).unwrap().0));
    let mut ring = Ring::new(RingConfig { operations: 1, files: 0, buffers: 0 }).unwrap();
    let read = |range| Op::Read { file: file.clone(), offset: 0, lease: HostLease::locked(4096).unwrap(), range };
    for range in [1..4097, 5..5, 0..usize::MAX] {
        let refused = ring.push(0, read(range)).unwrap_err();
        assert!(matches!(refused.cause, PushCause::Range { bytes: 4096, .. }));
    }
    ring.push(0, read(0..4096)).unwrap();
    let refused = ring.push(1, read(0..4096)).unwrap_err();
    assert!(matches!(refused.cause, PushCause::Full { capacity: 1 }));
    assert!(matches!(refused.op, Op::Read { .. }));
    let listed = ring.register_file(Arc::new(named.reopen().unwrap())).unwrap_err();
    assert!(matches!(listed, RingError::NoPlace { what: "files", limit: 0 }));
}

/// Two ends of a connection, made through `ring`.
fn connection(ring: &mut Ring) -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = Socket::unconnected(&address).unwrap();
    ring.push(1, Op::Accept { listener: listener.into() }).unwrap();
    ring.push(2, Op::Connect { socket: client.clone(), address }).unwrap();
    let mut server = None;
    for _ in 0..2 {
        let completion = next(ring);
        completion.result.unwrap();
        server = server.or(completion.socket);
    }
    client.set_nodelay().unwrap();
    (client, server.unwrap())
}

#[test]
fn bytes_go_there_and_back_over_loopback() {
    let mut ring = ring();
    let (client, server) = connection(&mut ring);
    let bytes = 3 << 20;
    let mut sent = HostLease::locked(bytes).unwrap();
    sent.copy_from_slice(&content(bytes));
    let received = HostLease::locked(bytes).unwrap();
    let (whole, more) = (true, false);
    let range = 0..bytes;
    let send = Op::Send { socket: client, lease: sent, range: range.clone(), more };
    ring.push(1, send).unwrap();
    ring.push(2, Op::Receive { socket: server.clone(), lease: received, range, whole }).unwrap();
    for _ in 0..2 {
        let completion = next(&mut ring);
        assert_eq!(completion.result.unwrap() as usize, bytes);
        assert!(completion.lease.unwrap()[..] == content(bytes));
    }
    // The client is gone with its last operation: the server reads the end.
    let lease = HostLease::locked(64).unwrap();
    ring.push(3, Op::Receive { socket: server, lease, range: 0..64, whole: false }).unwrap();
    assert_eq!(next(&mut ring).result.unwrap(), 0);
}

#[test]
fn a_refused_connection_is_an_error() {
    let mut ring = ring();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = Socket::unconnected(&address).unwrap();
    ring.push(9, Op::Connect { socket, address }).unwrap();
    let completion = next(&mut ring);
    assert_eq!(completion.user, 9);
    assert_eq!(completion.result.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_cancelled_operation_gives_its_lease_back() {
    let mut ring = ring();
    let (_client, server) = connection(&mut ring);
    for part in HostLease::locked(128).unwrap().split_into(2, 64).unwrap() {
        let receive = Op::Receive { socket: server.clone(), lease: part, range: 0..64, whole: false };
        ring.push(5, receive).unwrap();
    }
    ring.submit().unwrap();
    ring.cancel(5).unwrap();
    let (first, second) = (next(&mut ring), next(&mut ring));
    for completion in [&first, &second] {
        let error = completion.result.as_ref().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    }
    assert!(first.lease.is_some() && second.lease.is_some());
}

#[test]
fn dropping_a_ring_cancels_what_is_under_way_and_closes_its_sockets() {
    let mut ring = ring();
    let (client, server) = connection(&mut ring);
    let lease = HostLease::locked(64).unwrap();
    ring.push(1, Op::Receive { socket: server, lease, range: 0..64, whole: false }).unwrap();
    ring.listen(Doorbell::event().unwrap()).unwrap();
    ring.wait(Some(clock::now_ns() + 1_000_000)).unwrap();
    assert_eq!(ring.in_flight(), 1);
    drop(ring);
    let mut stream: TcpStream = client.to_tcp().unwrap();
    assert_eq!(std::io::Read::read(&mut stream, &mut [0]).unwrap(), 0, "the server's end closed");
}

#[test]
fn an_operation_that_was_never_submitted_is_dropped_with_its_ring() {
    let mut ring = ring();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    ring.push(1, Op::Accept { listener: listener.into() }).unwrap();
    drop(ring);
}

#[test]
fn a_doorbell_ends_a_wait_without_a_limit() {
    let mut ring = ring();
    let bell = Doorbell::event().unwrap();
    ring.listen(bell.clone()).unwrap();
    assert!(matches!(ring.listen(bell.clone()), Err(RingError::Doorbell)));
    let (send, receive) = std::sync::mpsc::channel();
    let rounds = 500_u32;
    let sender = {
        let bell = bell.clone();
        std::thread::spawn(move || {
            for number in 0..rounds {
                send.send(number).unwrap();
                bell.ring();
            }
        })
    };
    let mut expected = 0;
    while expected < rounds {
        bell.arm();
        let received = receive.try_recv();
        if received.is_err() {
            // A lost ring would hang here.
            ring.wait(None).unwrap();
            assert!(ring.next().is_none(), "the doorbell is no completion");
        }
        bell.disarm();
        if let Ok(number) = received {
            assert_eq!(number, expected);
            expected += 1;
        }
    }
    sender.join().unwrap();
}

#[test]
fn a_wait_ends_at_its_limit_and_a_ring_moves_before_it_is_used() {
    let mut ring = ring();
    let moved = std::thread::spawn(move || {
        let until = clock::now_ns() + 3_000_000;
        while clock::now_ns() < until {
            ring.wait(Some(until)).unwrap();
            assert!(ring.next().is_none());
        }
        ring
    });
    drop(moved.join().unwrap());
}
