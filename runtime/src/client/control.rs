//! Asking a server about itself.

use std::sync::Arc;

use thiserror::Error;

use super::connection::{Connection, ConnectionError};
use super::handshake::{ConnectError, connect};
use crate::wire::message::Topic;
use crate::wire::{Message, PeerRole};

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// No answer in time.
    #[error("the server did not answer in time")]
    Silent,
    /// The answer is not text.
    #[error("the server's answer is not UTF-8 from byte {at} on")]
    NotText {
        /// Where it stops being UTF-8.
        at: usize,
    },
}

/// A connection that asks questions.
#[derive(Debug)]
pub struct Control {
    connection: Connection,
    questions: u64,
}

impl Control {
    /// Connects to the server at `address` (`HOST:PORT`): a gateway, controller or worker.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(address: &str) -> Result<Control, ConnectError> {
        let (connection, _) = connect(address, PeerRole::Control, 0)?;
        Ok(Control { connection, questions: 0 })
    }

    /// The server's answer, as JSON text.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn query(&mut self, topic: Topic) -> Result<String, QueryError> {
        self.questions += 1;
        let id = self.questions;
        self.connection.queue(&Message::StatusQuery { id, topic }, Arc::from([]))?;
        self.connection.flush()?;
        loop {
            match self.connection.receive()? {
                Some(Message::StatusReply { id: answered, .. }) if answered == id => {
                    let text = std::str::from_utf8(self.connection.payload());
                    return text.map(str::to_owned).map_err(|error| QueryError::NotText { at: error.valid_up_to() });
                }
                Some(_) => {}
                None => return Err(QueryError::Silent),
            }
        }
    }
}
