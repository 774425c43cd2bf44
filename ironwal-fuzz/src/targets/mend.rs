//! Checksums made right, by the words of the specification: what a fuzzer cannot guess.

use ironwal_format::cast;
use ironwal_format::checksum::{Salt, crc32};
use ironwal_format::frame::{FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameHeader, FrameKind, padded};
use ironwal_format::index::RECORD_LEN;
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{SequenceNumber, StreamId};

const MARKER: u8 = 0xA7;
const STEP: usize = cast::usize_from(FRAME_ALIGNMENT);

/// Whose checksums are made right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mended {
    /// Those of headers.
    Headers,
    /// Those of headers and of the payloads that they name.
    Frames,
}

/// Whether the numbers of frames are made to follow from one another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Numbers {
    Kept,
    Following,
}

/// Makes the checksums of the frame at the start of `bytes` right, which stands at byte `offset` of the
/// segment with this salt. Nothing happens where there is no room for a header.
pub(super) fn frame(bytes: &mut [u8], salt: Salt, offset: u64, mended: Mended) {
    let Some((header, behind)) = bytes.split_first_chunk_mut::<FRAME_HEADER_LEN>() else { return };
    let payload_len = field_u32(header, 20);
    let payload = cast::usize_from_u32(payload_len).checked_next_multiple_of(STEP);
    if let (Mended::Frames, Some(payload)) = (mended, payload.and_then(|len| behind.get(..len))) {
        put(header, 24, crc32(&[payload]).to_le_bytes());
    }
    let [h0, h1, h2, h3, _, _, _, _, fields @ ..] = &*header;
    let salt = salt.get().to_le_bytes();
    let crc = crc32(&[&salt, &offset.to_le_bytes(), &[*h0, *h1, *h2, *h3], fields]);
    put(header, 4, crc.to_le_bytes());
}

/// Makes the checksums of all that looks like a frame right, from byte `start` of a segment on.
pub(super) fn frames(
    segment: &mut [u8],
    salt: Salt,
    (start, base): (u64, SequenceNumber),
    (mended, numbers): (Mended, Numbers),
) {
    let (mut at, mut expected) = (start, base);
    while let Some(bytes) = segment.get_mut(cast::usize_from(at)..) {
        let available = cast::u64_from(bytes.len());
        let Some(header) = bytes.first_chunk_mut::<FRAME_HEADER_LEN>() else { return };
        if header.first() != Some(&MARKER) {
            at += FRAME_ALIGNMENT;
            continue;
        }
        if numbers == Numbers::Following {
            put(header, 8, expected.get().to_le_bytes());
        }
        frame(bytes, salt, at, mended);
        let decoded = bytes.first_chunk().map(|header| FrameHeader::decode(header, salt, at));
        at += match decoded {
            Some(Ok(header)) if header.frame_len() <= available => {
                if header.kind() == FrameKind::Entries {
                    expected = header.end();
                }
                header.frame_len()
            }
            Some(Ok(_) | Err(_)) | None => FRAME_ALIGNMENT,
        };
    }
}

/// Makes the checksums of a whole segment file right; gives what its header says, if it says anything.
pub(super) fn segment(bytes: &mut [u8], mended: Mended, numbers: Numbers) -> Option<SegmentHeader> {
    frame(bytes, Salt::NONE, 0, mended);
    let header = SegmentHeader::decode(bytes).ok()?;
    let from = (SegmentHeader::len_for(&header.key), header.base);
    frames(bytes, Salt::of(header.id, header.ordinal), from, (mended, numbers));
    Some(header)
}

/// Makes the checksum of the header of an index right.
pub(super) fn index_header(bytes: &mut [u8]) {
    let key_len = bytes.get(32..34).and_then(|len| len.first_chunk()).copied();
    let key_len = usize::from(u16::from_le_bytes(key_len.unwrap_or_default()));
    let Some(header) = bytes.get_mut(..64 + key_len.next_multiple_of(RECORD_LEN)) else { return };
    let (before, behind) = header.split_at(12);
    let crc = crc32(&[before, behind.get(4..).unwrap_or_default()]);
    put(header, 12, crc.to_le_bytes());
}

/// Makes the checksums of all records of an index right, which begin at byte `start`.
pub(super) fn index_records(bytes: &mut [u8], id: StreamId, start: u64) {
    let records = bytes.get_mut(cast::usize_from(start)..).unwrap_or_default();
    for (offset, record) in (start..).step_by(RECORD_LEN).zip(records.as_chunks_mut().0) {
        let record: &mut [u8; RECORD_LEN] = record;
        let [_, _, _, _, checked @ ..] = &*record;
        let crc = crc32(&[&id.get(), &offset.to_le_bytes(), checked]);
        put(record, 0, crc.to_le_bytes());
    }
}

/// How long a frame is by what its header says, sound or not: header, payload, padding.
pub(super) fn claimed_len(header: &[u8; FRAME_HEADER_LEN]) -> u64 {
    cast::u64_from(FRAME_HEADER_LEN) + padded(u64::from(field_u32(header, 20)))
}

fn field_u32(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied();
    u32::from_le_bytes(field.unwrap_or_default())
}

/// Writes a field, where there is room for it.
pub(super) fn put<const N: usize>(bytes: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = field;
    }
}
