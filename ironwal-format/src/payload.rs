//! The payload of an entries frame.
//!
//! ```text
//!  one entry:          the entry itself
//!  n > 1 entries:      n end offsets (u32), then the entries one behind the other
//!
//!  0        4        8             4n
//!  +--------+--------+-- ... ------+---------+---------+-- ...
//!  | end 0  | end 1  |             | entry 0 | entry 1 |
//!  +--------+--------+-- ... ------+---------+---------+-- ...
//! ```
//!
//! Offsets count from the first byte of the first entry, so entry `i` is found in O(1).

use alloc::vec::Vec;
use core::ops::Range;

use crate::cast;
use crate::frame::{
    FRAME_HEADER_LEN, FrameError, FrameKind, MAX_BATCH_LEN, MAX_ENTRY_COUNT, PreparedFrame,
};

/// The length of an end offset.
const OFFSET_LEN: usize = 4;

/// How much one append may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EntryLimits {
    max_entry_len: u64,
    max_batch_len: u64,
}

impl EntryLimits {
    /// Limits in bytes: of one entry, and of all entries of one batch together.
    ///
    /// Values above [`MAX_BATCH_LEN`], what the format can hold, are taken for that.
    pub const fn new(max_entry_len: u64, max_batch_len: u64) -> Self {
        Self {
            max_entry_len: if max_entry_len > MAX_BATCH_LEN {
                MAX_BATCH_LEN
            } else {
                max_entry_len
            },
            max_batch_len: if max_batch_len > MAX_BATCH_LEN {
                MAX_BATCH_LEN
            } else {
                max_batch_len
            },
        }
    }
}

/// Why entries are not appended: nothing was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TooLarge {
    /// One entry is longer than the limit.
    #[error("an entry has {len} bytes, the limit is {limit}")]
    Entry {
        /// Its length.
        len: u64,
        /// The limit in force.
        limit: u64,
    },
    /// The entries together are longer than the limit.
    #[error("a batch has at least {len} bytes, the limit is {limit}")]
    Batch {
        /// The length up to the entry that was too much.
        len: u64,
        /// The limit in force.
        limit: u64,
    },
    /// More entries than one frame holds.
    #[error("a batch has at most {MAX_ENTRY_COUNT} entries")]
    EntryCount,
}

/// Prepares the frame of one entry.
///
/// # Errors
///
/// [`TooLarge::Entry`] before anything is copied.
pub fn prepare_entry(entry: &[u8], limits: EntryLimits) -> Result<PreparedFrame, TooLarge> {
    check_entry(entry, limits)?;
    let mut bytes = Vec::with_capacity((FRAME_HEADER_LEN + entry.len()).next_multiple_of(8));
    bytes.resize(FRAME_HEADER_LEN, 0);
    bytes.extend_from_slice(entry);
    Ok(PreparedFrame::new(FrameKind::Entries, 1, bytes))
}

/// Prepares the one frame of a batch; `None` for a batch without entries.
///
/// # Errors
///
/// [`TooLarge`]: the whole batch is refused.
pub fn prepare_batch<I>(entries: I, limits: EntryLimits) -> Result<Option<PreparedFrame>, TooLarge>
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let mut ends: Vec<u32> = Vec::new();
    let mut joined: Vec<u8> = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        check_entry(entry, limits)?;
        let len = cast::u64_from(joined.len()) + cast::u64_from(entry.len());
        if len > limits.max_batch_len {
            return Err(TooLarge::Batch { len, limit: limits.max_batch_len });
        }
        if ends.len() == cast::usize_from_u32(MAX_ENTRY_COUNT) {
            return Err(TooLarge::EntryCount);
        }
        joined.extend_from_slice(entry);
        ends.push(u32::try_from(len).expect("the limit is below 2^32"));
    }
    let count = u32::try_from(ends.len()).expect("counted above");
    let table_len = if count > 1 { ends.len() * OFFSET_LEN } else { 0 };
    let len = FRAME_HEADER_LEN + table_len + joined.len();
    let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
    bytes.resize(FRAME_HEADER_LEN, 0);
    match count {
        0 => return Ok(None),
        1 => {}
        _ => ends.iter().for_each(|end| bytes.extend_from_slice(&end.to_le_bytes())),
    }
    bytes.extend_from_slice(&joined);
    Ok(Some(PreparedFrame::new(FrameKind::Entries, count, bytes)))
}

fn check_entry(entry: &[u8], limits: EntryLimits) -> Result<(), TooLarge> {
    let len = cast::u64_from(entry.len());
    // A batch of one is a batch: its limit holds for a single entry too.
    let limit = limits.max_entry_len.min(limits.max_batch_len);
    if len > limit { Err(TooLarge::Entry { len, limit }) } else { Ok(()) }
}

