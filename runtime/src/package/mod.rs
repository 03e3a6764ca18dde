//! Packages (`.cwk`): one model for one target, laid out so that loading is copying.
//!
//! ```text
//! 0       header       4 KiB: magic, version, target, counts, section table, digests, name
//! 4096    plans        tensors, shape variants, plans with their launches
//!         names        names of the input and output tensors; behind them, or not, what each launch computes
//!         card         JSON for people and clients, opaque here
//!         checksums    CRC32C of each 256 KiB block of the weights
//!         pages        where each page lies: PageRef{file, offset}
//! 4 KiB-aligned        weights: an exact image of the device's pages, in execution order
//! ```
//! All numbers are little-endian. The header carries a checksum of its own, and a BLAKE3 digest of
//! each section. The *architecture* is the digest of the plans section; the *model* is the digest of
//! the header, which holds the digests of everything else.

pub mod card;
mod codec;
pub mod error;
pub mod header;
pub mod labels;
pub mod page_ref;
pub mod plan;
mod plan_codec;
pub mod read;
pub mod slot;
pub mod weights;
pub mod write;

pub use card::Card;
pub use error::{Fault, PackageError, SectionName};
pub use header::Digest;
pub use labels::Labels;
pub use page_ref::PageRef;
pub use plan::{Plan, Shape, Target, TensorSpec, TensorType};
pub use read::Package;
pub use slot::SlotLayout;
pub use weights::WeightReader;
pub use write::{Complete, Contents, PackageWriter, Written};

#[cfg(test)]
mod tests;
