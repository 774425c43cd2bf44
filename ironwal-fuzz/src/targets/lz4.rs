//! Any bytes as an LZ4 payload, and any bytes packed and unpacked.

use ironwal_format::SequenceNumber;
use ironwal_format::cast;
use ironwal_format::checksum::Salt;
use ironwal_format::compress::{plain_len, unpack_lz4};
use ironwal_format::frame::{Encoding, FRAME_HEADER_LEN, FrameHeader, MAX_PAYLOAD_LEN, Placement};
use ironwal_format::payload::{Compression, EntryLimits, prepare_entry};

use super::input::Input;
use super::mend::put;

/// No block gives more than so many bytes for each of its own.
const MAX_RATIO: usize = 255;

/// How long a plain entry becomes at most.
const MAX_PLAIN_LEN: usize = 1 << 16;

/// Switches, and a payload; or how to make a long entry of a short one.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let switches = input.switches();
    if switches.is_on(0) {
        let times = 1 + usize::from(input.byte());
        let piece = input.rest();
        let len = (piece.len() * times).min(MAX_PLAIN_LEN);
        check_round_trip(&piece.iter().copied().cycle().take(len).collect::<Vec<_>>());
        return;
    }
    let payload = input.rest();
    check_payload(payload);
    if switches.is_on(1) {
        // The size that is right, if any near is: a fuzzer changes the block, and not it along.
        let mut payload = payload.to_vec();
        for len in 0..u32::from(u8::MAX) {
            put(&mut payload, 0, len.to_le_bytes());
            check_payload(&payload);
        }
    }
}

/// An LZ4 payload gives as many bytes as it says, or nothing.
fn check_payload(payload: &[u8]) {
    let most = payload.len().saturating_mul(MAX_RATIO);
    let said = plain_len(payload);
    if let Ok(said) = said {
        assert!(said <= MAX_PAYLOAD_LEN && cast::usize_from_u32(said) <= most);
    }
    let Ok(plain) = unpack_lz4(payload) else { return };
    assert_eq!(said.map(cast::usize_from_u32), Ok(plain.len()), "as many bytes as it says");
    for other in [plain.len() + 1, plain.len().wrapping_sub(1)] {
        let mut payload = payload.to_vec();
        put(&mut payload, 0, u32::try_from(other).unwrap_or(u32::MAX).to_le_bytes());
        assert!(unpack_lz4(&payload).is_err(), "a block gives {} bytes, not {other}", plain.len());
    }
    check_round_trip(&plain);
}

fn check_round_trip(plain: &[u8]) {
    let limits = EntryLimits::new(u64::MAX, u64::MAX);
    let prepared = prepare_entry(plain, limits, Compression::Lz4 { min_len: 0 });
    let mut prepared = prepared.expect("there is no limit");
    let (encoding, frame_len) = (prepared.encoding(), prepared.frame_len());
    let raw = prepare_entry(plain, limits, Compression::None).expect("there is no limit");
    assert_eq!(encoding == Encoding::Lz4, frame_len < raw.frame_len(), "packed only to be shorter");
    let base = SequenceNumber::ZERO;
    let frame = prepared.place(Placement { salt: Salt::NONE, offset: 0, base, synced_len: 0 });
    let (header, padded) = frame.split_first_chunk::<FRAME_HEADER_LEN>().expect("it has a header");
    let header = FrameHeader::decode(header, Salt::NONE, 0).expect("it was just made");
    assert_eq!((header.encoding(), header.check_payload(padded)), (encoding, Ok(())));
    let stored = padded.get(..cast::usize_from_u32(header.payload_len()));
    let stored = stored.expect("it is no longer than with padding");
    match encoding {
        Encoding::Raw => assert_eq!(stored, plain),
        Encoding::Lz4 => assert_eq!(unpack_lz4(stored).as_deref(), Ok(plain)),
    }
}