/// Where entry `index` of `count` lies in a payload (without padding) whose checksum matched.
///
/// # Errors
///
/// [`FrameError::EntryOffsets`] when the offsets around it do not rise, do not fit, or leave bytes
/// behind the last entry.
///
/// # Panics
///
/// If `index` is not below `count`.
pub fn entry_range(payload: &[u8], count: u32, index: u32) -> Result<Range<usize>, FrameError> {
    assert!(index < count, "entry {index} of {count}");
    if count == 1 {
        return Ok(0..payload.len());
    }
    let table_len = cast::usize_from_u32(count)
        .checked_mul(OFFSET_LEN)
        .filter(|len| *len <= payload.len())
        .ok_or(FrameError::EntryOffsets)?;
    let end_at = |index: u32| -> Result<usize, FrameError> {
        let at = cast::usize_from_u32(index) * OFFSET_LEN;
        let bytes = payload.get(at..).and_then(<[u8]>::first_chunk);
        let end = u32::from_le_bytes(*bytes.ok_or(FrameError::EntryOffsets)?);
        Ok(table_len + cast::usize_from_u32(end))
    };
    let start = match index.checked_sub(1) {
        None => table_len,
        Some(before) => end_at(before)?,
    };
    let end = end_at(index)?;
    let ends_well = index + 1 < count || end == payload.len();
    if start <= end && end <= payload.len() && ends_well {
        Ok(start..end)
    } else {
        Err(FrameError::EntryOffsets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Salt;
    use crate::frame::Placement;
    use crate::ids::SequenceNumber;
    use alloc::vec;

    const LIMITS: EntryLimits = EntryLimits::new(100, 150);

    fn payload_of(mut frame: PreparedFrame) -> (u32, Vec<u8>) {
        let count = frame.entry_count();
        let at =
            Placement { salt: Salt::NONE, offset: 0, base: SequenceNumber::ZERO, synced_len: 0 };
        let bytes = frame.place(at);
        let header =
            crate::frame::FrameHeader::decode(bytes.first_chunk().unwrap(), Salt::NONE, 0).unwrap();
        let len = header.payload_len() as usize;
        (count, bytes[FRAME_HEADER_LEN..FRAME_HEADER_LEN + len].to_vec())
    }

    #[test]
    fn every_entry_of_a_batch_is_found_empty_ones_too() {
        let entries: [&[u8]; 5] = [b"", b"a", b"", b"four", b""];
        for n in 1..=entries.len() {
            let batch = &entries[..n];
            let (count, payload) = payload_of(prepare_batch(batch, LIMITS).unwrap().unwrap());
            assert_eq!(count as usize, n);
            for (index, entry) in (0..).zip(batch) {
                let range = entry_range(&payload, count, index).unwrap();
                assert_eq!(&payload[range], *entry);
            }
        }
    }

    #[test]
    fn a_batch_of_one_is_stored_like_a_single_entry() {
        let single = payload_of(prepare_entry(b"alone", LIMITS).unwrap());
        let batch = payload_of(prepare_batch([b"alone"], LIMITS).unwrap().unwrap());
        assert_eq!(single, batch);
        assert_eq!(single.1, b"alone");
    }

    #[test]
    fn nothing_is_prepared_past_a_limit() {
        let long = vec![0; 101];
        let entry = TooLarge::Entry { len: 101, limit: 100 };
        assert_eq!(prepare_entry(&long, LIMITS).unwrap_err(), entry);
        assert_eq!(prepare_batch([&long], LIMITS).unwrap_err(), entry);
        let batch = TooLarge::Batch { len: 200, limit: 150 };
        assert_eq!(prepare_batch([&long[..100], &long[..100]], LIMITS).unwrap_err(), batch);
        assert!(prepare_batch([&long[..100], &long[..50]], LIMITS).is_ok());
        let many = core::iter::repeat_n([], (1 << 24) + 1);
        assert_eq!(prepare_batch(many, LIMITS).unwrap_err(), TooLarge::EntryCount);
        assert!(prepare_batch(Vec::<Vec<u8>>::new(), LIMITS).unwrap().is_none());
    }

    /// Every value of each byte of a small offset table: an error or a slice of the payload.
    #[test]
    fn crafted_offsets_never_reach_outside_the_payload() {
        let (count, payload) = payload_of(prepare_batch([b"ab", b"cd"], LIMITS).unwrap().unwrap());
        for at in 0..8 {
            for value in 0..=u8::MAX {
                let mut forged = payload.clone();
                forged[at] = value;
                for index in 0..count {
                    if let Ok(range) = entry_range(&forged, count, index) {
                        assert!(forged.get(range).is_some());
                    }
                }
            }
        }
        assert_eq!(entry_range(&payload, 1 << 24, 0), Err(FrameError::EntryOffsets));
    }
}
