//! The first frame of a segment: what file this is.
//!
//! ```text
//!   0                                32-byte frame header, salt 0, base sequence of the segment
//!  32       8 bytes  magic           89 49 57 4C 0D 0A 1A 0A   ("\x89IWL\r\n\x1a\n")
//!  40       u16      format version  1
//!  42       u8       checksum kind   1: CRC-32/ISO-HDLC
//!  43       u8       zero
//!  44       u32      ordinal
//!  48      16 bytes  stream id
//!  64       u64      creation time, nanoseconds since 1970-01-01 UTC; told to people, never judged
//!  72       u16      length of the stream key
//!  74       6 bytes  zero
//!  80                stream key, zero padding to a multiple of 8
//! ```
//!
//! Magic and version stand at fixed offsets and are judged before any checksum, so that "not ours"
//! and "newer than us" are never called damage.

use alloc::vec::Vec;

use crate::cast;
use crate::checksum::Salt;
use crate::frame::{
    FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind, HEADER_LEN, Placement, PreparedFrame,
    padded,
};
use crate::ids::{Ordinal, SequenceNumber, StreamId};
use crate::names::StreamKey;

/// The first bytes of the payload of a segment header, at file offset 32. A line end of each kind
/// shows when a tool has treated the file as text.
pub const SEGMENT_MAGIC: [u8; 8] = [0x89, b'I', b'W', b'L', 0x0D, 0x0A, 0x1A, 0x0A];

/// The format version that this crate reads and writes.
pub const FORMAT_VERSION: u16 = 1;

/// No segment header is longer than this.
pub const MAX_SEGMENT_HEADER_LEN: u64 = HEADER_LEN + FIXED_LEN + 240;

const CHECKSUM_CRC32: u8 = 1;
const FIXED_LEN: u64 = 48;

/// What the first frame of a segment says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SegmentHeader {
    /// The number of the first entry.
    pub base: SequenceNumber,
    /// The place in the order of creation.
    pub ordinal: Ordinal,
    /// The incarnation of the stream.
    pub id: StreamId,
    /// The key of the stream.
    pub key: StreamKey,
    /// When the file was made, in nanoseconds since 1970-01-01 UTC.
    pub created_unix_nanos: u64,
}

/// Why the start of a file is not a segment header that this version can use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentHeaderError {
    /// The file ends, or is zero, before it says what it is.
    #[error("there is no segment header")]
    Absent,
    /// The file says that it is something else.
    #[error("this is not a segment of a log")]
    NotOurs,
    /// The file is of a later format.
    #[error("format version {version} is newer than {FORMAT_VERSION}")]
    Newer {
        /// The version that the file has.
        version: u16,
    },
    /// The file uses a checksum that this version does not know.
    #[error("checksum kind {kind} is newer than this version")]
    ChecksumKind {
        /// The kind that the file has.
        kind: u8,
    },
    /// The checksums match, and bytes are in use that are zero in this version.
    #[error("the segment header has values that version {FORMAT_VERSION} does not use")]
    Reserved,
    /// The header is damaged.
    #[error("the segment header is damaged")]
    Frame(#[source] FrameError),
    /// The checksums match but the fields make no sense.
    #[error("the segment header has impossible fields")]
    Fields,
}

impl SegmentHeaderError {
    /// Whether a newer version wrote this: not damage, and not to be touched.
    pub const fn is_unsupported(self) -> bool {
        match self {
            Self::Newer { .. } | Self::ChecksumKind { .. } | Self::Reserved => true,
            Self::Frame(error) => error.is_unsupported(),
            Self::Absent | Self::NotOurs | Self::Fields => false,
        }
    }

    /// Whether this can be what a crash left of a header that was not synced.
    pub const fn may_be_torn(self) -> bool {
        match self {
            Self::Absent => true,
            Self::Frame(error) => !error.is_unsupported(),
            Self::NotOurs
            | Self::Newer { .. }
            | Self::ChecksumKind { .. }
            | Self::Reserved
            | Self::Fields => false,
        }
    }
}

impl SegmentHeader {
    /// The length of the header of each segment of the stream with this key: known without reading
    /// one.
    pub fn len_for(key: &StreamKey) -> u64 {
        HEADER_LEN + padded(FIXED_LEN + cast::u64_from(key.as_str().len()))
    }

