//! Why a load can't be generated.

use runtime::client::{ConnectError, ConnectionError, LookupError, PayloadError};
use thiserror::Error;

/// Why a load can't be generated, or not to its end.
#[derive(Debug, Error)]
pub enum LoadError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A model is not known.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A model's inputs can't be made.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A model's inputs are longer than the server takes.
    #[error("model `{model}` takes {bytes} bytes, this server takes at most {limit} in one request")]
    TooLong {
        /// The model.
        model: String,
        /// Length of its inputs.
        bytes: usize,
        /// The server's limit.
        limit: u32,
    },
    /// More closed-loop clients than requests may be open.
    #[error("{wanted} closed-loop clients, but this server grants {granted} open requests")]
    TooManyClients {
        /// Clients in all workloads.
        wanted: usize,
        /// What the server grants.
        granted: usize,
    },
    /// More requests than a run may send.
    #[error("the rates make {wanted:.0} requests in this run, at most {most} can be sent: lower them, or the length")]
    TooManyRequests {
        /// What the rates make.
        wanted: f64,
        /// The limit.
        most: usize,
    },
    /// Nothing to send.
    #[error("no workload sends anything")]
    NothingToSend,
    /// Waiting on the socket failed.
    #[error("can't wait for the socket: {0}")]
    Wait(std::io::Error),
    /// A run that gave no measurement.
    #[error("{what}: no request was answered, so there is nothing to measure")]
    NoAnswers {
        /// Which run.
        what: &'static str,
    },
}
