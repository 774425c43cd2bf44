//! Repair of one segment: its scan, and writing again what was verified.
//!
//! Whether to repair is decided above, by [`ironwal_format::repair::plan`]; nothing here cuts or
//! changes a byte.

use std::sync::Arc;

use ironwal_format::SequenceNumber;
use ironwal_format::cast;
use ironwal_format::frame::{FrameError, MAX_SEGMENT_FILE_LEN};
use ironwal_format::scan::{Scan, ScanFrom, scan};

use crate::dir::{SegmentName, StreamDir};
use crate::error::{Error, ErrorKind, IoOp};
use crate::io::{read_up_to, write_all};
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

/// Writes the bytes `from..until` of a segment again, unchanged, and makes them durable.
///
/// After a failed sync the page cache may show what the disk does not have, and call it clean. So
/// what recovery believes is written once more before anything builds on it.
///
/// 1. Read a piece and write the same bytes to the same place. A crash leaves them as they were.
/// 2. Sync. A crash may leave any mixture of the same bytes with what was there.
/// 3. Scan again: what was written must be what was verified before, or nothing is known.
///
/// # Errors
///
/// Those of the operating system, and [`ErrorKind::Frame`] if the file changed meanwhile.
pub fn rewrite(
    dir: &StreamDir,
    name: SegmentName,
    file: &Arc<dyn StorageFile>,
    verified: &Scan,
    from: u64,
) -> Result<(), Error> {
    let error = |kind| Error::new(dir.display(&name.file_name()), kind);
    let failed = |op| move |source| error(ErrorKind::Io { op, source });
    let mut piece = vec![0; SCAN_WINDOW_LEN];
    let mut at = from;
    while at < verified.valid_end {
        let want = (verified.valid_end - at).min(cast::u64_from(SCAN_WINDOW_LEN));
        piece.resize(cast::usize_from(want), 0);
        let read = read_up_to(&**file, &mut piece, at).map_err(failed(IoOp::Read))?;
        piece.truncate(read);
        if piece.is_empty() {
            break;
        }
        write_all(&**file, &piece, at).map_err(failed(IoOp::Write))?;
        at += cast::u64_from(read);
    }
    file.sync_data().map_err(failed(IoOp::Sync))?;
    let before = verified.table.points().iter().rfind(|point| u64::from(point.offset) <= from);
    let (entry, offset) =
        before.map_or((0, dir.header_len()), |at| (u64::from(at.entry), u64::from(at.offset)));
    let scan_from = ScanFrom {
        salt: dir.salt(name.ordinal),
        base: SequenceNumber::new(name.base.get().saturating_add(entry)),
        offset,
        limit: verified.next,
    };
    let mut source = FileSource::new(Arc::clone(file), verified.valid_end, SCAN_WINDOW_LEN);
    let again = scan(&mut source, scan_from).map_err(failed(IoOp::Read))?;
    if again.next == verified.next {
        return Ok(());
    }
    let offset = again.valid_end;
    let needed = verified.valid_end.saturating_sub(offset);
    let source = FrameError::Cut { available: 0, needed };
    Err(error(ErrorKind::Frame { offset, source }))
}
