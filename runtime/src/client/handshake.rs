//! Connecting: the address, HELLO and WELCOME.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::connection::{Connection, ConnectionError};
use crate::wire::handshake::VERSION;
use crate::wire::{Hello, Message, PeerRole, Welcome};

/// How long a server may take to accept the connection, and to answer HELLO.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The address means nothing.
    #[error("`{address}` is no address: {source}; write HOST:PORT, for instance 127.0.0.1:7070")]
    Address {
        /// What was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The name has no address.
    #[error("`{address}` has no address")]
    NoAddress {
        /// What was given.
        address: String,
    },
    /// Nothing took the connection.
    #[error(
        "can't connect to {address}: {source}; is a server running there? `clockwork serve --models DIR` starts one"
    )]
    NoServer {
        /// The server's address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Something took the connection but did not answer HELLO in time.
    #[error("{address} took the connection but did not answer within {} s: is it a Clockwork server?", PATIENCE.as_secs())]
    Silent {
        /// The server's address.
        address: SocketAddr,
    },
    /// The first answer is no WELCOME.
    #[error("{address} answered HELLO with a frame of kind {kind} instead of WELCOME")]
    NotWelcome {
        /// The server's address.
        address: SocketAddr,
        /// The frame's kind.
        kind: u16,
    },
    /// No common version.
    #[error("the server at {address} speaks protocol version {found}, this client speaks {VERSION}")]
    Version {
        /// The server's address.
        address: SocketAddr,
        /// The server's version.
        found: u16,
    },
    /// The connection failed during the handshake.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Opens a connection in `role`, wishing for `requests` outstanding ones, and blocks until the
/// server's WELCOME, which says how many it grants.
///
/// # Errors
/// [`ConnectError`].
pub fn connect(address: &str, role: PeerRole, requests: u32) -> Result<(Connection, Welcome), ConnectError> {
    let stream = open(address)?;
    let address = stream.1;
    let mut connection = Connection::new(stream.0, address)?;
    connection.set_patience(PATIENCE)?;
    let (version_min, version_max) = (VERSION, VERSION);
    let (worker, clock) = (None, 0);
    let hello = Hello { role, version_min, version_max, features: 0, id: 0, epoch: 0, requests, worker, clock };
    connection.queue(&Message::Hello(Box::new(hello)), Arc::from([]))?;
    connection.flush()?;
    match connection.receive()? {
        Some(Message::Welcome(welcome)) if welcome.version == VERSION => Ok((connection, welcome)),
        Some(Message::Welcome(welcome)) => Err(ConnectError::Version { address, found: welcome.version }),
        Some(other) => Err(ConnectError::NotWelcome { address, kind: other.kind() as u16 }),
        None => Err(ConnectError::Silent { address }),
    }
}

/// The stream to the first of the name's addresses that takes the connection.
fn open(name: &str) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let addresses =
        name.to_socket_addrs().map_err(|source| ConnectError::Address { address: name.to_owned(), source })?;
    let mut refused = ConnectError::NoAddress { address: name.to_owned() };
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok((stream, address)),
            Err(source) => refused = ConnectError::NoServer { address, source },
        }
    }
    Err(refused)
}
