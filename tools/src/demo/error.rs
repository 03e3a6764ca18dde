//! Why the demo can't be shown.

use std::io;
use std::path::PathBuf;

use bench::loadgen::LoadError;
use runtime::client::{ConnectError, InferError, LookupError, QueryError};
use runtime::host::ServeError;
use thiserror::Error;

use crate::import::error::ImportError;
use crate::vision::VisionError;

/// Why the demo can't be shown.
#[derive(Debug, Error)]
pub enum DemoError {
    /// A file of the demo can't be read or written.
    #[error("{path}: can't {doing}: {source}; the demo's files lie in tools/demo, --assets names another folder")]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The list of inputs is wrong.
    #[error("{path}: {source}")]
    Inputs {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A model can't be imported.
    #[error("importing {model}: {source}")]
    Import {
        /// The model.
        model: &'static str,
        /// Why.
        source: ImportError,
    },
    /// The server can't start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The server has no address for clients.
    #[error("the server that was started listens nowhere")]
    NoAddress,
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A model is not served.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// An input was not answered.
    #[error("{file}: {source}")]
    Infer {
        /// The input.
        file: String,
        /// Why.
        source: InferError,
    },
    /// A picture can't be prepared, or an answer not read.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The load can't be generated.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The server does not tell about itself.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Answers that are not the pictures' content.
    #[error("{wrong} of {all} inputs were answered wrongly")]
    Wrong {
        /// How many.
        wrong: usize,
        /// Of how many.
        all: usize,
    },
}
