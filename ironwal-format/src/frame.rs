//! The frame: a 32-byte header, a payload, zero padding to a multiple of 8.
//!
//! ```text
//!  0      1      2             4                           8
//!  +------+------+-------------+---------------------------+
//!  | 0xA7 | kind |  zero       |  header CRC               |
//!  +------+------+-------------+---------------------------+  8
//!  |  base sequence                                        |
//!  +---------------------------+---------------------------+ 16
//!  |  entry count              |  payload length           |
//!  +---------------------------+---------------------------+ 24
//!  |  payload CRC              |  synced length            |
//!  +---------------------------+---------------------------+ 32
//!  |  payload ...                    zero padding to 8     |
//! ```
//!
//! The header CRC starts with the segment's [`Salt`] and the frame's offset in the file, so that no
//! bytes of another segment or another place pass for a frame. It is checked before any field is
//! believed, and it is enough to step to the next frame: damage in a payload hides nothing behind
//! it. The payload CRC covers payload and padding.

use alloc::vec::Vec;
use core::fmt;

use crate::cast;
use crate::checksum::{Salt, crc32};
use crate::ids::SequenceNumber;

/// The length of a frame header in bytes.
pub const FRAME_HEADER_LEN: usize = 32;

/// [`FRAME_HEADER_LEN`] as a length on disk.
pub const HEADER_LEN: u64 = 32;

/// Frames start at multiples of this.
pub const FRAME_ALIGNMENT: u64 = 8;

/// The most entries that one frame holds: 2^24.
pub const MAX_ENTRY_COUNT: u32 = 1 << 24;

/// The most bytes of entries that one frame holds: 1 GiB.
pub const MAX_BATCH_LEN: u64 = 1 << 30;

/// The longest payload: as many bytes of entries as a frame may hold, behind their end offsets.
pub const MAX_PAYLOAD_LEN: u32 = (1 << 30) + 4 * MAX_ENTRY_COUNT;

/// No offset in a segment file reaches this: offsets on disk have 32 bits.
pub const MAX_SEGMENT_FILE_LEN: u64 = u32::MAX as u64;

const MARKER: u8 = 0xA7;
const KIND_SEGMENT_HEADER: u8 = 0;
const KIND_ENTRIES: u8 = 1;
const KIND_SEAL: u8 = 2;
const FLAG_LZ4: u8 = 0x10;
const KIND_ENTRIES_LZ4: u8 = KIND_ENTRIES | FLAG_LZ4;

/// What a frame is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameKind {
    /// The first frame of a segment.
    SegmentHeader,
    /// One or more entries.
    Entries,
    /// The last frame of a sealed segment.
    Seal,
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            Self::SegmentHeader => KIND_SEGMENT_HEADER,
            Self::Entries => KIND_ENTRIES,
            Self::Seal => KIND_SEAL,
        }
    }
}

/// How the payload of a frame is stored. What is no frame of entries is raw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// The plain payload.
    Raw,
    /// A plain size and one LZ4 block: see [`compress`](crate::compress).
    Lz4,
}

impl Encoding {
    const fn flags(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Lz4 => FLAG_LZ4,
        }
    }
}

