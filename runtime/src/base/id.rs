//! Identities. Each is a type of its own, so that one can't stand where another is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits;

/// First 64 bits of a package's digest: the same model has the same id everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelId(pub u64);

/// One gateway of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GatewayId(pub u16);

/// One worker of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u16);

/// One device of a worker, by its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId(pub u8);

/// One action of a controller; never used twice within one controller epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId(pub u64);

/// One shape variant of a model: its index in the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeId(pub u8);

/// A request as a gateway names it: a place in its slab and which use of that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId {
    /// The gateway that holds the request.
    pub gateway: GatewayId,
    /// Place in the gateway's slab.
    pub index: u16,
    /// Which use of that place.
    pub generation: u32,
}

impl RequestId {
    /// The id as one number, for frames and maps.
    pub const fn to_bits(self) -> u64 {
        (self.gateway.0 as u64) << 48 | (self.index as u64) << 32 | self.generation as u64
    }

    /// The id that [`RequestId::to_bits`] gave.
    #[expect(clippy::cast_possible_truncation, reason = "each field takes its own bits")]
    pub const fn from_bits(bits: u64) -> RequestId {
        RequestId { gateway: GatewayId((bits >> 48) as u16), index: (bits >> 32) as u16, generation: bits as u32 }
    }
}

/// One item's input and output area on a device: a place in a size class and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlotId {
    /// Device of the worker that the message is for.
    pub device: DeviceId,
    /// Size class, below [`limits::MAX_SLOT_CLASSES`].
    pub class: u8,
    /// Place in the class.
    pub index: u16,
    /// Which use of that place.
    pub generation: u32,
}

impl SlotId {
    /// The id as one number, for frames and maps.
    pub const fn to_bits(self) -> u64 {
        (self.device.0 as u64) << 56 | (self.class as u64) << 48 | (self.index as u64) << 32 | self.generation as u64
    }

    /// The id that [`SlotId::to_bits`] gave.
    #[expect(clippy::cast_possible_truncation, reason = "each field takes its own bits")]
    pub const fn from_bits(bits: u64) -> SlotId {
        SlotId {
            device: DeviceId((bits >> 56) as u8),
            class: (bits >> 48) as u8,
            index: (bits >> 32) as u16,
            generation: bits as u32,
        }
    }
}

/// A batch size that plans exist for: 1, 2, 4, 8 or 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchSize(u8);

impl BatchSize {
    /// The smallest.
    pub const ONE: BatchSize = BatchSize(1);
    /// All of them, ascending.
    pub const ALL: [BatchSize; 5] = [BatchSize(1), BatchSize(2), BatchSize(4), BatchSize(8), BatchSize(16)];

    /// The batch size `n`, if plans of that size exist.
    pub fn new(n: u8) -> Option<BatchSize> {
        limits::BATCH_SIZES.contains(&n).then_some(BatchSize(n))
    }

    /// The smallest batch size that holds `items`; none for 0 or more than [`limits::MAX_BATCH`].
    pub fn holding(items: usize) -> Option<BatchSize> {
        if items == 0 {
            return None;
        }
        BatchSize::ALL.into_iter().find(|size| size.items() >= items)
    }

    /// How many items a batch of this size holds.
    pub const fn items(self) -> usize {
        self.0 as usize
    }

    /// The size as a byte, for frames.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Position in [`BatchSize::ALL`].
    pub const fn ordinal(self) -> usize {
        self.0.trailing_zeros() as usize
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}.{}.{}", self.gateway.0, self.index, self.generation)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}.{}.{}.{}", self.device.0, self.class, self.index, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_survive_their_bits(bits: u64) {
            prop_assert_eq!(RequestId::from_bits(bits).to_bits(), bits);
            prop_assert_eq!(SlotId::from_bits(bits).to_bits(), bits);
        }
    }

    #[test]
    fn a_batch_is_held_by_the_next_size_up() {
        assert_eq!(BatchSize::holding(3), BatchSize::new(4));
        assert_eq!(BatchSize::holding(16), BatchSize::new(16));
        assert_eq!(BatchSize::holding(17), None);
        assert_eq!(BatchSize::holding(0), None);
        assert_eq!(BatchSize::ALL.map(BatchSize::ordinal), [0, 1, 2, 3, 4]);
    }
}
