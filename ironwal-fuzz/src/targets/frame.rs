//! Any bytes as one frame.

use ironwal_format::cast;
use ironwal_format::checksum::{Salt, crc32};
use ironwal_format::compress::unpack_lz4;
use ironwal_format::frame::{
    Encoding, FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind,
    MAX_ENTRY_COUNT, MAX_PAYLOAD_LEN, MAX_SEGMENT_FILE_LEN, Placement, header_bit_error,
};
use ironwal_format::payload::{Compression, EntryLimits, entry_range, prepare_batch};
use ironwal_format::seal::Seal;
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, StreamId};

use super::input::Input;
use super::mend::{self, Mended};

const HEADER_LEN: usize = FRAME_HEADER_LEN;

/// Switches, an ordinal, an offset, and the bytes of the frame.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let switches = input.switches();
    let ordinal = u32::from(input.byte());
    let salt = Salt::of(StreamId::new([7; 16]), Ordinal::new(ordinal));
    let offset = if switches.is_on(2) { input.u64() } else { u64::from(input.u32()) };
    let mut bytes = input.rest().to_vec();
    if switches.is_on(0) {
        let mended = if switches.is_on(1) { Mended::Frames } else { Mended::Headers };
        mend::frame(&mut bytes, salt, offset, mended);
    }
    // Whatever it is, it answers.
    drop((SegmentHeader::decode(&bytes), Seal::decode(&bytes)));
    let Some((header_bytes, behind)) = bytes.split_first_chunk::<HEADER_LEN>() else { return };
    match FrameHeader::decode(header_bytes, salt, offset) {
        Ok(header) => {
            check_header(&header, header_bytes, (salt, offset));
            let other = Salt::of(StreamId::new([7; 16]), Ordinal::new(ordinal + 1));
            check_is_bound(header_bytes, (salt, offset), other);
            let padded = behind.get(..cast::usize_from(header.padded_len()));
            let padded = padded.unwrap_or(behind);
            let checked = header.check_payload(padded);
            let is_right = cast::u64_from(padded.len()) == header.padded_len()
                && crc32(&[padded]) == header.payload_crc();
            assert_eq!(checked.is_ok(), is_right, "{checked:?}");
            if checked.is_ok() {
                check_payload(&header, padded, (salt, offset));
            }
        }
        Err(error) => {
            let turned = header_bit_error(header_bytes, salt, offset);
            // What is sound but newer has no wrong bit, and one turned more breaks its checksum.
            assert!(!error.is_unsupported() || turned.is_none(), "bit {turned:?} of {error:?}");
        }
    }
}

fn check_header(header: &FrameHeader, bytes: &[u8; HEADER_LEN], (salt, offset): (Salt, u64)) {
    assert_eq!(&header.encode(salt, offset), bytes, "what was decoded is encoded to the same");
    assert!(header.payload_len() <= MAX_PAYLOAD_LEN && header.entry_count() <= MAX_ENTRY_COUNT);
    assert_eq!(header.entry_count() > 0, header.kind() == FrameKind::Entries);
    assert!(header.encoding() == Encoding::Raw || header.kind() == FrameKind::Entries);
    assert!(header.frame_len().is_multiple_of(FRAME_ALIGNMENT) && header.synced_len() <= offset);
    assert_eq!(header.end().since(header.base()), u64::from(header.entry_count()));
}

/// No sound header is sound in another place: CRC-32 sees each difference within 32 bits.
fn check_is_bound(bytes: &[u8; HEADER_LEN], (salt, offset): (Salt, u64), other: Salt) {
    let refused = |salt, offset| {
        let decoded = FrameHeader::decode(bytes, salt, offset);
        assert!(matches!(decoded, Err(FrameError::HeaderChecksum { .. })), "{decoded:?}");
    };
    if other != salt {
        refused(other, offset);
    }
    refused(salt, offset ^ FRAME_ALIGNMENT);
    refused(salt, offset ^ (1 << 31));
}

/// A payload whose checksum matched gives entries that lie in it without gap, or an error.
fn check_payload(header: &FrameHeader, padded: &[u8], (salt, offset): (Salt, u64)) {
    if header.kind() != FrameKind::Entries {
        return;
    }
    let stored = padded.get(..cast::usize_from_u32(header.payload_len()));
    let stored = stored.expect("it is no longer than with padding");
    let unpacked = match header.encoding() {
        Encoding::Raw => stored.to_vec(),
        Encoding::Lz4 => match unpack_lz4(stored) {
            Ok(plain) => plain,
            Err(FrameError::Lz4Size(_) | FrameError::Lz4Block) => return,
            Err(error) => panic!("{error}"),
        },
    };
    let count = header.entry_count();
    let mut entries = Vec::new();
    let mut end = None;
    for index in 0..count {
        match entry_range(&unpacked, count, index) {
            Ok(range) => {
                assert!(end.is_none_or(|end| end == range.start), "no byte is left out");
                end = Some(range.end);
                entries.push(unpacked.get(range).expect("it lies in the payload"));
            }
            Err(error) => {
                assert_eq!(error, FrameError::EntryOffsets);
                return;
            }
        }
    }
    assert_eq!(end, Some(unpacked.len()), "the last entry ends the payload");
    let is_padded = padded.iter().skip(stored.len()).all(|byte| *byte == 0);
    if header.encoding() == Encoding::Raw && is_padded && offset <= MAX_SEGMENT_FILE_LEN {
        let limits = EntryLimits::new(u64::MAX, u64::MAX);
        let prepared = prepare_batch(&entries, limits, Compression::None);
        let mut again = prepared.expect("it was a frame").expect("it has entries");
        let (base, synced_len) = (header.base(), header.synced_len());
        let placed = again.place(Placement { salt, offset, base, synced_len });
        let (head, rest) = placed.split_first_chunk::<HEADER_LEN>().expect("a frame has a header");
        assert_eq!(head, &header.encode(salt, offset), "entries are encoded to the same frame");
        assert_eq!(rest, padded, "entries are encoded to the same payload");
    }
}