/// Why bytes are not a frame that this version can use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No frame starts like this.
    #[error("a frame starts with byte a7, here is {0:02x}")]
    Marker(u8),
    /// The header is not the one that was written at this place of this segment.
    #[error("header checksum is {computed:08x}, the header says {stored:08x}")]
    HeaderChecksum {
        /// What the header says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A sound header of a kind, with flags or with fields that this version does not know.
    #[error("frame kind and flags {kind:02x}, reserved {reserved:04x} need a newer version")]
    Unsupported {
        /// The byte of kind and flags.
        kind: u8,
        /// The two reserved bytes.
        reserved: u16,
    },
    /// A number of entries that this kind of frame cannot have.
    #[error("a frame of this kind does not hold {0} entries")]
    EntryCount(u32),
    /// The payload is longer than any may be.
    #[error("a payload has at most {MAX_PAYLOAD_LEN} bytes, not {0}")]
    PayloadLen(u32),
    /// The entries would be numbered past the end of the numbering.
    #[error("{count} entries do not fit behind number {base}")]
    Numbering {
        /// The number of the first.
        base: SequenceNumber,
        /// How many.
        count: u32,
    },
    /// More bytes are called synced than lie before the frame.
    #[error("synced length {synced} is past the frame at byte {offset}")]
    SyncedLen {
        /// What the header says.
        synced: u32,
        /// Where the frame is.
        offset: u64,
    },
    /// The file ends, or ends in zeros, inside the frame.
    #[error("the frame has {needed} bytes, here are {available}")]
    Cut {
        /// How many bytes there are from the start of the frame.
        available: u64,
        /// How many it takes.
        needed: u64,
    },
    /// The payload is not what was written.
    #[error("payload checksum is {computed:08x}, the header says {stored:08x}")]
    PayloadChecksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A sound frame whose number does not follow from the one before.
    #[error("the frame starts at number {found}, expected is {expected}")]
    Sequence {
        /// What should follow.
        expected: SequenceNumber,
        /// What the header says.
        found: SequenceNumber,
    },
    /// A sound frame of a kind that cannot stand here.
    #[error("a frame of another kind was expected")]
    Kind,
    /// The end offsets of the entries do not rise or do not fit the payload.
    #[error("the end offsets of the entries do not fit the payload")]
    EntryOffsets,
    /// The plain size of an LZ4 payload is past the limit, or more than its block can give.
    #[error("the LZ4 payload says that it gives {0} bytes, which it cannot")]
    Lz4Size(u32),
    /// The LZ4 payload is no block that gives as many bytes as it says.
    #[error("the LZ4 payload does not decompress to the size that it says")]
    Lz4Block,
    /// The payload is LZ4, which this build cannot read: not damage.
    #[error("the payload is LZ4, and this build has no feature lz4")]
    Lz4Missing,
}

impl FrameError {
    /// Whether a newer version wrote this: not damage, and not to be touched.
    pub const fn is_unsupported(self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    /// Whether a build with all features would know more: not damage.
    pub const fn is_missing_feature(self) -> bool {
        matches!(self, Self::Lz4Missing)
    }
}

/// A header whose checksum matched and whose fields are possible.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameHeader {
    kind: FrameKind,
    encoding: Encoding,
    base: SequenceNumber,
    entry_count: u32,
    payload_len: u32,
    payload_crc: u32,
    synced_len: u32,
}