    /// The bytes of the header: the start of the file.
    pub fn encode(&self) -> Vec<u8> {
        let key = self.key.as_str().as_bytes();
        let key_len = u16::try_from(key.len()).expect("a stream key has at most 240 bytes");
        let mut bytes = Vec::with_capacity(cast::usize_from(Self::len_for(&self.key)));
        bytes.resize(FRAME_HEADER_LEN, 0);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[CHECKSUM_CRC32, 0]);
        bytes.extend_from_slice(&self.ordinal.get().to_le_bytes());
        bytes.extend_from_slice(&self.id.get());
        bytes.extend_from_slice(&self.created_unix_nanos.to_le_bytes());
        bytes.extend_from_slice(&key_len.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(key);
        let mut frame = PreparedFrame::new(FrameKind::SegmentHeader, 0, bytes);
        let at = Placement { salt: Salt::NONE, offset: 0, base: self.base, synced_len: 0 };
        frame.place(at).to_vec()
    }

    /// Decodes the start of a file: as many bytes as it has, or [`MAX_SEGMENT_HEADER_LEN`] of them.
    ///
    /// # Errors
    ///
    /// A [`SegmentHeaderError`] that says what is wrong. Where the magic is wrong but the frame
    /// header is ours, that is damage; where both are, the file is not ours.
    pub fn decode(start: &[u8]) -> Result<Self, SegmentHeaderError> {
        let (frame, payload) = match start.split_first_chunk::<FRAME_HEADER_LEN>() {
            Some((frame, rest)) => (FrameHeader::decode(frame, Salt::NONE, 0), rest),
            None => (Err(cut(start.len())), [].as_slice()),
        };
        let (magic, after) = payload.split_at_checked(8).unwrap_or((payload, &[]));
        let version = after.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        if magic == SEGMENT_MAGIC && version > FORMAT_VERSION {
            return Err(SegmentHeaderError::Newer { version });
        }
        let header = match frame {
            Ok(header) => header,
            Err(_) if start.iter().all(|byte| *byte == 0) => {
                return Err(SegmentHeaderError::Absent);
            }
            Err(_) if !is_part_of_magic(magic) => return Err(SegmentHeaderError::NotOurs),
            Err(error) => return Err(SegmentHeaderError::Frame(error)),
        };
        if header.kind() != FrameKind::SegmentHeader {
            return Err(SegmentHeaderError::Frame(FrameError::Kind));
        }
        let padded = payload
            .get(..cast::usize_from(header.padded_len()))
            .ok_or(SegmentHeaderError::Frame(cut(start.len())))?;
        header.check_payload(padded).map_err(SegmentHeaderError::Frame)?;
        Self::decode_fields(padded, &header)
    }

