//! The header that every frame begins with.

use super::fault::PeerFault;
use super::handshake::VERSION;
use super::kind::Kind;
use crate::base::limits::{MAX_BODY_BYTES, MAX_PAYLOAD_BYTES};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 32;
/// The first four bytes of every frame: `CWK1` as they lie in memory.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CWK1");
/// Where the checksum stands; it covers the header before it and the body after it.
const CHECKSUM_AT: usize = 28;

/// A header whose fields are within their limits. Its checksum is tested with the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// Bytes of body that follow the header.
    pub body: u32,
    /// Bytes of payload that follow the body.
    pub payload: u32,
    /// What the frame is about: a request, an action, a slot; by kind.
    pub id: u64,
    /// CRC32C over the first 28 bytes of the header and the body.
    pub checksum: u32,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// The first field that a peer of this version must not send.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Header, PeerFault> {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if word(0) != MAGIC {
            return Err(PeerFault::BadMagic { found: word(0) });
        }
        if half(4) != VERSION {
            return Err(PeerFault::BadVersion { found: half(4), own: VERSION });
        }
        let kind = Kind::from_wire(half(6)).ok_or(PeerFault::UnknownKind { kind: half(6) })?;
        let (body, payload) = (word(8), word(12));
        if body as usize > MAX_BODY_BYTES {
            return Err(PeerFault::BodyTooLong { bytes: body, limit: limit(MAX_BODY_BYTES) });
        }
        let most = if kind.may_carry_payload() { MAX_PAYLOAD_BYTES } else { 0 };
        if payload as usize > most {
            return Err(PeerFault::PayloadTooLong { bytes: payload, limit: limit(most) });
        }
        let id = u64::from(word(16)) | u64::from(word(20)) << 32;
        Ok(Header { kind, body, payload, id, checksum: word(CHECKSUM_AT) })
    }

    /// Whether header and body belong together.
    ///
    /// # Errors
    /// [`PeerFault::BadChecksum`] with both values.
    pub fn check(&self, header: &[u8; HEADER_BYTES], body: &[u8]) -> Result<(), PeerFault> {
        let computed = checksum(header, body);
        if computed == self.checksum {
            return Ok(());
        }
        Err(PeerFault::BadChecksum { found: self.checksum, computed })
    }
}

/// Writes the header of a frame whose body lies in `body`.
pub(super) fn write(into: &mut [u8; HEADER_BYTES], kind: Kind, id: u64, payload: u32, body: &[u8]) {
    let body_bytes = limit(body.len());
    into[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    into[4..6].copy_from_slice(&VERSION.to_le_bytes());
    into[6..8].copy_from_slice(&(kind as u16).to_le_bytes());
    into[8..12].copy_from_slice(&body_bytes.to_le_bytes());
    into[12..16].copy_from_slice(&payload.to_le_bytes());
    into[16..24].copy_from_slice(&id.to_le_bytes());
    into[24..28].copy_from_slice(&0u32.to_le_bytes());
    let sum = checksum(into, body);
    into[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
}

fn checksum(header: &[u8; HEADER_BYTES], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..CHECKSUM_AT]), body)
}

/// A length that is known to fit: every limit is below 4 GiB.
fn limit(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