impl FrameHeader {
    /// Decodes the header of the frame at byte `offset` of the segment with this salt.
    ///
    /// # Errors
    ///
    /// A [`FrameError`] that says what is wrong; the checksum is judged before any field but the
    /// marker.
    #[inline]
    pub fn decode(
        bytes: &[u8; FRAME_HEADER_LEN],
        salt: Salt,
        offset: u64,
    ) -> Result<Self, FrameError> {
        #[rustfmt::skip]
        let [
            marker, kind, r0, r1,           //  0: marker, kind and flags, reserved
            c0, c1, c2, c3,                 //  4: header CRC
            b0, b1, b2, b3, b4, b5, b6, b7, //  8: base sequence
            n0, n1, n2, n3,                 // 16: entry count
            l0, l1, l2, l3,                 // 20: payload length
            p0, p1, p2, p3,                 // 24: payload CRC
            s0, s1, s2, s3,                 // 28: synced length
        ] = *bytes;

        if marker != MARKER {
            return Err(FrameError::Marker(marker));
        }
        let stored = u32::from_le_bytes([c0, c1, c2, c3]);
        let computed = header_crc(bytes, salt, offset);
        if stored != computed {
            return Err(FrameError::HeaderChecksum { stored, computed });
        }
        let reserved = u16::from_le_bytes([r0, r1]);
        let unsupported = FrameError::Unsupported { kind, reserved };
        if reserved != 0 {
            return Err(unsupported);
        }
        let (kind, encoding) = match kind {
            KIND_SEGMENT_HEADER => (FrameKind::SegmentHeader, Encoding::Raw),
            KIND_ENTRIES => (FrameKind::Entries, Encoding::Raw),
            KIND_ENTRIES_LZ4 => (FrameKind::Entries, Encoding::Lz4),
            KIND_SEAL => (FrameKind::Seal, Encoding::Raw),
            _ => return Err(unsupported),
        };
        Self {
            kind,
            encoding,
            base: SequenceNumber::new(u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7])),
            entry_count: u32::from_le_bytes([n0, n1, n2, n3]),
            payload_len: u32::from_le_bytes([l0, l1, l2, l3]),
            payload_crc: u32::from_le_bytes([p0, p1, p2, p3]),
            synced_len: u32::from_le_bytes([s0, s1, s2, s3]),
        }
        .checked(offset)
    }

    /// The bytes of this header at byte `offset` of the segment with this salt.
    #[inline]
    pub fn encode(&self, salt: Salt, offset: u64) -> [u8; FRAME_HEADER_LEN] {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = self.base.get().to_le_bytes();
        let [n0, n1, n2, n3] = self.entry_count.to_le_bytes();
        let [l0, l1, l2, l3] = self.payload_len.to_le_bytes();
        let [p0, p1, p2, p3] = self.payload_crc.to_le_bytes();
        let [s0, s1, s2, s3] = self.synced_len.to_le_bytes();
        #[rustfmt::skip]
        let mut bytes = [
            MARKER, self.kind.code() | self.encoding.flags(), 0, 0,
            0, 0, 0, 0,
            b0, b1, b2, b3, b4, b5, b6, b7,
            n0, n1, n2, n3,
            l0, l1, l2, l3,
            p0, p1, p2, p3,
            s0, s1, s2, s3,
        ];
        let crc = header_crc(&bytes, salt, offset);
        let [_, _, _, _, c0, c1, c2, c3, ..] = &mut bytes;
        [*c0, *c1, *c2, *c3] = crc.to_le_bytes();
        bytes
    }

    /// What the frame is for.
    pub const fn kind(&self) -> FrameKind {
        self.kind
    }

    /// How the payload is stored.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The number of the first entry; in a seal, the base of the next segment.
    pub const fn base(&self) -> SequenceNumber {
        self.base
    }

    /// How many entries the frame holds.
    pub const fn entry_count(&self) -> u32 {
        self.entry_count
    }

    /// One past the number of the last entry.
    pub fn end(&self) -> SequenceNumber {
        self.base.checked_add(u64::from(self.entry_count)).expect("checked when it was decoded")
    }

    /// The length of the payload on disk, without padding.
    pub const fn payload_len(&self) -> u32 {
        self.payload_len
    }

    /// The length of the payload with padding: what the payload CRC covers.
    pub const fn padded_len(&self) -> u64 {
        padded(self.payload_len as u64)
    }

    /// The CRC-32 that payload and padding must have.
    pub const fn payload_crc(&self) -> u32 {
        self.payload_crc
    }

    /// How many bytes of the segment a returned sync had covered when this header was made.
    pub const fn synced_len(&self) -> u64 {
        self.synced_len as u64
    }

    /// The length of the whole frame: header, payload, padding.
    pub const fn frame_len(&self) -> u64 {
        HEADER_LEN + self.padded_len()
    }

    /// Checks payload and padding.
    ///
    /// # Errors
    ///
    /// [`FrameError::PayloadChecksum`], and [`FrameError::Cut`] when `padded` is shorter than that.
    #[inline]
    pub fn check_payload(&self, padded: &[u8]) -> Result<(), FrameError> {
        let available = cast::u64_from(padded.len());
        if available != self.padded_len() {
            let (available, needed) = (HEADER_LEN + available, self.frame_len());
            return Err(FrameError::Cut { available, needed });
        }
        self.check_payload_crc(crc32(&[padded]))
    }

    /// Checks the CRC-32 of payload and padding.
    ///
    /// # Errors
    ///
    /// [`FrameError::PayloadChecksum`].
    #[inline]
    pub const fn check_payload_crc(&self, computed: u32) -> Result<(), FrameError> {
        if computed == self.payload_crc {
            return Ok(());
        }
        Err(FrameError::PayloadChecksum { stored: self.payload_crc, computed })
    }

    #[inline]
    fn checked(self, offset: u64) -> Result<Self, FrameError> {
        let Self { kind, base, entry_count: count, payload_len, synced_len: synced, .. } = self;
        let count_fits = match kind {
            FrameKind::Entries => (1..=MAX_ENTRY_COUNT).contains(&count),
            FrameKind::SegmentHeader | FrameKind::Seal => count == 0,
        };
        if !count_fits {
            return Err(FrameError::EntryCount(count));
        }
        if payload_len > MAX_PAYLOAD_LEN {
            return Err(FrameError::PayloadLen(payload_len));
        }
        if base.checked_add(u64::from(count)).is_none() {
            return Err(FrameError::Numbering { base, count });
        }
        if u64::from(synced) > offset {
            return Err(FrameError::SyncedLen { synced, offset });
        }
        Ok(self)
    }
}

/// A frame that is ready but for its place: payload, padding and payload CRC are done before any
/// lock is taken, the header when number and offset are known.
#[derive(Clone)]
pub struct PreparedFrame {
    kind: FrameKind,
    encoding: Encoding,
    entry_count: u32,
    payload_len: u32,
    payload_crc: u32,
    /// Room for the header, payload, padding.
    bytes: Vec<u8>,
}

