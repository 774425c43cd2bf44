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
//! Offsets count from the first byte of the first entry, so entry `i` is found in O(1). This is the plain
//! payload: it may be stored as LZ4, which [`compress`](crate::compress) is about.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::cast;
use crate::frame::{
    Encoding, FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameError, FrameKind, MAX_BATCH_LEN,
    MAX_ENTRY_COUNT, PreparedFrame,
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

/// How payloads are to be stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// As they are.
    None,
    /// As LZ4, where that makes the frame shorter. Needs the feature `lz4`, as does reading it.
    #[cfg(feature = "lz4")]
    Lz4 {
        /// Payloads that are shorter stay as they are: in bytes, with the end offsets of a batch.
        min_len: u64,
    },
}

/// Prepares the frame of one entry.
///
/// # Errors
///
/// [`TooLarge::Entry`] before anything is copied.
pub fn prepare_entry(
    entry: &[u8],
    limits: EntryLimits,
    compression: Compression,
) -> Result<PreparedFrame, TooLarge> {
    prepare_entry_in(Vec::new(), entry, limits, compression)
}

/// As [`prepare_entry`], in memory whose bytes are not needed any more: that of
/// [`PreparedFrame::into_memory`], so that who appends often need not allocate each time.
///
/// # Errors
///
/// As [`prepare_entry`].
#[inline]
pub fn prepare_entry_in(
    memory: Vec<u8>,
    entry: &[u8],
    limits: EntryLimits,
    compression: Compression,
) -> Result<PreparedFrame, TooLarge> {
    check_entry(entry, limits)?;
    if let Some(bytes) = pack(entry, compression) {
        return Ok(PreparedFrame::encoded(FrameKind::Entries, Encoding::Lz4, 1, bytes));
    }
    let mut bytes = memory;
    bytes.clear();
    bytes.reserve((FRAME_HEADER_LEN + entry.len()).next_multiple_of(8));
    bytes.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    bytes.extend_from_slice(entry);
    Ok(PreparedFrame::new(FrameKind::Entries, 1, bytes))
}

/// Prepares the one frame of a batch; `None` for a batch without entries.
///
/// # Errors
///
/// [`TooLarge`]: the whole batch is refused.
pub fn prepare_batch<I>(
    entries: I,
    limits: EntryLimits,
    compression: Compression,
) -> Result<Option<PreparedFrame>, TooLarge>
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let mut batch = BatchBuilder::new(limits);
    for entry in entries {
        batch.push(entry.as_ref())?;
    }
    Ok(batch.prepare(compression))
}

/// A batch that grows entry by entry, until it is prepared as one frame.
#[derive(Clone)]
pub struct BatchBuilder {
    limits: EntryLimits,
    ends: Vec<u32>,
    /// Room for the header, then the entries; with a capacity for the end offsets and the padding.
    bytes: Vec<u8>,
}

/// Lengths only: entry bytes are the caller's, and nobody else's to see.
impl fmt::Debug for BatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder")
            .field("limits", &self.limits)
            .field("len", &self.len())
            .field("entries_len", &self.entries_len())
            .finish_non_exhaustive()
    }
}

impl BatchBuilder {
    /// A batch without entries, which takes no memory.
    pub const fn new(limits: EntryLimits) -> Self {
        Self { limits, ends: Vec::new(), bytes: Vec::new() }
    }

    /// Adds an entry behind the others.
    ///
    /// # Errors
    ///
    /// [`TooLarge`]: the batch is as it was.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), TooLarge> {
        check_entry(entry, self.limits)?;
        let len = self.entries_len() + cast::u64_from(entry.len());
        let limit = self.limits.max_batch_len;
        if len > limit {
            return Err(TooLarge::Batch { len, limit });
        }
        if self.ends.len() == cast::usize_from_u32(MAX_ENTRY_COUNT) {
            return Err(TooLarge::EntryCount);
        }
        let padding = cast::usize_from(FRAME_ALIGNMENT);
        let table_len = (self.ends.len() + 1) * OFFSET_LEN;
        self.bytes.reserve(FRAME_HEADER_LEN + entry.len() + table_len + padding);
        if self.ends.is_empty() {
            self.bytes.resize(FRAME_HEADER_LEN, 0);
        }
        self.bytes.extend_from_slice(entry);
        self.ends.push(u32::try_from(len).expect("the limit is below 2^32"));
        Ok(())
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes the entries have together.
    pub fn entries_len(&self) -> u64 {
        self.ends.last().copied().map_or(0, u64::from)
    }

