//! Messages to frames and back.

mod decode;
mod encode;

use thiserror::Error;

use super::fault::PeerFault;
use super::header::{HEADER_BYTES, Header};
use super::message::Message;

pub use decode::decode;
pub use encode::encode;

/// A message that does not fit where it should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The buffer is too small.
    #[error("a frame of {wanted} bytes does not fit into {available}")]
    NoRoom {
        /// Bytes of the frame, without payload.
        wanted: usize,
        /// Bytes of the buffer.
        available: usize,
    },
    /// A list or a name is longer than the body's place for it.
    #[error("{what}: {found} is more than the {limit} that a frame holds")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many fit.
        limit: usize,
    },
}

/// One frame, cut from a stream. Its payload follows in the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What it says.
    pub message: Message,
    /// Bytes of header and body.
    pub bytes: usize,
    /// Bytes of payload that follow.
    pub payload: u32,
}

/// Cuts the first frame from what has come of a stream; `None` while header and body are not whole.
///
/// # Errors
/// A frame that no peer of this version may send; the stream can't be read any further.
pub fn next_frame(stream: &[u8]) -> Result<Option<Frame>, PeerFault> {
    let Some((head, rest)) = stream.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let header = Header::parse(head)?;
    let Some(body) = rest.get(..header.body as usize) else { return Ok(None) };
    header.check(head, body)?;
    let message = decode(&header, body)?;
    Ok(Some(Frame { message, bytes: HEADER_BYTES + body.len(), payload: header.payload }))
}
