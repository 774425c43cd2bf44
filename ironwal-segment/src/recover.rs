//! Repair of one segment: its scan, and writing again what was verified.
//!
//! Whether to repair is decided above, by [`ironwal_format::repair::plan`]; nothing here cuts or
//! changes a byte.

use std::io;
use std::sync::Arc;

use ironwal_format::SequenceNumber;
use ironwal_format::cast;
use ironwal_format::checksum::Salt;
use ironwal_format::frame::{FrameError, FrameHeader, FrameKind, HEADER_LEN, MAX_SEGMENT_FILE_LEN};
use ironwal_format::scan::{Scan, ScanFrom, scan};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::walk::Place;

use crate::dir::{SegmentName, StreamDir};
use crate::error::{Error, ErrorKind, IoOp};
use crate::io::{read_up_to, write_all};
use crate::reader::check_identity;
use crate::source::{FileSource, SCAN_WINDOW_LEN};
use crate::storage::StorageFile;

/// How much is read, and written again, at a time: enough that calls cost little beside copying.
const REWRITE_LEN: u64 = 256 << 10;

/// Scans the frames of a segment up to `limit`, the base of a later one that cuts it short.
///
/// # Errors
///
/// Those of the operating system, and [`ErrorKind::FileTooLong`]. Damage is a finding, no error.
pub fn scan_segment(
    dir: &StreamDir,
    name: SegmentName,
    file: &Arc<dyn StorageFile>,
    limit: SequenceNumber,
) -> Result<Scan, Error> {
    let error = |kind| Error::new(dir.display(&name.file_name()), kind);
    let failed = |source| error(ErrorKind::Io { op: IoOp::Read, source });
    let len = file.file_len().map_err(failed)?;
    if len > MAX_SEGMENT_FILE_LEN {
        return Err(error(ErrorKind::FileTooLong { len }));
    }
    let (salt, offset) = (dir.salt(name.ordinal), dir.header_len());
    let from = ScanFrom { salt, base: name.base, offset, limit };
    scan(&mut FileSource::new(Arc::clone(file), len, SCAN_WINDOW_LEN), from).map_err(failed)
}

/// Writes the frames of a segment again, unchanged, that end behind `from`, and makes them durable.
///
/// After a failed sync the page cache may show what the disk does not have, and call it clean. So
/// what recovery believes is written once more before anything builds on it. What is written is the
/// very bytes whose checksums matched: a read that goes wrong on the way changes nothing.
///
/// 1. Read frames, check them, and write the same bytes to the same place. A crash leaves them as they
///    were.
/// 2. Sync. A crash may leave any mixture of the same bytes with what was there.
///
/// # Errors
///
/// Those of the operating system, and [`ErrorKind::Frame`] or [`ErrorKind::Header`] if the bytes are not
/// what was verified before.
pub fn rewrite(
    dir: &StreamDir,
    name: SegmentName,
    file: &Arc<dyn StorageFile>,
    verified: &Scan,
    from: u64,
) -> Result<(), Error> {
    let error = |kind| Error::new(dir.display(&name.file_name()), kind);
    let failed = |op| move |source| error(ErrorKind::Io { op, source });
    if from < dir.header_len() {
        check_identity(dir, name, &**file)?;
        let start = read_exactly(&**file, 0, dir.header_len()).map_err(failed(IoOp::Read))?;
        SegmentHeader::decode(&start).map_err(|source| error(ErrorKind::Header { source }))?;
        write_all(&**file, &start, 0).map_err(failed(IoOp::Write))?;
    }
    let salt = dir.salt(name.ordinal);
    let before = verified.table.points().iter().rfind(|point| u64::from(point.offset) <= from);
    let (entry, at) =
        before.map_or((0, dir.header_len()), |at| (u64::from(at.entry), u64::from(at.offset)));
    let mut seq = SequenceNumber::new(name.base.get().saturating_add(entry));
    let (mut offset, mut want) = (at, REWRITE_LEN);
    while offset < verified.valid_end {
        let len = want.min(verified.valid_end - offset);
        let bytes = read_exactly(&**file, offset, len).map_err(failed(IoOp::Read))?;
        let frames = match check_frames(&bytes, salt, Place { offset, seq }, from) {
            // Longer than what is read at a time.
            Err((_, FrameError::Cut { needed, .. })) if len < needed && want < needed => {
                want = needed;
                continue;
            }
            Err((offset, source)) => return Err(error(ErrorKind::Frame { offset, source })),
            Ok(frames) => frames,
        };
        let wanted = cast::usize_from(frames.start - offset)..cast::usize_from(frames.end - offset);
        let wanted = bytes.get(wanted).unwrap_or_default();
        write_all(&**file, wanted, frames.start).map_err(failed(IoOp::Write))?;
        (offset, seq, want) = (frames.end, frames.next, REWRITE_LEN);
    }
    file.sync_data().map_err(failed(IoOp::Sync))
}

/// Frames that were checked.
struct Frames {
    /// Where the first of them starts that is to be written again.
    start: u64,
    /// Where the last ends.
    end: u64,
    /// The number behind the last.
    next: SequenceNumber,
}

/// Checks the frames that start at a place, as many as the bytes hold whole. Those that end at or before
/// `from` are not to be written again. An error comes with the offset of its frame.
fn check_frames(
    bytes: &[u8],
    salt: Salt,
    at: Place,
    from: u64,
) -> Result<Frames, (u64, FrameError)> {
    let mut frames = Frames { start: at.offset, end: at.offset, next: at.seq };
    loop {
        let rest = bytes.get(cast::usize_from(frames.end - at.offset)..).unwrap_or_default();
        let header = match check_frame(rest, salt, Place { offset: frames.end, seq: frames.next }) {
            // Behind others, and to be read with those that follow.
            Err(FrameError::Cut { .. }) if at.offset < frames.end => return Ok(frames),
            checked => checked.map_err(|error| (frames.end, error))?,
        };
        frames.end += header.frame_len();
        frames.next = frames.next.max(header.end());
        if frames.end <= from {
            frames.start = frames.end;
        }
    }
}

/// The header of the frame that bytes begin with, if it is the valid one with the number that is expected.
fn check_frame(bytes: &[u8], salt: Salt, at: Place) -> Result<FrameHeader, FrameError> {
    let available = cast::u64_from(bytes.len());
    let header = match bytes.first_chunk() {
        Some(header) => FrameHeader::decode(header, salt, at.offset)?,
        None => return Err(FrameError::Cut { available, needed: HEADER_LEN }),
    };
    let (expected, found) = (at.seq, header.base());
    let follows = match header.kind() {
        FrameKind::Entries => found == expected,
        FrameKind::Seal => found <= expected,
        FrameKind::SegmentHeader => return Err(FrameError::Kind),
    };
    if !follows {
        return Err(FrameError::Sequence { expected, found });
    }
    let frame_len = header.frame_len().min(available);
    let payload = cast::usize_from(HEADER_LEN)..cast::usize_from(frame_len);
    header.check_payload(bytes.get(payload).unwrap_or_default())?;
    Ok(header)
}

/// The bytes from `offset` on, `len` of them or as many as there are.
fn read_exactly(file: &dyn StorageFile, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; cast::usize_from(len)];
    let read = read_up_to(file, &mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}