    /// Prepares the one frame of the batch; `None` if there is no entry.
    pub fn prepare(self, compression: Compression) -> Option<PreparedFrame> {
        let Self { ends, mut bytes, .. } = self;
        let count = u32::try_from(ends.len()).expect("the limit is below 2^32");
        match count {
            0 => return None,
            1 => {}
            _ => insert_ends(&mut bytes, &ends),
        }
        let plain = bytes.get(FRAME_HEADER_LEN..).unwrap_or_default();
        Some(match pack(plain, compression) {
            Some(packed) => {
                PreparedFrame::encoded(FrameKind::Entries, Encoding::Lz4, count, packed)
            }
            None => PreparedFrame::new(FrameKind::Entries, count, bytes),
        })
    }
}

/// Puts the end offsets before the entries, which move within memory that was reserved for it.
fn insert_ends(bytes: &mut Vec<u8>, ends: &[u32]) {
    let (len, table_len) = (bytes.len(), ends.len() * OFFSET_LEN);
    bytes.resize(len + table_len, 0);
    bytes.copy_within(FRAME_HEADER_LEN..len, FRAME_HEADER_LEN + table_len);
    let (_, behind) = bytes.split_at_mut(FRAME_HEADER_LEN);
    let (places, _) = behind.as_chunks_mut::<OFFSET_LEN>();
    for (place, end) in places.iter_mut().zip(ends) {
        *place = end.to_le_bytes();
    }
}

/// The LZ4 payload for a plain one, behind room for the header of a frame; `None` where that is to stay
/// as it is.
#[cfg(feature = "lz4")]
fn pack(plain: &[u8], compression: Compression) -> Option<Vec<u8>> {
    match compression {
        Compression::Lz4 { min_len } if cast::u64_from(plain.len()) >= min_len => {
            crate::compress::pack_lz4(plain)
        }
        Compression::Lz4 { .. } | Compression::None => None,
    }
}

