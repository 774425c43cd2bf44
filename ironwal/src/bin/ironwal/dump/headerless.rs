//! Files without a segment header that could be used: what they are.

use std::io;
use std::sync::Arc;

use ironwal::storage::StorageFile;
use ironwal_format::cast::{u64_from, usize_from};
use ironwal_format::checksum::Salt;
use ironwal_format::frame::{FRAME_HEADER_LEN, FrameError, FrameHeader};
use ironwal_format::segment_header::{MAX_SEGMENT_HEADER_LEN, SegmentHeaderError};
use ironwal_format::walk::{MAX_WANT, Source};
use ironwal_segment::io::read_up_to;
use ironwal_segment::{FileSource, SCAN_WINDOW_LEN};

use super::print::End;
use crate::failure::{Code, chain};

/// Where in a segment header the length of the key stands.
const KEY_LEN_AT: usize = 72;

/// Where in a segment header the key stands.
const KEY_AT: u64 = 80;

/// What to say of such a file, and how the command ends for it.
pub(super) fn judge(
    file: &Arc<dyn StorageFile>,
    len: u64,
    error: SegmentHeaderError,
) -> io::Result<(End, Code)> {
    let reason = chain(&error);
    let end = |verdict, reason| End { offset: 0, verdict, reason: Some(reason) };
    if error.is_unsupported() {
        return Ok((end("newer", reason), Code::Damage));
    }
    if error == SegmentHeaderError::NotOurs {
        return Ok((end("foreign", reason), Code::Damage));
    }
    if error.may_be_torn() && is_all(file, len, error)? {
        let what = "left by a crash, or being made, and nothing shows that it ever held an entry";
        return Ok((end("unfinished", format!("{reason}; {what}")), Code::Fine));
    }
    let what = "without it nothing tells which frames are of this segment";
    Ok((end("damaged", format!("{reason}; {what}")), Code::Damage))
}

/// Whether there is nothing in the file but what may be a part of a header.
fn is_all(file: &Arc<dyn StorageFile>, len: u64, error: SegmentHeaderError) -> io::Result<bool> {
    let from = if matches!(error, SegmentHeaderError::Frame(FrameError::Cut { .. })) {
        // The file ends within the header.
        return Ok(true);
    } else if error == SegmentHeaderError::Absent {
        0
    } else {
        let mut start = vec![0; usize_from(MAX_SEGMENT_HEADER_LEN)];
        read_up_to(&**file, &mut start, 0)?;
        header_len(&start)
    };
    let mut source = FileSource::new(Arc::clone(file), len, SCAN_WINDOW_LEN);
    let mut at = from;
    while at < len {
        let bytes = source.bytes_at(at, MAX_WANT)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if bytes.is_empty() {
            break;
        }
        at += u64_from(bytes.len());
    }
    Ok(true)
}

/// How long a damaged header is, by what can be believed of it.
fn header_len(start: &[u8]) -> u64 {
    let frame = start.first_chunk::<FRAME_HEADER_LEN>();
    if let Some(Ok(header)) = frame.map(|frame| FrameHeader::decode(frame, Salt::NONE, 0)) {
        return header.frame_len();
    }
    let key_len = start.get(KEY_LEN_AT..).and_then(<[u8]>::first_chunk);
    let key_len = key_len.map_or(0, |bytes| u64::from(u16::from_le_bytes(*bytes)));
    KEY_AT + key_len.min(MAX_SEGMENT_HEADER_LEN - KEY_AT).next_multiple_of(8)
}
