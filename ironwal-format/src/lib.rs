//! The on-disk format of IronWal: bytes and their meaning, without I/O.
//!
//! A stream of entries is a directory of segment files; a segment is a sequence of frames; a frame is
//! what is written and checked as one. [`specification`] says what every byte means. This crate
//! encodes and decodes them, and decides what a crash, a rotten bit or a missing file has left of a
//! log. It knows no file, no clock and no thread, needs no `std`, and forbids `unsafe`. Whatever bytes
//! it gets, it answers with a value: it does not panic, and allocates no more than its limits allow.
//!
//! # From bytes to a verdict
//!
//! A segment in memory, written by the encoders, cut in the middle of its last frame, and scanned:
//!
//! ```
//! use ironwal_format::checksum::Salt;
//! use ironwal_format::frame::Placement;
//! use ironwal_format::payload::{Compression, EntryLimits, prepare_batch, prepare_entry};
//! use ironwal_format::scan::{ScanFrom, scan};
//! use ironwal_format::segment_header::SegmentHeader;
//! use ironwal_format::verdict::{Evidence, Verdict, judge};
//! use ironwal_format::{Ordinal, SequenceNumber, StreamId, StreamKey};
//!
//! let header = SegmentHeader {
//!     base: SequenceNumber::ZERO,
//!     ordinal: Ordinal::ZERO,
//!     id: StreamId::new([7; 16]),
//!     key: StreamKey::new("orders")?,
//!     created_unix_nanos: 0,
//! };
//! let salt = Salt::of(header.id, header.ordinal);
//! let mut segment = header.encode();
//! let start = segment.len() as u64;
//!
//! let limits = EntryLimits::new(1 << 20, 1 << 20);
//! let mut frame = prepare_entry(b"entry 0", limits, Compression::None)?;
//! let base = SequenceNumber::ZERO;
//! segment.extend_from_slice(frame.place(Placement { salt, offset: start, base, synced_len: 0 }));
//!
//! let second = segment.len() as u64;
//! let batch = prepare_batch(["entry 1", "entry 2"], limits, Compression::None)?;
//! let mut frame = batch.expect("it has entries");
//! let base = SequenceNumber::new(1);
//! segment.extend_from_slice(frame.place(Placement { salt, offset: second, base, synced_len: 0 }));
//!
//! let mut source = &segment[..segment.len() - 8];
//! let from = ScanFrom { salt, base: header.base, offset: start, limit: SequenceNumber::MAX };
//! let Ok(found) = scan(&mut source, from);
//! assert_eq!(found.next, SequenceNumber::new(1), "a batch is there whole or not at all");
//!
//! // Nothing proves that the batch was durable: a crash may have cut it.
//! let Verdict::Torn(tear) = judge(&found, Evidence::default()) else { unreachable!() };
//! assert_eq!(tear.offset, second);
//!
//! // A floor in the index says that entries up to number 3 were: it is damage.
//! let floor = Evidence { len: segment.len() as u64, until: SequenceNumber::new(3) };
//! assert!(matches!(judge(&found, floor), Verdict::Damaged { offset, .. } if offset == second));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//!
//! | module | |
//! | --- | --- |
//! | [`names`] | files and directories, stream keys |
//! | [`frame`], [`checksum`] | the frame, and what binds it to its place |
//! | [`segment_header`], [`payload`], [`seal`] | what stands in frames |
//! | [`compress`] | payloads as LZ4 |
//! | [`index`] | what is known of the segments, in another place |
//! | [`walk`] | from frame to frame, over damage too |
//! | [`scan`], [`verdict`] | one segment: how far it is whole, and whether more was durable |
//! | [`repair`] | all segments of a stream: what the log is, and what is to be done |
//!
//! The example `parse_segment` prints a segment file with this crate alone.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod cast;
pub mod checksum;
pub mod compress;
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

#[doc = include_str!("../FORMAT.md")]
pub mod specification {}