#[cfg(not(feature = "lz4"))]
const fn pack(_plain: &[u8], Compression::None: Compression) -> Option<Vec<u8>> {
    None
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
    const RAW: Compression = Compression::None;

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

    /// What no entry covers is no payload of ours.
    #[test]
    fn the_last_entry_of_a_batch_ends_where_the_payload_does() {
        let (count, payload) =
            payload_of(prepare_batch(["one", "two"], LIMITS, RAW).unwrap().unwrap());
        for by in [1, 3] {
            let mut forged = payload.clone();
            forged[4] -= by;
            assert!(entry_range(&forged, count, 0).is_ok());
            assert_eq!(entry_range(&forged, count, 1), Err(FrameError::EntryOffsets));
        }
    }

    #[test]
    fn every_entry_of_a_batch_is_found_empty_ones_too() {
        let entries: [&[u8]; 5] = [b"", b"a", b"", b"four", b""];
        for n in 1..=entries.len() {
            let batch = &entries[..n];
            let (count, payload) = payload_of(prepare_batch(batch, LIMITS, RAW).unwrap().unwrap());
            assert_eq!(count as usize, n);
            for (index, entry) in (0..).zip(batch) {
                let range = entry_range(&payload, count, index).unwrap();
                assert_eq!(&payload[range], *entry);
            }
        }
    }

    #[test]
    fn a_batch_of_one_is_stored_like_a_single_entry() {
        let single = payload_of(prepare_entry(b"alone", LIMITS, RAW).unwrap());
        let batch = payload_of(prepare_batch([b"alone"], LIMITS, RAW).unwrap().unwrap());
        assert_eq!(single, batch);
        assert_eq!(single.1, b"alone");
    }

    /// Shorter and longer than what the memory held before.
    #[test]
    fn nothing_of_what_was_in_the_memory_before_gets_into_a_frame() {
        let mut memory = vec![0xEE; 64];
        for len in [40, 3, 0, 100, 8, 99] {
            let entry = vec![0x11; len];
            let frame = prepare_entry_in(memory, &entry, LIMITS, RAW).unwrap();
            let fresh = prepare_entry(&entry, LIMITS, RAW).unwrap();
            memory = frame.clone().into_memory();
            assert_eq!(memory, fresh.clone().into_memory());
            assert_eq!(payload_of(frame), payload_of(fresh));
            memory.fill(0xEE);
        }
    }

    #[test]
    fn nothing_is_prepared_past_a_limit() {
        let long = vec![0; 101];
        let entry = TooLarge::Entry { len: 101, limit: 100 };
        assert_eq!(prepare_entry(&long, LIMITS, RAW).unwrap_err(), entry);
        assert_eq!(prepare_batch([&long], LIMITS, RAW).unwrap_err(), entry);
        let batch = TooLarge::Batch { len: 200, limit: 150 };
        assert_eq!(prepare_batch([&long[..100], &long[..100]], LIMITS, RAW).unwrap_err(), batch);
        assert!(prepare_batch([&long[..100], &long[..50]], LIMITS, RAW).is_ok());
        let many = core::iter::repeat_n([], (1 << 24) + 1);
        assert_eq!(prepare_batch(many, LIMITS, RAW).unwrap_err(), TooLarge::EntryCount);
        assert!(prepare_batch(Vec::<Vec<u8>>::new(), LIMITS, RAW).unwrap().is_none());
    }

    #[test]
    fn limits_that_no_frame_can_hold_are_those_of_the_format() {
        let most = EntryLimits::new(MAX_BATCH_LEN, MAX_BATCH_LEN);
        for more in [MAX_BATCH_LEN + 1, u64::MAX] {
            assert_eq!(EntryLimits::new(more, MAX_BATCH_LEN), most);
            assert_eq!(EntryLimits::new(MAX_BATCH_LEN, more), most);
        }
        assert_ne!(EntryLimits::new(MAX_BATCH_LEN - 1, MAX_BATCH_LEN), most);
        assert_ne!(EntryLimits::new(MAX_BATCH_LEN, MAX_BATCH_LEN - 1), most);
    }

    /// Every value of each byte of a small offset table: an error or a slice of the payload.
    #[test]
    fn crafted_offsets_never_reach_outside_the_payload() {
        let (count, payload) =
            payload_of(prepare_batch([b"ab", b"cd"], LIMITS, RAW).unwrap().unwrap());
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

    #[test]
    fn a_batch_that_is_built_is_the_batch_of_its_entries_and_a_refused_entry_changes_nothing() {
        let mut built = BatchBuilder::new(LIMITS);
        assert!(built.is_empty() && built.clone().prepare(RAW).is_none());
        let mut entries: Vec<&[u8]> = Vec::new();
        for entry in [&[1_u8; 100][..], b"", b"two", &[4; 47]] {
            let long = [0; 101];
            assert!(matches!(built.push(&long), Err(TooLarge::Entry { .. })));
            built.push(entry).unwrap();
            entries.push(entry);
            assert!(!built.is_empty());
            assert_eq!(
                (built.len(), built.entries_len()),
                (entries.len(), entries.concat().len() as u64)
            );
            let expected = prepare_batch(&entries, LIMITS, RAW).unwrap().unwrap();
            assert_eq!(payload_of(built.clone().prepare(RAW).unwrap()), payload_of(expected));
        }
        assert_eq!(built.push(b"x"), Err(TooLarge::Batch { len: 151, limit: 150 }));
        assert_eq!(built.push(b""), Ok(()));
        assert_eq!((built.len(), built.entries_len()), (5, 150));
    }

    /// Entries are copied once, and moved once within memory that is there.
    #[test]
    fn preparing_a_batch_asks_for_no_more_memory() {
        for count in 1..200 {
            let mut built = BatchBuilder::new(EntryLimits::new(1 << 20, 1 << 20));
            (0..count).for_each(|n| built.push(&vec![0; n % 7]).unwrap());
            let (place, capacity) = (built.bytes.as_ptr(), built.bytes.capacity());
            let mut frame = built.prepare(RAW).unwrap();
            let at = Placement {
                salt: Salt::NONE,
                offset: 0,
                base: SequenceNumber::ZERO,
                synced_len: 0,
            };
            assert_eq!(frame.place(at).as_ptr(), place);
            assert!(frame.frame_len() <= capacity as u64);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "lz4")]
mod lz4_tests {
    use super::*;
    use crate::checksum::Salt;
    use crate::compress::{plain_len, unpack_lz4};
    use crate::frame::{FrameHeader, Placement};
    use crate::ids::SequenceNumber;
    use alloc::vec;

    const LIMITS: EntryLimits = EntryLimits::new(1 << 20, 1 << 20);
    const AT: Placement =
        Placement { salt: Salt::NONE, offset: 64, base: SequenceNumber::ZERO, synced_len: 0 };

    const fn lz4(min_len: u64) -> Compression {
        Compression::Lz4 { min_len }
    }

    fn decode(bytes: &[u8]) -> Result<(FrameHeader, &[u8]), FrameError> {
        let header = FrameHeader::decode(bytes.first_chunk().unwrap(), Salt::NONE, 64)?;
        let padded = &bytes[FRAME_HEADER_LEN..];
        header.check_payload(padded)?;
        Ok((header, &padded[..header.payload_len() as usize]))
    }

    /// The encoding of a frame, and its entries.
    fn read(mut frame: PreparedFrame) -> (Encoding, Vec<Vec<u8>>) {
        let (header, payload) = decode(frame.place(AT)).unwrap();
        let plain = match header.encoding() {
            Encoding::Raw => payload.to_vec(),
            Encoding::Lz4 => unpack_lz4(payload).unwrap(),
        };
        let count = header.entry_count();
        let entry = |index| plain[entry_range(&plain, count, index).unwrap()].to_vec();
        (header.encoding(), (0..count).map(entry).collect())
    }

    #[test]
    fn what_is_shorter_than_the_threshold_stays_raw_and_all_else_is_read_back() {
        for count in 1..40 {
            let entries = vec![b"a line of a log".to_vec(); count];
            let table_len = if count > 1 { 4 * count } else { 0 };
            let plain_len = (15 * count + table_len) as u64;
            for min_len in [0, plain_len - 1, plain_len, plain_len + 1, u64::MAX] {
                let frame = prepare_batch(&entries, LIMITS, lz4(min_len)).unwrap().unwrap();
                let raw = prepare_batch(&entries, LIMITS, Compression::None).unwrap().unwrap();
                assert_eq!(frame.entry_count() as usize, count);
                // Few entries have nothing in them that comes twice.
                let is_packed = min_len <= plain_len && count > 2;
                assert_eq!(frame.frame_len() < raw.frame_len(), is_packed, "{count} {min_len}");
                let expected = if is_packed { Encoding::Lz4 } else { Encoding::Raw };
                assert_eq!(frame.encoding(), expected);
                assert_eq!(read(frame), (expected, entries.clone()));
            }
        }
    }

    #[test]
    fn a_frame_that_would_not_be_shorter_on_disk_stays_raw() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        for len in 0..300 {
            for zeros in [0, 8, 12, 16, 20, 24, 32] {
                let entry: Vec<u8> =
                    (0..len).map(|_| noise()).chain(core::iter::repeat_n(0, zeros)).collect();
                let frame = prepare_entry(&entry, LIMITS, lz4(0)).unwrap();
                let raw = prepare_entry(&entry, LIMITS, Compression::None).unwrap();
                match frame.encoding() {
                    Encoding::Raw => assert_eq!(frame.frame_len(), raw.frame_len()),
                    Encoding::Lz4 => assert!(frame.frame_len() < raw.frame_len()),
                }
                assert!(zeros > 0 || frame.encoding() == Encoding::Raw, "{len}");
                assert!(zeros < 32 || frame.encoding() == Encoding::Lz4, "{len}");
                assert_eq!(read(frame).1, [entry]);
            }
        }
    }

    #[test]
    fn every_turned_bit_of_a_compressed_frame_is_seen() {
        let entries = [&[b'x'; 70][..], b"abcabcabcabcabcabc"];
        let mut frame = prepare_batch(entries, LIMITS, lz4(0)).unwrap().unwrap();
        let bytes = frame.place(AT).to_vec();
        assert_eq!(decode(&bytes).unwrap().0.encoding(), Encoding::Lz4);
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&turned).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_run_of_many_megabytes_is_read_back() {
        let limits = EntryLimits::new(32 << 20, 32 << 20);
        let entry = vec![7; 32 << 20];
        let mut frame = prepare_entry(&entry, limits, lz4(0)).unwrap();
        assert!(frame.frame_len() < 140_000);
        let (_, payload) = decode(frame.place(AT)).unwrap();
        assert_eq!(plain_len(payload), Ok(32 << 20));
        assert!(unpack_lz4(payload).unwrap() == entry);
    }
}