    fn decode_fields(payload: &[u8], frame: &FrameHeader) -> Result<Self, SegmentHeaderError> {
        #[rustfmt::skip]
        let Some((&[
            m0, m1, m2, m3, m4, m5, m6, m7, //  0: magic
            v0, v1,                         //  8: format version
            checksum_kind, z0,              // 10: checksum kind, zero
            o0, o1, o2, o3,                 // 12: ordinal
            i0, i1, i2, i3, i4, i5, i6, i7, // 16: stream id
            i8, i9, ia, ib, ic, id, ie, r#if,
            t0, t1, t2, t3, t4, t5, t6, t7, // 32: creation time
            k0, k1,                         // 40: key length
            z1, z2, z3, z4, z5, z6,         // 42: zero
        ], rest)) = payload.split_first_chunk::<48>() else {
            return Err(SegmentHeaderError::Fields);
        };
        if [m0, m1, m2, m3, m4, m5, m6, m7] != SEGMENT_MAGIC
            || u16::from_le_bytes([v0, v1]) != FORMAT_VERSION
        {
            return Err(SegmentHeaderError::Fields);
        }
        if checksum_kind != CHECKSUM_CRC32 {
            return Err(SegmentHeaderError::ChecksumKind { kind: checksum_kind });
        }
        if [z0, z1, z2, z3, z4, z5, z6] != [0; 7] {
            return Err(SegmentHeaderError::Reserved);
        }
        let key = rest
            .get(..usize::from(u16::from_le_bytes([k0, k1])))
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .and_then(|key| StreamKey::new(key).ok())
            .ok_or(SegmentHeaderError::Fields)?;
        if Self::len_for(&key) != frame.frame_len() {
            return Err(SegmentHeaderError::Fields);
        }
        let id = [i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, ia, ib, ic, id, ie, r#if];
        Ok(Self {
            base: frame.base(),
            ordinal: Ordinal::new(u32::from_le_bytes([o0, o1, o2, o3])),
            id: StreamId::new(id),
            key,
            created_unix_nanos: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
        })
    }
}

/// Whether a crash while the header was written can have left these bytes where the magic is: some
/// of its bytes, and zeros for the others.
fn is_part_of_magic(found: &[u8]) -> bool {
    found.iter().zip(&SEGMENT_MAGIC).all(|(found, whole)| found == whole || *found == 0)
}

/// The error of a file that ends inside its header, as far as it can be told.
fn cut(available: usize) -> FrameError {
    FrameError::Cut { available: cast::u64_from(available), needed: HEADER_LEN + FIXED_LEN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn header(key: &str) -> SegmentHeader {
        SegmentHeader {
            base: SequenceNumber::new(77),
            ordinal: Ordinal::new(3),
            id: StreamId::new(*b"0123456789abcdef"),
            key: StreamKey::new(key).unwrap(),
            created_unix_nanos: 1_790_000_000_000_000_000,
        }
    }

    /// Nothing was written of one, or a crash kept nothing but the length.
    #[test]
    fn a_header_of_nothing_but_zeros_is_absent_and_a_piece_is_cut() {
        for len in [0, 1, 32, 40, 80, 256] {
            assert_eq!(SegmentHeader::decode(&vec![0; len]), Err(SegmentHeaderError::Absent));
        }
        let bytes = header("k").encode();
        for len in [1, 31] {
            let error = FrameError::Cut { available: len, needed: 80 };
            let piece = &bytes[..usize::try_from(len).unwrap()];
            assert_eq!(SegmentHeader::decode(piece), Err(SegmentHeaderError::Frame(error)));
        }
    }

    #[test]
    fn what_was_encoded_is_what_is_decoded_and_the_length_is_known_from_the_key() {
        for key in ["k", "user/1", "12345678", &"x".repeat(240)] {
            let header = header(key);
            let bytes = header.encode();
            assert_eq!(bytes.len() as u64, SegmentHeader::len_for(&header.key));
            assert!(bytes.len() as u64 <= MAX_SEGMENT_HEADER_LEN);
            assert_eq!(SegmentHeader::decode(&bytes), Ok(header.clone()));
            let mut followed = bytes;
            followed.extend_from_slice(&[0xA7; 100]);
            assert_eq!(SegmentHeader::decode(&followed), Ok(header));
        }
    }

    #[test]
    fn every_turned_bit_is_seen_and_only_the_version_looks_newer() {
        let bytes = header("orders").encode();
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            let error = SegmentHeader::decode(&turned).unwrap_err();
            let in_version = (40..42).contains(&(bit / 8)) && bit != 40 * 8;
            assert_eq!(error.is_unsupported(), in_version, "bit {bit}: {error}");
            assert_ne!(error, SegmentHeaderError::NotOurs, "bit {bit}");
        }
    }

    /// What a crash leaves of a header, cut or padded with zeros, is never called foreign or newer.
    #[test]
    fn every_cut_is_a_header_that_is_not_there() {
        let bytes = header("accounts").encode();
        for len in 0..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            for _ in 0..2 {
                let error = SegmentHeader::decode(&cut).unwrap_err();
                let torn =
                    matches!(error, SegmentHeaderError::Absent | SegmentHeaderError::Frame(_));
                assert!(torn, "{len}: {error:?}");
                cut.resize(4096, 0);
            }
        }
    }

