//! Why a peer is cut off.

use thiserror::Error;

/// A breach of the protocol, after which the peer is told why (FAULT) and cut off. The wire
/// carries a code and two numbers; the text is made by the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PeerFault {
    /// The first four bytes are not a frame's.
    #[error("wrong magic {found:#010x}: this is not a Clockwork peer")]
    BadMagic {
        /// What stood there.
        found: u32,
    },
    /// No common version.
    #[error("unsupported protocol version {found}, this side speaks {own}")]
    BadVersion {
        /// The peer's version.
        found: u16,
        /// Ours.
        own: u16,
    },
    /// Header and body do not match their checksum.
    #[error("checksum is {found:#010x}, header and body give {computed:#010x}")]
    BadChecksum {
        /// The frame's.
        found: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A kind that this version does not know.
    #[error("unknown kind {kind}")]
    UnknownKind {
        /// The kind.
        kind: u16,
    },
    /// A body longer than the limit.
    #[error("body of {bytes} bytes, at most {limit} are allowed")]
    BodyTooLong {
        /// Its length.
        bytes: u32,
        /// The limit.
        limit: u32,
    },
    /// A payload longer than the limit, or one where none belongs.
    #[error("payload of {bytes} bytes, at most {limit} are allowed here")]
    PayloadTooLong {
        /// Its length.
        bytes: u32,
        /// The limit.
        limit: u32,
    },
    /// A field of a body holds a value that means nothing.
    #[error("field {field} of a body of kind {kind} holds a meaningless value")]
    BadField {
        /// Kind of the frame.
        kind: u16,
        /// Byte offset of the field in the body.
        field: u32,
    },
    /// A known kind where it is not allowed: from this role, or at this time.
    #[error("kind {kind} is not allowed here from role {role}")]
    Unexpected {
        /// The kind.
        kind: u16,
        /// The peer's role, 0 before HELLO.
        role: u16,
    },
    /// More outstanding than was granted.
    #[error("{outstanding} outstanding of kind {kind}, more than was granted")]
    CreditExceeded {
        /// The kind.
        kind: u16,
        /// How many.
        outstanding: u32,
    },
    /// The peer's controller epoch is older than one that was seen.
    #[error("controller epoch {found} is older than {seen}")]
    StaleEpoch {
        /// The peer's.
        found: u64,
        /// The newest that was seen.
        seen: u64,
    },
    /// The peer did not take or send its bytes in time.
    #[error("peer stalled for {waited_ms} ms, {limit_ms} ms are allowed")]
    Stalled {
        /// How long, in milliseconds.
        waited_ms: u64,
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// No place for another peer of this role.
    #[error("already {connected} peers of this role, at most {limit}")]
    TooManyPeers {
        /// How many there are.
        connected: u32,
        /// The limit.
        limit: u32,
    },
    /// What the peer offers does not fit this side: page size or target.
    #[error("offers target {target} with pages of {page_bytes} bytes, which does not fit here")]
    Incompatible {
        /// The target's number, 0 where it is the page size.
        target: u16,
        /// Its page size.
        page_bytes: u64,
    },
    /// A fault that a newer peer names and this version does not know.
    #[error("fault {code} ({first}, {second}) of a newer version")]
    Unknown {
        /// Its code.
        code: u16,
        /// First number.
        first: u64,
        /// Second number.
        second: u64,
    },
}

impl PeerFault {
    /// Code and numbers as the wire carries them.
    pub const fn to_wire(self) -> (u16, u64, u64) {
        match self {
            PeerFault::BadMagic { found } => (1, found as u64, 0),
            PeerFault::BadVersion { found, own } => (2, found as u64, own as u64),
            PeerFault::BadChecksum { found, computed } => (3, found as u64, computed as u64),
            PeerFault::UnknownKind { kind } => (4, kind as u64, 0),
            PeerFault::BodyTooLong { bytes, limit } => (5, bytes as u64, limit as u64),
            PeerFault::PayloadTooLong { bytes, limit } => (6, bytes as u64, limit as u64),
            PeerFault::BadField { kind, field } => (7, kind as u64, field as u64),
            PeerFault::Unexpected { kind, role } => (8, kind as u64, role as u64),
            PeerFault::CreditExceeded { kind, outstanding } => (9, kind as u64, outstanding as u64),
            PeerFault::StaleEpoch { found, seen } => (10, found, seen),
            PeerFault::Stalled { waited_ms, limit_ms } => (11, waited_ms, limit_ms),
            PeerFault::TooManyPeers { connected, limit } => (12, connected as u64, limit as u64),
            PeerFault::Incompatible { target, page_bytes } => (13, target as u64, page_bytes),
            PeerFault::Unknown { code, first, second } => (code, first, second),
        }
    }

    /// The fault that [`PeerFault::to_wire`] gave; [`PeerFault::Unknown`] for a code that this
    /// version does not know or numbers out of its range.
    pub fn from_wire(code: u16, first: u64, second: u64) -> PeerFault {
        PeerFault::known(code, first, second).unwrap_or(PeerFault::Unknown { code, first, second })
    }

    fn known(code: u16, first: u64, second: u64) -> Option<PeerFault> {
        let one16 = || u16::try_from(first).ok();
        let (one, two) = (u32::try_from(first).ok(), u32::try_from(second).ok());
        Some(match code {
            1 => PeerFault::BadMagic { found: one? },
            2 => PeerFault::BadVersion { found: one16()?, own: u16::try_from(second).ok()? },
            3 => PeerFault::BadChecksum { found: one?, computed: two? },
            4 => PeerFault::UnknownKind { kind: one16()? },
            5 => PeerFault::BodyTooLong { bytes: one?, limit: two? },
            6 => PeerFault::PayloadTooLong { bytes: one?, limit: two? },
            7 => PeerFault::BadField { kind: one16()?, field: two? },
            8 => PeerFault::Unexpected { kind: one16()?, role: u16::try_from(second).ok()? },
            9 => PeerFault::CreditExceeded { kind: one16()?, outstanding: two? },
            10 => PeerFault::StaleEpoch { found: first, seen: second },
            11 => PeerFault::Stalled { waited_ms: first, limit_ms: second },
            12 => PeerFault::TooManyPeers { connected: one?, limit: two? },
            13 => PeerFault::Incompatible { target: one16()?, page_bytes: second },
            _ => return None,
        })
    }
}
