//! The index of a stream, `segments.idx`: a header, and what is known of each segment.
//!
//! ```text
//!  offset
//!       0 +------------------------------------------------------------+
//!         | magic: 89 'I' 'W' 'X' 0D 0A 1A 0A                          |
//!       8 +---------------+---------------+----------------------------+
//!         | version = 1   | 10: zero      | 12: CRC-32 of the header   |
//!      16 +---------------+---------------+----------------------------+
//!         | stream id, 16 bytes                                        |
//!      32 +---------------+--------------------------------------------+
//!         | key length    | 34: zero, 30 bytes                         |
//!      64 +---------------+--------------------------------------------+
//!         | stream key, zero up to a multiple of 32                    |
//!       R +------------------------------------------------------------+   R = 64 + key, rounded up
//!         | records of 32 bytes                                        |
//!         +------------------------------------------------------------+
//!
//!  record
//!       0 +-------------+--------+----------+--------------------------+
//!         | CRC-32      | 4:kind | 5: zero  | 8: base                  |
//!      16 +-------------+--------+----------+----------+---------------+
//!         | end                             | 24: len  | 28: ordinal   |
//!      32 +---------------------------------+----------+---------------+
//! ```
//!
//! All numbers are little-endian. Kinds are 1 sealed, 2 start, 3 floor; the end and the length of
//! a start are zero.
//!
//! - The header's checksum covers the whole header, key and padding, without the checksum itself.
//!   Magic and version are judged before it.
//! - A record's checksum covers the stream id, the record's offset in the file (u64) and its bytes
//!   4 to 32, so a record of another stream or another place never passes.
//! - Every record stands for itself: a bad one does not hide those behind it.
//! - A record with a valid checksum and an unknown kind, or with bytes in use that are zero in
//!   this version, is newer than this program, never damaged.
//!
//! The caller brings the bytes of the whole file, at most [`MAX_INDEX_LEN`] of them; nothing here
//! allocates more than a small multiple of what it was given. Whether a segment is missing or
//! damaged is not decided here.

mod header;
mod knowledge;
mod record;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use self::{
    header::{INDEX_MAGIC, INDEX_VERSION, IndexError, IndexHeader, decode_header, encode_header},
    knowledge::IndexKnowledge,
    record::{
        IndexRecord, RECORD_LEN, RecordError, SegmentRecord, StartRecord, decode_record,
        encode_record, scan_records,
    },
};
use crate::cast::u64_from;

/// How many bytes an index has at most: 2^22 records, less those that the header displaces.
pub const MAX_INDEX_LEN: u64 = 32 << 22;

/// All that an index file says, and what of it could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IndexContents {
    /// Whose index it is.
    pub header: IndexHeader,
    /// All valid records, in the order of the file.
    pub records: Vec<IndexRecord>,
    /// Bad records with a valid one behind them: damage, since what stands behind was synced after
    /// them.
    pub bad: Option<BadRecords>,
    /// The first record that is newer than this program; there may be more.
    pub newer: Option<NewerRecord>,
    /// How the file ends.
    pub end: IndexEnd,
}

/// Bad records in the middle of an index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadRecords {
    /// The offset of the first.
    pub first: u64,
    /// How many there are.
    pub count: u64,
}

/// A valid record that this program does not understand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NewerRecord {
    /// Where it stands.
    pub offset: u64,
    /// Its kind.
    pub kind: u8,
}

/// How an index file ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IndexEnd {
    /// With a valid record or, if it has none, with the header.
    Whole,
    /// With records that are cut, bad or zero: an everyday state after a crash.
    Torn {
        /// Where the first of them begins, so where the valid part ends.
        at: u64,
    },
}

/// Reads a whole index file.
///
/// # Errors
///
/// Those of [`decode_header`], and [`IndexError::TooLong`] if the file has more than
/// [`MAX_INDEX_LEN`] bytes. Bad records are no error: see [`IndexContents`].
pub fn read_index(bytes: &[u8]) -> Result<IndexContents, IndexError> {
    let header = decode_header(bytes)?;
    if u64_from(bytes.len()) > MAX_INDEX_LEN {
        return Err(IndexError::TooLong { len: u64_from(bytes.len()) });
    }
    let mut records = Vec::with_capacity(bytes.len() / RECORD_LEN);
    let mut bad: Option<BadRecords> = None;
    let mut newer = None;
    // Bad records behind which no valid one was seen.
    let mut run: Option<BadRecords> = None;
    for (offset, result) in scan_records(bytes, &header) {
        match result {
            Ok(record) => records.push(record),
            Err(RecordError::Newer { kind }) => {
                newer = newer.or(Some(NewerRecord { offset, kind }));
            }
            Err(RecordError::Checksum { .. } | RecordError::Zero | RecordError::Cut { .. }) => {
                run.get_or_insert(BadRecords { first: offset, count: 0 }).count += 1;
                continue;
            }
        }
        if let Some(run) = run.take() {
            bad.get_or_insert(BadRecords { first: run.first, count: 0 }).count += run.count;
        }
    }
    let end = run.map_or(IndexEnd::Whole, |run| IndexEnd::Torn { at: run.first });
    Ok(IndexContents { header, records, bad, newer, end })
}
