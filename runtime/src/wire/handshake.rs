//! HELLO and WELCOME: who a peer is, what it speaks, and how much may be outstanding.

use super::message::Name;
use crate::base::limits::{MAX_DEVICES_PER_WORKER, MAX_SLOT_CLASSES};
use crate::package::Target;

use arrayvec::ArrayVec;

/// The protocol's version that this build speaks.
pub const VERSION: u16 = 1;

/// Feature bit: a CRC32C of the payload follows the payload. Not spoken by this version.
pub const FEATURE_PAYLOAD_CHECKSUM: u32 = 1;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum PeerRole {
    /// Sends requests to a gateway.
    Client = 1,
    /// Takes requests for a controller.
    Gateway = 2,
    /// Carries out a controller's orders.
    Worker = 3,
    /// Asks for status.
    Control = 4,
}

impl PeerRole {
    /// All roles, by their number.
    pub const ALL: [PeerRole; 4] = [PeerRole::Client, PeerRole::Gateway, PeerRole::Worker, PeerRole::Control];

    /// The role with this number.
    pub fn from_wire(number: u16) -> Option<PeerRole> {
        PeerRole::ALL.into_iter().find(|&role| role as u16 == number)
    }
}

/// One size class of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotOffer {
    /// How many slots.
    pub count: u32,
    /// Bytes of a slot's input area.
    pub input_bytes: u32,
    /// Bytes of a slot's output area.
    pub output_bytes: u32,
}

/// What one device of a worker has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceOffer {
    /// Weight pages.
    pub pages: u32,
    /// LOADs and UNLOADs, and INFERs, that may be outstanding.
    pub lane_credits: u32,
    /// Slots by size class.
    pub slots: [SlotOffer; MAX_SLOT_CLASSES],
}

/// What a worker has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerOffer {
    /// Whom its packages are made for.
    pub target: Target,
    /// What its devices are: the name under which profiles and tunings are kept.
    pub device_kind: Name,
    /// Bytes of a page.
    pub page_bytes: u32,
    /// Host pages.
    pub host_pages: u32,
    /// FETCHes and DROPs that may be outstanding.
    pub disk_credits: u32,
    /// Lowest generation of every slot that the controller may use.
    pub generation: u32,
    /// Port on which it listens for gateways, at the address it comes from.
    pub port: u16,
    /// Its devices, in the order of their ids from 0.
    pub devices: ArrayVec<DeviceOffer, MAX_DEVICES_PER_WORKER>,
}

/// The first frame of whoever opened the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who it is.
    pub role: PeerRole,
    /// Oldest version that it speaks.
    pub version_min: u16,
    /// Newest version that it speaks.
    pub version_max: u16,
    /// Features that it speaks: bits.
    pub features: u32,
    /// Its number as a gateway of a controller, for a gateway at a worker; else 0.
    pub id: u16,
    /// The controller epoch that it belongs to, for a gateway at a worker; else 0.
    pub epoch: u64,
    /// Requests that it may have outstanding: the slab of a gateway, the wish of a client.
    pub requests: u32,
    /// What it has, if it is a worker.
    pub worker: Option<WorkerOffer>,
    /// Which clock it reads: peers that name the same one other than 0 need not compare theirs.
    pub clock: u64,
}

/// The answer to HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both speak from here on.
    pub version: u16,
    /// The features that both speak.
    pub features: u32,
    /// The number that the controller gives the gateway or worker; else 0.
    pub id: u16,
    /// Epoch of the controller; a worker refuses one lower than it has seen. 0 from a gateway.
    pub epoch: u64,
    /// Requests that the peer may have outstanding.
    pub requests: u32,
    /// Longest payload that is taken from it.
    pub payload_bytes: u32,
}