    /// Any subset of the bytes may have reached the disk: every single one alone, every one missing,
    /// every two.
    #[test]
    fn every_part_of_a_header_may_be_torn() {
        let bytes = header("k").encode();
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let kept = |at: usize| at == first || at == second;
                for flip in [false, true] {
                    let part = bytes.iter().enumerate();
                    let part: Vec<u8> =
                        part.map(|(at, byte)| if kept(at) == flip { 0 } else { *byte }).collect();
                    if part != bytes {
                        let error = SegmentHeader::decode(&part).unwrap_err();
                        assert!(error.may_be_torn(), "{first} {second} {flip}: {error:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_reserved_byte_in_use_is_newer_than_us() {
        let at =
            Placement { salt: Salt::NONE, offset: 0, base: SequenceNumber::new(77), synced_len: 0 };
        for reserved in [43, 74, 75, 76, 77, 78, 79] {
            for bit in 0..8 {
                let mut bytes = header("orders").encode();
                // The last two bytes are padding, which `new` adds.
                bytes.truncate(86);
                bytes[reserved] = 1 << bit;
                let crafted =
                    PreparedFrame::new(FrameKind::SegmentHeader, 0, bytes).place(at).to_vec();
                let error = SegmentHeader::decode(&crafted).unwrap_err();
                assert_eq!(error, SegmentHeaderError::Reserved);
                assert!(error.is_unsupported() && !error.may_be_torn());
            }
        }
    }

    /// The header of the key "orders" (86 bytes, and padding), with other bytes at `place`, under right
    /// checksums.
    fn crafted(kind: FrameKind, place: usize, with: &[u8]) -> SegmentHeaderError {
        let mut bytes = header("orders").encode();
        bytes.truncate(86);
        bytes[place..place + with.len()].copy_from_slice(with);
        let at =
            Placement { salt: Salt::NONE, offset: 0, base: SequenceNumber::ZERO, synced_len: 0 };
        let count = u32::from(kind == FrameKind::Entries);
        SegmentHeader::decode(PreparedFrame::new(kind, count, bytes).place(at)).unwrap_err()
    }

    #[test]
    fn fields_that_cannot_be_are_told_apart_under_right_checksums() {
        use SegmentHeaderError::{ChecksumKind, Fields, Frame};
        let own = FrameKind::SegmentHeader;
        for kind in [FrameKind::Entries, FrameKind::Seal] {
            assert_eq!(crafted(kind, 40, &[1]), Frame(FrameError::Kind));
        }
        assert_eq!(crafted(own, 32, &[0x88]), Fields, "another magic");
        assert_eq!(crafted(own, 39, &[0x0B]), Fields, "another magic");
        assert_eq!(crafted(own, 40, &[0]), Fields, "version 0");
        for kind in [0, 2, u8::MAX] {
            let error = crafted(own, 42, &[kind]);
            assert_eq!(error, ChecksumKind { kind });
            assert!(error.is_unsupported() && !error.may_be_torn());
        }
        assert_eq!(crafted(own, 72, &[0]), Fields, "no key");
        assert_eq!(crafted(own, 72, &[9]), Fields, "a key longer than the frame");
        assert_eq!(crafted(own, 80, &[0xFF]), Fields, "a key that is no text");
        assert!(!Fields.is_unsupported() && !Fields.may_be_torn());
    }

    #[test]
    fn a_header_of_another_length_than_its_key_has_is_none() {
        let at =
            Placement { salt: Salt::NONE, offset: 0, base: SequenceNumber::new(77), synced_len: 0 };
        // The key, cut where its padding hides that, is another key: it may hold zeros.
        for len in (FRAME_HEADER_LEN..=80).chain(86..200) {
            let mut bytes = header("orders").encode();
            bytes.resize(len, 0);
            let frame = PreparedFrame::new(FrameKind::SegmentHeader, 0, bytes).place(at).to_vec();
            let expected = match len {
                // The key, and some of its padding.
                86..=88 => Ok(header("orders")),
                _ => Err(SegmentHeaderError::Fields),
            };
            assert_eq!(SegmentHeader::decode(&frame), expected, "{len}");
        }
    }

    #[test]
    fn another_kind_of_file_is_not_ours() {
        for text in ["To be, or not to be, that is the question: whether it is nobler", "\u{1}"] {
            let file = text.repeat(100);
            assert_eq!(
                SegmentHeader::decode(file.as_bytes()),
                Err(SegmentHeaderError::NotOurs),
                "{text}"
            );
        }
    }
}
