//! The payload of a frame, checked as far as bounded memory allows.

use std::io;

use ironwal::storage::StorageFile;
use ironwal_format::cast::{u64_from, usize_from, usize_from_u32};
use ironwal_format::checksum::Crc32;
use ironwal_format::compress::{plain_len, unpack_lz4};
use ironwal_format::frame::{Encoding, FrameError, FrameHeader, HEADER_LEN};
use ironwal_format::payload::entry_range;
use ironwal_segment::io::read_up_to;
use ironwal_segment::{FileSource, SCAN_WINDOW_LEN};

use super::MAX_UNPACKED_LEN;

/// What a payload is found to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Payload {
    /// All is as it was written; it is so long when unpacked.
    Whole(u64),
    /// Its checksum is right, and it is too long to be looked into.
    TooLong(Option<u64>),
    /// Its checksum is right, and this build cannot unpack it.
    Unread(u64),
    /// Its checksum is right, and its inside is wrong.
    Wrong(FrameError),
    /// It is not what was written.
    Broken(FrameError),
}

/// Checks the payload of the frame at `offset`, which lies within the file.
pub(super) fn payload(
    source: &FileSource,
    offset: u64,
    header: &FrameHeader,
) -> io::Result<Payload> {
    let at = offset + HEADER_LEN;
    if let Some(padded) = source.in_window(at, header.padded_len()) {
        return Ok(short_payload(padded, header));
    }
    if header.padded_len() > MAX_UNPACKED_LEN {
        return long_payload(source.file(), at, header);
    }
    let mut padded = vec![0; usize_from(header.padded_len())];
    let read = read_up_to(source.file(), &mut padded, at)?;
    padded.truncate(read);
    Ok(short_payload(&padded, header))
}

/// Checks a payload that is in memory, with its padding.
fn short_payload(padded: &[u8], header: &FrameHeader) -> Payload {
    if let Err(error) = header.check_payload(padded) {
        return Payload::Broken(error);
    }
    let payload = padded.get(..usize_from_u32(header.payload_len())).unwrap_or_default();
    inside(payload, header).unwrap_or_else(Payload::Wrong)
}

/// Looks into a payload whose checksum is right.
fn inside(payload: &[u8], header: &FrameHeader) -> Result<Payload, FrameError> {
    let unpacked;
    let plain = match header.encoding() {
        Encoding::Raw => payload,
        Encoding::Lz4 => {
            let plain_len = u64::from(plain_len(payload)?);
            if plain_len > MAX_UNPACKED_LEN {
                return Ok(Payload::TooLong(Some(plain_len)));
            }
            unpacked = match unpack_lz4(payload) {
                Err(error) if error.is_missing_feature() => return Ok(Payload::Unread(plain_len)),
                unpacked => unpacked?,
            };
            &unpacked
        }
    };
    for index in 0..header.entry_count() {
        entry_range(plain, header.entry_count(), index)?;
    }
    Ok(Payload::Whole(u64_from(plain.len())))
}

/// Checks a payload piece by piece.
fn long_payload(file: &dyn StorageFile, at: u64, header: &FrameHeader) -> io::Result<Payload> {
    let end = at + header.padded_len();
    let (mut from, mut crc) = (at, Crc32::new());
    let mut window = vec![0; SCAN_WINDOW_LEN];
    while from < end {
        window.resize(SCAN_WINDOW_LEN.min(usize_from(end - from)), 0);
        let read = read_up_to(file, &mut window, from)?;
        if read < window.len() {
            let available = from + u64_from(read) - at + HEADER_LEN;
            let needed = header.frame_len();
            return Ok(Payload::Broken(FrameError::Cut { available, needed }));
        }
        crc.update(&window);
        from += u64_from(read);
    }
    if let Err(error) = header.check_payload_crc(crc.finish()) {
        return Ok(Payload::Broken(error));
    }
    Ok(Payload::TooLong(match header.encoding() {
        Encoding::Raw => Some(u64::from(header.payload_len())),
        // Whether it can be so is not known without the whole of it.
        Encoding::Lz4 => None,
    }))
}
