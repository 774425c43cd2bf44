//! Repair of one segment: its scan, and writing again what was verified.
//!
//! Whether to repair is decided above, by [`ironwal_format::repair::plan`]; nothing here cuts or
//! changes a byte.

use std::io;
use std::sync::Arc;

use ironwal_format::SequenceNumber;
use ironwal_format::cast;
use ironwal_format::frame::{FrameError, FrameHeader, FrameKind, HEADER_LEN, MAX_SEGMENT_FILE_LEN};
use ironwal_format::scan::{Scan, ScanFrom, scan};
use ironwal_format::segment_header::SegmentHeader;

use crate::dir::{SegmentName, StreamDir};
use crate::error::{Error, ErrorKind, IoOp};
use crate::io::{read_up_to, write_all};
use crate::reader::check_identity;
use crate::source::{FileSource, SCAN_WINDOW_LEN};
use crate::storage::StorageFile;

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
/// 1. Read a frame, check it, and write the same bytes to the same place. A crash leaves them as they
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
    let before = verified.table.points().iter().rfind(|point| u64::from(point.offset) <= from);
    let (entry, mut at) =
        before.map_or((0, dir.header_len()), |at| (u64::from(at.entry), u64::from(at.offset)));
    let mut next = SequenceNumber::new(name.base.get().saturating_add(entry));
    while at < verified.valid_end {
        let checked = read_frame(dir, name, &**file, (at, next)).map_err(failed(IoOp::Read))?;
        let (header, bytes) =
            checked.map_err(|source| error(ErrorKind::Frame { offset: at, source }))?;
        let end = at + header.frame_len();
        if end > from {
            write_all(&**file, &bytes, at).map_err(failed(IoOp::Write))?;
        }
        next = next.max(header.end());
        at = end;
    }
    file.sync_data().map_err(failed(IoOp::Sync))
}

/// The frame at an offset, whole, if it is the valid one with the number that is expected.
fn read_frame(
    dir: &StreamDir,
    name: SegmentName,
    file: &dyn StorageFile,
    (offset, expected): (u64, SequenceNumber),
) -> io::Result<Result<(FrameHeader, Vec<u8>), FrameError>> {
    let salt = dir.salt(name.ordinal);
    let decode = |bytes: &[u8]| match bytes.first_chunk() {
        Some(header) => FrameHeader::decode(header, salt, offset),
        None => Err(FrameError::Cut { available: 0, needed: HEADER_LEN }),
    };
    // First the length, then all of it at once: what is checked is what is given.
    let len = match decode(&read_exactly(file, offset, HEADER_LEN)?) {
        Ok(header) => header.frame_len(),
        Err(error) => return Ok(Err(error)),
    };
    let bytes = read_exactly(file, offset, len)?;
    let header = match decode(&bytes) {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    let found = header.base();
    let follows = match header.kind() {
        FrameKind::Entries => found == expected,
        FrameKind::Seal => found <= expected,
        FrameKind::SegmentHeader => return Ok(Err(FrameError::Kind)),
    };
    if !follows {
        return Ok(Err(FrameError::Sequence { expected, found }));
    }
    let payload = bytes.get(cast::usize_from(HEADER_LEN)..).unwrap_or_default();
    Ok(header.check_payload(payload).map(|()| (header, bytes)))
}

/// The bytes from `offset` on, `len` of them or as many as there are.
fn read_exactly(file: &dyn StorageFile, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; cast::usize_from(len)];
    let read = read_up_to(file, &mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}
