//! One record of an index. Drawn in the [parent module](super).

use crate::{
    cast::{u64_from, usize_from},
    checksum::crc32,
    ids::{Ordinal, SequenceNumber, StreamId},
    index::IndexHeader,
};

/// How many bytes a record has.
pub const RECORD_LEN: usize = 32;

const SEALED: u8 = 1;
const START: u8 = 2;
const FLOOR: u8 = 3;

/// What the index says of a segment. Every value is legal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IndexRecord {
    /// The segment is sealed and synced: its end is the base of the next one.
    Sealed(SegmentRecord),
    /// What lies before this place is gone.
    Start(StartRecord),
    /// The segment is, or was, the active one, and durable up to here.
    Floor(SegmentRecord),
}

/// How much of a segment was durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SegmentRecord {
    /// The sequence number of its first entry.
    pub base: SequenceNumber,
    /// One past the last entry of it that counts. After a rollback it can be lower than the base:
    /// then no entry of it counts.
    pub end: SequenceNumber,
    /// How many bytes of the file.
    pub len: u32,
    /// The segment's ordinal.
    pub ordinal: Ordinal,
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StartRecord {
    /// The first sequence number that is kept.
    pub base: SequenceNumber,
    /// The first segment that is kept.
    pub ordinal: Ordinal,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file ends within it.
    #[error("index record is cut after {len} bytes")]
    Cut {
        /// How many bytes of it there are.
        len: u64,
    },
    /// All of it is zero.
    #[error("index record is zero")]
    Zero,
    /// It is not what was written, or not what was written here for this stream.
    #[error("index record has checksum {stored:#010x}, its bytes have {computed:#010x}")]
    Checksum {
        /// The checksum in the record.
        stored: u32,
        /// The checksum of the record's bytes in this place.
        computed: u32,
    },
    /// The checksum matches, and the kind or other values are none that this version writes.
    #[error("index record of kind {kind} is newer than this program")]
    Newer {
        /// Its kind.
        kind: u8,
    },
}

impl IndexRecord {
    /// The ordinal of the segment that it is about.
    pub const fn ordinal(self) -> Ordinal {
        match self {
            Self::Sealed(segment) | Self::Floor(segment) => segment.ordinal,
            Self::Start(start) => start.ordinal,
        }
    }
}

/// The bytes of a record at `offset` of the index of stream `id`.
pub fn encode_record(record: IndexRecord, id: StreamId, offset: u64) -> [u8; RECORD_LEN] {
    let (kind, SegmentRecord { base, end, len, ordinal }) = match record {
        IndexRecord::Sealed(segment) => (SEALED, segment),
        IndexRecord::Start(StartRecord { base, ordinal }) => {
            (START, SegmentRecord { base, end: SequenceNumber::ZERO, len: 0, ordinal })
        }
        IndexRecord::Floor(segment) => (FLOOR, segment),
    };
    let [b0, b1, b2, b3, b4, b5, b6, b7] = base.get().to_le_bytes();
    let [e0, e1, e2, e3, e4, e5, e6, e7] = end.get().to_le_bytes();
    let [l0, l1, l2, l3] = len.to_le_bytes();
    let [o0, o1, o2, o3] = ordinal.get().to_le_bytes();
    #[rustfmt::skip]
    let checked = [
        kind, 0, 0, 0,                  //  4: kind, zero
        b0, b1, b2, b3, b4, b5, b6, b7, //  8: base
        e0, e1, e2, e3, e4, e5, e6, e7, // 16: end
        l0, l1, l2, l3,                 // 24: length
        o0, o1, o2, o3,                 // 28: ordinal
    ];
    let mut bytes = [0; RECORD_LEN];
    let checksum = checksum(&checked, id, offset).to_le_bytes();
    bytes.iter_mut().zip(checksum.iter().chain(&checked)).for_each(|(to, from)| *to = *from);
    bytes
}

/// Reads the record at `offset` of the index of stream `id`.
///
/// # Errors
///
/// Any [`RecordError`] but [`RecordError::Cut`].
pub fn decode_record(
    bytes: &[u8; RECORD_LEN],
    id: StreamId,
    offset: u64,
) -> Result<IndexRecord, RecordError> {
    if *bytes == [0; RECORD_LEN] {
        return Err(RecordError::Zero);
    }
    let [c0, c1, c2, c3, checked @ ..] = bytes;
    let stored = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
    let computed = checksum(checked, id, offset);
    if stored != computed {
        return Err(RecordError::Checksum { stored, computed });
    }
    #[rustfmt::skip]
    let [
        kind, r0, r1, r2,               //  4: kind, zero
        b0, b1, b2, b3, b4, b5, b6, b7, //  8: base
        e0, e1, e2, e3, e4, e5, e6, e7, // 16: end
        l0, l1, l2, l3,                 // 24: length
        o0, o1, o2, o3,                 // 28: ordinal
    ] = *checked;
    let segment = SegmentRecord {
        base: SequenceNumber::new(u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7])),
        end: SequenceNumber::new(u64::from_le_bytes([e0, e1, e2, e3, e4, e5, e6, e7])),
        len: u32::from_le_bytes([l0, l1, l2, l3]),
        ordinal: Ordinal::new(u32::from_le_bytes([o0, o1, o2, o3])),
    };
    let newer = Err(RecordError::Newer { kind });
    if [r0, r1, r2] != [0; 3] {
        return newer;
    }
    match kind {
        SEALED => Ok(IndexRecord::Sealed(segment)),
        START if segment.end == SequenceNumber::ZERO && segment.len == 0 => {
            let SegmentRecord { base, ordinal, .. } = segment;
            Ok(IndexRecord::Start(StartRecord { base, ordinal }))
        }
        FLOOR => Ok(IndexRecord::Floor(segment)),
        _ => newer,
    }
}

/// All records of an index, each with its offset: `bytes` is the whole file, `header` what was
/// decoded from it.
///
/// A bad record does not hide those behind it; a piece of one at the end comes last, as
/// [`RecordError::Cut`].
pub fn scan_records(
    bytes: &[u8],
    header: &IndexHeader,
) -> impl Iterator<Item = (u64, Result<IndexRecord, RecordError>)> {
    let id = header.id();
    let start = header.records_offset();
    let (records, rest) =
        bytes.get(usize_from(start)..).unwrap_or_default().as_chunks::<RECORD_LEN>();
    let offsets = (start..).step_by(RECORD_LEN);
    let cut = (!rest.is_empty()).then(|| {
        let offset = u64_from(bytes.len() - rest.len());
        (offset, Err(RecordError::Cut { len: u64_from(rest.len()) }))
    });
    let whole = records.iter().zip(offsets);
    whole.map(move |(record, offset)| (offset, decode_record(record, id, offset))).chain(cut)
}

/// The checksum of bytes 4 to 32 of a record.
fn checksum(checked: &[u8; RECORD_LEN - 4], id: StreamId, offset: u64) -> u32 {
    crc32(&[&id.get(), &offset.to_le_bytes(), checked])
}