/// Lengths only: entry bytes are the caller's, and nobody else's to see.
impl fmt::Debug for PreparedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedFrame")
            .field("kind", &self.kind)
            .field("encoding", &self.encoding)
            .field("entry_count", &self.entry_count)
            .field("payload_len", &self.payload_len)
            .finish_non_exhaustive()
    }
}

/// Where a frame comes to stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placement {
    /// The salt of the segment.
    pub salt: Salt,
    /// The offset in the segment file.
    pub offset: u64,
    /// The number of the first entry; in a seal, the base of the next segment.
    pub base: SequenceNumber,
    /// How many bytes of the segment a returned sync has covered.
    pub synced_len: u64,
}

impl PreparedFrame {
    /// Prepares a frame around the raw payload that `bytes` holds behind [`FRAME_HEADER_LEN`] bytes of
    /// room.
    ///
    /// # Panics
    ///
    /// As [`encoded`](Self::encoded).
    pub(crate) fn new(kind: FrameKind, entry_count: u32, bytes: Vec<u8>) -> Self {
        Self::encoded(kind, Encoding::Raw, entry_count, bytes)
    }

    /// Prepares a frame around the payload, encoded so, that `bytes` holds behind
    /// [`FRAME_HEADER_LEN`] bytes of room.
    ///
    /// # Panics
    ///
    /// If there is no such room or the payload is longer than [`MAX_PAYLOAD_LEN`]: callers check
    /// their limits first.
    #[inline]
    pub(crate) fn encoded(
        kind: FrameKind,
        encoding: Encoding,
        entry_count: u32,
        mut bytes: Vec<u8>,
    ) -> Self {
        let payload_len = bytes
            .len()
            .checked_sub(FRAME_HEADER_LEN)
            .and_then(|len| u32::try_from(len).ok())
            .filter(|len| *len <= MAX_PAYLOAD_LEN)
            .expect("callers leave room and check the length");
        let frame_len = HEADER_LEN + padded(u64::from(payload_len));
        bytes.resize(cast::usize_from(frame_len), 0);
        let payload_crc = crc32(&[bytes.get(FRAME_HEADER_LEN..).unwrap_or_default()]);
        Self { kind, encoding, entry_count, payload_len, payload_crc, bytes }
    }

    /// The memory that the frame was prepared in, for another.
    pub fn into_memory(self) -> Vec<u8> {
        self.bytes
    }

    /// How many entries the frame holds.
    pub const fn entry_count(&self) -> u32 {
        self.entry_count
    }

    /// How the payload is stored.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The length of the whole frame.
    pub const fn frame_len(&self) -> u64 {
        cast::u64_from(self.bytes.len())
    }

    /// Writes the header for this place; the whole frame is what to write there.
    ///
    /// # Panics
    ///
    /// If the place is past the end of a segment file or of the numbering, or more is called synced
    /// than lies before it: the writer checks first.
    #[inline]
    pub fn place(&mut self, at: Placement) -> &[u8] {
        let header = FrameHeader {
            kind: self.kind,
            encoding: self.encoding,
            base: at.base,
            entry_count: self.entry_count,
            payload_len: self.payload_len,
            payload_crc: self.payload_crc,
            synced_len: u32::try_from(at.synced_len).expect("offsets in a segment have 32 bits"),
        }
        .checked(at.offset)
        .expect("the writer places what it has checked");
        let bytes = header.encode(at.salt, at.offset);
        let room = self.bytes.first_chunk_mut().expect("there is room for the header");
        *room = bytes;
        &self.bytes
    }
}

/// `len` rounded up to the alignment of frames.
pub const fn padded(len: u64) -> u64 {
    len.next_multiple_of(FRAME_ALIGNMENT)
}

/// Where one turned bit would make this the header of a frame: its number, counted from the lowest
/// bit of the first byte. `None` if no single bit does.
pub fn header_bit_error(bytes: &[u8; FRAME_HEADER_LEN], salt: Salt, offset: u64) -> Option<u64> {
    (0..HEADER_LEN * 8).find(|bit| {
        let mut turned = *bytes;
        if let Some(byte) = turned.get_mut(cast::usize_from(bit / 8)) {
            *byte ^= 1 << (bit % 8);
        }
        FrameHeader::decode(&turned, salt, offset).is_ok()
    })
}

