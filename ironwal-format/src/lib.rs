//! The on-disk format of IronWal: bytes and their meaning, without I/O.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod cast;
pub mod checksum;
pub mod frame;
pub mod ids;
pub mod index;
pub mod names;
pub mod payload;
pub mod repair;
pub mod scan;
pub mod seal;
pub mod segment_header;
#[cfg(test)]
mod testing;
pub mod verdict;
pub mod walk;

pub use ids::{Ordinal, SequenceNumber, StreamId};
pub use names::StreamKey;