/// CRC-32 of salt, offset, and the header without the checksum itself.
fn header_crc(bytes: &[u8; FRAME_HEADER_LEN], salt: Salt, offset: u64) -> u32 {
    let [h0, h1, h2, h3, _, _, _, _, fields @ ..] = bytes;
    // One piece of memory: the checksum of 36 + 4 bytes is made for every frame.
    let mut covered = [0; 4 + 8 + 4 + 24];
    let (head, tail) = covered.split_at_mut(16);
    let [o0, o1, o2, o3, o4, o5, o6, o7] = offset.to_le_bytes();
    let [s0, s1, s2, s3] = salt.get().to_le_bytes();
    head.copy_from_slice(&[s0, s1, s2, s3, o0, o1, o2, o3, o4, o5, o6, o7, *h0, *h1, *h2, *h3]);
    tail.copy_from_slice(fields);
    crc32(&[&covered])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Ordinal, StreamId};

    fn salt() -> Salt {
        Salt::of(StreamId::new([3; 16]), Ordinal::new(5))
    }

    fn frame(payload: &[u8], at: Placement) -> Vec<u8> {
        let mut bytes = alloc::vec![0; FRAME_HEADER_LEN];
        bytes.extend_from_slice(payload);
        PreparedFrame::new(FrameKind::Entries, 1, bytes).place(at).to_vec()
    }

    fn at(offset: u64) -> Placement {
        Placement { salt: salt(), offset, base: SequenceNumber::new(9), synced_len: offset / 2 }
    }

    fn decode(bytes: &[u8], offset: u64) -> Result<FrameHeader, FrameError> {
        let header = FrameHeader::decode(bytes.first_chunk().unwrap(), salt(), offset)?;
        header.check_payload(&bytes[FRAME_HEADER_LEN..])?;
        Ok(header)
    }

    #[test]
    fn what_was_placed_is_what_is_decoded() {
        for len in 0..40 {
            let payload = alloc::vec![0xA7; len];
            let bytes = frame(&payload, at(4096));
            assert_eq!(bytes.len() % 8, 0);
            let header = decode(&bytes, 4096).unwrap();
            assert_eq!(header.kind(), FrameKind::Entries);
            assert_eq!(header.base(), SequenceNumber::new(9));
            assert_eq!(header.end(), SequenceNumber::new(10));
            assert_eq!(header.synced_len(), 2048);
            assert_eq!(header.frame_len(), bytes.len() as u64);
            assert_eq!(header.payload_len() as usize, len);
            assert_eq!(header.payload_crc(), crc32(&[&bytes[FRAME_HEADER_LEN..]]));
        }
    }

    #[test]
    fn a_payload_of_another_length_is_cut_and_not_checked() {
        let bytes = frame(b"thirteen byte", at(64));
        let header = decode(&bytes, 64).unwrap();
        for len in (0..40).filter(|len| *len != 16) {
            let cut = FrameError::Cut { available: HEADER_LEN + len, needed: HEADER_LEN + 16 };
            assert_eq!(header.check_payload(&alloc::vec![0; cast::usize_from(len)]), Err(cut));
        }
    }

    #[test]
    fn a_prepared_frame_is_debugged_by_its_lengths_and_without_its_bytes() {
        let mut bytes = alloc::vec![0; FRAME_HEADER_LEN];
        bytes.extend_from_slice(b"secret");
        let frame = PreparedFrame::new(FrameKind::Entries, 1, bytes);
        let told =
            "PreparedFrame { kind: Entries, encoding: Raw, entry_count: 1, payload_len: 6, .. }";
        assert_eq!(alloc::format!("{frame:?}"), told);
    }

    #[test]
    fn every_turned_bit_of_header_payload_and_padding_is_seen() {
        let bytes = frame(b"thirteen byte", at(64));
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&turned, 64).is_err(), "bit {bit}");
            let in_header = bit < FRAME_HEADER_LEN * 8;
            let hint = header_bit_error(turned.first_chunk().unwrap(), salt(), 64);
            assert_eq!(hint, in_header.then_some(bit as u64));
        }
    }

    #[test]
    fn a_frame_of_another_place_or_segment_is_none() {
        let bytes = frame(b"entry", at(64));
        assert!(decode(&bytes, 72).is_err());
        let other = Salt::of(StreamId::new([3; 16]), Ordinal::new(6));
        assert!(FrameHeader::decode(bytes.first_chunk().unwrap(), other, 64).is_err());
    }

    #[test]
    fn zeros_are_never_a_header() {
        for offset in (0..1 << 16).step_by(8) {
            let decoded = FrameHeader::decode(&[0; FRAME_HEADER_LEN], Salt::NONE, offset);
            assert_eq!(decoded, Err(FrameError::Marker(0)));
        }
    }

    /// Sets one byte and makes the checksum right again.
    fn forged(index: usize, value: u8) -> Result<FrameHeader, FrameError> {
        let bytes = frame(b"entry", at(64));
        let mut header: [u8; FRAME_HEADER_LEN] = *bytes.first_chunk().unwrap();
        header[index] = value;
        let crc = header_crc(&header, salt(), 64);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        FrameHeader::decode(&header, salt(), 64)
    }

    /// The flag of LZ4 is known with entries, and with no other kind.
    #[test]
    fn every_unknown_kind_flag_and_reserved_bit_is_newer_than_us_and_not_damage() {
        for kind in 0..=u8::MAX {
            let known = matches!(kind, 0x00 | 0x01 | 0x02 | 0x11);
            match forged(1, kind) {
                Ok(header) => {
                    assert_eq!(header.kind().code() | header.encoding().flags(), kind);
                    assert_eq!(header.encode(salt(), 64)[1], kind);
                }
                // The other known kinds hold no entries.
                Err(error) => assert_eq!(error.is_unsupported(), !known, "kind {kind}"),
            }
        }
        for value in 1..=u8::MAX {
            assert!(forged(2, value).unwrap_err().is_unsupported());
            assert!(forged(3, value).unwrap_err().is_unsupported());
        }
    }

    #[test]
    fn the_encoding_is_what_was_placed() {
        for encoding in [Encoding::Raw, Encoding::Lz4] {
            let bytes = alloc::vec![0; FRAME_HEADER_LEN + 5];
            let mut frame = PreparedFrame::encoded(FrameKind::Entries, encoding, 3, bytes);
            let header = decode(frame.place(at(64)), 64).unwrap();
            assert_eq!((header.encoding(), header.entry_count()), (encoding, 3));
        }
    }

    #[test]
    fn fields_that_cannot_be_are_refused_under_a_right_checksum() {
        assert_eq!(forged(16, 0), Err(FrameError::EntryCount(0)));
        assert_eq!(forged(19, 2), Err(FrameError::EntryCount((2 << 24) + 1)));
        assert_eq!(forged(23, 0xFF), Err(FrameError::PayloadLen(0xFF00_0005)));
        assert_eq!(forged(28, 72), Err(FrameError::SyncedLen { synced: 72, offset: 64 }));
    }

    /// 2^30 bytes of entries behind 2^24 end offsets.
    #[test]
    fn the_longest_payload_is_the_one_that_the_format_says() {
        assert_eq!(MAX_PAYLOAD_LEN, 0x4400_0000);
        let checked = |payload_len| {
            let (kind, encoding, base) = (FrameKind::Entries, Encoding::Raw, SequenceNumber::ZERO);
            let (entry_count, payload_crc, synced_len) = (1, 0, 0);
            FrameHeader { kind, encoding, base, entry_count, payload_len, payload_crc, synced_len }
                .checked(64)
        };
        assert!(checked(MAX_PAYLOAD_LEN).is_ok());
        let past = MAX_PAYLOAD_LEN + 1;
        assert_eq!(checked(past), Err(FrameError::PayloadLen(past)));
    }

    #[test]
    fn only_what_a_build_cannot_unpack_is_a_missing_feature() {
        assert!(FrameError::Lz4Missing.is_missing_feature());
        assert!(!FrameError::Lz4Missing.is_unsupported());
        assert!(!FrameError::Lz4Block.is_missing_feature());
        assert!(!FrameError::Unsupported { kind: 3, reserved: 0 }.is_missing_feature());
    }

    #[test]
    fn the_last_number_can_be_an_end_and_no_entry_lies_past_it() {
        let last = Placement { base: SequenceNumber::new(u64::MAX - 1), ..at(64) };
        assert_eq!(decode(&frame(b"", last), 64).unwrap().end(), SequenceNumber::MAX);
        let past = FrameHeader {
            kind: FrameKind::Entries,
            encoding: Encoding::Raw,
            base: SequenceNumber::MAX,
            entry_count: 1,
            payload_len: 0,
            payload_crc: 0,
            synced_len: 0,
        };
        assert!(matches!(past.checked(64), Err(FrameError::Numbering { .. })));
    }
}
